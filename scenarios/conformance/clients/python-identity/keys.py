"""What azure-keyvault-keys does with keys, each operation once."""

from hashlib import sha256

from azure.identity import DefaultAzureCredential
from azure.keyvault.keys import JsonWebKey, KeyClient, KeyRotationLifetimeAction, KeyRotationPolicy, KeyRotationPolicyAction
from azure.keyvault.keys.crypto import CryptographyClient, EncryptionAlgorithm, KeyWrapAlgorithm, SignatureAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa

from operations import expect, main

credential = DefaultAzureCredential()
keys = KeyClient("https://mykeyvault.vault.azure.net", credential)


def crypto(key):
    return CryptographyClient(key, credential)


def create():
    key = keys.create_rsa_key("python-rsa", size=2048, tags={"team": "blue"})
    assert key.name == "python-rsa" and key.key.kty == "RSA" and len(key.key.n) == 256 and key.properties.tags == {"team": "blue"}, key
    assert keys.create_ec_key("python-ec", curve="P-384").key.crv == "P-384"


def get():
    key = keys.get_key("python-rsa")
    assert keys.get_key("python-rsa", key.properties.version).id == key.id
    assert {"python-rsa", "python-ec"} <= {k.name for k in keys.list_properties_of_keys()}


def encrypt():
    # The client encrypts by itself with the public part, and decrypts in the vault.
    client = crypto(keys.get_key("python-rsa"))
    for algorithm in [EncryptionAlgorithm.rsa_oaep, EncryptionAlgorithm.rsa_oaep_256, EncryptionAlgorithm.rsa1_5]:
        sealed = client.encrypt(algorithm, b"plain")
        assert client.decrypt(algorithm, sealed.ciphertext).plaintext == b"plain"


def wrap():
    client = crypto(keys.get_key("python-rsa"))
    wrapped = client.wrap_key(KeyWrapAlgorithm.rsa_oaep_256, b"0123456789abcdef")
    assert client.unwrap_key(KeyWrapAlgorithm.rsa_oaep_256, wrapped.encrypted_key).key == b"0123456789abcdef"


def sign():
    from hashlib import sha384

    for name, algorithm, digest in [
        ("python-rsa", SignatureAlgorithm.rs256, sha256(b"x").digest()),
        ("python-rsa", SignatureAlgorithm.ps256, sha256(b"x").digest()),
        ("python-ec", SignatureAlgorithm.es384, sha384(b"x").digest()),
    ]:
        client = crypto(keys.get_key(name))
        assert client.verify(algorithm, digest, client.sign(algorithm, digest).signature).is_valid


def rotate():
    before = keys.get_key("python-rsa")
    sealed = crypto(before).encrypt(EncryptionAlgorithm.rsa_oaep, b"plain").ciphertext
    after = keys.rotate_key("python-rsa")
    assert after.properties.version != before.properties.version and len(list(keys.list_properties_of_key_versions("python-rsa"))) == 2
    assert crypto(before).decrypt(EncryptionAlgorithm.rsa_oaep, sealed).plaintext == b"plain"


async def wrong_version():
    sealed = crypto(keys.rotate_key("python-rsa")).encrypt(EncryptionAlgorithm.rsa_oaep, b"plain").ciphertext
    latest = crypto(keys.rotate_key("python-rsa"))
    await expect("BadParameter", lambda: latest.decrypt(EncryptionAlgorithm.rsa_oaep, sealed))


def policy():
    rotate = KeyRotationLifetimeAction(KeyRotationPolicyAction.rotate, time_after_create="P30D")
    policy = keys.update_key_rotation_policy("python-ec", KeyRotationPolicy(), lifetime_actions=[rotate], expires_in="P90D")
    assert policy.expires_in == "P90D" and keys.get_key_rotation_policy("python-ec").lifetime_actions[0].time_after_create == "P30D"


def import_key():
    private = rsa.generate_private_key(65537, 2048)
    numbers = private.private_numbers()
    octets = lambda n: n.to_bytes((n.bit_length() + 7) // 8, "big")
    jwk = JsonWebKey(
        kty="RSA", n=octets(numbers.public_numbers.n), e=octets(65537), d=octets(numbers.d), p=octets(numbers.p), q=octets(numbers.q),
        dp=octets(numbers.dmp1), dq=octets(numbers.dmq1), qi=octets(numbers.iqmp), key_ops=["decrypt"],
    )
    key = keys.import_key("python-imported", jwk)
    assert key.key.n == octets(numbers.public_numbers.n) and list(key.key_operations) == ["decrypt"], key


def update():
    key = keys.update_key_properties("python-ec", enabled=False, tags={"a": "b"})
    assert not key.properties.enabled and key.properties.tags == {"a": "b"}


def backup():
    blob = keys.backup_key("python-imported")
    keys.begin_delete_key("python-imported", _polling_interval=0).wait()
    keys.purge_deleted_key("python-imported")
    assert keys.restore_key_backup(blob).name == "python-imported"


def recover():
    keys.begin_delete_key("python-rsa", _polling_interval=0).wait()
    assert keys.get_deleted_key("python-rsa").recovery_id
    keys.begin_recover_deleted_key("python-rsa", _polling_interval=0).wait()
    assert keys.get_key("python-rsa").name == "python-rsa"


async def gone():
    await expect("KeyNotFound", lambda: keys.get_key("python-none"))


def delete():
    for name in ["python-rsa", "python-ec", "python-imported"]:
        keys.begin_delete_key(name, _polling_interval=0).wait()
        keys.purge_deleted_key(name)


main([create, get, encrypt, wrap, sign, rotate, wrong_version, policy, import_key, update, backup, recover, gone, delete])
