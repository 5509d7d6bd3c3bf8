# What azcopy does with containers, each operation once.
azcopy=$(echo "$PWD"/node_modules/@azure-tools/azcopy-linux/dist/bin/azcopy_linux_*)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export AZCOPY_AUTO_LOGIN_TYPE=WORKLOAD AZCOPY_LOG_LOCATION=$work/log AZCOPY_JOB_PLAN_LOCATION=$work/plan AZCOPY_DISABLE_SYSLOG=true
orders=https://orders.blob.core.windows.net/azcopy reports=https://reports.blob.core.windows.net/azcopy

op() { # NAME COMMAND...
  local name=$1 out
  shift
  if ! out=$("$@" 2>&1); then
    echo "$name failed $(tr '\n' ' ' <<<"$out" | tail -c 2000)"
    exit 1
  fi
  echo "$name ok"
}

azcopy() { "$azcopy" "$@" --skip-version-check --output-level essential; }
download() { azcopy copy "$orders/src" "$work/got" --recursive && diff -r "$work/src" "$work/got/src"; }
between() { azcopy copy "$orders/src" "$reports" --recursive && azcopy list "$reports" | grep -q src/sub/a.txt; }

mkdir -p "$work/src/sub"
head -c 9000000 /dev/urandom >"$work/src/big"
echo hello >"$work/src/sub/a.txt"

op make azcopy make "$orders"
op upload azcopy copy "$work/src" "$orders" --recursive --put-md5 --block-size-mb 1
op list azcopy list "$orders"
op download download
op sync azcopy sync "$work/src" "$orders/src"
op make-other azcopy make "$reports"
op copy between
op remove azcopy remove "$orders/src" --recursive
echo "round done"
cat >"$work/rest"
