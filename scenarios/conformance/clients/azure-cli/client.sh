# Logs in and reads a secret with the commands of the Radix documentation ("Use the
# Azure CLI in a bash script"), and gets tokens for other resources.

PATH=$PWD/venv/bin:$PATH

round() {
  az login --service-principal -u "$AZURE_CLIENT_ID" --tenant "$AZURE_TENANT_ID" --federated-token "$(cat "$AZURE_FEDERATED_TOKEN_FILE")" --allow-no-subscriptions --output none 2>&1 || exit 1
  local answer
  answer=$(az keyvault secret show -n mysecret --vault-name mykeyvault --query value -o tsv 2>&1) || { echo "$answer"; exit 1; }
  echo "secret $answer"
  az account get-access-token --scope https://graph.microsoft.com/.default --query tokenType -o tsv 2>&1 | grep -qx Bearer || exit 1
  echo "graph ok"
  az account get-access-token --output none 2>&1 || exit 1 # for Resource Manager
  # Without --allow-no-subscriptions there has to be a subscription.
  az logout 2>&1 || exit 1
  az login --service-principal -u "$AZURE_CLIENT_ID" --tenant "$AZURE_TENANT_ID" --federated-token "$(cat "$AZURE_FEDERATED_TOKEN_FILE")" --output none 2>&1 || exit 1
  [ "$(az account show --query name -o tsv)" = development ] || { az account show; exit 1; }
  echo "round done"
}

round
while read -r _; do round; done
