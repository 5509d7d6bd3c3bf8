# Gets tokens with the line of the Radix documentation ("Get an access token in a
# bash script"), and sends one to Key Vault.

token() { # RESOURCE: prints Entra ID's answer
  curl --silent --show-error "${AZURE_AUTHORITY_HOST}${AZURE_TENANT_ID}/oauth2/v2.0/token" \
    -X POST \
    -d "scope=https%3A%2F%2F$1%2F.default
&client_id=${AZURE_CLIENT_ID}
&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer
&client_assertion=$(cat "$AZURE_FEDERATED_TOKEN_FILE")
&grant_type=client_credentials" 2>&1
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
