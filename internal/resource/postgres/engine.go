package postgres

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/wiemu/wiemu/internal/resource/postgres/local"
)

// connectTimeout is how long, in wall time, connecting to the PostgreSQL behind may take.
const connectTimeout = 10 * time.Second

// statementTimeout is how long, in wall time, looking for a role or making it may take: a
// transaction of a client may hold what it needs.
const statementTimeout = 5 * time.Second

// errEngine marks what is wrong with the PostgreSQL behind, or with wiemu's way to it.
var errEngine = errors.New("PostgreSQL")

// errSuperuser refuses a login as a role that may do everything, the operating system included.
var errSuperuser = errors.New("the role is a superuser")

// engine is the PostgreSQL behind a server. It is found or started when it is first needed.
type engine struct {
	url       string // of one that runs; if empty, one is started
	databases []string
	lab       string // tells its people from those of others that share a PostgreSQL

	mu    sync.Mutex
	own   *local.Server   // that was started; nil: none was
	admin *pgconn.PgConn  // as a superuser; nil: there is none yet
	known map[string]bool // roles that are as they have to be, by what was asked of them
	ended bool            // the lab has, so that nothing is started any more
}

func newEngine(s Server) *engine {
	return &engine{url: s.URL, databases: s.Databases, lab: uuid.NewString(), known: map[string]bool{}}
}

// howToHaveOne says how there can be a PostgreSQL behind a server.
func howToHaveOne(url string) string {
	if url != "" {
		return "Start the PostgreSQL that url of the server names, as a superuser of which wiemu logs in; or leave url out, so that wiemu starts one of this machine."
	}
	return local.HowToInstall
}

// prepareSQL makes what Azure's servers have and PostgreSQL has not.
//
//go:embed prepare.sql
var prepareSQL string

// superuser returns a connection as a superuser, to the database that the URL names. The
// caller holds mu.
func (e *engine) superuser(ctx context.Context) (*pgconn.PgConn, error) {
	if e.admin != nil && !e.admin.IsClosed() {
		return e.admin, nil
	}
	e.admin = nil
	cfg, err := e.config(ctx)
	if err != nil {
		return nil, err
	}
	cfg.RuntimeParams["application_name"] = "wiemu " + e.lab // by which others see that the lab is there
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	conn, err := pgconn.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("%w at %s: %w", errEngine, address(cfg), err)
	}
	if err := e.prepare(ctx, conn, cfg); err != nil {
		return nil, errors.Join(err, conn.Close(ctx))
	}
	e.admin = conn
	return conn, nil
}

// config says how the superuser connects; it starts a PostgreSQL if one is to be started.
func (e *engine) config(ctx context.Context) (*pgconn.Config, error) {
	at := e.url
	if e.ended {
		return nil, fmt.Errorf("%w: the lab has ended", errEngine)
	}
	if at == "" {
		if e.own == nil {
			own, err := local.Start(ctx)
			if err != nil {
				return nil, fmt.Errorf("%w: %w", errEngine, err)
			}
			e.own = own
		} else if err := e.own.Restart(ctx); err != nil { // it ended: what it stored is there
			return nil, fmt.Errorf("%w: %w", errEngine, err)
		}
		at = e.own.ConnString()
	}
	cfg, err := parseConfig(at)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errEngine, err)
	}
	cfg.ConnectTimeout = connectTimeout
	cfg.Database = cmp.Or(cfg.Database, "postgres")
	cfg.RuntimeParams["wiemu.lab"] = e.lab // for the functions of prepare.sql
	return cfg, nil
}

func address(cfg *pgconn.Config) string {
	_, at := pgconn.NetworkAddress(cfg.Host, cfg.Port)
	return at
}

