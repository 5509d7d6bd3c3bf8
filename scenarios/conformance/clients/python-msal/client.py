"""Gets tokens as the documentation of msal shows it, and reads a secret with one."""

import json
import os
import sys
import time

import msal
import requests


def assertion():
    with open(os.environ["AZURE_FEDERATED_TOKEN_FILE"]) as file:
        return file.read()


def application(assertion=assertion):
    return msal.ConfidentialClientApplication(
        os.environ["AZURE_CLIENT_ID"],
        authority=os.environ["AZURE_AUTHORITY_HOST"] + os.environ["AZURE_TENANT_ID"],
        client_credential={"client_assertion": assertion},
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


def round():
    app = application()
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


if len(sys.argv) > 1:
    watch(int(sys.argv[2]), sys.argv[3:] == ["once"])
try:
    round()
    for _ in sys.stdin:
        round()
except Refused as error:
    print(error)
    sys.exit(1)
