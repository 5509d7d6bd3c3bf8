"""What azure-mgmt-authorization does with roles, each operation once."""

import uuid

from azure.mgmt.authorization import AuthorizationManagementClient
from azure.mgmt.authorization.models import Permission, RoleAssignmentCreateParameters, RoleDefinition

import deploy
from deploy import SUBSCRIPTION, VAULT
from operations import expect, main

client = AuthorizationManagementClient(deploy.credential, deploy.subscription)
definitions, assignments = client.role_definitions, client.role_assignments
made = {}

READ = "Microsoft.KeyVault/vaults/secrets/getSecret/action"


def name(text):
    return str(uuid.uuid5(uuid.NAMESPACE_URL, text))


def role(role_name, **more):
    wanted = {"role_name": role_name, "role_type": "CustomRole", "assignable_scopes": [SUBSCRIPTION], "permissions": [Permission(actions=[], data_actions=[READ])]}
    return definitions.create_or_update(SUBSCRIPTION, name("role"), RoleDefinition(**(wanted | more)))


def assign(assignment, principal, role_id, principal_type=None, **more):
    """Assigns a role. Without a type the SDK would send User, which an identity is not."""
    wanted = RoleAssignmentCreateParameters(principal_id=principal, role_definition_id=role_id, principal_type=principal_type, **more)
    return assignments.create(VAULT, name(assignment), wanted)


async def forbidden(code="Forbidden"):
    await expect(code, lambda: deploy.secret(made["web"].client_id))


def create_identity():
    deploy.group("python-roles")
    made["web"] = deploy.identity("python-roles", "web")
    deploy.trust("python-roles", "web")


def builtin():
    found = list(definitions.list(VAULT, filter="roleName eq 'Key Vault Secrets User'"))
    assert [d.role_type for d in found] == ["BuiltInRole"], found
    made["user"] = found[0].id
    assert definitions.get_by_id(found[0].id).role_name == "Key Vault Secrets User"


async def without_role():
    await forbidden()


def create():
    a = assign("web", made["web"].principal_id, made["user"], principal_type="ServicePrincipal")
    assert a.principal_id == made["web"].principal_id and a.scope == VAULT, a
    made["id"] = a.id


def create_again():
    assert assign("web", made["web"].principal_id, made["user"], principal_type="ServicePrincipal").id == made["id"]


async def get():
    assert assignments.get(VAULT, name("web")).id == assignments.get_by_id(made["id"]).id == made["id"]
    await expect("RoleAssignmentNotFound", lambda: assignments.get(VAULT, name("nobody")))


def lists():
    of = f"principalId eq '{made['web'].principal_id}'"
    assert [a.id for a in assignments.list_for_scope(VAULT, filter=of)] == [made["id"]]
    assert [a.id for a in assignments.list_for_subscription(filter=of)] == [made["id"]]
    assert made["id"] in [a.id for a in assignments.list_for_resource_group("wiemu")]
    assert made["id"] not in [a.id for a in assignments.list_for_scope(SUBSCRIPTION, filter="atScope()")]


def honoured():
    assert deploy.secret(made["web"].client_id) == "the secret of wiemu"


async def refused():
    worker, nothing = deploy.identity("python-roles", "worker"), f"{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions/{name('nothing')}"
    await expect("RoleAssignmentExists", lambda: assign("twice", made["web"].principal_id, made["user"]))
    await expect("PrincipalNotFound", lambda: assign("client-id", made["web"].client_id, made["user"]))
    await expect("UnmatchedPrincipalType", lambda: assign("user", made["web"].principal_id, made["user"], principal_type="User"))
    await expect("RoleAssignmentUpdateNotPermitted", lambda: assign("web", worker.principal_id, made["user"]))
    await expect("RoleDefinitionDoesNotExist", lambda: assign("no-role", made["web"].principal_id, nothing))


async def delete():
    assert assignments.delete(VAULT, name("web")).id == made["id"]
    assert assignments.delete_by_id(made["id"]) is None
    await forbidden()


def define():
    d = role("Python reads secrets", description="by the SDK")
    assert d.role_name == "Python reads secrets" and d.role_type == "CustomRole" and d.permissions[0].data_actions == [READ], d
    made["custom"] = d.id


async def define_twice():
    await expect("RoleDefinitionWithSameNameExists", lambda: definitions.create_or_update(SUBSCRIPTION, name("other role"), RoleDefinition(
        role_name="Python reads secrets", role_type="CustomRole", assignable_scopes=[SUBSCRIPTION], permissions=[Permission(actions=[], data_actions=[READ])])))


def custom_honoured():
    assign("custom", made["web"].principal_id, made["custom"])
    honoured()


async def redefine():
    role("Python reads secrets no more", permissions=[Permission(actions=["Microsoft.KeyVault/vaults/read"])])
    assert definitions.get(SUBSCRIPTION, name("role")).role_name == "Python reads secrets no more"
    await forbidden()


async def undefine():
    await expect("RoleDefinitionHasAssignments", lambda: definitions.delete(SUBSCRIPTION, name("role")))
    assignments.delete(VAULT, name("custom"))
    definitions.delete(SUBSCRIPTION, name("role"))
    await expect("RoleDefinitionDoesNotExist", lambda: definitions.get(SUBSCRIPTION, name("role")))


main([create_identity, builtin, without_role, create, create_again, get, lists, honoured, refused, delete, define, define_twice, custom_honoured, redefine, undefine])
