# What az creates besides identities: a vault, a storage account or a server of Azure SQL, by the
# argument. Who creates it may not use what is in it; an identity that it gives access may. The
# workload is this one, once as who may create, and once as that identity.

. ./common.sh

identity() {
  az identity create -g shop -n web -l westeurope &&
    az identity federated-credential create -g shop --identity-name web -n cluster --issuer "$(claim iss)" --subject "$(claim sub)" --audiences api://AzureADTokenExchange
}
assign() { # ROLE
  az role assignment create --role "$1" --assignee-object-id "$PRINCIPAL_ID" --assignee-principal-type ServicePrincipal --scope "$ID"
}
is() { # EXPECTED COMMAND...
  local found
  found=$("${@:2}" -o tsv) && [ "$found" = "$1" ] || { echo "expected $1, found $found"; return 1; }
}

vault() {
  op create az keyvault create -g shop -n shopvault -l westeurope --enable-rbac-authorization true --retention-days 7
  ID=$(az keyvault show -g shop -n shopvault --query id -o tsv)
  op show is https://shopvault.vault.azure.net/ az keyvault show -n shopvault --query properties.vaultUri
  op list is shopvault az keyvault list -g shop --query '[].name'
  op update is red az keyvault update -g shop -n shopvault --set tags.team=red --query tags.team
  op creator-has-no-role refused Forbidden az keyvault secret set --vault-name shopvault -n password --value hunter2
  op not-found refused ResourceNotFound az keyvault show -g shop -n nothing
  op assign assign "Key Vault Secrets Officer"
  op set web keyvault secret set --vault-name shopvault -n password --value hunter2
  op get is hunter2 web keyvault secret show --vault-name shopvault -n password --query value
  op delete az keyvault delete -g shop -n shopvault
  op gone refused ResourceNotFound az keyvault show -g shop -n shopvault
  op deleted is shopvault az keyvault list-deleted --resource-type vault --query '[].name'
  op in-the-bin refused "deleted state" az keyvault create -g shop -n shopvault -l westeurope
  op recover az keyvault recover -n shopvault
  op recovered-without-roles refused Forbidden web keyvault secret show --vault-name shopvault -n password
  op purge purge
}
purge() { az keyvault delete -n shopvault && az keyvault purge -n shopvault && is "" az keyvault list-deleted --resource-type vault --query '[].name'; }

account() {
  op name is true az storage account check-name -n shopdata --query nameAvailable
  op create az storage account create -g shop -n shopdata -l westeurope --sku Standard_LRS --allow-shared-key-access false --min-tls-version TLS1_2
  ID=$(az storage account show -n shopdata --query id -o tsv)
  op show is https://shopdata.blob.core.windows.net/ az storage account show -g shop -n shopdata --query primaryEndpoints.blob
  op taken is AlreadyExists az storage account check-name -n shopdata --query reason
  op list is shopdata az storage account list -g shop --query '[].name'
  op update is red az storage account update -g shop -n shopdata --tags team=red --query tags.team
  op container is true az storage container create --account-name shopdata -n inbox --auth-mode login --query created
  op creator-has-no-role refused "required permissions" az storage blob upload --account-name shopdata -c inbox -n a.txt --data hello --auth-mode login
  op not-found refused ResourceNotFound az storage account show -g shop -n nothing
  op assign assign "Storage Blob Data Contributor"
  op upload web storage blob upload --account-name shopdata -c inbox -n a.txt --data hello --auth-mode login
  op download download
  op delete az storage account delete -g shop -n shopdata --yes
  op gone refused ResourceNotFound az storage account show -g shop -n shopdata
}
download() { web storage blob download --account-name shopdata -c inbox -n a.txt --auth-mode login -f "$work/a.txt" && [ "$(cat "$work/a.txt")" = hello ]; }

# The administrator is named by its client id, as Azure SQL wants it of applications.
server() {
  op create az sql server create -g shop -n shopsql -l westeurope --enable-ad-only-auth --external-admin-principal-type Application --external-admin-name web --external-admin-sid "$CLIENT_ID"
  op show is shopsql.database.windows.net az sql server show -g shop -n shopsql --query fullyQualifiedDomainName
  op list is shopsql az sql server list -g shop --query '[].name'
  op administrator is "$CLIENT_ID" az sql server ad-admin list -g shop -s shopsql --query '[].sid'
  op only is true az sql server ad-only-auth get -g shop -n shopsql --query azureAdOnlyAuthentication
  op update is 1.2 az sql server update -g shop -n shopsql --minimal-tls-version 1.2 --query minimalTlsVersion
  op firewall is rule az sql server firewall-rule create -g shop -s shopsql -n rule --start-ip-address 0.0.0.0 --end-ip-address 0.0.0.0 --query name
  op database is orders az sql db create -g shop -s shopsql -n orders --service-objective S0 --query name
  op databases is $'master\norders' az sql db list -g shop -s shopsql --query 'sort([].name)'
  op login is orders query
  op not-found refused ResourceNotFound az sql server show -g shop -n nothing
  op drop az sql db delete -g shop -s shopsql -n orders --yes
  op delete az sql server delete -g shop -n shopsql --yes
  op gone refused ResourceNotFound az sql server show -g shop -n shopsql
}
query() { AZURE_CLIENT_ID=$CLIENT_ID python3 -c 'import mssql_python
with mssql_python.connect("Server=shopsql.database.windows.net;Database=orders;Authentication=ActiveDirectoryDefault;Encrypt=yes") as c:
    print(c.execute("SELECT DB_NAME()").fetchone()[0])'; }

op login login deploy "$AZURE_CLIENT_ID"
op group az group create -n shop -l westeurope
op identity identity
CLIENT_ID=$(az identity show -g shop -n web --query clientId -o tsv) PRINCIPAL_ID=$(az identity show -g shop -n web --query principalId -o tsv)
op exchange login web "$CLIENT_ID"
"$1"
op destroy az group delete -n shop --yes
op destroyed is false az group exists -n shop
echo "round done"
cat >"$work/rest"
