// What node-redis does with caches, each operation once, logged in by @redis/entraid.
import assert from "node:assert";
import { setTimeout } from "node:timers/promises";
import { DefaultAzureCredential } from "@azure/identity";
import { EntraIdCredentialsProviderFactory, REDIS_SCOPE_DEFAULT } from "@redis/entraid";
import { createClient } from "redis";
import { run } from "./operations.mjs";

const credential = new DefaultAzureCredential();

async function connect(url, RESP) {
  const credentialsProvider = EntraIdCredentialsProviderFactory.createForDefaultAzureCredential({
    credential,
    scopes: REDIS_SCOPE_DEFAULT,
    tokenManagerConfig: { expirationRefreshRatio: 0.8 },
  });
  const client = createClient({ url, RESP, credentialsProvider, socket: { reconnectStrategy: false, connectTimeout: 60_000 } });
  client.on("error", (error) => console.error(error));
  await client.connect();
  return client;
}

let cache;

async function set() {
  await cache.set("node:text", "two loaves");
  assert.equal(await cache.get("node:text"), "two loaves");
  assert.equal(await cache.get("node:none"), null);
}

// Uses the cache every so often, on the one connection that a client has.
async function watch(every) {
  cache = await connect("rediss://orders.redis.cache.windows.net:6380");
  await cache.sendCommand(["CLIENT", "SETNAME", "first"]);
  for (;;) {
    let line = { ok: true };
    try {
      line.connection = await cache.sendCommand(["CLIENT", "GETNAME"]);
      await set();
    } catch (error) {
      line = { ok: false, error: String(error) };
    }
    console.log(JSON.stringify(line));
    await setTimeout(every);
  }
}

if (process.argv[2] === "watch") await watch(1000 * process.argv[3]);

await run({
  async connect() {
    cache = await connect("rediss://orders.redis.cache.windows.net:6380");
  },
  set,
  async expire() {
    await cache.set("node:expires", "soon", { expiration: { type: "EX", value: 3600 } });
    const left = await cache.ttl("node:expires");
    assert(left > 3000 && left <= 3600, left);
  },
  async collections() {
    await cache.hSet("node:hash", { a: "1", b: "2" });
    assert.deepEqual({ ...(await cache.hGetAll("node:hash")) }, { a: "1", b: "2" });
    await cache.rPush("node:list", ["x", "y"]);
    assert.deepEqual(await cache.lRange("node:list", 0, -1), ["x", "y"]);
    await cache.zAdd("node:set", [{ score: 2, value: "late" }, { score: 1, value: "early" }]);
    assert.deepEqual(await cache.zRange("node:set", 0, -1), ["early", "late"]);
  },
  async pipeline() {
    const counts = await Promise.all(Array.from({ length: 100 }, () => cache.incr("node:count"))); // sent at once
    assert.equal(counts[99], 100);
  },
  async transaction() {
    assert.deepEqual(await cache.multi().set("node:a", "1").incr("node:a").exec(), ["OK", 2]);
  },
  async script() {
    const found = await cache.eval("return redis.call('GET', KEYS[1]) .. ARGV[1]", { keys: ["node:text"], arguments: ["!"] });
    assert.equal(found, "two loaves!");
  },
  async subscribe() {
    const reader = await connect("rediss://orders.redis.cache.windows.net:6380");
    let heard;
    const message = new Promise((resolve) => (heard = resolve));
    await reader.subscribe("node:news", heard);
    await cache.publish("node:news", "hello");
    assert.equal(await message, "hello");
  },
  async managed() {
    const managed = await connect("rediss://orders.norwayeast.redis.azure.net:10000", 3);
    await managed.set("node:managed", "yes");
    assert.equal(await managed.get("node:managed"), "yes");
  },
  async denied() {
    const reports = await connect("rediss://reports.redis.cache.windows.net:6380");
    assert.equal(await reports.get("node:text"), null);
    await assert.rejects(reports.set("node:text", "x"), /NOPERM User .* has no permissions to run the 'set' command/);
  },
});
