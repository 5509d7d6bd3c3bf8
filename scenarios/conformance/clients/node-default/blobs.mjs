// What @azure/storage-blob does with blobs, each operation once.
import assert from "node:assert";
import crypto from "node:crypto";
import { Readable } from "node:stream";
import { setTimeout } from "node:timers/promises";
import { DefaultAzureCredential } from "@azure/identity";
import { BlobSASPermissions, BlobServiceClient, BlockBlobClient, generateBlobSASQueryParameters } from "@azure/storage-blob";
import { all, code, run } from "./operations.mjs";

const MiB = 1 << 20;
const credential = new DefaultAzureCredential();
const service = new BlobServiceClient("https://orders.blob.core.windows.net", credential);
const name = `node${process.versions.node.split(".")[0]}`;
const inbox = service.getContainerClient(name);
const text = inbox.getBlockBlobClient("a.txt");
const big = crypto.randomBytes(8 * MiB + 7);
const content = async (blob) => (await blob.downloadToBuffer()).toString();
const base64 = (s) => Buffer.from(s).toString("base64");

const operations = {
  async create() {
    await inbox.create({ metadata: { owner: "me" } });
    assert.deepEqual((await inbox.getProperties()).metadata, { owner: "me" });
  },
  async put() {
    await text.upload("hello", 5, { metadata: { myKey: "v" }, blobHTTPHeaders: { blobContentType: "text/plain", blobCacheControl: "no-cache" } });
    assert.equal(await content(text), "hello");
  },
  async head() {
    const p = await text.getProperties();
    assert.equal(p.contentLength, 5);
    assert.equal(p.contentType, "text/plain");
    assert.deepEqual(p.metadata, { mykey: "v" });
  },
  async large() {
    const blob = inbox.getBlockBlobClient("big");
    await blob.uploadData(big, { concurrency: 4, blockSize: MiB, maxSingleShotSize: MiB });
    assert((await blob.downloadToBuffer(0, undefined, { concurrency: 4, blockSize: MiB })).equals(big));
  },
  async stream() {
    const blob = inbox.getBlockBlobClient("stream");
    const lines = Readable.from((function* () { for (let i = 0; i < 3000; i++) yield Buffer.alloc(1000, 120); })());
    await blob.uploadStream(lines, MiB, 3);
    assert.equal((await blob.getProperties()).contentLength, 3000000);
  },
  async empty() {
    const blob = inbox.getBlockBlobClient("empty");
    await blob.upload("", 0);
    assert.equal((await all((await blob.download()).readableStreamBody)).length, 0);
  },
  async part() {
    assert((await inbox.getBlobClient("big").downloadToBuffer(100, 50)).equals(big.subarray(100, 150)));
  },
  async lists() {
    for (const n of ["d/1", "d/2", "d/e/3", "f"]) await inbox.getBlockBlobClient(n).upload(n, n.length);
    assert.deepEqual((await all(inbox.listBlobsFlat({ prefix: "d/", includeMetadata: true }))).map((b) => b.name), ["d/1", "d/2", "d/e/3"]);
    assert.deepEqual((await all(inbox.listBlobsByHierarchy("/", { prefix: "d/" }))).map((b) => b.name).sort(), ["d/1", "d/2", "d/e/"]);
    const pages = await all(inbox.listBlobsFlat().byPage({ maxPageSize: 2 }));
    assert(pages.flatMap((p) => p.segment.blobItems).length >= 7);
    assert((await all(service.listContainers({ includeMetadata: true }))).some((c) => c.name === name));
  },
  async change() {
    await text.setMetadata({ k: "2" });
    await text.setHTTPHeaders({ blobContentType: "text/html" });
    const p = await text.getProperties();
    assert.deepEqual(p.metadata, { k: "2" });
    assert.equal(p.contentType, "text/html");
  },
  async conditions() {
    assert.equal(await code(text.upload("x", 1, { conditions: { ifNoneMatch: "*" } })), "BlobAlreadyExists");
    const conditions = { ifMatch: (await text.getProperties()).etag };
    await text.upload("y", 1, { conditions });
    assert.equal(await code(text.upload("z", 1, { conditions })), "ConditionNotMet");
  },
  async lease() {
    const lease = text.getBlobLeaseClient();
    await lease.acquireLease(15);
    assert.equal(await code(text.upload("z", 1)), "LeaseIdMissing");
    await text.upload("with", 4, { conditions: { leaseId: lease.leaseId } });
    await lease.renewLease();
    await lease.releaseLease();
  },
  async snapshot() {
    const { snapshot } = await text.createSnapshot();
    await text.upload("new", 3);
    assert.equal(await content(text.withSnapshot(snapshot)), "with");
    assert.equal((await all(inbox.listBlobsFlat({ prefix: "a.txt", includeSnapshots: true }))).length, 2);
  },
  async tags() {
    await text.setTags({ t: "1" });
    assert.deepEqual((await text.getTags()).tags, { t: "1" });
  },
  async append() {
    const log = inbox.getAppendBlobClient("log");
    await log.create();
    for (const s of ["1", "2"]) await log.appendBlock(s, 1);
    assert.equal(await content(log), "12");
  },
  async blocks() {
    const blob = inbox.getBlockBlobClient("blocks");
    await blob.stageBlock(base64("1"), "AAA", 3);
    await blob.stageBlock(base64("2"), "BBB", 3);
    await blob.commitBlockList([base64("1"), base64("2")]);
    assert.equal(await content(blob), "AAABBB");
    assert.equal((await blob.getBlockList("all")).committedBlocks.length, 2);
  },
  async copy() {
    const blob = inbox.getBlockBlobClient("copy");
    assert.equal((await (await blob.beginCopyFromURL(text.url)).pollUntilDone()).copyStatus, "success");
    assert.equal(await content(blob), "new");
    const sourceAuthorization = { scheme: "Bearer", value: (await credential.getToken("https://storage.azure.com/.default")).token };
    const put = inbox.getBlockBlobClient("from-url");
    await put.syncUploadFromURL(text.url, { sourceAuthorization });
    assert.equal(await content(put), "new");
    const block = inbox.getBlockBlobClient("block-from-url");
    await block.stageBlockFromURL(base64("1"), text.url, 0, 3, { sourceAuthorization });
    await block.commitBlockList([base64("1")]);
    assert.equal(await content(block), "new");
  },
  async names() {
    const odd = "dir/a b+c%25/ü//Q?#&x.TXT";
    const blob = inbox.getBlockBlobClient(odd);
    await blob.upload("odd", 3);
    assert.equal(await content(blob), "odd");
    assert((await all(inbox.listBlobsFlat({ prefix: "dir/" }))).some((b) => b.name === odd));
  },
  async batch() {
    const urls = ["d/1", "d/2", "none"].map((n) => inbox.getBlobClient(n).url);
    const answers = await service.getBlobBatchClient().deleteBlobs(urls, credential);
    assert.deepEqual(answers.subResponses.map((r) => r.status), [202, 202, 404]);
  },
  async sas() {
    const now = Date.now();
    const minutes = (n) => new Date(now + n * 60000);
    const key = await service.getUserDelegationKey(minutes(-1), minutes(60));
    const signed = (expiresOn) => text.url + "?" + generateBlobSASQueryParameters({ containerName: name, blobName: "a.txt", permissions: BlobSASPermissions.parse("r"), expiresOn }, key, "orders");
    const reader = new BlockBlobClient(signed(minutes(30)));
    assert.equal(await content(reader), "new");
    assert.equal(await code(reader.upload("x", 1)), "AuthorizationPermissionMismatch");
    assert.equal(await code(new BlockBlobClient(signed(minutes(-0.5))).download()), "AuthenticationFailed");
  },
  async gone() {
    await inbox.deleteBlob("f");
    assert.equal(await code(inbox.getBlobClient("f").download()), "BlobNotFound");
  },
  async delete() {
    await inbox.delete();
  },
};

async function watch(every) {
  const there = service.getContainerClient("inbox");
  for (let blob = 1; ; blob++) {
    let line;
    try {
      await there.getBlockBlobClient(`day/${blob}`).upload("x", 1);
      line = { ok: true, blob, modified: (await there.getBlobClient(`day/${blob}`).getProperties()).lastModified.toISOString() };
    } catch (error) {
      line = { ok: false, error: String(error) };
    }
    console.log(JSON.stringify(line));
    await setTimeout(every * 1000);
  }
}

await (process.argv[2] === "watch" ? watch(Number(process.argv[3])) : run(operations));
