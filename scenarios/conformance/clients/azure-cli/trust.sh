# What az creates for a workload that has nothing yet: docs/trust-as-code.md has these lines. The
# workload is this one, once as who may create, and once as the identity that it created.

. ./common.sh

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

ISSUER=$(claim iss) SUBJECT=$(claim sub)

op login login deploy "$AZURE_CLIENT_ID"
VAULT=/subscriptions/$(az account show --query id -o tsv)/resourceGroups/wiemu/providers/Microsoft.KeyVault/vaults/mykeyvault
op group az group create -n shop -l westeurope
op create create
CLIENT_ID=$(az identity show -g shop -n web --query clientId -o tsv)
op twice twice
op exchange login web "$CLIENT_ID"
op without-role refused Forbidden show
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
