// @azure/identity's credentials, and @azure/keyvault-secrets, with no option set.
import { createInterface } from "node:readline";
import { setTimeout } from "node:timers/promises";
import { readFile } from "node:fs/promises";
import {
  ClientAssertionCredential,
  ClientCertificateCredential,
  ClientSecretCredential,
  EnvironmentCredential,
  WorkloadIdentityCredential,
} from "@azure/identity";
import { SecretClient } from "@azure/keyvault-secrets";

async function read(credential) {
  await credential.getToken("https://graph.microsoft.com/.default");
  const client = new SecretClient("https://mykeyvault.vault.azure.net", credential);
  return (await client.getSecret("mysecret")).value;
}

const { AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_CLIENT_SECRET, AZURE_CLIENT_CERTIFICATE_PATH, AZURE_FEDERATED_TOKEN_FILE } = process.env;
const credentials = {
  federated: () => new WorkloadIdentityCredential(),
  secret: () => new ClientSecretCredential(AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_CLIENT_SECRET),
  certificate: () => new ClientCertificateCredential(AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_CLIENT_CERTIFICATE_PATH),
  "certificate-chain": () =>
    new ClientCertificateCredential(AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_CLIENT_CERTIFICATE_PATH, { sendCertificateChain: true }),
  "certificate-environment": () => new EnvironmentCredential(),
  assertion: () => new ClientAssertionCredential(AZURE_TENANT_ID, AZURE_CLIENT_ID, () => readFile(AZURE_FEDERATED_TOKEN_FILE, "utf8")),
};

async function round() {
  const secret = await read(credentials[process.argv[2] ?? "federated"]());
  console.log("graph ok");
  console.log("secret", secret);
  console.log("round done");
}

async function watch(every) {
  const credential = new WorkloadIdentityCredential();
  for (;;) {
    const line = await read(credential).then(
      (secret) => ({ ok: true, secret }),
      (error) => ({ ok: false, error: String(error) }),
    );
    console.log(JSON.stringify(line));
    await setTimeout(every * 1000);
  }
}

if (process.argv[2] === "watch") await watch(Number(process.argv[3]));
const again = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
try {
  do await round();
  while (!(await again.next()).done);
} catch (error) {
  console.log(String(error));
  process.exit(1);
}
