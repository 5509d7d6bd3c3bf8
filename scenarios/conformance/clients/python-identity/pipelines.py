"""What a task of Azure Pipelines does with its service connection."""

import os
import sys

from azure.identity import AzurePipelinesCredential
from azure.keyvault.secrets import SecretClient

credential = AzurePipelinesCredential(
    tenant_id=os.environ["AZURESUBSCRIPTION_TENANT_ID"],
    client_id=os.environ["AZURESUBSCRIPTION_CLIENT_ID"],
    service_connection_id=os.environ["AZURESUBSCRIPTION_SERVICE_CONNECTION_ID"],
    system_access_token=os.environ["SYSTEM_ACCESSTOKEN"],
)


def token():
    credential.get_token("https://management.azure.com/.default")


def secret():
    assert SecretClient("https://mykeyvault.vault.azure.net", credential).get_secret("mysecret").value == "the secret of wiemu"


for operation in [token, secret]:
    try:
        operation()
    except Exception as error:
        print(operation.__name__, "failed", type(error).__name__, " ".join(str(error).split()), flush=True)
        sys.exit(1)
    print(operation.__name__, "ok", flush=True)
print("round done", flush=True)
sys.stdin.read()
