package arm_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	databasesql "database/sql"
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/jackc/pgx/v5/pgconn"
	mssql "github.com/microsoft/go-mssqldb"
	"github.com/microsoft/go-mssqldb/msdsn"
	goredis "github.com/redis/go-redis/v9"

	"github.com/wiemu/wiemu/internal/ca"
	"github.com/wiemu/wiemu/internal/hostmux"
	"github.com/wiemu/wiemu/internal/lab"
	"github.com/wiemu/wiemu/internal/resource/postgres/local"
)

// streams lead connections to the lab's streams by their host, as the gateway does.
type streams struct {
	w     *world
	trust *ca.Authority
	roots *x509.CertPool
}

func (w *world) streams() streams {
	w.t.Helper()
	trust, err := ca.Open("", w.Clock(), ca.Options{Names: []string{".database.windows.net", ".postgres.database.azure.com", ".redis.cache.windows.net", ".redis.azure.net"}})
	if err != nil {
		w.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(trust.RootPEM())
	return streams{w, trust, roots}
}

func (s streams) DialContext(ctx context.Context, _, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	at, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, err
	}
	for _, stream := range s.w.Streams() {
		if !slices.Contains(stream.Ports, uint16(at)) || !strings.HasSuffix(host, stream.Hosts[0]) {
			continue
		}
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		serving, stop := context.WithCancel(context.Background())
		go func() {
			defer stop()
			conn, err := listener.Accept()
			if err = errors.Join(err, listener.Close()); err != nil { // not before: that would reset a connection that waits
				return
			}
			defer conn.Close()
			stream.Serve(serving, &hostmux.Connection{Conn: conn, Host: host, Port: uint16(at), Certificate: s.trust.GetCertificate, Begin: s.w.Clock().Begin})
		}()
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", listener.Addr().String())
		if err != nil {
			_ = listener.Close() // which ends the waiting for it
		}
		return conn, err
	}
	return nil, errors.New(address + " leads nowhere")
}

func (w *world) token(who azcore.TokenCredential, scope string) string {
	w.t.Helper()
	token, err := who.GetToken(w.t.Context(), policy.TokenRequestOptions{Scopes: []string{scope}})
	if err != nil {
		w.t.Fatal(err)
	}
	return token.Token
}

// logInSQL logs in to a database of a server and runs statements; the error is its first refusal.
func (s streams) logInSQL(who azcore.TokenCredential, server, database string, statements ...string) error {
	s.w.t.Helper()
	config, err := msdsn.Parse("sqlserver://" + server + ".database.windows.net:1433?database=" + database)
	if err != nil {
		s.w.t.Fatal(err)
	}
	config.TLSConfig.RootCAs = s.roots
	connector, err := mssql.NewSecurityTokenConnector(config, func(context.Context) (string, error) {
		return s.w.token(who, "https://database.windows.net/.default"), nil
	})
	if err != nil {
		s.w.t.Fatal(err)
	}
	connector.Dialer = sqlDialer{s, server + ".database.windows.net"}
	db := databasesql.OpenDB(connector)
	defer db.Close()
	if err := db.PingContext(s.w.t.Context()); err != nil {
		return err
	}
	for _, sql := range statements {
		if _, err := db.ExecContext(s.w.t.Context(), sql); err != nil {
			return err
		}
	}
	return nil
}

type sqlDialer struct {
	streams
	host string
}

func (d sqlDialer) HostName() string { return d.host }

const (
	sqlServers = "providers/Microsoft.Sql/servers"
	v2023sql   = "?api-version=2023-08-01"
)

