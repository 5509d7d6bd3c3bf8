# Logs in and reads a secret with the commands of the Radix documentation ("Use the
# Azure CLI in a bash script"), and gets tokens for other resources.

PATH=$PWD/venv/bin:$PATH

kind=${1:-federated}
if [ "$kind" != federated ]; then # az keeps tokens by client id, whatever the secret
  AZURE_CONFIG_DIR=$(mktemp -d)
  export AZURE_CONFIG_DIR
  trap 'rm -rf "$AZURE_CONFIG_DIR"' EXIT
fi

login() { # ARGUMENT...
  local proof
  case $kind in
  secret) proof=(--password "$AZURE_CLIENT_SECRET") ;;
  certificate) proof=(--certificate "$AZURE_CLIENT_CERTIFICATE_PATH") ;;
  *) proof=(--federated-token "$(cat "$AZURE_FEDERATED_TOKEN_FILE")") ;;
  esac
  az login --service-principal -u "$AZURE_CLIENT_ID" --tenant "$AZURE_TENANT_ID" "${proof[@]}" "$@" --output none 2>&1
}

round() {
  login --allow-no-subscriptions || exit 1
  local answer
  answer=$(az keyvault secret show -n mysecret --vault-name mykeyvault --query value -o tsv 2>&1) || { echo "$answer"; exit 1; }
  echo "secret $answer"
  az account get-access-token --scope https://graph.microsoft.com/.default --query tokenType -o tsv 2>&1 | grep -qx Bearer || exit 1
  echo "graph ok"
  [ "$kind" = federated ] || { echo "round done"; return; }
  az account get-access-token --output none 2>&1 || exit 1 # for Resource Manager
  # Without --allow-no-subscriptions there has to be a subscription.
  az logout 2>&1 || exit 1
  login || exit 1
  [ "$(az account show --query name -o tsv)" = development ] || { az account show; exit 1; }
  echo "round done"
}

round
while read -r _; do round; done
