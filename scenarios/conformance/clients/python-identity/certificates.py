"""What azure-keyvault-certificates does with certificates, each operation once."""

import base64

from azure.identity import DefaultAzureCredential
from azure.keyvault.certificates import CertificateClient, CertificateContact, CertificatePolicy
from azure.keyvault.secrets import SecretClient
from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs12

from operations import expect, main

credential = DefaultAzureCredential()
vault = "https://mykeyvault.vault.azure.net"
certificates, secrets = CertificateClient(vault, credential), SecretClient(vault, credential)
state = {}


def create():
    policy = CertificatePolicy(issuer_name="Self", subject="CN=python", san_dns_names=["python.example"], key_type="EC", key_curve_name="P-256", validity_in_months=6)
    made = certificates.begin_create_certificate("python-web", policy, tags={"a": "b"}).result()
    assert made.name == "python-web" and made.properties.tags == {"a": "b"}, made
    cert = x509.load_der_x509_certificate(bytes(made.cer))
    assert cert.subject.rfc4514_string() == "CN=python", cert.subject
    assert cert.not_valid_after_utc == made.properties.expires_on
    state["thumbprint"] = made.properties.x509_thumbprint


def secret():
    found = secrets.get_secret("python-web")
    assert found.properties.content_type == "application/x-pkcs12" and found.properties.managed
    key, cert, chain = pkcs12.load_key_and_certificates(base64.b64decode(found.value), None)
    assert key.public_key() == cert.public_key() and not chain
    state["pfx"] = base64.b64decode(found.value)


def get():
    latest = certificates.get_certificate("python-web")
    assert certificates.get_certificate_version("python-web", latest.properties.version).properties.x509_thumbprint == state["thumbprint"]
    assert "python-web" in [c.name for c in certificates.list_properties_of_certificates()]
    assert certificates.get_certificate_operation("python-web").status == "completed"


def import_certificate():
    imported = certificates.import_certificate("python-imported", state["pfx"])
    assert imported.properties.x509_thumbprint == state["thumbprint"] and imported.policy.issuer_name == "Unknown", imported


async def bad_import():
    await expect("BadParameter", lambda: certificates.import_certificate("python-bad", b"nothing"))


def update():
    off = certificates.update_certificate_properties("python-web", enabled=False)
    assert not off.properties.enabled
    certificates.update_certificate_properties("python-web", enabled=True)
    policy = certificates.get_certificate_policy("python-web")
    assert policy.validity_in_months == 6 and policy.subject == "CN=python"
    policy._validity_in_months = 3
    assert certificates.update_certificate_policy("python-web", policy).validity_in_months == 3


def renew():
    before = certificates.get_certificate("python-web").properties.version
    certificates.begin_create_certificate("python-web", certificates.get_certificate_policy("python-web")).result()
    assert certificates.get_certificate("python-web").properties.version != before
    assert len(list(certificates.list_properties_of_certificate_versions("python-web"))) == 2


def contacts():
    certificates.set_contacts([CertificateContact(email="a@example.com")])
    assert [c.email for c in certificates.get_contacts()] == ["a@example.com"]
    certificates.delete_contacts()


def recover():
    certificates.begin_delete_certificate("python-web", _polling_interval=0).wait()
    assert certificates.get_deleted_certificate("python-web").recovery_id
    certificates.begin_recover_deleted_certificate("python-web", _polling_interval=0).wait()
    assert secrets.get_secret("python-web").value


async def gone():
    await expect("CertificateNotFound", lambda: certificates.get_certificate("python-none"))


def delete():
    for name in ["python-web", "python-imported"]:
        certificates.begin_delete_certificate(name, _polling_interval=0).wait()
        certificates.purge_deleted_certificate(name)


main([create, secret, get, import_certificate, bad_import, update, renew, contacts, recover, gone, delete])
