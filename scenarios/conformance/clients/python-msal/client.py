"""Gets tokens as the documentation of msal shows it, and reads a secret with one."""

import json
import os
import sys
import time

import msal
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes


def assertion():
    with open(os.environ["AZURE_FEDERATED_TOKEN_FILE"]) as file:
        return file.read()


def credential(kind):
    match kind:
        case "secret":
            return os.environ["AZURE_CLIENT_SECRET"]
        case "certificate":
            with open(os.environ["AZURE_CLIENT_CERTIFICATE_PATH"]) as file:
                pem = file.read()
            thumbprint = x509.load_pem_x509_certificate(pem.encode()).fingerprint(hashes.SHA1()).hex()
            return {"private_key": pem, "thumbprint": thumbprint}
        case "certificate-sha256":
            with open(os.environ["AZURE_CLIENT_CERTIFICATE_PATH"]) as file:
                pem = file.read()
            return {"private_key": pem, "public_certificate": pem}
        case "certificate-pfx":
            return {
                "private_key_pfx_path": os.environ["AZURE_CLIENT_CERTIFICATE_PATH"],
                "passphrase": os.environ["AZURE_CLIENT_CERTIFICATE_PASSWORD"],
            }


def application(assertion=assertion, kind="federated"):
    return msal.ConfidentialClientApplication(
        os.environ["AZURE_CLIENT_ID"],
        authority=os.environ["AZURE_AUTHORITY_HOST"] + os.environ["AZURE_TENANT_ID"],
        client_credential={"client_assertion": assertion} if kind == "federated" else credential(kind),
    )


class Refused(Exception):
    pass


def token(app, scope):
    result = app.acquire_token_for_client([scope])
    if "access_token" not in result:
        raise Refused(result["error_description"])
    return result


def secret(app):
    answer = requests.get(
        "https://mykeyvault.vault.azure.net/secrets/mysecret?api-version=7.4",
        headers={"Authorization": "Bearer " + token(app, "https://vault.azure.net/.default")["access_token"]},
    )
    answer.raise_for_status()
    return answer.json()["value"]


def round(kind):
    app = application(kind=kind)
    token(app, "https://graph.microsoft.com/.default")
    again = token(app, "https://graph.microsoft.com/.default")
    if again["token_source"] != "cache":
        sys.exit("the second token for Graph came from " + again["token_source"] + ", not from the cache")
    print("graph ok")
    print("secret", secret(app))
    print("round done", flush=True)


def watch(every, once):
    """With once the application is made with a text, which it cannot read again."""
    app = application(assertion() if once else assertion)
    while True:
        try:
            token(app, "https://graph.microsoft.com/.default")
            line = {"ok": True, "secret": secret(app)}
        except Exception as error:
            line = {"ok": False, "error": str(error)}
        print(json.dumps(line), flush=True)
        time.sleep(every)


if sys.argv[1:2] == ["watch"]:
    watch(int(sys.argv[2]), sys.argv[3:] == ["once"])
kind = sys.argv[1] if len(sys.argv) > 1 else "federated"
try:
    round(kind)
    for _ in sys.stdin:
        round(kind)
except Refused as error:
    print(error)
    sys.exit(1)
