// A confidential client of @azure/msal-node that reads its assertion from the
// token file, or has a secret or certificate, and fetch.
import { createHash, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { setTimeout } from "node:timers/promises";
import { ConfidentialClientApplication } from "@azure/msal-node";

const assertion = () => readFile(process.env.AZURE_FEDERATED_TOKEN_FILE, "utf8");

function certificate(algorithm, name) {
  const pem = readFileSync(process.env.AZURE_CLIENT_CERTIFICATE_PATH, "utf8");
  return { [name]: createHash(algorithm).update(new X509Certificate(pem).raw).digest("hex"), privateKey: pem.slice(pem.indexOf("-----BEGIN PRIVATE KEY")) };
}

const credentials = {
  federated: () => ({ clientAssertion: assertion }),
  secret: () => ({ clientSecret: process.env.AZURE_CLIENT_SECRET }),
  certificate: () => ({ clientCertificate: certificate("sha1", "thumbprint") }),
  "certificate-sha256": () => ({ clientCertificate: certificate("sha256", "thumbprintSha256") }),
};

const application = (credential) =>
  new ConfidentialClientApplication({
    auth: {
      clientId: process.env.AZURE_CLIENT_ID,
      authority: process.env.AZURE_AUTHORITY_HOST + process.env.AZURE_TENANT_ID,
      ...credential,
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
  const secret = await read(application(credentials[process.argv[2] ?? "federated"]()));
  console.log("graph ok");
  console.log("secret", secret);
  console.log("round done");
}

// With once the application is made with a text, which it cannot read again.
async function watch(every, once) {
  const app = application({ clientAssertion: once ? await assertion() : assertion });
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
