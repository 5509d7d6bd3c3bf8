// What ioredis does with caches, each operation once. It takes a user and a password at its start;
// that the password is a token which expires is left to the program.
import assert from "node:assert";
import { setTimeout } from "node:timers/promises";
import { DefaultAzureCredential } from "@azure/identity";
import { Redis } from "ioredis";
import { run } from "./operations.mjs";

const credential = new DefaultAzureCredential();

async function login() {
  const { token, expiresOnTimestamp } = await credential.getToken("https://redis.azure.com/.default");
  const { oid } = JSON.parse(Buffer.from(token.split(".")[1], "base64url"));
  return { username: oid, password: token, expires: expiresOnTimestamp };
}

async function connect(host, port, { kept = false } = {}) {
  const first = await login();
  const client = new Redis({
    host, port, username: first.username, password: first.password, tls: {}, lazyConnect: true, connectTimeout: 60_000,
    retryStrategy: kept ? () => 1000 : () => null, maxRetriesPerRequest: 1,
  });
  let last;
  client.on("error", (error) => (last = error));
  await client.connect().catch((error) => {
    throw last ?? error; // connect says that the connection is closed, the event why
  });
  if (!kept) renew(client, first);
  return client;
}

// Sends AUTH four minutes before each token expires: until five minutes before, @azure/identity
// returns the one that it has.
async function renew(client, { expires }) {
  for (;;) {
    await setTimeout(Math.max(expires - Date.now() - 4 * 60_000, 1000), undefined, { ref: false });
    const next = await login();
    client.options.password = next.password; // for a connection that is made anew
    await client.call("AUTH", next.username, next.password);
    ({ expires } = next);
  }
}

let cache;

async function set() {
  await cache.set("io:text", "two loaves");
  assert.equal(await cache.get("io:text"), "two loaves");
  assert.equal(await cache.get("io:none"), null);
}

// Uses the cache every so often, on the one connection that a client has.
async function watch(every, kept) {
  cache = await connect("orders.redis.cache.windows.net", 6380, { kept });
  let last;
  cache.on("error", (error) => (last = error));
  await cache.call("CLIENT", "SETNAME", "first");
  for (;;) {
    let line = { ok: true };
    try {
      line.connection = await cache.call("CLIENT", "GETNAME");
      await set();
    } catch (error) {
      line = { ok: false, error: String(last ?? error) };
    }
    console.log(JSON.stringify(line));
    await setTimeout(every);
  }
}

if (process.argv[2] === "watch") await watch(1000 * process.argv[3], process.argv[4] === "once");

await run({
  async connect() {
    cache = await connect("orders.redis.cache.windows.net", 6380);
  },
  set,
  async expire() {
    await cache.set("io:expires", "soon", "EX", 3600);
    const left = await cache.ttl("io:expires");
    assert(left > 3000 && left <= 3600, left);
  },
  async collections() {
    await cache.hset("io:hash", { a: "1", b: "2" });
    assert.deepEqual(await cache.hgetall("io:hash"), { a: "1", b: "2" });
    await cache.rpush("io:list", "x", "y");
    assert.deepEqual(await cache.lrange("io:list", 0, -1), ["x", "y"]);
    await cache.zadd("io:set", 2, "late", 1, "early");
    assert.deepEqual(await cache.zrange("io:set", 0, -1), ["early", "late"]);
  },
  async pipeline() {
    const pipeline = cache.pipeline();
    for (let i = 0; i < 100; i++) pipeline.incr("io:count");
    assert.deepEqual((await pipeline.exec())[99], [null, 100]);
  },
  async transaction() {
    assert.deepEqual(await cache.multi().set("io:a", "1").incr("io:a").exec(), [[null, "OK"], [null, 2]]);
  },
  async script() {
    assert.equal(await cache.eval("return redis.call('GET', KEYS[1]) .. ARGV[1]", 1, "io:text", "!"), "two loaves!");
  },
  async subscribe() {
    const reader = await connect("orders.redis.cache.windows.net", 6380);
    const message = new Promise((resolve) => reader.on("message", (channel, text) => resolve(text)));
    await reader.subscribe("io:news");
    await cache.publish("io:news", "hello");
    assert.equal(await message, "hello");
  },
  async reauthenticate() {
    await cache.call("CLIENT", "SETNAME", "first");
    const { username, password } = await login();
    assert.equal(await cache.call("AUTH", username, password), "OK");
    assert.equal(await cache.call("CLIENT", "GETNAME"), "first");
    await assert.rejects(cache.call("AUTH", username, "x"), /WRONGPASS/);
    await set(); // as who it was
  },
  async managed() {
    const managed = await connect("orders.norwayeast.redis.azure.net", 10000);
    await managed.set("io:managed", "yes");
    assert.equal(await managed.get("io:managed"), "yes");
  },
  async denied() {
    const reports = await connect("reports.redis.cache.windows.net", 6380);
    assert.equal(await reports.get("io:text"), null);
    await assert.rejects(reports.set("io:text", "x"), /NOPERM User .* has no permissions to run the 'set' command/);
  },
});
