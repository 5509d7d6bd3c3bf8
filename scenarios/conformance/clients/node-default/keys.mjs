// What @azure/keyvault-keys does with keys, each operation once.
import assert from "node:assert";
import { createHash } from "node:crypto";
import { DefaultAzureCredential } from "@azure/identity";
import { CryptographyClient, KeyClient } from "@azure/keyvault-keys";
import { all, code, run } from "./operations.mjs";

const credential = new DefaultAzureCredential();
const keys = new KeyClient("https://mykeyvault.vault.azure.net", credential);
const crypto = (key) => new CryptographyClient(key.id, credential);
const name = `node${process.versions.node.split(".")[0]}`;

await run({
  async create() {
    const key = await keys.createRsaKey(`${name}-rsa`, { keySize: 2048, tags: { team: "blue" } });
    assert.equal(key.key.n.length, 256);
    assert.deepEqual(key.properties.tags, { team: "blue" });
    assert.equal((await keys.createEcKey(`${name}-ec`, { curve: "P-256" })).key.crv, "P-256");
  },
  async get() {
    const key = await keys.getKey(`${name}-rsa`);
    assert.equal((await keys.getKey(`${name}-rsa`, { version: key.properties.version })).id, key.id);
    assert((await all(keys.listPropertiesOfKeys())).some((k) => k.name === `${name}-ec`));
  },
  async encrypt() {
    const client = crypto(await keys.getKey(`${name}-rsa`));
    for (const algorithm of ["RSA1_5", "RSA-OAEP", "RSA-OAEP-256"]) {
      const { result } = await client.encrypt({ algorithm, plaintext: Buffer.from("plain") });
      assert.equal(Buffer.from((await client.decrypt({ algorithm, ciphertext: result })).result).toString(), "plain");
    }
  },
  async wrap() {
    const client = crypto(await keys.getKey(`${name}-rsa`));
    const { result } = await client.wrapKey("RSA-OAEP-256", Buffer.from("0123456789abcdef"));
    assert.equal(Buffer.from((await client.unwrapKey("RSA-OAEP-256", result)).result).toString(), "0123456789abcdef");
  },
  async sign() {
    const digest = createHash("sha256").update("x").digest();
    for (const [key, algorithm] of [["rsa", "RS256"], ["rsa", "PS256"], ["ec", "ES256"]]) {
      const client = crypto(await keys.getKey(`${name}-${key}`));
      const { result } = await client.sign(algorithm, digest);
      assert.equal((await client.verify(algorithm, digest, result)).result, true);
    }
  },
  async rotate() {
    const before = await keys.getKey(`${name}-rsa`);
    const after = await keys.rotateKey(`${name}-rsa`);
    assert.notEqual(after.properties.version, before.properties.version);
    await keys.updateKeyRotationPolicy(`${name}-rsa`, { expiresIn: "P90D", lifetimeActions: [{ action: "Rotate", timeAfterCreate: "P30D" }] });
    assert.equal((await keys.getKeyRotationPolicy(`${name}-rsa`)).expiresIn, "P90D");
  },
  async update() {
    const key = await keys.updateKeyProperties(`${name}-ec`, { enabled: false });
    assert.equal(key.properties.enabled, false);
  },
  async backup() {
    const blob = await keys.backupKey(`${name}-ec`);
    await (await keys.beginDeleteKey(`${name}-ec`, { intervalInMs: 10 })).pollUntilDone();
    await keys.purgeDeletedKey(`${name}-ec`);
    assert.equal((await keys.restoreKeyBackup(blob)).name, `${name}-ec`);
  },
  async recover() {
    await (await keys.beginDeleteKey(`${name}-rsa`, { intervalInMs: 10 })).pollUntilDone();
    await (await keys.beginRecoverDeletedKey(`${name}-rsa`, { intervalInMs: 10 })).pollUntilDone();
    assert.equal((await keys.getKey(`${name}-rsa`)).name, `${name}-rsa`);
  },
  async gone() {
    assert.equal(await code(keys.getKey(`${name}-none`)), "KeyNotFound");
  },
  async delete() {
    for (const key of ["rsa", "ec"]) {
      await (await keys.beginDeleteKey(`${name}-${key}`, { intervalInMs: 10 })).pollUntilDone();
      await keys.purgeDeletedKey(`${name}-${key}`);
    }
  },
});
