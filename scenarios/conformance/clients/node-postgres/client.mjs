// What node-postgres does with a server of Azure Database for PostgreSQL, each operation once.
import assert from "node:assert/strict";
import { once } from "node:events";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setTimeout } from "node:timers/promises";
import { DefaultAzureCredential } from "@azure/identity";
import pg from "pg";
import { from, to } from "pg-copy-streams";

const credential = new DefaultAzureCredential();
const token = async () => (await credential.getToken("https://ossrdbms-aad.database.windows.net/.default")).token;
const server = { host: "orders.postgres.database.azure.com", database: "orders", user: "web", ssl: true, password: token };
const client = new pg.Client(server);

async function connect(settings) {
  const one = new pg.Client({ ...server, ...settings });
  await one.connect();
  return one;
}

async function value(on, sql, parameters) {
  return Object.values((await on.query(sql, parameters)).rows[0])[0];
}

const operations = {
  async login() {
    await client.connect();
    assert.equal(await value(client, "select current_user || ' of ' || current_database()"), "web of orders");
    assert.ok(client.connection.stream.authorized);
  },
  async table() {
    await client.query("drop table if exists node; create table node (n int primary key, t text)");
  },
  async prepared() {
    for (let n = 0; n < 20; n++) {
      const found = await client.query({ name: "next", text: "select $1::int + 1 as n", values: [n] });
      assert.equal(found.rows[0].n, n + 1);
    }
  },
  async transaction() {
    await client.query("begin");
    await client.query("insert into node values (1)");
    await client.query("commit");
    await client.query("begin");
    await client.query("insert into node values (2)");
    await assert.rejects(client.query("insert into node values (1)"), { code: "23505" });
    await client.query("rollback");
    assert.equal(await value(client, "select count(*)::int from node"), 1);
  },
  async copy() {
    const rows = Readable.from((function* () {
      for (let n = 2; n < 10_002; n++) yield `${n}\t${"x".repeat(99)}\n`;
    })());
    await pipeline(rows, client.query(from("copy node from stdin")));
    let found = 0;
    for await (const chunk of client.query(to("copy node to stdout"))) found += chunk.length;
    assert.ok(found > 1_000_000, `${found} bytes`);
    assert.equal(await value(client, "select count(*)::int from node"), 10_001);
  },
  async pool() {
    const pool = new pg.Pool({ ...server, max: 5 });
    const found = await Promise.all([...Array(20).keys()].map((n) => value(pool, "select $1::int + 1", [n])));
    assert.deepEqual(found, [...Array(20).keys()].map((n) => n + 1));
    await pool.end();
  },
  async notify() {
    const other = await connect();
    await other.query("listen node");
    const heard = once(other, "notification");
    await client.query("notify node, 'hello'");
    assert.equal((await heard)[0].payload, "hello");
    await other.end();
  },
  // A query is cancelled once it runs. node-postgres has no call for that: another session's function is.
  async cancel() {
    const other = await connect();
    const waiting = assert.rejects(client.query("select pg_sleep(120)"), { code: "57014" });
    while (!(await value(other, "select pg_cancel_backend(pid) from pg_stat_activity where pid = $1 and query like 'select pg_sleep%' union all select false limit 1", [client.processID])));
    await waiting;
    await other.end();
  },
  async drop() {
    await client.query("drop table node");
    await client.end();
  },
};

// Each round asks in the session of the start, logs in with a token of now, and with that of the start.
async function watch(seconds) {
  const old = await token();
  const session = await connect({ password: old });
  for (;;) {
    let said;
    try {
      said = { ok: true, session: await value(session, "select 1") };
      const now = await connect();
      said.secret = await value(now, "select current_user");
      await now.end();
    } catch (error) {
      said = { ok: false, error: String(error) };
    }
    try {
      await (await connect({ password: old })).end();
      said.old = "let in";
    } catch (error) {
      said.old = `${error.code}: ${error.message}`;
    }
    console.log(JSON.stringify(said));
    await setTimeout(seconds * 1000);
  }
}

if (process.argv[2] === "watch") await watch(Number(process.argv[3]));
for (const [name, operation] of Object.entries(operations)) {
  try {
    await operation();
  } catch (error) {
    console.log(name, "failed", `${error.code}: ${error.message}`.replace(/\s+/g, " "));
    process.exit(1);
  }
  console.log(name, "ok");
}
console.log("round done");
for await (const _ of process.stdin);
process.exit(0);
