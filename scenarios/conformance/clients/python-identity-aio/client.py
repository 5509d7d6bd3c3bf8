"""Reads a secret as the documentation of azure-keyvault-secrets shows its async client."""

import asyncio
import sys

from azure.core.exceptions import ClientAuthenticationError
from azure.identity.aio import DefaultAzureCredential
from azure.keyvault.secrets.aio import SecretClient


async def round():
    async with DefaultAzureCredential() as credential:
        await credential.get_token("https://graph.microsoft.com/.default")
        print("graph ok")
        async with SecretClient(vault_url="https://mykeyvault.vault.azure.net/", credential=credential) as client:
            print("secret", (await client.get_secret("mysecret")).value)
    print("round done", flush=True)


try:
    asyncio.run(round())
    for _ in sys.stdin:
        asyncio.run(round())
except ClientAuthenticationError as error:
    print(error)
    sys.exit(1)