// A SQL server lets in whom its administrator makes a user, and the administrator whose SID is the
// client id; with the object id nobody is it.
func TestASQLServerFromTheFirstToTheLast(t *testing.T) {
	w := newWorld(t, lab.Options{})
	s := w.streams()
	clientID, principalID := w.withIdentity()
	w.do("PUT "+identities+"/web/federatedIdentityCredentials/aks"+v2024, trust(w.Issuers()[0].URL(), "system:serviceaccount:shop:web-sa"))
	web := w.workload(clientID, "shop", "web-sa")
	one := sqlServers + "/ledger"
	made := w.do("PUT "+one+v2023sql, `{"location": "westeurope", "properties": {"administratorLogin": "sa", "administratorLoginPassword": "P@ssword1"}}`)
	if made.status != 202 || !strings.Contains(made.body, `"operation":"UpsertLogicalServer"`) {
		t.Fatalf("%d %s", made.status, made.body)
	}
	w.finished(made)
	if got := w.do("GET "+one+v2023sql, ""); got.member(t, "properties", "fullyQualifiedDomainName") != "ledger.database.windows.net" || strings.Contains(got.body, "P@ssword1") {
		t.Errorf("%s", got.body)
	}
	w.finished(w.do("PUT "+one+"/databases/sales"+v2023sql, `{"location": "westeurope", "sku": {"name": "Basic"}}`))
	if err := s.logInSQL(w.terraform(), "ledger", "sales"); err == nil {
		t.Error("who made the server logs in to it")
	}
	admin := func(sid string) {
		w.finished(w.do("PUT "+one+"/administrators/ActiveDirectory"+v2023sql, `{"properties": {"administratorType": "ActiveDirectory", "login": "terraform", "sid": "`+sid+`", "tenantId": "`+tenantID+`"}}`))
	}
	admin(w.object(terraform))
	if err := s.logInSQL(w.terraform(), "ledger", "sales"); err == nil {
		t.Error("with the object id for its SID, an application is administrator")
	}
	admin(terraform)
	if err := s.logInSQL(w.terraform(), "ledger", "sales", "CREATE USER [web] FROM EXTERNAL PROVIDER", "ALTER ROLE db_datareader ADD MEMBER [web]"); err != nil {
		t.Fatal(err)
	}
	if err := s.logInSQL(web, "ledger", "sales"); err != nil {
		t.Errorf("the workload: %v", err)
	}
	if err := s.logInSQL(web, "ledger", "master"); err == nil {
		t.Error("the workload logs in to master")
	}
	if got := w.do("PUT "+one+v2023sql, `{"location": "westeurope", "tags": {"a": "b"}, "properties": {}}`); got.status != 202 {
		t.Errorf("%d %s", got.status, got.body)
	}
	if err := s.logInSQL(web, "ledger", "sales"); err != nil {
		t.Errorf("after the server was changed, the workload: %v", err)
	}
	w.finished(w.do("PUT "+one+"/azureADOnlyAuthentications/Default"+v2023sql, `{"properties": {"azureADOnlyAuthentication": true}}`))
	if got := w.ask(w.terraform(), "DELETE "+one+"/administrators/ActiveDirectory"+v2023sql, ""); got.status != 400 || got.Code != "AadOnlyAuthenticationEnabled" {
		t.Errorf("%d %s", got.status, got.body)
	}
	w.finished(w.do("PUT "+one+"/azureADOnlyAuthentications/Default"+v2023sql, `{"properties": {"azureADOnlyAuthentication": false}}`))
	w.finished(w.do("DELETE "+one+"/administrators/ActiveDirectory"+v2023sql, ""))
	if err := s.logInSQL(w.terraform(), "ledger", "sales"); err == nil {
		t.Error("who was administrator logs in")
	}
	if got := w.do("GET "+one+"/databases"+v2023sql, ""); strings.Count(got.body, `"status":"Online"`) != 2 {
		t.Errorf("%s", got.body)
	}
	if got := w.do("PUT "+one+"/firewallRules/all"+v2023sql, `{"properties": {"startIpAddress": "0.0.0.0", "endIpAddress": "255.255.255.255"}}`); got.status != 201 {
		t.Errorf("%d %s", got.status, got.body)
	}
	w.finished(w.do("DELETE "+one+"/databases/sales"+v2023sql, ""))
	if err := s.logInSQL(web, "ledger", "sales"); err == nil {
		t.Error("a database that was deleted is there")
	}
	w.do("DELETE "+one+v2023sql, "")
	if got := w.do("DELETE "+one+v2023sql, ""); got.status != 204 {
		t.Errorf("%d %s", got.status, got.body)
	}
	if err := s.logInSQL(w.terraform(), "ledger", "master"); err == nil {
		t.Error("a server that was deleted is there")
	}
	w.do("PUT "+one+v2023sql, `{"location": "westeurope", "properties": {"administrators": {"administratorType": "ActiveDirectory", "principalType": "Application", "login": "web", "sid": "`+clientID+`", "tenantId": "`+tenantID+`", "azureADOnlyAuthentication": true}}}`)
	if err := s.logInSQL(web, "ledger", "master"); err != nil {
		t.Errorf("the administrator of the body: %v", err)
	}
	if got := w.do("GET "+one+"/administrators/ActiveDirectory"+v2023sql, ""); got.member(t, "properties", "sid") != clientID || principalID == clientID {
		t.Errorf("%s", got.body)
	}
}

