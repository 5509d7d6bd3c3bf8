// A confidential client of @azure/msal-node that reads its assertion from the
// token file, and fetch.
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { ConfidentialClientApplication } from "@azure/msal-node";

async function round() {
  const app = new ConfidentialClientApplication({
    auth: {
      clientId: process.env.AZURE_CLIENT_ID,
      authority: process.env.AZURE_AUTHORITY_HOST + process.env.AZURE_TENANT_ID,
      clientAssertion: () => readFile(process.env.AZURE_FEDERATED_TOKEN_FILE, "utf8"),
    },
  });
  await app.acquireTokenByClientCredential({ scopes: ["https://graph.microsoft.com/.default"] });
  console.log("graph ok");
  const token = await app.acquireTokenByClientCredential({ scopes: ["https://vault.azure.net/.default"] });
  const answer = await fetch("https://mykeyvault.vault.azure.net/secrets/mysecret?api-version=7.4", {
    headers: { Authorization: `Bearer ${token.accessToken}` },
  });
  if (!answer.ok) throw new Error(await answer.text());
  console.log("secret", (await answer.json()).value);
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
