package sql_test

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/internal/hostmux"
	"github.com/wiemu/wiemu/internal/resource/internal/tokentest"
	"github.com/wiemu/wiemu/internal/resource/sql"
)

func TestWhoIsLoggedIn(t *testing.T) {
	l := newLab(t, orders())
	for _, row := range []struct{ name, token, database, options, login, user string }{
		{"a user", l.token(), "sales", "encrypt=true", tokentest.ClientID + "@" + tokentest.Tenant, "web"},
		{"without encryption asked for", l.token(), "sales", "encrypt=false", tokentest.ClientID + "@" + tokentest.Tenant, "web"},
		{"TDS 8.0", l.token(), "sales", "encrypt=strict", tokentest.ClientID + "@" + tokentest.Tenant, "web"},
		{"the administrator", l.tokenOf(admin, adminOID), "stock", "encrypt=true", admin + "@" + tokentest.Tenant, "dbo"},
		{"the administrator in master", l.tokenOf(admin, adminOID), "", "encrypt=true", admin + "@" + tokentest.Tenant, "dbo"},
		{"with a zero behind its token", l.token() + "\x00", "sales", "encrypt=true", tokentest.ClientID + "@" + tokentest.Tenant, "web"},
		{"by the audience without a slash", l.tokens.Mint(t, "https://database.windows.net", nil), "sales", "encrypt=true", tokentest.ClientID + "@" + tokentest.Tenant, "web"},
	} {
		t.Run(row.name, func(t *testing.T) {
			var login, user, database string
			err := l.open(row.token, row.database, row.options).QueryRow("SELECT SUSER_SNAME(), USER_NAME(), DB_NAME()").Scan(&login, &user, &database)
			want := row.database
			if want == "" {
				want = "master"
			}
			if err != nil || login != row.login || user != row.user || database != want {
				t.Fatalf("%s, %s, %s, %v", login, user, database, err)
			}
			if e := l.last(); e.Error != "" || !strings.Contains(e.Summary, "log in to database "+want+" of orders by ") || e.Detail["user"] != row.user || e.Detail["authentication"] != "security token" {
				t.Errorf("%+v", e)
			}
		})
	}
}

