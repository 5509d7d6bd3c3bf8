# What sops does with files and a key of a vault, each operation once.
PATH=$PWD:$PATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

op() { # NAME COMMAND...
  local name=$1 out
  shift
  if ! out=$("$@" 2>&1); then
    echo "$name failed $(tr '\n' ' ' <<<"$out" | tail -c 2000)"
    exit 1
  fi
  echo "$name ok"
}

# The key without a version, as .sops.yaml names it: the vault's latest is meant.
encrypt() {
  sops encrypt --output secrets.enc.yaml secrets.yaml && ! grep -q hunter2 secrets.enc.yaml &&
    grep -Eq '^ +version: [0-9a-f]{32}$' secrets.enc.yaml
}
decrypt() { diff secrets.yaml <(sops decrypt secrets.enc.yaml); }
extract() { [ "$(sops decrypt --extract '["database"]["password"]' secrets.enc.yaml)" = hunter2 ]; }
change() {
  sops set secrets.enc.yaml '["database"]["password"]' '"hunter3"' &&
    sops decrypt secrets.enc.yaml | grep -q hunter3
}
rotate() { # a new data key
  cp secrets.enc.yaml before && sops rotate --in-place secrets.enc.yaml &&
    [ "$(grep enc: before)" != "$(grep enc: secrets.enc.yaml)" ] && sops decrypt secrets.enc.yaml | grep -q hunter3
}
environment() { # of a program
  sops encrypt --output app.enc.env app.env &&
    [ "$(sops exec-env app.enc.env 'echo "$PASSWORD"')" = hunter2 ]
}
another_version() { # that the vault does not have
  sed -E 's/^( +version: )[0-9a-f]{32}$/\100000000000000000000000000000000/' secrets.enc.yaml >other.yaml
  ! out=$(sops decrypt other.yaml 2>&1) && echo "$out" && grep -q KeyNotFound <<<"$out"
}

printf 'database:\n    password: hunter2\n' >secrets.yaml
echo PASSWORD=hunter2 >app.env
echo '{creation_rules: [{azure_keyvault: https://mykeyvault.vault.azure.net/keys/sops}]}' >.sops.yaml

op encrypt encrypt
op decrypt decrypt
op extract extract
op set change
op rotate rotate
op exec-env environment
op another-version another_version
echo "round done"
cat >"$work/rest"
