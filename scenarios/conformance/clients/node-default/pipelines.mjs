// What a task of Azure Pipelines does with its service connection.
import assert from "node:assert";
import { AzurePipelinesCredential } from "@azure/identity";
import { SecretClient } from "@azure/keyvault-secrets";
import { run } from "./operations.mjs";

const { AZURESUBSCRIPTION_TENANT_ID, AZURESUBSCRIPTION_CLIENT_ID, AZURESUBSCRIPTION_SERVICE_CONNECTION_ID, SYSTEM_ACCESSTOKEN } = process.env;
const credential = new AzurePipelinesCredential(AZURESUBSCRIPTION_TENANT_ID, AZURESUBSCRIPTION_CLIENT_ID, AZURESUBSCRIPTION_SERVICE_CONNECTION_ID, SYSTEM_ACCESSTOKEN);

await run({
  async token() {
    assert((await credential.getToken("https://management.azure.com/.default")).token);
  },
  async secret() {
    assert.equal((await new SecretClient("https://mykeyvault.vault.azure.net", credential).getSecret("mysecret")).value, "the secret of wiemu");
  },
});