// prepare makes roles, functions and databases where they are missing. Two labs may share a
// PostgreSQL, so it is done by one at a time.
func (e *engine) prepare(ctx context.Context, conn *pgconn.PgConn, cfg *pgconn.Config) error {
	// The search path is for all that the superuser runs on this connection: a client that may make
	// functions in the schema public would else have it call theirs (CVE-2018-1058).
	if _, err := conn.Exec(ctx, "set search_path = pg_catalog, pg_temp; select pg_advisory_lock(5432); "+prepareSQL).ReadAll(); err != nil {
		return fmt.Errorf("%w at %s: prepare it as %s, who has to be a superuser: %w", errEngine, address(cfg), cfg.User, err)
	}
	for _, name := range e.databases {
		if err := makeDatabase(ctx, conn, name); err != nil {
			return fmt.Errorf("%w at %s: create the database %s: %w", errEngine, address(cfg), name, err)
		}
	}
	_, err := conn.Exec(ctx, "select pg_advisory_unlock(5432)").ReadAll()
	return err
}

// makeDatabase makes a database if it is missing.
func makeDatabase(ctx context.Context, conn *pgconn.PgConn, name string) error {
	there, err := value(conn.ExecParams(ctx, "select 1 from pg_database where datname = $1", [][]byte{[]byte(name)}, nil, nil, nil).Read())
	if err == nil && there == "" {
		_, err = conn.Exec(ctx, "create database "+identifier(name)+" owner "+administrators).ReadAll()
	}
	return err
}

// value is the first value of a result, "" if there is none.
func value(r *pgconn.Result) (string, error) {
	if r.Err != nil || len(r.Rows) == 0 || len(r.Rows[0]) == 0 {
		return "", r.Err
	}
	return string(r.Rows[0][0]), nil
}

