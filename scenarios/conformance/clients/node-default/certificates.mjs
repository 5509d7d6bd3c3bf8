// What @azure/keyvault-certificates does with certificates, each operation once.
import assert from "node:assert";
import { X509Certificate } from "node:crypto";
import { DefaultAzureCredential } from "@azure/identity";
import { CertificateClient } from "@azure/keyvault-certificates";
import { SecretClient } from "@azure/keyvault-secrets";
import { all, code, run } from "./operations.mjs";

const vault = "https://mykeyvault.vault.azure.net";
const credential = new DefaultAzureCredential();
const certificates = new CertificateClient(vault, credential);
const secrets = new SecretClient(vault, credential);
const name = `node${process.versions.node.split(".")[0]}-web`;
let pem;

await run({
  async create() {
    const poller = await certificates.beginCreateCertificate(
      name,
      { issuerName: "Self", subject: "CN=node", subjectAlternativeNames: { dnsNames: ["node.example"] }, keyType: "EC", keyCurveName: "P-256", contentType: "application/x-pem-file" },
      { intervalInMs: 10, tags: { a: "b" } },
    );
    const made = await poller.pollUntilDone();
    const cert = new X509Certificate(made.cer);
    assert.equal(cert.subject, "CN=node");
    assert.equal(cert.subjectAltName, "DNS:node.example");
    assert.deepEqual(made.properties.tags, { a: "b" });
  },
  async secret() {
    const found = await secrets.getSecret(name);
    assert.equal(found.properties.contentType, "application/x-pem-file");
    pem = found.value;
    assert.match(pem, /^-----BEGIN PRIVATE KEY-----[^]*-----BEGIN CERTIFICATE-----/);
  },
  async get() {
    const latest = await certificates.getCertificate(name);
    assert.deepEqual((await certificates.getCertificateVersion(name, latest.properties.version)).cer, latest.cer);
    assert((await all(certificates.listPropertiesOfCertificates())).some((c) => c.name === name));
  },
  async import() {
    const imported = await certificates.importCertificate(`${name}-imported`, Buffer.from(pem), { policy: { contentType: "application/x-pem-file" } });
    assert.equal(imported.policy.issuerName, "Unknown");
  },
  async update() {
    const off = await certificates.updateCertificateProperties(name, "", { enabled: false });
    assert.equal(off.properties.enabled, false);
    await certificates.updateCertificateProperties(name, "", { enabled: true });
    assert.equal((await certificates.getCertificatePolicy(name)).subject, "CN=node");
  },
  async contacts() {
    await certificates.setContacts([{ email: "a@example.com" }]);
    assert.equal((await certificates.getContacts())[0].email, "a@example.com");
    await certificates.deleteContacts();
  },
  async recover() {
    await (await certificates.beginDeleteCertificate(name, { intervalInMs: 10 })).pollUntilDone();
    await (await certificates.beginRecoverDeletedCertificate(name, { intervalInMs: 10 })).pollUntilDone();
    assert((await secrets.getSecret(name)).value);
  },
  async gone() {
    assert.equal(await code(certificates.getCertificate(`${name}-none`)), "CertificateNotFound");
  },
  async delete() {
    for (const one of [name, `${name}-imported`]) {
      await (await certificates.beginDeleteCertificate(one, { intervalInMs: 10 })).pollUntilDone();
      await certificates.purgeDeletedCertificate(one);
    }
  },
});
