// What @azure/arm-authorization does with roles, each operation once.
import assert from "node:assert";
import { createHash } from "node:crypto";
import { AuthorizationManagementClient } from "@azure/arm-authorization";
import { credential, group, identity, secret, subscription, trust, vault } from "./deploy.mjs";
import { all, code, run } from "./operations.mjs";

const { roleAssignments: assignments, roleDefinitions: definitions } = new AuthorizationManagementClient(credential, subscription);
const everywhere = `/subscriptions/${subscription}`;
let web, user, id, custom;

// A name that stays, as guid() of a template makes one.
const guid = (text) => createHash("sha256").update(text).digest("hex").replace(/^(.{8})(.{4}).(.{3}).(.{3})(.{12}).*/, "$1-$2-5$3-8$4-$5");
const assign = (name, principalId, roleDefinitionId, more) => assignments.create(vault, guid(name), { principalId, roleDefinitionId, ...more });
const define = (name, roleName, permission) =>
  definitions.createOrUpdate(everywhere, guid(name), { roleName, roleType: "CustomRole", assignableScopes: [everywhere], permissions: [permission] });
const reads = { actions: [], dataActions: ["Microsoft.KeyVault/vaults/secrets/getSecret/action"] };
const forbidden = async () => assert.equal(await code(secret(web.clientId)), "Forbidden");
const ids = (items) => items.map((item) => item.id);

await run({
  async identity() {
    await group("node-roles");
    web = await identity("node-roles", "web");
    await trust("node-roles", "web");
  },
  async builtin() {
    const found = await all(definitions.list(vault, { filter: "roleName eq 'Key Vault Secrets User'" }));
    assert.deepEqual(found.map((d) => d.roleType), ["BuiltInRole"]);
    user = found[0].id;
    assert.equal((await definitions.getById(user)).roleName, "Key Vault Secrets User");
  },
  "without-role": forbidden,
  async create() {
    const a = await assign("web", web.principalId, user, { principalType: "ServicePrincipal" });
    assert.deepEqual([a.principalId, a.scope], [web.principalId, vault]);
    id = a.id;
  },
  async "create-again"() {
    assert.equal((await assign("web", web.principalId, user, { principalType: "ServicePrincipal" })).id, id);
  },
  async get() {
    assert.equal((await assignments.get(vault, guid("web"))).id, id);
    assert.equal((await assignments.getById(id)).id, id);
    assert.equal(await code(assignments.get(vault, guid("nobody"))), "RoleAssignmentNotFound");
  },
  async list() {
    const filter = `principalId eq '${web.principalId}'`;
    assert.deepEqual(ids(await all(assignments.listForScope(vault, { filter }))), [id]);
    assert.deepEqual(ids(await all(assignments.listForSubscription({ filter }))), [id]);
    assert(ids(await all(assignments.listForResourceGroup("wiemu"))).includes(id));
    assert(!ids(await all(assignments.listForScope(everywhere, { filter: "atScope()" }))).includes(id));
  },
  async honoured() {
    assert.equal(await secret(web.clientId), "the secret of wiemu");
  },
  async refused() {
    const worker = await identity("node-roles", "worker");
    assert.equal(await code(assign("twice", web.principalId, user)), "RoleAssignmentExists");
    assert.equal(await code(assign("client-id", web.clientId, user)), "PrincipalNotFound");
    assert.equal(await code(assign("web", worker.principalId, user)), "RoleAssignmentUpdateNotPermitted");
    assert.equal(await code(assign("no-role", web.principalId, `${everywhere}/providers/Microsoft.Authorization/roleDefinitions/${guid("nothing")}`)), "RoleDefinitionDoesNotExist");
  },
  async delete() {
    assert.equal((await assignments.delete(vault, guid("web"))).id, id);
    await assignments.deleteById(id); // 204
    await forbidden();
  },
  async define() {
    const d = await define("role", "Node reads secrets", reads);
    assert.deepEqual([d.roleName, d.roleType, d.permissions[0].dataActions], ["Node reads secrets", "CustomRole", reads.dataActions]);
    custom = d.id;
  },
  async "define-twice"() {
    assert.equal(await code(define("other role", "Node reads secrets", reads)), "RoleDefinitionWithSameNameExists");
  },
  async "custom-honoured"() {
    await assign("custom", web.principalId, custom);
    assert.equal(await secret(web.clientId), "the secret of wiemu");
  },
  async redefine() {
    await define("role", "Node reads secrets no more", { actions: ["Microsoft.KeyVault/vaults/read"] });
    assert.equal((await definitions.get(everywhere, guid("role"))).roleName, "Node reads secrets no more");
    await forbidden();
  },
  async undefine() {
    assert.equal(await code(definitions.delete(everywhere, guid("role"))), "RoleDefinitionHasAssignments");
    await assignments.delete(vault, guid("custom"));
    await definitions.delete(everywhere, guid("role"));
    assert.equal(await code(definitions.get(everywhere, guid("role"))), "RoleDefinitionDoesNotExist");
  },
});