// The connection strings of Azure's portal name the certificate of all servers.
func TestTheCertificateIsThatOfAllServers(t *testing.T) {
	l := newLab(t, orders())
	l.hosts = dialer{host: l.listen("", 1433)} // as in a container, where the address names nobody
	must(t, l.servers.Put(sql.Server{Name: "another", Tenant: tokentest.Tenant}))
	for _, option := range []string{"encrypt=true", "encrypt=true&hostNameInCertificate=*.database.windows.net", "encrypt=strict&hostNameInCertificate=" + host} {
		if err := l.open(l.token(), "sales", option).PingContext(t.Context()); err != nil {
			t.Errorf("%q: %v", option, err)
		}
	}
	if err := l.open(l.token(), "sales", "encrypt=true&hostNameInCertificate=*.example.com").PingContext(t.Context()); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a certificate of somebody else: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	l := newLab(t, orders(), sql.Server{Name: "archive", Tenant: another})
	const failed = "Login failed for user '<token-identified principal>'."
	for _, row := range []struct {
		name, token, database, fault string
		number                       int32
		class                        uint8
		text, meaning                string
	}{
		{"expired", l.tokens.Mint(t, "https://database.windows.net/", tokentest.Claims{"exp": tokentest.Start().Add(-time.Hour).Unix()}), "sales", "", 18456, 14, failed + " Token is expired.", "validity is over"},
		{"for another resource", l.tokens.Mint(t, "https://vault.azure.net", nil), "sales", "", 18456, 14, failed + " Incorrect or invalid token.", "made for another resource"},
		{"for the resource with two slashes", l.tokens.Mint(t, "https://database.windows.net//", nil), "sales", "", 18456, 14, failed + " Incorrect or invalid token.", "more slashes"},
		{"no token at all", "abc", "sales", "", 18456, 14, failed + " Incorrect or invalid token.", "not a signed JWT"},
		{"of another tenant", l.tokens.Mint(t, "https://database.windows.net/", tokentest.Claims{"tid": another, "iss": "https://sts.windows.net/" + another + "/"}), "sales", "", 18456, 14, failed + " The server is not currently configured to accept this token.", "another tenant"},
		{"not yet valid", l.tokens.Mint(t, "https://database.windows.net/", tokentest.Claims{"nbf": tokentest.Start().Add(time.Hour).Unix()}), "sales", "", 18456, 14, failed + " Incorrect or invalid token.", "future"},
		{"no user of this database", l.token(), "stock", "", 18456, 14, failed, "It is one of sales"},
		{"no database named", l.token(), "", "", 18456, 14, failed, "named no database"},
		{"a SID made of the object id", l.tokenOf(other, otherOID), "sales", "", 18456, 14, failed, "object id (" + otherOID + ")"},
		{"a user of the administrator's application", l.tokens.Mint(t, "https://database.windows.net/", tokentest.Claims{"appid": admin, "oid": otherOID, "scp": "user_impersonation"}), "stock", "", 18456, 14, failed, "no user there has the SID"},
		{"a user nowhere", l.tokenOf(other, otherOID), "stock", "", 18456, 14, failed, "no user there has the SID"},
		{"no such database", l.token(), "nodb", "", 4060, 11, `Cannot open database "nodb" requested by the login. The login failed.`, "has no database nodb"},
		{"a firewall", l.token(), "sales", "network-rules,for.resource=sql", 40615, 14, "Cannot open server 'orders' requested by the login. Client with IP address '127.0.0.1' is not allowed", "firewall"},
		{"a database that resumes", l.token(), "sales", "sql-error,for.resource=sql", 40613, 17, "Database 'sales' on server 'orders' is not currently available.", "fault"},
		{"a busy service", l.token(), "sales", "sql-error,number=40501", 40501, 20, "The service is currently busy.", "fault"},
		{"a limit", l.token(), "sales", "sql-error,number=10928", 10928, 20, "Resource ID: 1. The request limit for the database is", "fault"},
		{"another limit", l.token(), "sales", "sql-error,number=10929", 10929, 20, "Resource ID: 1. The request minimum guarantee is", "fault"},
		{"a failover", l.token(), "sales", "sql-error,number=40197", 40197, 17, "The service has encountered an error processing your request.", "fault"},
		{"throttled", l.token(), "sales", "throttled,for.resource=sql", 40501, 20, "The service is currently busy.", "fault"},
		{"an outage", l.token(), "sales", "server-error,for.resource=sql", 40613, 17, "Database 'sales' on server 'orders'", "fault"},
	} {
		t.Run(row.name, func(t *testing.T) {
			l.faults.ClearAll()
			if row.fault != "" {
				l.inject(row.fault)
			}
			errs := refused(l.open(row.token, row.database).Ping())
			if len(errs) == 0 || errs[0].Number != row.number || errs[0].Class != row.class || errs[0].State != 1 || errs[0].LineNo != 65536 || !strings.HasPrefix(strings.TrimPrefix(errs[0].Message, "login error: "), row.text) {
				t.Fatalf("expected %d %d %s, got %+v", row.number, row.class, row.text, errs)
			}
			if !strings.HasSuffix(row.text, "is") && row.fault == "" && strings.TrimPrefix(errs[0].Message, "login error: ") != row.text {
				t.Errorf("expected exactly %s, got %s", row.text, errs[0].Message)
			}
			if second := row.number == 4060; second != (len(errs) == 2) || second && errs[1].Number != 18456 {
				t.Errorf("further errors: %+v", errs)
			}
			if e := l.last(); !strings.Contains(e.Meaning, row.meaning) || e.Remedy == "" || e.Error == "" {
				t.Errorf("expected the meaning %q: %+v", row.meaning, e)
			}
		})
	}
}