// What a SQL server cannot be is refused.
func TestRefusedSQLServers(t *testing.T) {
	w := newWorld(t, lab.Options{})
	w.withIdentity()
	w.do("PUT "+inTenant+"/resourceGroups/other"+groups2022, `{"location": "westeurope"}`)
	const body = `{"location": "westeurope", "properties": {"administratorLogin": "sa"}}`
	w.do("PUT "+sqlServers+"/ledger"+v2023sql, body)
	for _, row := range []struct {
		request, body string
		status        int
		code          string
	}{
		{"PUT " + sqlServers + "/Ledger_1" + v2023sql, body, 400, "InvalidServerName"},
		{"PUT " + inTenant + "/resourceGroups/other/" + sqlServers + "/ledger" + v2023sql, body, 409, "NameAlreadyExists"},
		{"PUT " + sqlServers + "/other" + v2023sql, `{"location": "westeurope", "properties": {}}`, 400, "InvalidParameterValue"},
		{"PUT " + sqlServers + "/other" + v2023sql, `{"location": "westeurope", "properties": {"administrators": {"login": "web", "sid": "web"}}}`, 400, "InvalidParameterValue"},
		{"PUT " + sqlServers + "/other" + v2023sql, `{"location": "westeurope", "properties": {"administrators": []}}`, 400, "InvalidParameterValue"},
		{"PUT " + sqlServers + "/other/databases/sales" + v2023sql, `{"location": "westeurope"}`, 404, "ParentResourceNotFound"},
		{"PUT " + sqlServers + "/ledger/databases/sa%2Fles" + v2023sql, `{"location": "westeurope"}`, 400, "InvalidDatabaseName"},
		{"PUT " + sqlServers + "/ledger/databases/master" + v2023sql, `{"location": "westeurope"}`, 409, "ScopeLocked"},
		{"DELETE " + sqlServers + "/ledger/databases/master" + v2023sql, "", 409, "ScopeLocked"},
		{"PUT " + sqlServers + "/ledger/administrators/Other" + v2023sql, `{"properties": {}}`, 400, "InvalidResourceName"},
		{"PUT " + sqlServers + "/ledger/administrators/ActiveDirectory" + v2023sql, `{}`, 400, "InvalidParameterValue"},
		{"PUT " + sqlServers + "/ledger/azureADOnlyAuthentications/Default" + v2023sql, `{"properties": {"azureADOnlyAuthentication": true}}`, 400, "AadAdminNotConfigured"},
		{"GET " + sqlServers + "/ledger/administrators/ActiveDirectory" + v2023sql, "", 404, "ResourceNotFound"},
		{"PUT " + sqlServers + "/ledger/firewallRules/all" + v2023sql, `{"properties": {}}`, 400, "InvalidFirewallRule"},
	} {
		if got := w.ask(w.terraform(), row.request, row.body); got.status != row.status || got.Code != row.code {
			t.Errorf("%s %s: %d %s, want %d %s", row.request, row.body, got.status, got.body, row.status, row.code)
		}
	}
}

