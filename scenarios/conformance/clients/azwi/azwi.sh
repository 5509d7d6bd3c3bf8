# What azwi creates for a workload that has nothing yet, phase by phase in its own order, and all of
# it at once; the workload, which is this one, reads a secret with it until azwi has deleted it.
# azwi has the login of az, which is this workload, too, as the identity deploy of graph.yaml.

PATH=$PWD/bin:$PWD/venv/bin:$PATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export AZURE_CONFIG_DIR=$work/deploy
wiemu kubeconfig >"$KUBECONFIG"

SUBSCRIPTION=0a1b2c3d-0000-4000-8000-000000000001
VAULT=/subscriptions/$SUBSCRIPTION/resourceGroups/wiemu/providers/Microsoft.KeyVault/vaults/mykeyvault
ROLE="Key Vault Secrets User"
ISSUER=$(cut -d. -f2 "$AZURE_FEDERATED_TOKEN_FILE" | tr '_-' '/+' | base64 -d 2>/dev/null | sed -n 's/.*"iss":"\([^"]*\)".*/\1/p')
NAMESPACE=my-radix-app-dev ACCOUNT=web-sa # who is trusted

app=(--aad-application-name shop-web)
account=(--service-account-namespace "$NAMESPACE" --service-account-name "$ACCOUNT")
issuer=(--service-account-issuer-url "$ISSUER")
access=(--azure-scope "$VAULT" --azure-role "$ROLE")

op() { # NAME COMMAND...
  local name=$1 out
  shift
  if ! out=$("$@" 2>&1); then
    echo "$name failed $(tr '\n' ' ' <<<"$out" | tail -c 2000)"
    exit 1
  fi
  echo "$name ok"
}

login() { az login --service-principal -u "$AZURE_CLIENT_ID" --tenant "$AZURE_TENANT_ID" --federated-token "$(cat "$AZURE_FEDERATED_TOKEN_FILE")"; }

# serviceaccount is azwi, which keeps what it says in $work/said.
serviceaccount() { # create|delete ARGUMENT...
  azwi serviceaccount "$@" --subscription-id "$SUBSCRIPTION" >"$work/said" 2>&1 || { cat "$work/said"; return 1; }
}
# compressed expects that a login of azwi's own is refused: its HTTP client compresses the form.
compressed() { # METHOD ARGUMENT...
  ! serviceaccount create phase app "${app[@]}" --client-id "$AZURE_CLIENT_ID" --auth-method "$@" >/dev/null &&
    grep -qF "AADSTS900144: The request body must contain the following parameter: 'grant_type'." "$work/said" || { cat "$work/said"; return 1; }
}
says() { # TEXT COMMAND...
  local text=$1
  shift
  "$@" && grep -qF "$text" "$work/said" || { cat "$work/said"; return 1; }
}
said() { sed -n "s/.*  $1  .*\"$2\": \"\([^\"]*\)\".*/\1/p" "$work/said"; } # MESSAGE KEY

field() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"; }

# exchange prints Entra ID's answer.
exchange() { # CLIENT-ID
  curl --silent --show-error "${AZURE_AUTHORITY_HOST}${AZURE_TENANT_ID}/oauth2/v2.0/token" -d grant_type=client_credentials -d "client_id=$1" \
    --data-urlencode scope=https://vault.azure.net/.default -d client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer \
    --data-urlencode "client_assertion@$AZURE_FEDERATED_TOKEN_FILE" 2>&1
}
unless() { # CODE: the workload gets no token
  local answer
  answer=$(exchange "$CLIENT_ID")
  grep -qF "$1" <<<"$answer" || { echo "expected $1, found $answer"; return 1; }
}
# shows expects that the vault answers the workload with a text.
shows() { # TEXT
  local answer access_token
  answer=$(exchange "$CLIENT_ID")
  access_token=$(field access_token <<<"$answer")
  [ -n "$access_token" ] || { echo "$answer"; return 1; }
  answer=$(curl --silent --show-error -H "Authorization: Bearer $access_token" "https://mykeyvault.vault.azure.net/secrets/mysecret?api-version=7.4" 2>&1)
  grep -qF "$1" <<<"$answer" || { echo "expected $1, found $answer"; return 1; }
}