// Nobody but the program that led it knows which server is meant when the name is unknown.
func TestNoSuchServer(t *testing.T) {
	l := newLab(t, orders())
	l.hosts[host] = l.listen("order.database.windows.net", 1433)
	errs := refused(l.open(l.token(), "sales").Ping())
	if len(errs) != 1 || errs[0].Number != 40532 || !strings.Contains(errs[0].Message, `Cannot open server "order" requested by the login.`) {
		t.Fatalf("%+v", errs)
	}
	if e := l.last(); !strings.Contains(e.Remedy, "Did you mean orders?") {
		t.Errorf("%+v", e)
	}
}

// A user made of the object id is nobody, one made of the client id is who it says.
func TestCreateUser(t *testing.T) {
	l := newLab(t, orders())
	db := l.open(l.tokenOf(admin, adminOID), "stock")
	const byObject = "CREATE USER [reports] WITH SID = 0xBBBBBBBB000000408000000000000002, TYPE = E"
	for _, row := range []struct {
		statement string
		number    int32
		in        bool
	}{
		{byObject, 0, false},
		{"DROP USER [reports]", 0, false},
		{"CREATE USER [reports] WITH SID = 0xAAAAAAAA000000408000000000000002, TYPE = E", 0, true},
		{"DROP USER IF EXISTS [reports]", 0, false},
		{"DROP USER IF EXISTS [reports]", 0, false},
		{"DROP USER [reports]", 15151, false},
		{"CREATE USER [reports] FROM EXTERNAL PROVIDER", 0, true},
		{"CREATE USER [reports] FROM EXTERNAL PROVIDER", 15023, true},
		{"CREATE USER [again] FROM EXTERNAL PROVIDER WITH OBJECT_ID = '" + otherOID + "'", 15063, true},
		{"DROP USER [reports]", 0, false},
		{"CREATE USER [again] FROM EXTERNAL PROVIDER WITH OBJECT_ID = '" + otherOID + "'", 0, true},
		{"CREATE USER [nobody] FROM EXTERNAL PROVIDER", 33130, true},
		{"CREATE USER [short] WITH SID = 0xAA, TYPE = E", 15419, true},
		{"ALTER ROLE db_datareader ADD MEMBER [again]", 0, true},
		{"ALTER ROLE db_nothing ADD MEMBER [again]", 15151, true},
		{"EXEC sp_addrolemember 'db_datawriter', 'again'", 0, true},
		{"BEGIN TRAN; DROP USER [again]; ROLLBACK", 0, true},
	} {
		_, err := db.Exec(row.statement)
		if errs := refused(err); row.number == 0 && err != nil || row.number != 0 && (len(errs) == 0 || errs[0].Number != row.number) {
			t.Fatalf("%s: expected %d, got %v", row.statement, row.number, err)
		}
		if err := l.open(l.tokenOf(other, otherOID), "stock").Ping(); (err == nil) != row.in {
			t.Fatalf("after %s: %v", row.statement, err)
		}
	}
	var roles string
	must(t, l.open(l.tokenOf(other, otherOID), "stock").QueryRow("SELECT USER_NAME() + CASE WHEN IS_MEMBER('db_datareader') = 1 AND IS_ROLEMEMBER('db_datawriter') = 1 AND IS_MEMBER('db_owner') = 0 THEN ' reads and writes' ELSE '' END").Scan(&roles))
	if roles != "again reads and writes" {
		t.Error(roles)
	}
	_, err := l.open(l.tokenOf(other, otherOID), "stock").Exec("CREATE USER [web] FROM EXTERNAL PROVIDER")
	if errs := refused(err); len(errs) == 0 || errs[0].Number != 15247 {
		t.Errorf("a user who may not: %v", err)
	}
	if e := l.last(); !strings.Contains(e.Meaning, "do not permit this") || e.Error != "15247" {
		t.Errorf("%+v", e)
	}
}

