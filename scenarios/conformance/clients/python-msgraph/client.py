"""Registers an application with msgraph-sdk, makes it trust this very service account, and gives it a role."""

import asyncio
import base64
import json
import os
import sys

from azure.identity.aio import ClientSecretCredential, DefaultAzureCredential, WorkloadIdentityCredential
from msgraph import GraphServiceClient
from msgraph.generated.applications.applications_request_builder import ApplicationsRequestBuilder
from msgraph.generated.applications.item.add_password.add_password_post_request_body import AddPasswordPostRequestBody
from msgraph.generated.applications.item.remove_password.remove_password_post_request_body import RemovePasswordPostRequestBody
from msgraph.generated.models.app_role_assignment import AppRoleAssignment
from msgraph.generated.models.application import Application
from msgraph.generated.models.federated_identity_credential import FederatedIdentityCredential
from msgraph.generated.models.o_data_errors.o_data_error import ODataError
from msgraph.generated.models.password_credential import PasswordCredential
from msgraph.generated.models.reference_create import ReferenceCreate
from msgraph.generated.models.service_principal import ServicePrincipal
from msgraph.generated.service_principals.service_principals_request_builder import ServicePrincipalsRequestBuilder
from kiota_abstractions.base_request_configuration import RequestConfiguration

SCOPE = "https://graph.microsoft.com/.default"
MAIL_READ = "810c84a8-4a9e-49e6-bf7d-12d183f40d01"


def claims(token):
    body = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))


with open(os.environ["AZURE_FEDERATED_TOKEN_FILE"], encoding="utf-8") as file:
    ASSERTION = claims(file.read())


class Round:
    """What is registered, step by step."""

    def __init__(self, credential):
        self.credential = credential
        self.graph = GraphServiceClient(credential, [SCOPE])

    async def token(self):
        await self.credential.get_token(SCOPE)

    async def create(self):
        self.app = await self.graph.applications.post(Application(display_name="sdk", sign_in_audience="AzureADMyOrg"))
        self.at = self.graph.applications.by_application_id(self.app.id)

    async def get(self):
        found = await self.graph.applications_with_app_id(self.app.app_id).get()
        assert found.id == self.app.id and found.created_date_time, found

    async def find(self):
        query = ApplicationsRequestBuilder.ApplicationsRequestBuilderGetQueryParameters(filter="startswith(displayName,'sdk')", select=["id"], top=5, count=True)
        configuration = RequestConfiguration(query_parameters=query)
        configuration.headers.add("ConsistencyLevel", "eventual")
        page = await self.graph.applications.get(request_configuration=configuration)
        assert [a.id for a in page.value] == [self.app.id] and page.odata_count == 1, page

    async def change(self):
        await self.at.patch(Application(notes="by the SDK", tags=["one"]))
        changed = await self.at.get()
        assert changed.notes == "by the SDK" and changed.tags == ["one"], changed

    async def principal(self):
        self.sp = await self.graph.service_principals.post(ServicePrincipal(app_id=self.app.app_id))

    async def trust(self):
        wanted = FederatedIdentityCredential(name="cluster", issuer=ASSERTION["iss"], subject=ASSERTION["sub"], audiences=["api://AzureADTokenExchange"])
        made = await self.at.federated_identity_credentials.post(wanted)
        listed = await self.at.federated_identity_credentials.get()
        assert [f.id for f in listed.value] == [made.id], listed

    async def trusted_twice(self):
        wanted = FederatedIdentityCredential(name="cluster", issuer=ASSERTION["iss"], subject="x", audiences=["api://AzureADTokenExchange"])
        await self.refused("Request_MultipleObjectsWithSameKeyValue", self.at.federated_identity_credentials.post(wanted))

    async def retrust(self):
        await self.at.federated_identity_credentials.by_federated_identity_credential_id("cluster").patch(FederatedIdentityCredential(description="by the SDK"))

    async def exchange(self):
        async with WorkloadIdentityCredential(client_id=self.app.app_id) as credential:
            token = await credential.get_token(SCOPE)
        assert claims(token.token)["oid"] == self.sp.id

    async def role(self):
        query = ServicePrincipalsRequestBuilder.ServicePrincipalsRequestBuilderGetQueryParameters(filter="appId eq '00000003-0000-0000-c000-000000000000'")
        found = await self.graph.service_principals.get(request_configuration=RequestConfiguration(query_parameters=query))
        given = self.graph.service_principals.by_service_principal_id(self.sp.id).app_role_assignments
        await given.post(AppRoleAssignment(principal_id=self.sp.id, resource_id=found.value[0].id, app_role_id=MAIL_READ))
        assert [str(a.app_role_id) for a in (await given.get()).value] == [MAIL_READ]
        async with WorkloadIdentityCredential(client_id=self.app.app_id) as credential:
            token = await credential.get_token(SCOPE)
        assert claims(token.token)["roles"] == ["Mail.Read"]

    async def password(self):
        made = await self.at.add_password.post(AddPasswordPostRequestBody(password_credential=PasswordCredential(display_name="ci")))
        async with ClientSecretCredential(os.environ["AZURE_TENANT_ID"], self.app.app_id, made.secret_text) as credential:
            await credential.get_token(SCOPE)
        await self.at.remove_password.post(RemovePasswordPostRequestBody(key_id=made.key_id))

    async def owner(self):
        mine = claims((await self.credential.get_token(SCOPE)).token)["oid"]
        await self.at.owners.ref.post(ReferenceCreate(odata_id=f"https://graph.microsoft.com/v1.0/directoryObjects/{mine}"))
        assert [o.id for o in (await self.at.owners.get()).value] == [mine]

    async def delete(self):
        await self.at.delete()
        await self.refused("Request_ResourceNotFound", self.at.get())

    async def restore(self):
        deleted = self.graph.directory.deleted_items.by_directory_object_id(self.app.id)
        await deleted.restore.post(None)
        await self.at.get()
        await self.at.delete()

    async def refused(self, code, call):
        try:
            await call
        except ODataError as error:
            assert error.error.code == code, error
            return
        raise AssertionError(f"expected {code}, found no error")


async def main():
    async with DefaultAzureCredential() as credential:
        r = Round(credential)
        for step in [r.token, r.create, r.get, r.find, r.change, r.principal, r.trust, r.trusted_twice, r.retrust, r.exchange, r.role, r.password, r.owner, r.delete, r.restore]:
            try:
                await step()
            except Exception as error:
                print(step.__name__, "failed", repr(str(error)), flush=True)
                sys.exit(1)
            print(step.__name__, "ok", flush=True)
    print("round done", flush=True)
    sys.stdin.read()


asyncio.run(main())
