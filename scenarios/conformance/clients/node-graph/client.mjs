// Registers an application with @microsoft/microsoft-graph-client, makes it trust this very service account, and gives it a role.
import assert from "node:assert";
import { readFileSync } from "node:fs";
import { ClientSecretCredential, DefaultAzureCredential, WorkloadIdentityCredential } from "@azure/identity";
import { BatchRequestContent, BatchResponseContent, Client, PageIterator } from "@microsoft/microsoft-graph-client";
import { TokenCredentialAuthenticationProvider } from "@microsoft/microsoft-graph-client/authProviders/azureTokenCredentials/index.js";
import { code, run } from "./operations.mjs";

const scope = "https://graph.microsoft.com/.default";
const mailRead = "810c84a8-4a9e-49e6-bf7d-12d183f40d01";
const credential = new DefaultAzureCredential();
const graph = Client.initWithMiddleware({ authProvider: new TokenCredentialAuthenticationProvider(credential, { scopes: [scope] }) });
const claims = (token) => JSON.parse(Buffer.from(token.split(".")[1], "base64url"));
const assertion = claims(readFileSync(process.env.AZURE_FEDERATED_TOKEN_FILE, "utf8"));
const audiences = ["api://AzureADTokenExchange"];
let app, at, sp;

// The claims of a token that this service account gets as the application.
const token = async () => claims((await new WorkloadIdentityCredential({ clientId: app.appId }).getToken(scope)).token);

await run({
  async token() {
    await credential.getToken(scope);
  },
  async create() {
    app = await graph.api("/applications").post({ displayName: "node-graph", signInAudience: "AzureADMyOrg" });
    at = `/applications/${app.id}`;
  },
  async get() {
    assert.equal((await graph.api(`/applications(appId='${app.appId}')`).get()).id, app.id);
  },
  async find() {
    const found = await graph.api("/applications").header("ConsistencyLevel", "eventual").filter("startswith(displayName,'node-graph')").select("id").top(5).count(true).get();
    assert.deepEqual([found.value.map((a) => a.id), found["@odata.count"]], [[app.id], 1]);
  },
  async pages() {
    const names = [];
    const first = await graph.api("/servicePrincipals").select("displayName").top(1).get();
    await new PageIterator(graph, first, (item) => names.push(item.displayName)).iterate();
    assert(names.length > 1);
  },
  async change() {
    await graph.api(at).patch({ notes: "by the SDK", tags: ["one"] });
    const changed = await graph.api(at).get();
    assert.deepEqual([changed.notes, changed.tags], ["by the SDK", ["one"]]);
  },
  async principal() {
    sp = await graph.api("/servicePrincipals").post({ appId: app.appId });
  },
  async trust() {
    const made = await graph.api(`${at}/federatedIdentityCredentials`).post({ name: "cluster", issuer: assertion.iss, subject: assertion.sub, audiences });
    assert.deepEqual((await graph.api(`${at}/federatedIdentityCredentials`).get()).value.map((f) => f.id), [made.id]);
  },
  async refused() {
    const twice = graph.api(`${at}/federatedIdentityCredentials`).post({ name: "cluster", issuer: assertion.iss, subject: "x", audiences });
    assert.equal(await code(twice), "Request_MultipleObjectsWithSameKeyValue");
  },
  async exchange() {
    assert.equal((await token()).oid, sp.id);
  },
  async role() {
    const of = await graph.api("/servicePrincipals").filter("appId eq '00000003-0000-0000-c000-000000000000'").get();
    await graph.api(`/servicePrincipals/${sp.id}/appRoleAssignments`).post({ principalId: sp.id, resourceId: of.value[0].id, appRoleId: mailRead });
    assert.deepEqual((await token()).roles, ["Mail.Read"]);
  },
  async password() {
    const made = await graph.api(`${at}/addPassword`).post({ passwordCredential: { displayName: "ci" } });
    await new ClientSecretCredential(process.env.AZURE_TENANT_ID, app.appId, made.secretText).getToken(scope);
    await graph.api(`${at}/removePassword`).post({ keyId: made.keyId });
  },
  async owner() {
    const mine = claims((await credential.getToken(scope)).token).oid;
    await graph.api(`${at}/owners/$ref`).post({ "@odata.id": `https://graph.microsoft.com/v1.0/directoryObjects/${mine}` });
    assert.deepEqual((await graph.api(`${at}/owners`).get()).value.map((o) => o.id), [mine]);
  },
  async batch() {
    const content = new BatchRequestContent([
      { id: "1", request: new Request(`https://graph.microsoft.com${at}`, { method: "GET" }) },
      { id: "2", request: new Request(`https://graph.microsoft.com/servicePrincipals/${sp.id}`, { method: "GET" }) },
    ]);
    const answers = new BatchResponseContent(await graph.api("/$batch").post(await content.getContent()));
    assert.deepEqual([(await answers.getResponseById("1").json()).id, (await answers.getResponseById("2").json()).id], [app.id, sp.id]);
  },
  async delete() {
    await graph.api(at).delete();
    assert.equal(await code(graph.api(at).get()), "Request_ResourceNotFound");
  },
  async restore() {
    await graph.api(`/directory/deletedItems/${app.id}/restore`).post({});
    assert.equal((await graph.api(at).get()).appId, app.appId);
    await graph.api(at).delete();
  },
});
