package sql_test

import (
	"context"
	"crypto/tls"
	"net"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wiemu/wiemu/internal/resource/internal/tokentest"
	"github.com/wiemu/wiemu/internal/resource/sql"
	"github.com/wiemu/wiemu/internal/resource/sql/answers"
	"github.com/wiemu/wiemu/internal/resource/sql/tds"
)

// standIn takes the place of a SQL Server: it has SQL logins, made by the statements that
// wiemu sends, and answers with the engine without tables.
type standIn struct {
	t testing.TB

	mu     sync.Mutex
	logins map[string]string // passwords
	users  map[string]string // logins of the users of the database
	sent   []string          // batches
	fail   int               // so many of the next logins are not made
	open   []net.Conn
}

func (s *standIn) Authority(tds.Attempt) (sts, spn string) { return "", "" }

func (s *standIn) Login(_ context.Context, a tds.Attempt) (tds.Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if password, ok := s.logins[a.User]; !ok || password != a.Password || a.FedAuth != nil {
		return nil, &tds.Error{Number: 18456, State: 1, Class: 14, Message: "Login failed for user '" + a.User + "'."}
	}
	if a.Database != "sales" {
		return nil, &tds.Error{Number: 4060, State: 1, Class: 11, Message: "Cannot open database."}
	}
	user := "dbo"
	for name, login := range s.users {
		if login == a.User {
			user = name
		}
	}
	return &standInSession{answers.New(nothing("sales"), answers.Login{Name: a.User, User: user, App: a.App}, time.Now), s}, nil
}

type standInSession struct {
	*answers.Session
	of *standIn
}

func (s *standInSession) Begin() (func(), *tds.Error) { return func() {}, nil }

var (
	createLogin = regexp.MustCompile(`CREATE LOGIN \[(.*?)\] WITH PASSWORD = N'(.*?)'`)
	createUser  = regexp.MustCompile(`CREATE USER \[(.*?)\] FOR LOGIN \[(.*?)\]`)
	tellings    = regexp.MustCompile(`^(IF |ALTER |DROP )`)
)

func (s *standInSession) Batch(ctx context.Context, sql string, params []tds.Param, out *tds.Reply) error {
	s.of.mu.Lock()
	s.of.sent = append(s.of.sent, sql)
	if m := createLogin.FindStringSubmatch(sql); m != nil && s.of.fail > 0 {
		s.of.fail--
		s.of.mu.Unlock()
		return tds.Errorf(40197, "The service has encountered an error.")
	} else if m != nil {
		s.of.logins[m[1]] = m[2]
	}
	if m := createUser.FindStringSubmatch(sql); m != nil {
		s.of.users[m[1]] = m[2]
	}
	s.of.mu.Unlock()
	if tellings.MatchString(sql) {
		out.Done()
		return nil
	}
	return s.Session.Batch(ctx, sql, params, out)
}

type nothing string

func (n nothing) Name() string                            { return string(n) }
func (nothing) Users() []answers.User                     { return nil }
func (nothing) Create(answers.NewUser) error              { return nil }
func (nothing) Drop(string) error                         { return nil }
func (nothing) SetMember(role, name string, _ bool) error { return nil }

// withEngine is a lab whose server has a stand-in behind it.
func withEngine(t testing.TB, password string) (*lab, *standIn) {
	t.Helper()
	s := &standIn{t: t, logins: map[string]string{"sa": "secret"}, users: map[string]string{}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	server := orders()
	server.Engine.URL = "sqlserver://sa:" + password + "@" + l.Addr().String() + "?trustServerCertificate=true"
	made := newLab(t, server)
	config := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		hello.ServerName = host
		return made.trust.GetCertificate(hello)
	}}
	var open sync.WaitGroup
	open.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.open = append(s.open, conn)
			s.mu.Unlock()
			open.Go(func() { _ = (&tds.Server{Handler: s, Name: "engine", TLS: config}).Serve(context.Background(), conn) })
		}
	})
	t.Cleanup(func() { _ = l.Close(); s.cut(); open.Wait() })
	return made, s
}

// cut ends all connections.
func (s *standIn) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, conn := range s.open {
		_ = conn.Close()
	}
}

