"""What both programs make first: a resource group with a managed identity that trusts this very service account."""

import base64
import json
import os

from azure.identity import DefaultAzureCredential, WorkloadIdentityCredential
from azure.keyvault.secrets import SecretClient
from azure.mgmt.msi import ManagedServiceIdentityClient
from azure.mgmt.msi.models import FederatedIdentityCredential, Identity
from azure.mgmt.resource.resources import ResourceManagementClient

SUBSCRIPTION = "/subscriptions/0a1b2c3d-0000-4000-8000-000000000001"  # of trust.yaml
VAULT = f"{SUBSCRIPTION}/resourceGroups/wiemu/providers/Microsoft.KeyVault/vaults/mykeyvault"
AUDIENCES = ["api://AzureADTokenExchange"]

credential = DefaultAzureCredential()
subscription = SUBSCRIPTION.rsplit("/", 1)[1]
groups = ResourceManagementClient(credential, subscription).resource_groups
msi = ManagedServiceIdentityClient(credential, subscription)
identities, credentials = msi.user_assigned_identities, msi.federated_identity_credentials


def claims(token):
    body = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))


with open(os.environ["AZURE_FEDERATED_TOKEN_FILE"], encoding="utf-8") as file:
    ASSERTION = claims(file.read())


def group(name):
    made = groups.create_or_update(name, {"location": "westeurope"})
    assert made.properties.provisioning_state == "Succeeded", made
    return made


def identity(group, name, **more):
    return identities.create_or_update(group, name, Identity(location="westeurope", **more))


def trust(group, name, credential="cluster", subject=None, issuer=None):
    wanted = FederatedIdentityCredential(issuer=issuer or ASSERTION["iss"], subject=subject or ASSERTION["sub"], audiences=AUDIENCES)
    return credentials.create_or_update(group, name, credential, wanted)


def token(client_id):
    """The claims of an access token that this service account gets as another identity."""
    return claims(WorkloadIdentityCredential(client_id=client_id).get_token("https://management.azure.com/.default").token)


def secret(client_id):
    """The secret, read as another identity."""
    return SecretClient("https://mykeyvault.vault.azure.net", WorkloadIdentityCredential(client_id=client_id)).get_secret("mysecret").value