# cluster prints what the cluster says about the service account.
cluster() {
  sed -n 's/.*certificate-authority-data: *"\{0,1\}\([A-Za-z0-9+/=]*\).*/\1/p' "$KUBECONFIG" | base64 -d >"$work/ca.pem"
  curl --silent --show-error --noproxy '*' --cacert "$work/ca.pem" -H "Authorization: Bearer $(sed -n 's/.* token: *"\{0,1\}\([^" }]*\).*/\1/p' "$KUBECONFIG")" \
    "$(sed -n 's/.*server: *"\{0,1\}\([^" ,}]*\).*/\1/p' "$KUBECONFIG")/api/v1/namespaces/$NAMESPACE/serviceaccounts/$ACCOUNT" 2>&1
}
annotated() { # CLIENT-ID: with what the webhook of azure-workload-identity reads
  local found
  found=$(cluster)
  grep -qF "\"azure.workload.identity/client-id\":\"$1\"" <<<"$found" && grep -qF "\"azure.workload.identity/tenant-id\":\"$AZURE_TENANT_ID\"" <<<"$found" || { echo "$found"; return 1; }
}
deleted() {
  local found
  found=$(cluster)
  grep -qF "serviceaccounts \\\"$ACCOUNT\\\" not found" <<<"$found" || { echo "$found"; return 1; }
}

op login login
op login-secret compressed client_secret --client-secret a-secret
openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj /CN=deploy -keyout "$work/key.pem" -out "$work/certificate.pem" 2>/dev/null
op login-certificate compressed client_certificate --certificate-path "$work/certificate.pem" --private-key-path "$work/key.pem"
op app says "created service principal" serviceaccount create phase app "${app[@]}"
CLIENT_ID=$(said "created an AAD application" clientID)
op account says "created kubernetes service account" serviceaccount create phase sa "${account[@]}" "${app[@]}"
op annotated annotated "$CLIENT_ID"
op untrusted unless AADSTS70025
op trust says "added federated credential" serviceaccount create phase fi "${account[@]}" "${issuer[@]}" "${app[@]}"
op without-role shows Forbidden
op assign says "created role assignment" serviceaccount create phase ra "${access[@]}" --service-principal-name shop-web
ASSIGNMENT=$(said "created role assignment" roleAssignmentID)
op secret shows '"value":"the secret of wiemu"'
op app-again says "\"clientID\": \"$CLIENT_ID\"" serviceaccount create phase app "${app[@]}"
op trust-again says "federated credential has been previously created" serviceaccount create phase fi "${account[@]}" "${issuer[@]}" "${app[@]}"
op assign-again says "Role assignment already exists" serviceaccount create phase ra "${access[@]}" --service-principal-name shop-web
op unassign says "deleted role assignment" serviceaccount delete phase ra --role-assignment-id "$ASSIGNMENT"
# azwi does not see the 204 of an assignment that is not there: armauthorization 1.0.0 takes it for success.
op unassign-again says "deleted role assignment" serviceaccount delete phase ra --role-assignment-id "$ASSIGNMENT"
op unassigned shows Forbidden
op untrust says "deleted federated identity credential" serviceaccount delete phase fi "${account[@]}" "${issuer[@]}" "${app[@]}"
op untrusted-again unless AADSTS70025
op delete-account says "deleted service account" serviceaccount delete phase sa "${account[@]}"
op deleted deleted
op delete-app says "deleted aad application" serviceaccount delete phase app "${app[@]}"
op gone unless AADSTS700016

op create says "created role assignment" serviceaccount create "${account[@]}" "${issuer[@]}" "${access[@]}" --service-account-token-expiration 2h
CLIENT_ID=$(said "created an AAD application" clientID) ASSIGNMENT=$(said "created role assignment" roleAssignmentID)
op created shows '"value":"the secret of wiemu"'
op annotated-again annotated "$CLIENT_ID"
op delete says "deleted aad application" serviceaccount delete "${account[@]}" "${issuer[@]}" --role-assignment-id "$ASSIGNMENT"
op deleted-again deleted
op gone-again unless AADSTS700016
echo "round done"
cat >"$work/rest"
