# What the scripts for Azure CLI share. A script has a directory of its own, $work, and prints a line
# for each operation.

PATH=$PWD/venv/bin:$PATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export AZURE_CONFIG_DIR=$work/deploy

op() { # NAME COMMAND...
  local name=$1 out
  shift
  if ! out=$("$@" 2>&1); then
    echo "$name failed $(tr '\n' ' ' <<<"$out" | tail -c 2000)"
    exit 1
  fi
  echo "$name ok"
}

refused() { # TEXT COMMAND...
  local text=$1
  shift
  ! "$@" >"$work/said" 2>&1 && grep -q "$text" "$work/said" || { cat "$work/said"; return 1; }
}

# claim prints a claim of the service-account token.
claim() { python3 -c 'import base64, json, sys
body = sys.argv[1].split(".")[1]
print(json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))[sys.argv[2]])' "$(cat "$AZURE_FEDERATED_TOKEN_FILE")" "$1"; }

# login logs in with the service-account token, or with the arguments in its place.
login() { # CONFIGURATION CLIENT-ID [ARGUMENT...]
  local configuration=$1 id=$2
  shift 2
  [ $# -gt 0 ] || set -- --federated-token "$(cat "$AZURE_FEDERATED_TOKEN_FILE")"
  AZURE_CONFIG_DIR=$work/$configuration az login --service-principal -u "$id" --tenant "$AZURE_TENANT_ID" "$@" --allow-no-subscriptions
}

# web is az of whoever logged in with the configuration web.
web() { AZURE_CONFIG_DIR=$work/web az "$@"; }
show() { web keyvault secret show --vault-name mykeyvault -n mysecret --query value -o tsv; }
secret() { [ "$(show)" = "the secret of wiemu" ]; }
