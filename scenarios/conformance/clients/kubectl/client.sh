# Asks the cluster for a service-account token, as an operator does who tries out a
# federated credential, and exchanges it with curl.

kubectl=${WIEMU_KUBECTL:-kubectl}
wiemu kubeconfig > "$KUBECONFIG"

# Whose token: the service account that this workload runs as.
subject=$(cut -d. -f2 "$AZURE_FEDERATED_TOKEN_FILE" | tr '_-' '/+' | base64 -d 2>/dev/null | sed -n 's/.*"sub":"\([^"]*\)".*/\1/p')
IFS=: read -r _ _ namespace account <<<"$subject"

token() { # RESOURCE: prints Entra ID's answer
  local assertion
  assertion=$("$kubectl" create token "$account" --namespace "$namespace" --audience api://AzureADTokenExchange 2>&1) || { echo "$assertion"; return; }
  curl --silent --show-error "${AZURE_AUTHORITY_HOST}${AZURE_TENANT_ID}/oauth2/v2.0/token" \
    --data-urlencode "scope=https://$1/.default" \
    --data-urlencode "client_id=${AZURE_CLIENT_ID}" \
    --data-urlencode "client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer" \
    --data-urlencode "client_assertion=$assertion" \
    --data-urlencode "grant_type=client_credentials" 2>&1
}

field() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"; }

round() {
  local answer
  answer=$(token graph.microsoft.com)
  [ -n "$(field access_token <<<"$answer")" ] || { echo "$answer"; exit 1; }
  echo "graph ok"
  answer=$(token vault.azure.net)
  [ -n "$(field access_token <<<"$answer")" ] || { echo "$answer"; exit 1; }
  answer=$(curl --silent --show-error -H "Authorization: Bearer $(field access_token <<<"$answer")" \
    "https://mykeyvault.vault.azure.net/secrets/mysecret?api-version=7.4" 2>&1)
  [ -n "$(field value <<<"$answer")" ] || { echo "$answer"; exit 1; }
  echo "secret $(field value <<<"$answer")"
  echo "round done"
}

round
while read -r _; do round; done
