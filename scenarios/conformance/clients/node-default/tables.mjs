// What @azure/data-tables does with tables, each operation once.
import assert from "node:assert";
import { odata, TableClient, TableServiceClient } from "@azure/data-tables";
import { DefaultAzureCredential } from "@azure/identity";
import { all, run } from "./operations.mjs";

const url = "https://orders.table.core.windows.net";
const credential = new DefaultAzureCredential();
const service = new TableServiceClient(url, credential);
const name = `node${process.versions.node.split(".")[0]}people`;
const people = new TableClient(url, name, credential);

await run({
  async create() {
    await people.createTable();
    assert((await all(service.listTables())).some((t) => t.name === name));
  },
  async insert() {
    for (const [rowKey, age] of [["1", 5], ["it's", 6]]) await people.createEntity({ partitionKey: "p", rowKey, age });
  },
  async get() {
    assert.equal((await people.getEntity("p", "it's")).age, 6);
  },
  async update() {
    await people.updateEntity({ partitionKey: "p", rowKey: "1", name: "a" }, "Merge");
    const entity = await people.getEntity("p", "1");
    assert.equal(entity.name, "a");
    assert.equal(entity.age, 5);
  },
  async query() {
    const found = await all(people.listEntities({ queryOptions: { filter: odata`PartitionKey eq 'p' and age ge ${6}` } }));
    assert.deepEqual(found.map((e) => e.rowKey), ["it's"]);
  },
  async transaction() {
    await people.submitTransaction([["create", { partitionKey: "p", rowKey: "3" }], ["delete", { partitionKey: "p", rowKey: "1" }]]);
    assert.deepEqual((await all(people.listEntities())).map((e) => e.rowKey).sort(), ["3", "it's"]);
  },
  async gone() {
    await people.deleteEntity("p", "3");
    await assert.rejects(people.getEntity("p", "3"), { statusCode: 404 });
  },
  async delete() {
    await people.deleteTable();
  },
});
