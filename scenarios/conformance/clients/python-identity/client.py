"""Reads a secret as the documentation of azure-keyvault-secrets shows it."""

import sys

from azure.core.exceptions import ClientAuthenticationError
from azure.identity import DefaultAzureCredential, WorkloadIdentityCredential
from azure.keyvault.secrets import SecretClient


def round(credential):
    credential.get_token("https://graph.microsoft.com/.default")
    print("graph ok")
    client = SecretClient(vault_url="https://mykeyvault.vault.azure.net/", credential=credential)
    print("secret", client.get_secret("mysecret").value)


def both():
    round(WorkloadIdentityCredential())
    round(DefaultAzureCredential())
    print("round done", flush=True)


try:
    both()
    for _ in sys.stdin:
        both()
except ClientAuthenticationError as error:
    print(error)
    sys.exit(1)
