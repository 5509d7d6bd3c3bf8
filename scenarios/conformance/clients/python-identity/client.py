"""Reads a secret as the documentation of azure-keyvault-secrets shows it."""

import json
import os
import sys
import time

from azure.core.exceptions import ClientAuthenticationError
from azure.identity import (
    CertificateCredential,
    ClientAssertionCredential,
    ClientSecretCredential,
    DefaultAzureCredential,
    EnvironmentCredential,
    WorkloadIdentityCredential,
)
from azure.keyvault.secrets import SecretClient


def read(credential):
    credential.get_token("https://graph.microsoft.com/.default")
    client = SecretClient(vault_url="https://mykeyvault.vault.azure.net/", credential=credential)
    return client.get_secret("mysecret").value


def assertion():
    with open(os.environ["AZURE_FEDERATED_TOKEN_FILE"]) as file:
        return file.read()


def credentials(kind):
    get = os.environ.get
    who = {"tenant_id": get("AZURE_TENANT_ID"), "client_id": get("AZURE_CLIENT_ID")}
    file, password = get("AZURE_CLIENT_CERTIFICATE_PATH"), get("AZURE_CLIENT_CERTIFICATE_PASSWORD")
    match kind:
        case "federated":
            return WorkloadIdentityCredential(), DefaultAzureCredential()
        case "secret":
            return ClientSecretCredential(client_secret=get("AZURE_CLIENT_SECRET"), **who), EnvironmentCredential()
        case "certificate":
            return CertificateCredential(certificate_path=file, **who), EnvironmentCredential()
        case "certificate-pfx":
            return CertificateCredential(certificate_path=file, password=password, **who), EnvironmentCredential()
        case "certificate-chain":
            return (CertificateCredential(certificate_path=file, send_certificate_chain=True, **who),)
        case "assertion":
            return (ClientAssertionCredential(func=assertion, **who),)


def both(kind):
    for credential in credentials(kind):
        secret = read(credential)
        print("graph ok")
        print("secret", secret)
    print("round done", flush=True)


def watch(every):
    credential = DefaultAzureCredential()
    while True:
        try:
            line = {"ok": True, "secret": read(credential)}
        except Exception as error:
            line = {"ok": False, "error": str(error)}
        print(json.dumps(line), flush=True)
        time.sleep(every)


if sys.argv[1:2] == ["watch"]:
    watch(int(sys.argv[2]))
kind = sys.argv[1] if len(sys.argv) > 1 else "federated"
try:
    both(kind)
    for _ in sys.stdin:
        both(kind)
except ClientAuthenticationError as error:
    print(error)
    sys.exit(1)
