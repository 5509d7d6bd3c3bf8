"""What azure-storage-blob does with blobs, each operation once; argument: sync or aio, or sync watch SECONDS."""

import asyncio
import datetime
import json
import os
import sys
import time
import urllib.error
import urllib.request

from azure.core import MatchConditions
from azure.storage.blob import (
    BlobBlock,
    BlobSasPermissions,
    ContainerSasPermissions,
    ContentSettings,
    generate_blob_sas,
    generate_container_sas,
)

from operations import each, expect, result, run

URL = "https://orders.blob.core.windows.net"
MIB = 1 << 20
SIZES = {"max_block_size": MIB, "max_single_put_size": MIB, "max_single_get_size": MIB, "max_chunk_get_size": MIB}


def service(aio):
    if aio:
        from azure.identity.aio import DefaultAzureCredential
        from azure.storage.blob.aio import BlobServiceClient
    else:
        from azure.identity import DefaultAzureCredential
        from azure.storage.blob import BlobServiceClient
    return BlobServiceClient(URL, credential=DefaultAzureCredential(), **SIZES)


async def content(client, **options):
    return await result((await result(client.download_blob(**options))).readall())


def refused(code, *request):
    try:
        urllib.request.urlopen(*request)
    except urllib.error.HTTPError as error:
        text = error.read()
        assert error.headers["x-ms-error-code"] == code, text
        return text
    raise AssertionError(f"expected {code}, found no error")


