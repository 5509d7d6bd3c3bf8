// What @azure/arm-msi does with managed identities and their federated credentials, each operation once.
import assert from "node:assert";
import { assertion, audiences, credentials, group, groups, identities, identity, token, trust } from "./deploy.mjs";
import { all, code, run } from "./operations.mjs";

let web;
const names = (items) => items.map((item) => item.name);
const untrusted = (why) => assert.rejects(token(web.clientId), (error) => error.message.includes(`${why}:`));

await run({
  async create() {
    await group("node-msi");
    web = await identity("node-msi", "web", { tags: { team: "blue" } });
    assert(web.clientId && web.principalId);
    assert.deepEqual(web.tags, { team: "blue" });
  },
  async "create-again"() {
    assert.equal((await identity("node-msi", "web", { tags: { team: "blue" } })).clientId, web.clientId);
  },
  async get() {
    assert.equal((await identities.get("node-msi", "web")).principalId, web.principalId);
    assert.equal(await code(identities.get("node-msi", "worker")), "ResourceNotFound");
  },
  async list() {
    await identity("node-msi", "worker");
    assert.deepEqual(names(await all(identities.listByResourceGroup("node-msi"))), ["web", "worker"]);
    const everywhere = names(await all(identities.listBySubscription()));
    assert(everywhere.includes("web") && everywhere.includes("worker"));
  },
  async update() {
    const changed = await identities.update("node-msi", "web", { tags: { team: "red" } });
    assert.deepEqual([changed.tags, changed.clientId], [{ team: "red" }, web.clientId]);
  },
  async untrusted() {
    await untrusted("AADSTS70025");
  },
  async trust() {
    const f = await trust("node-msi", "web");
    assert.deepEqual([f.name, f.issuer, f.subject, f.audiences], ["cluster", assertion.iss, assertion.sub, audiences]);
  },
  async read() {
    assert.equal((await credentials.get("node-msi", "web", "cluster")).subject, assertion.sub);
    assert.deepEqual(names(await all(credentials.list("node-msi", "web"))), ["cluster"]);
  },
  async exchange() {
    assert.equal((await token(web.clientId)).oid, web.principalId);
  },
  async change() {
    const elsewhere = "system:serviceaccount:elsewhere:web-sa";
    await trust("node-msi", "web", "cluster", elsewhere);
    assert.deepEqual((await all(credentials.list("node-msi", "web"))).map((f) => f.subject), [elsewhere]);
    await untrusted("AADSTS700213");
    await trust("node-msi", "web");
    assert.equal((await token(web.clientId)).oid, web.principalId);
  },
  async refused() {
    assert.equal(await code(trust("node-msi", "web", "again")), "Conflict");
    assert.equal(await code(trust("node-msi", "nobody")), "ParentResourceNotFound");
    assert.equal(await code(trust("node-msi", "web", "a")), "BadRequest");
    assert.equal(await code(credentials.get("node-msi", "web", "again")), "NotFound");
  },
  async many() {
    const further = (n) => trust("node-msi", "web", `cluster-${n}`, `system:serviceaccount:shop-${n}:web-sa`);
    for (let n = 1; n < 20; n++) await further(n);
    assert.equal((await all(credentials.list("node-msi", "web", { top: 7 }))).length, 20);
    assert.equal(await code(further(20)), "BadRequest");
  },
  async untrust() {
    await credentials.delete("node-msi", "web", "cluster");
    await credentials.delete("node-msi", "web", "cluster"); // 204
    await untrusted("AADSTS700213");
  },
  async delete() {
    await identities.delete("node-msi", "worker");
    assert.equal(await code(identities.get("node-msi", "worker")), "ResourceNotFound");
  },
  async destroy() {
    await groups.beginDeleteAndWait("node-msi");
    assert.equal(await code(identities.get("node-msi", "web")), "ResourceGroupNotFound");
  },
});
