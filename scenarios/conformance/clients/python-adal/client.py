"""Gets tokens of the v1 endpoint as the documentation of adal shows it, and reads a secret with one."""

import os
import sys

import adal
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes


def token(resource):
    context = adal.AuthenticationContext("https://login.microsoftonline.com/" + os.environ["AZURE_TENANT_ID"])
    client = os.environ["AZURE_CLIENT_ID"]
    if sys.argv[1] == "secret":
        return context.acquire_token_with_client_credentials(resource, client, os.environ["AZURE_CLIENT_SECRET"])["accessToken"]
    with open(os.environ["AZURE_CLIENT_CERTIFICATE_PATH"]) as file:
        pem = file.read()
    thumbprint = x509.load_pem_x509_certificate(pem.encode()).fingerprint(hashes.SHA1()).hex()
    return context.acquire_token_with_client_certificate(resource, client, pem, thumbprint)["accessToken"]


def round():
    token("https://graph.microsoft.com")
    print("graph ok")
    answer = requests.get(
        "https://mykeyvault.vault.azure.net/secrets/mysecret?api-version=7.4",
        headers={"Authorization": "Bearer " + token("https://vault.azure.net")},
    )
    answer.raise_for_status()
    print("secret", answer.json()["value"])
    print("round done", flush=True)


try:
    round()
    for _ in sys.stdin:
        round()
except adal.AdalError as error:
    print(error, error.error_response)
    sys.exit(1)
