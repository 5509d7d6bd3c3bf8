"""Reads a secret as the documentation of azure-keyvault-secrets shows its async client."""

import asyncio
import json
import sys

from azure.core.exceptions import ClientAuthenticationError
from azure.identity.aio import DefaultAzureCredential
from azure.keyvault.secrets.aio import SecretClient


async def read(credential, client):
    await credential.get_token("https://graph.microsoft.com/.default")
    return (await client.get_secret("mysecret")).value


async def round():
    async with DefaultAzureCredential() as credential:
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


if len(sys.argv) > 1:
    asyncio.run(watch(int(sys.argv[2])))
try:
    asyncio.run(round())
    for _ in sys.stdin:
        asyncio.run(round())
except ClientAuthenticationError as error:
    print(error)
    sys.exit(1)
