"""Gets tokens with a token cache on disk, opened anew each time, as the commands of Azure CLI do."""

import os
import sys
import tempfile

import msal
import msal_extensions
import requests

cache = os.path.join(tempfile.mkdtemp(), "cache.json")


def application():
    with open(os.environ["AZURE_FEDERATED_TOKEN_FILE"]) as file:
        assertion = file.read()
    return msal.ConfidentialClientApplication(
        os.environ["AZURE_CLIENT_ID"],
        authority=os.environ["AZURE_AUTHORITY_HOST"] + os.environ["AZURE_TENANT_ID"],
        client_credential={"client_assertion": assertion},
        token_cache=msal_extensions.PersistedTokenCache(msal_extensions.FilePersistence(cache)),
    )


def token(scope):
    result = application().acquire_token_for_client([scope])
    if "access_token" not in result:
        print(result["error_description"])
        sys.exit(1)
    return result


def round():
    token("https://graph.microsoft.com/.default")
    again = token("https://graph.microsoft.com/.default")
    if again["token_source"] != "identity_provider":
        sys.exit("the second token for Graph came from the " + again["token_source"] + "; 1.27.0 was to miss it")
    print("graph ok")
    answer = requests.get(
        "https://mykeyvault.vault.azure.net/secrets/mysecret?api-version=7.4",
        headers={"Authorization": "Bearer " + token("https://vault.azure.net/.default")["access_token"]},
    )
    answer.raise_for_status()
    print("secret", answer.json()["value"])
    print("round done", flush=True)


round()
for _ in sys.stdin:
    round()