func identifier(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// label returns the id of the identity that a role which was made in SQL belongs to; "" if it
// belongs to none. A PostgreSQL that was not needed so far has no such role.
func (e *engine) label(ctx context.Context, role string) (string, error) {
	if !utf8.ValidString(role) {
		return "", nil // and the name of none; PostgreSQL would not take it in a query
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.url == "" && e.own == nil {
		return "", nil
	}
	conn, err := e.superuser(ctx)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	const query = `select substring(l.label from 'oid=([^,]+)') from pg_shseclabel l join pg_roles r on r.oid = l.objoid and l.classoid = 'pg_authid'::regclass where l.provider = 'pgaadauth' and r.rolname = $1`
	id, err := value(conn.ExecParams(ctx, query, [][]byte{[]byte(role)}, nil, nil, nil).Read())
	if err != nil {
		return "", fmt.Errorf("%w: %w", errEngine, err)
	}
	return id, nil
}

// principal is somebody whom pgaadauth_create_principal finds by name.
type principal struct {
	Name   string `json:"name"`
	OID    string `json:"oid"`
	Tenant string `json:"tenant"`
}

// principals are those of a tenant.
func (s *Servers) principals(tenant string) (all []principal) {
	for _, p := range s.kit.Directory.Principals(tenant) {
		all = append(all, principal{p.DisplayName, p.ObjectID, tenant})
	}
	return all
}

// connect logs in as a role, with the parameters of a client's StartupMessage. directory is who
// there is, for an administrator who makes roles.
func (e *engine) connect(ctx context.Context, role string, b *binding, parameters map[string]string, directory func() []principal) (*pgconn.HijackedConn, *pgconn.Config, error) {
	cfg, err := e.ready(ctx, role, b, directory)
	if err != nil {
		return nil, nil, err
	}
	cfg.Database, cfg.RuntimeParams = parameters["database"], map[string]string{}
	cfg.Database = cmp.Or(cfg.Database, role)
	for name, value := range parameters {
		if name != "user" && name != "database" && !strings.HasPrefix(name, "_pq_.") {
			cfg.RuntimeParams[name] = value
		}
	}
	cfg.RuntimeParams["wiemu.lab"] = e.lab
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	conn, err := pgconn.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, nil, err
	}
	hijacked, err := conn.Hijack()
	return hijacked, cfg, err
}

// ready returns how to connect as a role, which it makes if it is missing.
func (e *engine) ready(ctx context.Context, role string, b *binding, directory func() []principal) (*pgconn.Config, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	conn, err := e.superuser(ctx)
	if err != nil {
		return nil, err
	}
	cfg, err := e.config(ctx)
	if err != nil {
		return nil, err
	}
	// A client's transaction may hold the row that makes the role: without a limit, every login and
	// the lab clock would wait for it.
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	password := e.password(role, cfg.Password)
	wanted := fmt.Sprint(role, b.objectID, b.access)
	if !e.known[wanted] {
		if err := makeRole(ctx, conn, role, password, b); err != nil {
			if errors.Is(err, errSuperuser) {
				return nil, err
			}
			return nil, fmt.Errorf("%w: role %s: %w", errEngine, role, err)
		}
		e.known[wanted] = true
	}
	if err := e.tell(ctx, conn, directory()); err != nil {
		return nil, fmt.Errorf("%w: %w", errEngine, err)
	}
	cfg.User, cfg.Password = role, password
	return cfg, nil
}

// password is that of a role behind: whoever knows the superuser's can make it, so that labs
// which share a PostgreSQL agree about it. One that was started here asks for none.
func (e *engine) password(role, superusers string) string {
	mac := hmac.New(sha256.New, []byte(superusers))
	mac.Write([]byte(role))
	return hex.EncodeToString(mac.Sum(nil))
}

// makeRole makes a role, or has it be as it has to be.
func makeRole(ctx context.Context, conn *pgconn.PgConn, role, password string, b *binding) error {
	superuser, err := value(conn.ExecParams(ctx, "select 1 from pg_roles where rolname = $1 and rolsuper", [][]byte{[]byte(role)}, nil, nil, nil).Read())
	if err != nil {
		return err
	}
	if superuser != "" { // whose password is not wiemu's to change either
		return errSuperuser
	}
	memberOf, err := json.Marshal(append([]string{}, b.access.MemberOf...))
	if err != nil {
		return err
	}
	_, err = value(conn.ExecParams(ctx, "select wiemu.make_role($1, $2, $3, $4, $5)", [][]byte{
		[]byte(role), []byte(password), []byte(b.objectID), strconv.AppendBool(nil, b.access.Administrator), memberOf,
	}, nil, nil, nil).Read())
	return err
}

// tell has pgaadauth_create_principal know who there is, if that has changed.
func (e *engine) tell(ctx context.Context, conn *pgconn.PgConn, all []principal) error {
	text, err := json.Marshal(all)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(text)
	key := hex.EncodeToString(sum[:])
	if told, _ := conn.CustomData()["directory"].(string); told == key {
		return nil
	}
	if _, err := value(conn.ExecParams(ctx, "select wiemu.tell($1, $2)", [][]byte{[]byte(e.lab), text}, nil, nil, nil).Read()); err != nil {
		return err
	}
	conn.CustomData()["directory"] = key
	return nil
}

// query runs SQL in a database as a superuser.
func (e *engine) query(ctx context.Context, database, sql string) (rows [][]string, err error) {
	e.mu.Lock()
	_, err = e.superuser(ctx)
	var cfg *pgconn.Config
	if err == nil {
		cfg, err = e.config(ctx)
	}
	e.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if database != "" {
		cfg.Database = database
	}
	conn, err := pgconn.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	results, err := conn.Exec(ctx, sql).ReadAll()
	if err != nil || len(results) == 0 {
		return nil, err
	}
	for _, row := range results[len(results)-1].Rows {
		texts := make([]string, len(row))
		for n, field := range row {
			texts[n] = string(field)
		}
		rows = append(rows, texts)
	}
	return rows, nil
}

// close ends what was started.
func (e *engine) close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ended = true
	var errs []error
	if e.admin != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = e.admin.Close(ctx) // it may be gone
		e.admin = nil
	}
	if e.own != nil {
		errs = append(errs, e.own.Close())
		e.own = nil
	}
	return errors.Join(errs...)
}
