// adal-node, which asks the v1 endpoint, and fetch. Each token has a cache of its own: with
// one for both adal-node first tries to refresh the token of the other resource.
import { createHash, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import adal from "adal-node";

async function token(resource) {
  const { AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_CLIENT_SECRET, AZURE_CLIENT_CERTIFICATE_PATH } = process.env;
  const context = new adal.AuthenticationContext("https://login.microsoftonline.com/" + AZURE_TENANT_ID, true, new adal.MemoryCache());
  if (process.argv[2] === "secret") {
    const acquire = promisify(context.acquireTokenWithClientCredentials.bind(context));
    return (await acquire(resource, AZURE_CLIENT_ID, AZURE_CLIENT_SECRET)).accessToken;
  }
  const pem = readFileSync(AZURE_CLIENT_CERTIFICATE_PATH, "utf8");
  const thumbprint = createHash("sha1").update(new X509Certificate(pem).raw).digest("hex").toUpperCase();
  const key = pem.slice(pem.indexOf("-----BEGIN PRIVATE KEY"));
  const acquire = promisify(context.acquireTokenWithClientCertificate.bind(context));
  return (await acquire(resource, AZURE_CLIENT_ID, key, thumbprint)).accessToken;
}

async function round() {
  await token("https://graph.microsoft.com");
  console.log("graph ok");
  const answer = await fetch("https://mykeyvault.vault.azure.net/secrets/mysecret?api-version=7.4", {
    headers: { Authorization: `Bearer ${await token("https://vault.azure.net")}` },
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
