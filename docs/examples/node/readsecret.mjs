// Reads a secret as any Azure program does. It knows nothing of wiemu.
import { DefaultAzureCredential } from "@azure/identity";
import { SecretClient } from "@azure/keyvault-secrets";

const client = new SecretClient("https://mykeyvault.vault.azure.net", new DefaultAzureCredential());
console.log((await client.getSecret("mysecret")).value);
