"""What azure-mgmt-msi does with managed identities and their federated credentials, each operation once."""

from azure.core.exceptions import ClientAuthenticationError
from azure.mgmt.msi.models import IdentityUpdate

from deploy import ASSERTION, AUDIENCES, credentials, group, groups, identities, identity, token, trust
from operations import each, expect, main

made = {}


def create():
    group("python-msi")
    made["web"] = identity("python-msi", "web", tags={"team": "blue"})
    assert made["web"].client_id and made["web"].principal_id and made["web"].tags == {"team": "blue"}, made


def create_again():
    assert identity("python-msi", "web", tags={"team": "blue"}).client_id == made["web"].client_id


async def get():
    assert identities.get("python-msi", "web").principal_id == made["web"].principal_id
    await expect("ResourceNotFound", lambda: identities.get("python-msi", "worker"))


async def lists():
    identity("python-msi", "worker")
    assert [i.name for i in await each(identities.list_by_resource_group("python-msi"))] == ["web", "worker"]
    assert {"web", "worker"} <= {i.name for i in await each(identities.list_by_subscription())}


def update():
    changed = identities.update("python-msi", "web", IdentityUpdate(tags={"team": "red"}))
    assert changed.tags == {"team": "red"} and changed.client_id == made["web"].client_id, changed


def untrusted(code="AADSTS70025"):
    try:
        token(made["web"].client_id)
    except ClientAuthenticationError as error:
        assert code + ":" in error.message, error
        return
    raise AssertionError(f"expected {code}, found a token")


def trusts():
    f = trust("python-msi", "web")
    assert (f.name, f.issuer, f.subject, f.audiences) == ("cluster", ASSERTION["iss"], ASSERTION["sub"], AUDIENCES), f


def read():
    assert credentials.get("python-msi", "web", "cluster").subject == ASSERTION["sub"]
    assert [f.name for f in credentials.list("python-msi", "web")] == ["cluster"]


def exchange():
    assert token(made["web"].client_id)["oid"] == made["web"].principal_id


def change():
    trust("python-msi", "web", subject="system:serviceaccount:elsewhere:web-sa")
    assert [f.subject for f in credentials.list("python-msi", "web")] == ["system:serviceaccount:elsewhere:web-sa"]
    untrusted("AADSTS700213")
    trust("python-msi", "web")
    exchange()


async def refused():
    await expect("Conflict", lambda: trust("python-msi", "web", "again"))
    await expect("ParentResourceNotFound", lambda: trust("python-msi", "nobody"))
    await expect("BadRequest", lambda: trust("python-msi", "web", "a"))
    await expect("NotFound", lambda: credentials.get("python-msi", "web", "again"))


async def many():
    for n in range(1, 20):
        trust("python-msi", "web", f"cluster-{n}", subject=f"system:serviceaccount:shop-{n}:web-sa")
    assert len(list(credentials.list("python-msi", "web", top=7))) == 20
    await expect("BadRequest", lambda: trust("python-msi", "web", "cluster-20", subject="system:serviceaccount:shop-20:web-sa"))


def untrust():
    credentials.delete("python-msi", "web", "cluster")
    credentials.delete("python-msi", "web", "cluster")  # 204
    untrusted("AADSTS700213")


async def delete():
    identities.delete("python-msi", "worker")
    await expect("ResourceNotFound", lambda: identities.get("python-msi", "worker"))


async def destroy():
    groups.begin_delete("python-msi").result()
    await expect("ResourceGroupNotFound", lambda: identities.get("python-msi", "web"))


main([create, create_again, get, lists, update, untrusted, trusts, read, exchange, change, refused, many, untrust, delete, destroy])
