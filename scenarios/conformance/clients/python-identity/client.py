"""Reads a secret as the documentation of azure-keyvault-secrets shows it."""

import json
import sys
import time

from azure.core.exceptions import ClientAuthenticationError
from azure.identity import DefaultAzureCredential, WorkloadIdentityCredential
from azure.keyvault.secrets import SecretClient


def read(credential):
    credential.get_token("https://graph.microsoft.com/.default")
    client = SecretClient(vault_url="https://mykeyvault.vault.azure.net/", credential=credential)
    return client.get_secret("mysecret").value


def both():
    for credential in WorkloadIdentityCredential(), DefaultAzureCredential():
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


if len(sys.argv) > 1:
    watch(int(sys.argv[2]))
try:
    both()
    for _ in sys.stdin:
        both()
except ClientAuthenticationError as error:
    print(error)
    sys.exit(1)
