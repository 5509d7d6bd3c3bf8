# What az registers for a workload that has nothing yet: docs/trust-as-code.md has these lines. The
# workload is this one, once as who may write, and once as the application that it registered.

. ./common.sh

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

ISSUER=$(claim iss) SUBJECT=$(claim sub)

op login login deploy "$AZURE_CLIENT_ID"
VAULT=/subscriptions/$(az account show --query id -o tsv)/resourceGroups/wiemu/providers/Microsoft.KeyVault/vaults/mykeyvault
op create az ad app create --display-name shop-web --sign-in-audience AzureADMyOrg
CLIENT_ID=$(az ad app list --display-name shop-web --query '[0].appId' -o tsv)
op update update
op updated updated
op principal az ad sp create --id "$CLIENT_ID"
op trust trust
op renew renew
op trust-again refused "FederatedIdentityCredential with name cluster already exists." trust
op nobody refused "does not exist" az ad app show --id 99999999-0000-4000-8000-000000000001
op assign assign
op exchange login web "$CLIENT_ID"
op secret secret
op app-password reset app
op principal-password reset sp
op own own
op rbac rbac
op rbac-again rbac
op delete delete
op gone refused "does not exist" az ad app show --id "$CLIENT_ID"
echo "round done"
cat >"$work/rest"
