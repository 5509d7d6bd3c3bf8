# Gets tokens with the line of the Radix documentation ("Get an access token in a
# bash script"), or with a client secret as Microsoft's documentation of the client
# credentials flow shows it, and sends one to Key Vault.

kind=${1:-federated}

token() { # RESOURCE: prints Entra ID's answer
  case $kind in
  secret)
    curl --silent --show-error -X POST -H "Content-Type: application/x-www-form-urlencoded" \
      -d "client_id=${AZURE_CLIENT_ID}&scope=https%3A%2F%2F$1%2F.default&grant_type=client_credentials" \
      --data-urlencode "client_secret=${AZURE_CLIENT_SECRET}" \
      "${AZURE_AUTHORITY_HOST}${AZURE_TENANT_ID}/oauth2/v2.0/token" 2>&1
    return
    ;;
  secret-basic) # RFC 6749 §2.3.1
    curl --silent --show-error -X POST --user "${AZURE_CLIENT_ID}:${AZURE_CLIENT_SECRET}" \
      -d "scope=https%3A%2F%2F$1%2F.default&grant_type=client_credentials" \
      "${AZURE_AUTHORITY_HOST}${AZURE_TENANT_ID}/oauth2/v2.0/token" 2>&1
    return
    ;;
  secret-v1)
    curl --silent --show-error -X POST -d "grant_type=client_credentials&client_id=${AZURE_CLIENT_ID}&resource=https%3A%2F%2F$1" \
      --data-urlencode "client_secret=${AZURE_CLIENT_SECRET}" \
      "${AZURE_AUTHORITY_HOST}${AZURE_TENANT_ID}/oauth2/token" 2>&1
    return
    ;;
  esac
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
