"""Gets tokens as the documentation of msal shows it, and reads a secret with one."""

import os
import sys

import msal
import requests


def assertion():
    with open(os.environ["AZURE_FEDERATED_TOKEN_FILE"]) as file:
        return file.read()


def application():
    return msal.ConfidentialClientApplication(
        os.environ["AZURE_CLIENT_ID"],
        authority=os.environ["AZURE_AUTHORITY_HOST"] + os.environ["AZURE_TENANT_ID"],
        client_credential={"client_assertion": assertion},
    )


def token(app, scope):
    result = app.acquire_token_for_client([scope])
    if "access_token" not in result:
        print(result["error_description"])
        sys.exit(1)
    return result


def round():
    app = application()
    token(app, "https://graph.microsoft.com/.default")
    again = token(app, "https://graph.microsoft.com/.default")
    if again["token_source"] != "cache":
        sys.exit("the second token for Graph came from " + again["token_source"] + ", not from the cache")
    print("graph ok")
    answer = requests.get(
        "https://mykeyvault.vault.azure.net/secrets/mysecret?api-version=7.4",
        headers={"Authorization": "Bearer " + token(app, "https://vault.azure.net/.default")["access_token"]},
    )
    answer.raise_for_status()
    print("secret", answer.json()["value"])
    print("round done", flush=True)


round()
for _ in sys.stdin:
    round()
