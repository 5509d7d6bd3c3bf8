// What both programs make first: a resource group with a managed identity that trusts this very service account.
import assert from "node:assert";
import { readFileSync } from "node:fs";
import { ManagedServiceIdentityClient } from "@azure/arm-msi";
import { ResourceManagementClient } from "@azure/arm-resources";
import { DefaultAzureCredential, WorkloadIdentityCredential } from "@azure/identity";
import { SecretClient } from "@azure/keyvault-secrets";

export const subscription = "0a1b2c3d-0000-4000-8000-000000000001"; // of trust.yaml
export const vault = `/subscriptions/${subscription}/resourceGroups/wiemu/providers/Microsoft.KeyVault/vaults/mykeyvault`;
export const credential = new DefaultAzureCredential();
export const groups = new ResourceManagementClient(credential, subscription).resourceGroups;
const msi = new ManagedServiceIdentityClient(credential, subscription);
export const identities = msi.userAssignedIdentities;
export const credentials = msi.federatedIdentityCredentials;

export const claims = (token) => JSON.parse(Buffer.from(token.split(".")[1], "base64url"));
export const assertion = claims(readFileSync(process.env.AZURE_FEDERATED_TOKEN_FILE, "utf8"));
export const audiences = ["api://AzureADTokenExchange"];

export async function group(name) {
  const made = await groups.createOrUpdate(name, { location: "westeurope" });
  assert.equal(made.properties.provisioningState, "Succeeded");
}

export const identity = (group, name, more) => identities.createOrUpdate(group, name, { location: "westeurope", ...more });

export const trust = (group, name, federated = "cluster", subject = assertion.sub) =>
  credentials.createOrUpdate(group, name, federated, { issuer: assertion.iss, subject, audiences });

const as = (clientId) => new WorkloadIdentityCredential({ clientId });

// The claims of an access token that this service account gets as another identity.
export const token = async (clientId) => claims((await as(clientId).getToken("https://management.azure.com/.default")).token);

// The secret, read as another identity.
export const secret = async (clientId) => (await new SecretClient("https://mykeyvault.vault.azure.net", as(clientId)).getSecret("mysecret")).value;
