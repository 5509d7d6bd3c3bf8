# What az registers for a workload that has nothing yet: docs/trust-as-code.md has these lines. The
# workload is this one, once as who may write, and once as the application that it registered.

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

login() { # CONFIGURATION CLIENT-ID ARGUMENT...
  local configuration=$1 id=$2
  shift 2
  AZURE_CONFIG_DIR=$work/$configuration az login --service-principal -u "$id" --tenant "$AZURE_TENANT_ID" "$@" --allow-no-subscriptions
}
federated() { login "$1" "$2" --federated-token "$(cat "$AZURE_FEDERATED_TOKEN_FILE")"; }

show() { AZURE_CONFIG_DIR=$work/web az keyvault secret show --vault-name mykeyvault -n mysecret --query value -o tsv; }
secret() { [ "$(show)" = "the secret of wiemu" ]; }
refused() { ! "$@" >"$work/said" 2>&1 && grep -q "$want" "$work/said"; }
trust() {
  az ad app federated-credential create --id "$CLIENT_ID" --parameters "{\"name\": \"cluster\", \"issuer\": \"$ISSUER\", \"subject\": \"$SUBJECT\", \"audiences\": [\"api://AzureADTokenExchange\"]}"
}
update() { az ad app update --id "$CLIENT_ID" --web-redirect-uris https://localhost/ --identifier-uris "api://$CLIENT_ID"; }
updated() { [ "$(az ad app show --id "api://$CLIENT_ID" --query 'web.redirectUris[0]' -o tsv)" = https://localhost/ ]; }
renew() { az ad app federated-credential update --id "$CLIENT_ID" --federated-credential-id cluster --parameters '{"description": "by az"}'; }
assign() {
  PRINCIPAL_ID=$(az ad sp show --id "$CLIENT_ID" --query id -o tsv)
  az role assignment create --role "Key Vault Secrets User" --assignee-object-id "$PRINCIPAL_ID" --assignee-principal-type ServicePrincipal --scope "$VAULT"
}
reset() { # KIND
  PASSWORD=$(az ad "$1" credential reset --id "$CLIENT_ID" --append --query password -o tsv) && login "$1" "$CLIENT_ID" --password "$PASSWORD"
}
own() {
  az ad app owner add --id "$CLIENT_ID" --owner-object-id "$(az ad sp show --id "$AZURE_CLIENT_ID" --query id -o tsv)" &&
    [ "$(az ad app owner list --id "$CLIENT_ID" --query '[0].appId' -o tsv)" = "$AZURE_CLIENT_ID" ]
}
rbac() {
  PASSWORD=$(az ad sp create-for-rbac -n ci --role Reader --scopes "${VAULT%%/resourceGroups*}" --query password -o tsv) &&
    login ci "$(az ad sp list --display-name ci --query '[0].appId' -o tsv)" --password "$PASSWORD"
}
delete() { az ad app federated-credential delete --id "$CLIENT_ID" --federated-credential-id cluster && az ad sp delete --id "$CLIENT_ID" && az ad app delete --id "$CLIENT_ID"; }

export AZURE_CONFIG_DIR=$work/deploy ISSUER SUBJECT
ISSUER=$(claim iss) SUBJECT=$(claim sub)

op login federated deploy "$AZURE_CLIENT_ID"
VAULT=/subscriptions/$(az account show --query id -o tsv)/resourceGroups/wiemu/providers/Microsoft.KeyVault/vaults/mykeyvault
op create az ad app create --display-name shop-web --sign-in-audience AzureADMyOrg
CLIENT_ID=$(az ad app list --display-name shop-web --query '[0].appId' -o tsv)
op update update
op updated updated
op principal az ad sp create --id "$CLIENT_ID"
op trust trust
op renew renew
want="FederatedIdentityCredential with name cluster already exists."
op trust-again refused trust
want="does not exist"
op nobody refused az ad app show --id 99999999-0000-4000-8000-000000000001
op assign assign
op exchange federated web "$CLIENT_ID"
op secret secret
op app-password reset app
op principal-password reset sp
op own own
op rbac rbac
op rbac-again rbac
op delete delete
op gone refused az ad app show --id "$CLIENT_ID"
echo "round done"
cat >"$work/rest"
