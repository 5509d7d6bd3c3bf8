// A confidential client of @azure/msal-node that reads its assertion from the
// token file, and fetch.
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { setTimeout } from "node:timers/promises";
import { ConfidentialClientApplication } from "@azure/msal-node";

const assertion = () => readFile(process.env.AZURE_FEDERATED_TOKEN_FILE, "utf8");

const application = (clientAssertion) =>
  new ConfidentialClientApplication({
    auth: {
      clientId: process.env.AZURE_CLIENT_ID,
      authority: process.env.AZURE_AUTHORITY_HOST + process.env.AZURE_TENANT_ID,
      clientAssertion,
    },
  });

async function read(app) {
  await app.acquireTokenByClientCredential({ scopes: ["https://graph.microsoft.com/.default"] });
  const token = await app.acquireTokenByClientCredential({ scopes: ["https://vault.azure.net/.default"] });
  const answer = await fetch("https://mykeyvault.vault.azure.net/secrets/mysecret?api-version=7.4", {
    headers: { Authorization: `Bearer ${token.accessToken}` },
  });
  if (!answer.ok) throw new Error(await answer.text());
  return (await answer.json()).value;
}

async function round() {
  const secret = await read(application(assertion));
  console.log("graph ok");
  console.log("secret", secret);
  console.log("round done");
}

// With once the application is made with a text, which it cannot read again.
async function watch(every, once) {
  const app = application(once ? await assertion() : assertion);
  for (;;) {
    const line = await read(app).then(
      (secret) => ({ ok: true, secret }),
      (error) => ({ ok: false, error: String(error) }),
    );
    console.log(JSON.stringify(line));
    await setTimeout(every * 1000);
  }
}

if (process.argv[2] === "watch") await watch(Number(process.argv[3]), process.argv[4] === "once");
const again = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
try {
  do await round();
  while (!(await again.next()).done);
} catch (error) {
  console.log(String(error));
  process.exit(1);
}
