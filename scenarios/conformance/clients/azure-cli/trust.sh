# What az creates for a workload that has nothing yet: docs/trust-as-code.md has these lines. The
# workload is this one, once as who may create, and once as the identity that it created.

PATH=$PWD/venv/bin:$PATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

op() { # NAME COMMAND...
  local name=$1 out
  shift
  if ! out=$("$@" 2>&1); then
    echo "$name failed $(tr '\n' ' ' <<<"$out" | tail -c 2000)"
    exit 1
  fi
  echo "$name ok"
}

claim() { python3 -c 'import base64, json, sys
body = sys.argv[1].split(".")[1]
print(json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))[sys.argv[2]])' "$(cat "$AZURE_FEDERATED_TOKEN_FILE")" "$1"; }

login() { # CONFIGURATION CLIENT-ID
  AZURE_CONFIG_DIR=$work/$1 az login --service-principal -u "$2" --tenant "$AZURE_TENANT_ID" --federated-token "$(cat "$AZURE_FEDERATED_TOKEN_FILE")" --allow-no-subscriptions
}

show() { AZURE_CONFIG_DIR=$work/web az keyvault secret show --vault-name mykeyvault -n mysecret --query value -o tsv; }
secret() { [ "$(show)" = "the secret of wiemu" ]; }
refused() { ! "$@" >"$work/said" 2>&1 && grep -q "$want" "$work/said"; }
twice() { create && [ "$(az identity show -g shop -n web --query clientId -o tsv)" = "$CLIENT_ID" ]; }
gone() { [ "$(az group exists -n shop)" = false ]; }

create() {
  az identity create -g shop -n web -l westeurope &&
  az identity federated-credential create -g shop --identity-name web -n cluster --issuer "$ISSUER" --subject "$SUBJECT" --audiences api://AzureADTokenExchange
}
assign() {
  PRINCIPAL_ID=$(az identity show -g shop -n web --query principalId -o tsv)
  az role assignment create --role "Key Vault Secrets User" --assignee-object-id "$PRINCIPAL_ID" --assignee-principal-type ServicePrincipal --scope "$VAULT"
}

what_if() { az deployment group what-if -g shop --template-file trust.json --parameters "issuer=$ISSUER" "subject=$SUBJECT" >"$work/said" && grep -q "2 to create" "$work/said"; }
template() { # and the workload logs in as the identity that it made
  CLIENT_ID=$(az deployment group create -g shop -n trust --template-file trust.json --parameters "issuer=$ISSUER" "subject=$SUBJECT" --query properties.outputs.clientId.value -o tsv) &&
  login web "$CLIENT_ID"
}
operations() { [ "$(az deployment operation group list -g shop -n trust --query "length([?properties.provisioningState=='Succeeded'])")" = 4 ]; }

export AZURE_CONFIG_DIR=$work/deploy ISSUER SUBJECT
ISSUER=$(claim iss) SUBJECT=$(claim sub)

op login login deploy "$AZURE_CLIENT_ID"
VAULT=/subscriptions/$(az account show --query id -o tsv)/resourceGroups/wiemu/providers/Microsoft.KeyVault/vaults/mykeyvault
op group az group create -n shop -l westeurope
op create create
CLIENT_ID=$(az identity show -g shop -n web --query clientId -o tsv)
op twice twice
op exchange login web "$CLIENT_ID"
want=Forbidden
op without-role refused show
op assign assign
op secret secret
op delete az group delete -n shop --yes
op gone gone
op group-again az group create -n shop -l westeurope
op what-if what_if
op template template
op secret-again secret
op operations operations
echo "round done"
cat >"$work/rest"
