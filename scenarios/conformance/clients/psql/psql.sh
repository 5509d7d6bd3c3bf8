# What psql does with a server of Azure Database for PostgreSQL, each operation once. The password
# is a token that curl asks for, as Microsoft's documentation does with az.
set -u

export PGHOST=orders.postgres.database.azure.com PGDATABASE=orders PGUSER=web PGSSLMODE=verify-full

password() {
  curl --silent --show-error -X POST "${AZURE_AUTHORITY_HOST}${AZURE_TENANT_ID}/oauth2/v2.0/token" \
    --data-urlencode "scope=https://ossrdbms-aad.database.windows.net/.default" \
    --data-urlencode "client_assertion@${AZURE_FEDERATED_TOKEN_FILE}" \
    -d "client_id=${AZURE_CLIENT_ID}&grant_type=client_credentials&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer" 2>&1
}

ask() { psql --no-psqlrc --quiet --tuples-only --no-align --set ON_ERROR_STOP=1 "$@" 2>&1; }

want() { # NAME EXPECTED FOUND
  if [ "$2" != "$3" ]; then
    echo "$1 failed: expected $2, found $3"
    exit 1
  fi
  echo "$1 ok"
}

answer=$(password)
PGPASSWORD=$(sed -n 's/.*"access_token":"\([^"]*\)".*/\1/p' <<<"$answer")
[ -n "$PGPASSWORD" ] || { echo "$answer"; exit 1; }
export PGPASSWORD

want login "web of orders, SSL" "$(ask -c "select current_user || ' of ' || current_database()"), $(ask -c '\conninfo' | grep -o SSL | head -1)"
want unencrypted "user \"web\", database \"orders\", no encryption" "$(PGSSLMODE=disable ask -c 'select 1' | sed -n 's/.*no pg_hba.conf entry for host "[^"]*", //p')"
want table "" "$(ask -c 'create table psql (n int primary key, t text)')"
want transaction "1 0" "$(ask -c 'begin; insert into psql values (1); commit' -c 'begin; insert into psql values (2); rollback' -c 'select count(*) || $$ $$ || count(t) from psql')"
want variables "23505" "$(ask -c '\set ON_ERROR_STOP 0' -c 'insert into psql values (1)' -c '\echo :LAST_ERROR_SQLSTATE' | tail -1)"
want copy "10000 99" "$(seq 2 10001 | sed "s/\$/\t$(printf 'x%.0s' {1..99})/" | ask -c '\copy psql from stdin' -c '\copy (select count(t) || $$ $$ || max(length(t)) from psql) to stdout')"
want options "5s psql" "$(PGOPTIONS='-c statement_timeout=5s' PGAPPNAME=psql ask -c "select current_setting('statement_timeout') || ' ' || current_setting('application_name')")"

# Ctrl-C, once the query runs.
exec 3< <(exec psql --no-psqlrc -c "select 'psql waits', pg_sleep(120)" 2>&1)
pid=$!
until [ "$(ask -c "select count(*) from pg_stat_activity where query like 'select ''psql waits%' and state = 'active'")" = 1 ]; do :; done
kill -INT $pid
want cancel "ERROR:  canceling statement due to user request" "$(grep ERROR <&3)"

want drop "" "$(ask -c 'drop table psql')"
echo "round done"
cat >/dev/null
