# What az does with blobs as --auth-mode login, each operation once.

. ./common.sh

blob() { az storage blob "$@" --account-name orders --auth-mode login --only-show-errors; }
download() { blob download -c azcli -n big -f "$work/got" --output none && cmp "$work/big" "$work/got"; }
list() { [ "$(blob list -c azcli --prefix d/ --query '[].name' -o tsv)" = d/a.txt ]; }
copy() { [ "$(blob copy start --source-container azcli --source-blob d/a.txt -c azcli -b copy --query copy_status -o tsv)" = success ]; }
sas() {
  local url
  url=$(blob generate-sas -c azcli -n d/a.txt --permissions r --expiry "$(date -u -d '+30 min' +%Y-%m-%dT%H:%MZ)" --as-user --full-uri -o tsv)
  [ "$(curl -fsS "$url")" = hello ]
}

head -c 5000000 /dev/urandom >"$work/big"
echo hello >"$work/a.txt"

op login login deploy "$AZURE_CLIENT_ID"
op create az storage container create -n azcli --account-name orders --auth-mode login --only-show-errors
op put blob upload -c azcli -n d/a.txt -f "$work/a.txt" --metadata k=v
op large blob upload -c azcli -n big -f "$work/big"
op download download
op list list
op copy copy
op sas sas
op lease blob lease acquire -c azcli -b copy --lease-duration 15
op upload-batch blob upload-batch -d azcli -s "$work" --pattern '*.txt' --destination-path batch
op delete-batch blob delete-batch -s azcli --pattern 'batch/*'
op delete az storage container delete -n azcli --account-name orders --auth-mode login --only-show-errors
echo "round done"
cat >"$work/rest"
