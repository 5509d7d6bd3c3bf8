"""Reads a secret as the documentation of azure-keyvault-secrets shows its async client."""

import asyncio
import json
import os
import sys

from azure.core.exceptions import ClientAuthenticationError
from azure.identity.aio import (
    CertificateCredential,
    ClientAssertionCredential,
    ClientSecretCredential,
    DefaultAzureCredential,
)
from azure.keyvault.secrets.aio import SecretClient


async def read(credential, client):
    await credential.get_token("https://graph.microsoft.com/.default")
    return (await client.get_secret("mysecret")).value


def assertion():
    with open(os.environ["AZURE_FEDERATED_TOKEN_FILE"]) as file:
        return file.read()


def new(kind):
    get = os.environ.get
    who = {"tenant_id": get("AZURE_TENANT_ID"), "client_id": get("AZURE_CLIENT_ID")}
    file, password = get("AZURE_CLIENT_CERTIFICATE_PATH"), get("AZURE_CLIENT_CERTIFICATE_PASSWORD")
    match kind:
        case "federated":
            return DefaultAzureCredential()
        case "secret":
            return ClientSecretCredential(client_secret=get("AZURE_CLIENT_SECRET"), **who)
        case "certificate":
            return CertificateCredential(certificate_path=file, **who)
        case "certificate-pfx":
            return CertificateCredential(certificate_path=file, password=password, **who)
        case "assertion":
            return ClientAssertionCredential(func=assertion, **who)


async def round(kind):
    async with new(kind) as credential:
        async with SecretClient(vault_url="https://mykeyvault.vault.azure.net/", credential=credential) as client:
            secret = await read(credential, client)
    print("graph ok")
    print("secret", secret)
    print("round done", flush=True)


async def watch(every):
    async with DefaultAzureCredential() as credential:
        async with SecretClient(vault_url="https://mykeyvault.vault.azure.net/", credential=credential) as client:
            while True:
                try:
                    line = {"ok": True, "secret": await read(credential, client)}
                except Exception as error:
                    line = {"ok": False, "error": str(error)}
                print(json.dumps(line), flush=True)
                await asyncio.sleep(every)


if sys.argv[1:2] == ["watch"]:
    asyncio.run(watch(int(sys.argv[2])))
kind = sys.argv[1] if len(sys.argv) > 1 else "federated"
try:
    asyncio.run(round(kind))
    for _ in sys.stdin:
        asyncio.run(round(kind))
except ClientAuthenticationError as error:
    print(error)
    sys.exit(1)