async def main(aio):
    blobs = service(aio)
    name = "python-aio" if aio else "python"
    inbox = blobs.get_container_client(name)
    text = inbox.get_blob_client("a.txt")
    big = os.urandom(8 * MIB + 7)

    async def create():
        await result(inbox.create_container(metadata={"owner": "me"}))
        assert (await result(inbox.get_container_properties())).metadata == {"owner": "me"}

    async def put():
        settings = ContentSettings(content_type="text/plain", cache_control="no-cache")
        await result(inbox.upload_blob("a.txt", b"hello", metadata={"myKey": "v"}, content_settings=settings))
        assert await content(text) == b"hello"

    async def head():
        p = await result(text.get_blob_properties())
        assert p.size == 5 and p.content_settings.content_type == "text/plain" and p.content_settings.cache_control == "no-cache", p
        assert {k.lower(): v for k, v in p.metadata.items()} == {"mykey": "v"}, p.metadata

    async def large():
        blob = inbox.get_blob_client("big")
        await result(blob.upload_blob(big, max_concurrency=4))
        assert await content(blob, max_concurrency=4) == big

    async def stream():
        blob = inbox.get_blob_client("stream")
        await result(blob.upload_blob((b"x" * 1000 for _ in range(3000)), length=3_000_000))
        assert (await result(blob.get_blob_properties())).size == 3_000_000

    async def empty():
        blob = inbox.get_blob_client("empty")
        await result(blob.upload_blob(b""))
        assert await content(blob) == b""

    async def part():
        assert await content(inbox.get_blob_client("big"), offset=100, length=50) == big[100:150]

    async def lists():
        for blob in ["d/1", "d/2", "d/e/3", "f"]:
            await result(inbox.upload_blob(blob, blob.encode()))
        assert [b.name for b in await each(inbox.list_blobs(name_starts_with="d/", include=["metadata"]))] == ["d/1", "d/2", "d/e/3"]
        assert sorted(b.name for b in await each(inbox.walk_blobs(name_starts_with="d/"))) == ["d/1", "d/2", "d/e/"]
        assert len(await each(inbox.list_blobs(results_per_page=2))) >= 7
        assert name in [c.name for c in await each(blobs.list_containers(include_metadata=True))]

    async def change():
        await result(text.set_blob_metadata({"k": "2"}))
        await result(text.set_http_headers(ContentSettings(content_type="text/html")))
        p = await result(text.get_blob_properties())
        assert p.metadata == {"k": "2"} and p.content_settings.content_type == "text/html", p

    async def conditions():
        await expect("BlobAlreadyExists", lambda: text.upload_blob(b"x", overwrite=False))
        tag = (await result(text.get_blob_properties())).etag
        same = {"overwrite": True, "etag": tag, "match_condition": MatchConditions.IfNotModified}
        await result(text.upload_blob(b"y", **same))
        await expect("ConditionNotMet", lambda: text.upload_blob(b"z", **same))

    async def lease():
        held = await result(text.acquire_lease(15))
        await expect("LeaseIdMissing", lambda: text.upload_blob(b"z", overwrite=True))
        await result(text.upload_blob(b"with", overwrite=True, lease=held))
        await result(held.renew())
        await result(held.release())

    async def snapshot():
        taken = await result(text.create_snapshot())
        await result(text.upload_blob(b"new", overwrite=True))
        assert await content(blobs.get_blob_client(name, "a.txt", snapshot=taken["snapshot"])) == b"with"
        assert len(await each(inbox.list_blobs(name_starts_with="a.txt", include=["snapshots"]))) == 2

    async def tags():
        await result(text.set_blob_tags({"t": "1"}))
        assert await result(text.get_blob_tags()) == {"t": "1"}

    async def append():
        log = inbox.get_blob_client("log")
        await result(log.create_append_blob())
        await result(log.append_block(b"1"))
        await result(log.append_block(b"2"))
        assert await content(log) == b"12"

    async def blocks():
        blob = inbox.get_blob_client("blocks")
        await result(blob.stage_block("1", b"AAA"))
        await result(blob.stage_block("2", b"BBB"))
        await result(blob.commit_block_list([BlobBlock("1"), BlobBlock("2")]))
        assert await content(blob) == b"AAABBB"
        committed, uncommitted = await result(blob.get_block_list("all"))
        assert len(committed) == 2 and not uncommitted

    async def copy():
        blob = inbox.get_blob_client("copy")
        started = await result(blob.start_copy_from_url(text.url))
        assert started["copy_status"] == "success" and await content(blob) == b"new"
        token = (await result(blobs.credential.get_token("https://storage.azure.com/.default"))).token
        blob = inbox.get_blob_client("from-url")
        await result(blob.upload_blob_from_url(text.url, source_authorization="Bearer " + token))
        assert await content(blob) == b"new"

    async def names():
        odd = "dir/a b+c%25/ü//Q?#&x.TXT"
        blob = inbox.get_blob_client(odd)
        await result(blob.upload_blob(b"odd"))
        assert await content(blob) == b"odd"
        assert odd in [b.name for b in await each(inbox.list_blobs(name_starts_with="dir/"))]

    async def batch():
        answers = await each(await result(inbox.delete_blobs("d/1", "d/2", "none", raise_on_any_failure=False)))
        assert [a.status_code for a in answers] == [202, 202, 404], [a.status_code for a in answers]

    async def sas():
        now = datetime.datetime.now(datetime.timezone.utc)
        minutes = lambda n: now + datetime.timedelta(minutes=n)
        key = await result(blobs.get_user_delegation_key(minutes(-1), minutes(60)))
        read = {"user_delegation_key": key, "permission": BlobSasPermissions(read=True)}
        url = text.url + "?" + generate_blob_sas("orders", name, "a.txt", expiry=minutes(30), **read)
        assert urllib.request.urlopen(url).read() == b"new"
        refused("AuthorizationPermissionMismatch", urllib.request.Request(url, b"x", {"x-ms-blob-type": "BlockBlob"}, method="PUT"))
        refused("AuthenticationFailed", url.replace("a.txt", "log"))
        over = generate_blob_sas("orders", name, "a.txt", expiry=minutes(-0.5), **read)
        assert b"Signature not valid in the specified time frame" in refused("AuthenticationFailed", text.url + "?" + over)
        listing = generate_container_sas("orders", name, user_delegation_key=key, permission=ContainerSasPermissions(list=True), expiry=minutes(30))
        assert b"a.txt" in urllib.request.urlopen(inbox.url + "?restype=container&comp=list&" + listing).read()

    async def gone():
        await result(inbox.delete_blob("f"))
        await expect("BlobNotFound", lambda: content(inbox.get_blob_client("f")))

    async def delete():
        await result(inbox.delete_container())

    operations = [create, put, head, large, stream, empty, part, lists, change, conditions, lease, snapshot]
    await run(operations + [tags, append, blocks, copy, names, batch, sas, gone, delete])
    if aio:
        await blobs.credential.close()
        await blobs.close()


def watch(every):
    inbox = service(False).get_container_client("inbox")
    number = 0
    while True:
        try:
            number += 1
            inbox.upload_blob(f"day/{number}", b"x", overwrite=True)
            line = {"ok": True, "blob": number, "modified": inbox.get_blob_client(f"day/{number}").get_blob_properties().last_modified.isoformat()}
        except Exception as error:
            line = {"ok": False, "error": str(error)}
        print(json.dumps(line), flush=True)
        time.sleep(every)


if sys.argv[2:3] == ["watch"]:
    watch(int(sys.argv[3]))
asyncio.run(main(sys.argv[1] == "aio"))