// Each principal is its own login at the SQL Server behind, whose answers come back as they are.
func TestASQLServerBehind(t *testing.T) {
	l, engine := withEngine(t, "secret")
	for _, mode := range []string{"encrypt=true", "encrypt=strict"} {
		var login, user string
		var n int
		db := l.open(l.token(), "sales", mode)
		must(t, db.QueryRow("SELECT SUSER_SNAME(), USER_NAME(), @p1", 7).Scan(&login, &user, &n))
		if login != tokentest.ClientID+"@"+tokentest.Tenant || user != "web" || n != 7 {
			t.Errorf("%s: %s, %s, %d", mode, login, user, n)
		}
		_, err := db.Exec("DELETE FROM orders")
		if errs := refused(err); len(errs) == 0 || errs[0].Number != 229 {
			t.Errorf("the engine's own refusal: %v", err)
		}
		tx, err := db.Begin()
		must(t, err)
		must(t, tx.QueryRow("SELECT @@TRANCOUNT").Scan(&n))
		must(t, tx.Rollback())
		if n != 1 {
			t.Errorf("%d transactions", n)
		}
		conn, err := db.Conn(t.Context())
		must(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		go cancel()
		if _, err := conn.ExecContext(ctx, "WAITFOR DELAY '00:00:20'"); err == nil {
			t.Error("it was not cancelled")
		}
		must(t, conn.Close())
		must(t, db.Ping())
	}
	// CREATE USER of the directory is done here, and told to the engine as one of a login.
	admins := l.open(l.tokenOf(admin, adminOID), "sales")
	_, err := admins.Exec("DROP USER [reports]")
	must(t, err)
	_, err = admins.Exec("CREATE USER [reports] FROM EXTERNAL PROVIDER; ALTER ROLE db_datareader ADD MEMBER [reports];")
	must(t, err)
	var user string
	must(t, l.open(l.tokenOf(other, otherOID), "sales").QueryRow("SELECT USER_NAME()").Scan(&user))
	if user != "reports" {
		t.Error(user)
	}
	engine.mu.Lock()
	all := strings.Join(engine.sent, "\n")
	engine.mu.Unlock()
	if strings.Contains(all, "EXTERNAL PROVIDER") || !strings.Contains(all, "ALTER SERVER ROLE sysadmin ADD MEMBER ["+admin) || !strings.Contains(all, "ALTER ROLE [db_datareader] ADD MEMBER [reports]") {
		t.Errorf("the engine got\n%s", all)
	}
	_, err = admins.Exec("CREATE USER [x] FROM EXTERNAL PROVIDER; SELECT 1")
	if errs := refused(err); len(errs) == 0 || errs[0].Number != 40510 {
		t.Errorf("with something else: %v", err)
	}
	// A batch of several packets, by itself and with parameters.
	_, err = admins.Exec("-- " + strings.Repeat("x", 10_000) + "\nALTER ROLE db_datareader DROP MEMBER [reports]; DROP USER [reports];")
	must(t, err)
	_, err = admins.Exec("CREATE USER [reports] FROM EXTERNAL PROVIDER -- "+strings.Repeat("x", 10_000)+"\n", 1)
	must(t, err)
	must(t, l.open(l.tokenOf(other, otherOID), "sales").QueryRow("SELECT USER_NAME()").Scan(&user))
	var n int
	must(t, admins.QueryRow("SELECT @p1 -- "+strings.Repeat("x", 2<<20), 7).Scan(&n)) // more than is looked at
	if user != "reports" || n != 7 {
		t.Errorf("%s, %d", user, n)
	}
	_, err = admins.Exec("CREATE USER [nobody] FROM EXTERNAL PROVIDER")
	if errs := refused(err); len(errs) == 0 || errs[0].Number != 33130 {
		t.Errorf("of nobody: %v", err)
	}
}

// The session ends after ten hours here, too.
func TestTenHoursWithASQLServer(t *testing.T) {
	l, _ := withEngine(t, "secret")
	conn, err := l.open(l.token(), "sales").Conn(t.Context())
	must(t, err)
	var one int
	must(t, conn.QueryRowContext(t.Context(), "SELECT 1").Scan(&one))
	must(t, l.clock.Advance(t.Context(), 11*time.Hour))
	if errs := refused(conn.QueryRowContext(t.Context(), "SELECT 1").Scan(&one)); len(errs) == 0 || errs[0].Number != 18456 || errs[0].State != 233 {
		t.Errorf("%+v", errs)
	}
}

// What is wrong with the engine is 40613 for the client, and the reason for the journal.
func TestAnEngineThatFails(t *testing.T) {
	l, _ := withEngine(t, "wrong")
	if errs := refused(l.open(l.token(), "sales").Ping()); len(errs) != 1 || errs[0].Number != 40613 {
		t.Errorf("a wrong password: %+v", errs)
	}
	if e := l.last(); !strings.Contains(e.Meaning, "Msg 18456") || !strings.Contains(e.Remedy, "password of engine.url") {
		t.Errorf("%+v", e)
	}
	l, _ = withEngine(t, "secret")
	must(t, l.servers.User("orders", "stock", sql.User{Identity: tokentest.ClientID}))
	if errs := refused(l.open(l.token(), "stock").Ping()); len(errs) != 1 || errs[0].Number != 40613 {
		t.Errorf("no such database: %+v", errs)
	}
	if e := l.last(); !strings.Contains(e.Remedy, "CREATE DATABASE [stock]") {
		t.Errorf("%+v", e)
	}
	server := orders()
	server.Engine.URL = "sqlserver://sa:secret@127.0.0.1:1"
	l = newLab(t, server)
	if errs := refused(l.open(l.token(), "sales").Ping()); len(errs) != 1 || errs[0].Number != 40613 {
		t.Errorf("never there: %+v", errs)
	}
	l, engine := withEngine(t, "secret")
	conn, err := l.open(l.token(), "sales").Conn(t.Context())
	must(t, err)
	must(t, conn.PingContext(t.Context()))
	engine.cut()
	if conn.PingContext(t.Context()) == nil {
		t.Error("it died, and answers")
	}
	for e := l.last(); !strings.Contains(e.Meaning, "ended"); e = l.last() { // another goroutine writes it
		runtime.Gosched()
		if t.Context().Err() != nil {
			t.Fatal(e)
		}
	}
}

// A login that could not be made is made by the next one that needs it, and what is there
// already is not made again, whoever logs in.
func TestAnEngineThatRecovers(t *testing.T) {
	l, engine := withEngine(t, "secret")
	engine.fail = 1
	if errs := refused(l.open(l.token(), "sales").Ping()); len(errs) != 1 || errs[0].Number != 40613 {
		t.Errorf("%+v", errs)
	}
	must(t, l.open(l.token(), "sales").Ping())
	must(t, l.open(l.tokenOf(admin, adminOID), "sales").Ping())
	engine.mu.Lock()
	engine.sent = nil
	engine.mu.Unlock()
	must(t, l.open(l.token(), "sales").Ping())
	engine.mu.Lock()
	defer engine.mu.Unlock()
	if all := strings.Join(engine.sent, "\n"); strings.Contains(all, "CREATE") || strings.Contains(all, "ADD MEMBER") {
		t.Errorf("the engine got\n%s", all)
	}
}

// The pool's reset gets to the SQL Server, too, if it comes with a statement that wiemu answers
// itself: a transaction that was left open does not go on.
func TestAResetThatComesWithCreateUser(t *testing.T) {
	l, _ := withEngine(t, "secret")
	db := l.open(l.tokenOf(admin, adminOID), "sales")
	db.SetMaxOpenConns(1)
	first, err := db.Conn(t.Context())
	must(t, err)
	_, err = first.ExecContext(t.Context(), "BEGIN TRAN")
	must(t, err)
	must(t, first.Close()) // to the pool
	second, err := db.Conn(t.Context())
	must(t, err)
	_, err = second.ExecContext(t.Context(), "DROP USER [reports]")
	must(t, err)
	var open int
	must(t, second.QueryRowContext(t.Context(), "SELECT @@TRANCOUNT").Scan(&open))
	must(t, second.Close())
	if open != 0 {
		t.Errorf("%d transactions are open", open)
	}
}