const (
	redisCaches = "providers/Microsoft.Cache/redis"
	v2024redis  = "?api-version=2024-03-01"
	cacheBody   = `{"location": "West Europe", "properties": {"sku": {"name": "Standard", "family": "c", "capacity": 1}, "redisConfiguration": {"aad-enabled": "true"}}}`
)

// redis runs a command and returns what it says.
func (s streams) redis(who azcore.TokenCredential, objectID, address string, command ...any) string {
	s.w.t.Helper()
	host, _, _ := strings.Cut(address, ":")
	client := goredis.NewClient(&goredis.Options{
		Addr: address, Username: objectID, Password: s.w.token(who, "https://redis.azure.com/.default"), MaxRetries: -1,
		Dialer: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := s.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return tls.Client(conn, &tls.Config{ServerName: host, RootCAs: s.roots}), nil
		},
	})
	defer client.Close()
	got, err := client.Do(s.w.t.Context(), command...).Text()
	if err != nil {
		return err.Error()
	}
	return got
}

// A cache lets in who is assigned a data access policy, and as far as that goes.
func TestACacheFromTheFirstToTheLast(t *testing.T) {
	w := newWorld(t, lab.Options{})
	s := w.streams()
	clientID, principalID := w.withIdentity()
	w.do("PUT "+identities+"/web/federatedIdentityCredentials/aks"+v2024, trust(w.Issuers()[0].URL(), "system:serviceaccount:shop:web-sa"))
	web := w.workload(clientID, "shop", "web-sa")
	const at = "ledger.redis.cache.windows.net:6380"
	one := redisCaches + "/ledger"
	made := w.do("PUT "+one+v2024redis, cacheBody)
	if made.status != 201 || made.member(t, "properties", "hostName") != "ledger.redis.cache.windows.net" {
		t.Fatalf("%d %s", made.status, made.body)
	}
	w.finished(made)
	ask := func(command ...any) string { return s.redis(web, principalID, at, command...) }
	if got := ask("PING"); !strings.Contains(got, "WRONGPASS") && !strings.Contains(got, "NOAUTH") {
		t.Errorf("without a policy: %s", got)
	}
	if got := w.do("PUT "+one+"/accessPolicyAssignments/web"+v2024redis, `{"properties": {"accessPolicyName": "Data Contributor", "objectId": "`+principalID+`", "objectIdAlias": "web"}}`); got.status != 201 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	if got := ask("SET", "a", "1"); got != "OK" {
		t.Errorf("%s", got)
	}
	w.do("PUT "+one+"/accessPolicies/counter"+v2024redis, `{"properties": {"permissions": "+@read +@connection ~app:*"}}`)
	if got := w.do("PUT "+one+"/accessPolicyAssignments/web"+v2024redis, `{"properties": {"accessPolicyName": "counter", "objectId": "`+principalID+`", "objectIdAlias": "web"}}`); got.status != 200 {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := ask("GET", "a"); !strings.Contains(got, "NOPERM") {
		t.Errorf("with a policy for other keys: %s", got)
	}
	if got := w.do("GET "+one+"/accessPolicies"+v2024redis, ""); strings.Count(got.body, `"provisioningState":"Succeeded"`) != 4 {
		t.Errorf("%s", got.body)
	}
	if got := w.do("PUT "+one+"/accessPolicyAssignments/web"+v2024redis, `{"properties": {"accessPolicyName": "Data Reader", "objectId": "`+principalID+`", "objectIdAlias": "web"}}`); got.status != 200 {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := ask("GET", "a"); got != "1" {
		t.Errorf("%s", got)
	}
	w.do("PATCH "+one+v2024redis, `{"properties": {"redisConfiguration": {"aad-enabled": "false"}}}`)
	if got := ask("PING"); got == "PONG" {
		t.Error("with Entra authentication disabled, an identity logs in")
	}
	w.do("PATCH "+one+v2024redis, `{"properties": {"redisConfiguration": {"aad-enabled": "true"}}}`)
	w.finished(w.do("DELETE "+one+"/accessPolicyAssignments/web"+v2024redis, ""))
	if got := ask("PING"); got == "PONG" {
		t.Error("without its assignment, an identity logs in")
	}
	if got := w.do("POST "+one+"/listKeys"+v2024redis, ""); got.member(t, "primaryKey") == "" {
		t.Errorf("%s", got.body)
	}
	w.finished(w.do("DELETE "+one+v2024redis, ""))
	if got := ask("PING"); got == "PONG" {
		t.Error("a cache that was deleted is there")
	}
	for _, row := range []struct {
		request, body string
		status        int
		code          string
	}{
		{"PUT " + redisCaches + "/Led--ger" + v2024redis, cacheBody, 400, "InvalidRequestBody"},
		{"PUT " + redisCaches + "/other" + v2024redis, `{"location": "westeurope", "properties": {}}`, 400, "InvalidRequestBody"},
		{"PUT " + redisCaches + "/other/accessPolicyAssignments/web" + v2024redis, `{"properties": {}}`, 404, "ParentResourceNotFound"},
	} {
		if got := w.ask(w.terraform(), row.request, row.body); got.status != row.status || got.Code != row.code {
			t.Errorf("%s: %d %s, want %d %s", row.request, got.status, got.body, row.status, row.code)
		}
	}
}

// A Managed Redis is served once it has its database, and lets in whom that is assigned to.
func TestAManagedRedis(t *testing.T) {
	w := newWorld(t, lab.Options{})
	s := w.streams()
	_, principalID := w.withIdentity()
	const v = "?api-version=2025-04-01"
	const at = "ledger.westeurope.redis.azure.net:10000"
	one := "providers/Microsoft.Cache/redisEnterprise/ledger"
	w.finished(w.do("PUT "+one+v, `{"location": "westeurope", "sku": {"name": "Balanced_B5"}, "properties": {}}`))
	object := w.object(terraform)
	if got := s.redis(w.terraform(), object, at, "PING"); got == "PONG" {
		t.Error("without a database it is there")
	}
	w.finished(w.do("PUT "+one+"/databases/default"+v, `{"properties": {}}`))
	w.finished(w.do("PUT "+one+"/databases/default/accessPolicyAssignments/terraform"+v, `{"properties": {"accessPolicyName": "default", "user": {"objectId": "`+object+`"}}}`))
	if got := s.redis(w.terraform(), object, at, "PING"); got != "PONG" {
		t.Errorf("%s", got)
	}
	w.finished(w.do("DELETE "+one+v, ""))
	if got := s.redis(w.terraform(), object, at, "PING"); got == "PONG" || principalID == "" {
		t.Error("after it was deleted it is there")
	}
}

const (
	flexible = "providers/Microsoft.DBforPostgreSQL/flexibleServers"
	v2024pg  = "?api-version=2024-08-01"
	pgBody   = `{"location": "westeurope", "sku": {"name": "Standard_B1ms", "tier": "Burstable"}, "properties": {"administratorLogin": "pg", "administratorLoginPassword": "P@ssword1", "authConfig": {"activeDirectoryAuth": "Enabled", "passwordAuth": "Disabled"}}}`
)

// postgres logs in as a role and runs a statement.
func (s streams) postgres(who azcore.TokenCredential, server, role, database, statement string) error {
	s.w.t.Helper()
	host := server + ".postgres.database.azure.com"
	cfg, err := pgconn.ParseConfig("host=" + host + " user=" + role + " dbname=" + database + " sslmode=verify-full password=" + s.w.token(who, "https://ossrdbms-aad.database.windows.net/.default"))
	if err != nil {
		s.w.t.Fatal(err)
	}
	cfg.TLSConfig = &tls.Config{ServerName: host, RootCAs: s.roots}
	cfg.DialFunc = s.DialContext
	cfg.LookupFunc = func(context.Context, string) ([]string, error) { return []string{host}, nil }
	conn, err := pgconn.ConnectConfig(s.w.t.Context(), cfg)
	if err != nil {
		return err
	}
	defer conn.Close(s.w.t.Context())
	_, err = conn.Exec(s.w.t.Context(), statement).ReadAll()
	return err
}

// A PostgreSQL server lets in its administrators, as roles that are called as they were named.
func TestAPostgreSQLServerFromTheFirstToTheLast(t *testing.T) {
	if _, err := local.Find(); err != nil {
		t.Skip(err)
	}
	w := newWorld(t, lab.Options{})
	s := w.streams()
	w.withIdentity()
	object := w.object(terraform)
	one := flexible + "/ledger"
	made := w.do("PUT "+one+v2024pg, pgBody)
	w.finished(made)
	if got := w.do("GET "+one+v2024pg, ""); made.status != 202 || got.member(t, "properties", "state") != "Ready" || strings.Contains(got.body, "P@ssword1") || got.member(t, "properties", "authConfig", "tenantId") != tenantID {
		t.Errorf("%d %s", made.status, got.body)
	}
	w.finished(w.do("PUT "+one+"/databases/sales"+v2024pg, `{"properties": {"charset": "UTF8"}}`))
	if err := s.postgres(w.terraform(), "ledger", "terraform", "postgres", "select 1"); err == nil {
		t.Error("who made the server logs in to it")
	}
	w.finished(w.do("PUT "+one+"/administrators/"+object+v2024pg, `{"properties": {"principalName": "deployer", "principalType": "ServicePrincipal", "tenantId": "`+tenantID+`"}}`))
	if err := s.postgres(w.terraform(), "ledger", "deployer", "sales", "create table t (n int)"); err != nil {
		t.Errorf("the administrator: %v", err)
	}
	w.finished(w.do("PUT "+one+"/databases/stock"+v2024pg, `{"properties": {}}`)) // while it runs
	if err := s.postgres(w.terraform(), "ledger", "deployer", "stock", "create table t (n int)"); err != nil {
		t.Errorf("in a database that was made later: %v", err)
	}
	w.finished(w.do("DELETE "+one+"/databases/stock"+v2024pg, ""))
	if err := s.postgres(w.terraform(), "ledger", "deployer", "stock", "select 1"); err == nil {
		t.Error("a database that was deleted is there")
	}
	w.finished(w.do("DELETE "+one+"/administrators/"+object+v2024pg, ""))
	if err := s.postgres(w.terraform(), "ledger", "deployer", "sales", "select 1"); err == nil {
		t.Error("who was administrator logs in")
	}
	w.finished(w.do("DELETE "+one+v2024pg, ""))
	if err := s.postgres(w.terraform(), "ledger", "deployer", "sales", "select 1"); err == nil {
		t.Error("a server that was deleted is there")
	}
	for _, row := range []struct {
		request, body string
		status        int
		code          string
	}{
		{"PUT " + flexible + "/L" + v2024pg, pgBody, 400, "InvalidServerName"},
		{"PUT " + flexible + "/other/administrators/" + object + v2024pg, `{"properties": {"principalName": "x", "principalType": "User"}}`, 404, "ParentResourceNotFound"},
	} {
		if got := w.ask(w.terraform(), row.request, row.body); got.status != row.status || got.Code != row.code {
			t.Errorf("%s: %d %s, want %d %s", row.request, got.status, got.body, row.status, row.code)
		}
	}
	w.do("PUT "+flexible+"/plain"+v2024pg, strings.Replace(pgBody, `"activeDirectoryAuth": "Enabled"`, `"activeDirectoryAuth": "Disabled"`, 1))
	if got := w.ask(w.terraform(), "PUT "+flexible+"/plain/administrators/"+object+v2024pg, `{"properties": {"principalName": "x", "principalType": "User"}}`); got.status != 400 || got.Code != "AadAuthOperationCannotBePerformedWhenServerIsNotAadEnabled" {
		t.Errorf("%d %s", got.status, got.body)
	}
}