// A client that is sent elsewhere logs in there; the answer to its login has no error.
func TestRedirect(t *testing.T) {
	server := orders()
	server.Redirect = true
	l := newLab(t, server)
	if err := l.open(l.token(), "sales").Ping(); err == nil || !strings.Contains(err.Error(), "orders.worker.database.windows.net") {
		t.Fatalf("nothing leads there: %v", err)
	}
	l.hosts["orders.worker.database.windows.net"] = l.listen("orders.worker.database.windows.net", 11000)
	for _, mode := range []string{"encrypt=true", "encrypt=strict"} {
		if err := l.open(l.token(), "sales", mode).Ping(); err != nil {
			t.Errorf("%s: %v", mode, err)
		}
	}
	if errs := refused(l.open(l.token(), "stock").Ping()); len(errs) != 1 || errs[0].Number != 18456 {
		t.Errorf("who may not log in is refused before: %v", errs)
	}
	l = newLab(t, orders())
	l.hosts["orders.worker.database.windows.net"] = l.listen("orders.worker.database.windows.net", 11000)
	l.inject("sql-redirect,for.resource=sql,when.count=1")
	if err := l.open(l.token(), "sales").Ping(); err != nil {
		t.Errorf("by a fault: %v", err)
	}
	if n := len(l.faults.Active()); n != 1 || l.faults.Active()[0].Hits != 1 {
		t.Errorf("the fault has hit %+v", l.faults.Active())
	}
}

// A session works for ten hours of lab time, and ends then if its token has expired; one that
// is opened anew goes on.
func TestTenHours(t *testing.T) {
	l := newLab(t, orders())
	db := l.open(l.token(), "sales")
	conn, err := db.Conn(t.Context())
	must(t, err)
	var one int
	for hour := range 10 {
		if err := conn.QueryRowContext(t.Context(), "SELECT 1").Scan(&one); err != nil {
			t.Fatalf("after %d hours: %v", hour, err)
		}
		must(t, l.clock.Advance(t.Context(), time.Hour))
	}
	errs := refused(conn.QueryRowContext(t.Context(), "SELECT 1").Scan(&one))
	if len(errs) == 0 || errs[0].Number != 18456 || errs[0].State != 233 || !strings.HasSuffix(errs[0].Message, "Token is expired.") {
		t.Fatalf("after ten hours: %+v", errs)
	}
	if e := l.last(); !strings.Contains(e.Meaning, "older than ten hours") || !strings.Contains(e.Remedy, "SetConnMaxLifetime") {
		t.Errorf("%+v", e)
	}
	if err := conn.QueryRowContext(t.Context(), "SELECT 1").Scan(&one); err == nil {
		t.Error("the connection is still there")
	}
	must(t, l.open(l.token(), "sales").Ping())
}

func TestASessionIsEnded(t *testing.T) {
	for fault, number := range map[string]int32{"sql-session-ended,when.count=1": 18456, "sql-session-ended,when.count=1,number=40197": 40197} {
		l := newLab(t, orders())
		db := l.open(l.token(), "sales")
		must(t, db.Ping())
		l.inject(fault)
		_, err := db.Exec("SELECT 1")
		if errs := refused(err); len(errs) == 0 || errs[0].Number != number {
			t.Errorf("%s: %v", fault, err)
		}
		must(t, db.Ping()) // over another one
	}
}

// Who only looks whether the port is open is no failure.
func TestAHealthCheck(t *testing.T) {
	l := newLab(t, orders())
	listening, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer listening.Close()
	client, err := net.Dial("tcp", listening.Addr().String())
	must(t, err)
	must(t, client.Close())
	server, err := listening.Accept()
	must(t, err)
	l.servers.ServeStream(t.Context(), &hostmux.Connection{Conn: server, Certificate: l.trust.GetCertificate})
	if e := l.last(); e.Summary != "" {
		t.Errorf("%+v", e)
	}
}
