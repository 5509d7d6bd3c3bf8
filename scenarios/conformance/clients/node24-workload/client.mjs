// @azure/identity's WorkloadIdentityCredential, and @azure/keyvault-secrets, with no option set.
import { createInterface } from "node:readline";
import { setTimeout } from "node:timers/promises";
import { WorkloadIdentityCredential } from "@azure/identity";
import { SecretClient } from "@azure/keyvault-secrets";

async function read(credential) {
  await credential.getToken("https://graph.microsoft.com/.default");
  const client = new SecretClient("https://mykeyvault.vault.azure.net", credential);
  return (await client.getSecret("mysecret")).value;
}

async function round() {
  const secret = await read(new WorkloadIdentityCredential());
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
