// @azure/identity's WorkloadIdentityCredential, and @azure/keyvault-secrets, with no option set.
import { createInterface } from "node:readline";
import { WorkloadIdentityCredential } from "@azure/identity";
import { SecretClient } from "@azure/keyvault-secrets";

async function round() {
  const credential = new WorkloadIdentityCredential();
  await credential.getToken("https://graph.microsoft.com/.default");
  console.log("graph ok");
  const client = new SecretClient("https://mykeyvault.vault.azure.net", credential);
  console.log("secret", (await client.getSecret("mysecret")).value);
  console.log("round done");
}

const again = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
try {
  do await round();
  while (!(await again.next()).done);
} catch (error) {
  console.log(String(error));
  process.exit(1);
}
