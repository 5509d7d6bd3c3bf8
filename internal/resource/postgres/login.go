package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/resource"
)

// The conditions under which a login fails, as SQLSTATE. Source: PostgreSQL documentation,
// appendix A. That Azure refuses a token with 28000 and not 28P01 was seen for one text
// (asyncpg's InvalidAuthorizationSpecificationError with AAD_AUTH_TOKENTYPE_APP_USER); it is
// inferred for the others.
const (
	invalidAuthorization = "28000"
	invalidPassword      = "28P01"
	tooManyConnections   = "53300"
	cannotConnectNow     = "57P03"
	rejected             = "08004"
)

// login is how Azure Database for PostgreSQL lets a session in.
type login struct {
	*resource.Call
	*session
	ctx          context.Context
	detail, hint string // of PostgreSQL's own refusal
}

// Demand implements resource.Access.
func (l *login) Demand() (*resource.Want, *resource.Failure) {
	user, database := l.role, l.database()
	switch {
	case l.server == nil:
		remedy := "Add it to postgresServers of wiemu.yaml."
		if names := l.servers.Names(); len(names) > 0 {
			remedy = fmt.Sprintf("Name one of the servers that there are (%s), or add it to postgresServers of wiemu.yaml.", strings.Join(names, ", "))
		}
		return nil, &resource.Failure{Code: rejected, Message: fmt.Sprintf("there is no server %s", cmp.Or(l.Host, "without a name")), Meaning: "There is no such server here; in Azure its name does not resolve.", Remedy: remedy}
	case !l.startup.encrypted:
		return nil, &resource.Failure{
			Code: invalidAuthorization, Message: fmt.Sprintf(`no pg_hba.conf entry for host "%s", user "%s", database "%s", no encryption`, l.peer(), user, database),
			Meaning: "Azure lets no client in without TLS.", Remedy: "Set sslmode=require or verify-full, or what the driver calls it.",
		}
	}
	want := l.servers.kit.Want(l.server.Tenant)
	return want, nil
}

func (l *login) peer() string {
	at := l.client.RemoteAddr().String()
	if host, _, err := net.SplitHostPort(at); err == nil {
		return host
	}
	return at
}

func (l *login) database() string {
	return given(cmp.Or(l.startup.login.Parameters["database"], l.role))
}

// maxName is how many bytes of a name PostgreSQL takes. Source: PostgreSQL documentation,
// "Identifiers and Key Words" (NAMEDATALEN - 1).
const maxName = 63

// given is a name of a start-up as PostgreSQL takes it: cut at the byte, as before it looks for the
// role. Source: PostgreSQL, src/backend/tcop/backend_startup.c (ProcessStartupPacket).
func given(name string) string { return name[:min(len(name), maxName)] }

// made is a role's name as PostgreSQL makes it: cut between characters. Source: PostgreSQL,
// src/backend/parser/scansup.c (truncate_identifier). That Azure knows no longer ones was seen for
// groups (azure-docs#100012).
func made(name string) string {
	end := min(len(name), maxName)
	for end < len(name) && !utf8.RuneStart(name[end]) {
		end--
	}
	return name[:end]
}

// Allow implements resource.Access. A role that belongs to no identity is refused before the
// token counts: to PostgreSQL it is one with a password, which the token is not.
func (l *login) Allow(refused *resource.Refusal) *resource.Failure {
	b, failed := l.owner(refused)
	if failed != nil {
		return failed
	}
	return l.connect(b)
}

// owner returns who may log in as the role, if that is the caller.
func (l *login) owner(refused *resource.Refusal) (*binding, *resource.Failure) {
	b, failed := l.binding()
	if failed != nil {
		return nil, failed
	}
	if !l.Check("role", l.knownRoles(), l.role, b != nil) {
		return nil, l.noSuchRole()
	}
	if refused != nil {
		return nil, l.refusedToken(refused)
	}
	if !l.Check("identity of the role", cmp.Or(b.owner, "nobody"), l.Caller.ClientID, b.admits(l.Caller)) {
		return nil, l.notTheirRole(b)
	}
	return b, nil
}

// binding is who may log in as a role.
type binding struct {
	owner    string // client id or object id; * is each identity of the tenant
	name     string // of the owner, if it is known
	access   Access // how the role is made; of roles that were made in SQL, the zero value
	objectID string // of the owner, with which the role is labelled. If empty, it is left as it is
}

func (b *binding) admits(c resource.Caller) bool {
	return b.owner == "*" || strings.EqualFold(b.owner, c.ClientID) || strings.EqualFold(b.owner, c.ObjectID)
}

// binding returns who may log in as the role; nil if there is no such role for an identity.
// Of several, it is the caller's.
func (l *login) binding() (*binding, *resource.Failure) {
	var found *binding
	for _, b := range l.configured() {
		if found == nil || b.admits(l.Caller) {
			found = b
		}
	}
	if found != nil {
		return found, nil
	}
	label, err := l.server.engine.label(l.ctx, l.role)
	if err != nil {
		return nil, l.unavailable(err)
	}
	if label == "" {
		return nil, nil
	}
	p, _ := l.servers.kit.Directory.PrincipalByObjectID(l.server.Tenant, label)
	return &binding{owner: label, name: nameOf(p)}, nil
}

func nameOf(p *directory.Principal) string {
	if p == nil {
		return ""
	}
	return p.DisplayName
}

// configured are the bindings of the role by wiemu.yaml.
func (l *login) configured() (all []*binding) {
	access := l.servers.access(l.server)
	if access == nil {
		access = AccessList{{Identity: "*", Administrator: true}}
	}
	people := l.servers.kit.Directory
	for _, a := range access {
		switch {
		case a.Identity == "*" && a.Role == "": // each has its own
			if p := l.named(l.role); p != nil {
				all = append(all, &binding{owner: p.ClientID, name: p.DisplayName, access: a, objectID: p.ObjectID})
			}
		case a.Identity == "*":
			if a.Role == l.role {
				all = append(all, &binding{owner: "*", access: a})
			}
		default:
			p, _ := people.Principal(l.server.Tenant, a.Identity)
			if made(cmp.Or(a.Role, nameOf(p))) == l.role {
				b := &binding{owner: a.Identity, name: nameOf(p), access: a}
				if p != nil {
					b.objectID = p.ObjectID
				}
				all = append(all, b)
			}
		}
	}
	return all
}

// named returns the principal of the server's tenant with a display name: the caller, if it
// is its own.
func (l *login) named(name string) *directory.Principal {
	people := l.servers.kit.Directory
	if p, ok := people.Principal(l.server.Tenant, l.Caller.ClientID); ok && made(p.DisplayName) == name {
		return p
	}
	for _, p := range people.Principals(l.server.Tenant) {
		if made(p.DisplayName) == name {
			return p
		}
	}
	return nil
}

// knownRoles lists the roles of identities, for the journal.
func (l *login) knownRoles() string {
	access := l.servers.access(l.server)
	if access == nil {
		return "the name of an identity"
	}
	var names []string
	for _, a := range access {
		p, _ := l.servers.kit.Directory.Principal(l.server.Tenant, a.Identity)
		name := cmp.Or(made(cmp.Or(a.Role, nameOf(p))), "the name of an identity")
		names = append(names, name)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	const most = 5
	if len(names) > most {
		names = append(names[:most], fmt.Sprintf("%d more", len(names)-most))
	}
	if len(names) == 0 {
		return "a role of an identity; there is none"
	}
	return strings.Join(names, " or ")
}

// noSuchRole refuses a role that belongs to no identity. The text is PostgreSQL's own.
func (l *login) noSuchRole() *resource.Failure {
	failed := &resource.Failure{Code: invalidPassword, Message: fmt.Sprintf(`password authentication failed for user "%s"`, l.role)}
	failed.Meaning = fmt.Sprintf("The server has no role %q for an identity, so that what was sent counts as a password, which is wrong.", l.role)
	mine, _ := l.servers.kit.Directory.Principal(l.server.Tenant, l.Caller.ClientID)
	name, server, at := strings.Cut(l.role, "@")
	switch {
	case mine != nil && (strings.EqualFold(l.role, mine.ClientID) || strings.EqualFold(l.role, mine.ObjectID)):
		failed.Remedy = fmt.Sprintf("Log in as %q: the role is called as the identity is, not by an id.", l.expected(mine))
	case at && strings.EqualFold(server, l.server.Name):
		failed.Remedy = fmt.Sprintf("Log in as %q: NAME@SERVER was the way of the single server, which Azure has retired.", name)
	case mine != nil && strings.EqualFold(l.role, l.expected(mine)):
		failed.Remedy = fmt.Sprintf("Log in as %q, to the letter: PostgreSQL compares upper and lower case.", l.expected(mine))
	case mine != nil:
		failed.Remedy = fmt.Sprintf("Log in as %q, or let the identity have the role: %s. In Azure, an administrator runs select * from pgaadauth_create_principal('%s', false, false) in the database postgres.", l.expected(mine), l.line(mine.ClientID, l.role), mine.DisplayName)
	default:
		failed.Remedy = "Log in as the role that is called as the identity is, to the letter, or let an identity have this one: " + l.line("NAME", l.role) + "."
	}
	return failed
}

// expected is the role that a principal has.
func (l *login) expected(p *directory.Principal) string {
	for _, a := range l.servers.access(l.server) {
		if strings.EqualFold(a.Identity, p.ClientID) {
			return made(cmp.Or(a.Role, p.DisplayName))
		}
	}
	return made(p.DisplayName)
}

// line is what wiemu.yaml has to say for an identity to have a role.
func (l *login) line(identity, role string) string {
	return fmt.Sprintf("add {identity: %s, role: %q} to access of %s", identity, role, l.server.source)
}

// refusedToken refuses a token in the words of the service. Seen: the audience
// (microsoft/azuredatastudio-postgresql#505), the format (Azure-Samples/rag-postgres-openai-python#161),
// the expiry (dbcodeio/public#1071, PostgreSQL 17 in 2026), and the general text
// (cyrilgdn/terraform-provider-postgresql#60), which is inferred for what it is used for here.
func (l *login) refusedToken(r *resource.Refusal) *resource.Failure {
	text := "An error occurred while validating the access token. Please acquire a new token and retry."
	switch r.Reason {
	case resource.Malformed, resource.Missing:
		text = "The access token has invalid format. Please ensure the token is passed exactly as returned by the authentication endpoint and retry."
	case resource.WrongAudience:
		text = fmt.Sprintf(`The access token does not have a valid audience claim. Please acquire a new token for the resource "%s".`, Audience(l.servers.kit.Cloud()))
	case resource.Expired:
		text = "The access token has expired. Acquire a new token and try again."
	}
	failed := &resource.Failure{Code: invalidAuthorization, Message: text, Meaning: r.Meaning(), Remedy: r.Remedy()}
	switch r.Reason {
	case resource.Expired:
		failed.Remedy = "Ask for a token each time that the pool opens a connection, not once when the program starts: sessions outlive their token, and new connections do not. " + failed.Remedy
	case resource.WrongAudience:
		failed.Remedy = fmt.Sprintf("Ask for the scope %s/.default.", Audience(l.servers.kit.Cloud()))
	case resource.Malformed, resource.Missing:
		failed.Remedy = fmt.Sprintf("Send an access token for %s as the password, exactly as Entra ID gave it.", Audience(l.servers.kit.Cloud()))
	}
	return failed
}

// notTheirRole refuses a good token of another identity than the role's. Seen with these words
// in two places (pods after their identity had been made anew, 2025 and 2026), with
// role[NAME] in a third (cyrilgdn/terraform-provider-postgresql#423, 2024).
func (l *login) notTheirRole(b *binding) *resource.Failure {
	label := b.owner
	if p, ok := l.servers.kit.Directory.Principal(l.server.Tenant, b.owner); ok {
		label = p.ObjectID
	}
	failed := &resource.Failure{
		Code:    invalidAuthorization,
		Message: fmt.Sprintf(`Service principal oid mismatch for role "The oid in the security label [%s] does not match the appid [%s] or oid [%s] in the token."`, label, l.Caller.ClientID, l.Caller.ObjectID),
		Meaning: fmt.Sprintf("The token is good, but the role %q belongs to another identity, %s.", l.role, cmp.Or(b.name, b.owner)),
	}
	if mine, ok := l.servers.kit.Directory.Principal(l.server.Tenant, l.Caller.ClientID); ok {
		failed.Remedy = fmt.Sprintf("Log in as %q, the role of this identity, or let the role be its: %s.", l.expected(mine), l.line(mine.ClientID, l.role))
	}
	return failed
}

// connect logs in to the PostgreSQL behind, as the role and with the client's own parameters.
func (l *login) connect(b *binding) *resource.Failure {
	directory := func() []principal { return l.servers.principals(l.server.Tenant) }
	conn, cfg, err := l.server.engine.connect(l.ctx, l.role, b, l.startup.login.Parameters, directory)
	if err != nil {
		var told *pgconn.PgError
		if errors.Is(err, errSuperuser) {
			return resource.Fail(0, invalidAuthorization, fmt.Sprintf(`role "%s" is not permitted to log in`, l.role),
				fmt.Sprintf("The token was accepted, but %q is a superuser of the PostgreSQL behind the server, and Azure has no role that may do everything.", l.role),
				"Give the identity another role: role: of its entry in access: of "+l.server.source+".")
		}
		if errors.As(err, &told) && !errors.Is(err, errEngine) {
			l.detail, l.hint = told.Detail, told.Hint
			return &resource.Failure{Code: told.Code, Message: told.Message, Meaning: "The token was accepted; PostgreSQL itself refused the login.", Remedy: told.Hint}
		}
		return l.unavailable(err)
	}
	l.behind, l.address = conn, cfg
	l.key.Store(&cancelKey{conn.PID, string(conn.SecretKey)})
	return nil
}

// unavailable refuses because there is no PostgreSQL to log in to.
func (l *login) unavailable(err error) *resource.Failure {
	return &resource.Failure{Code: cannotConnectNow, Message: "the database system is not accepting connections", Meaning: "wiemu has no PostgreSQL behind this server: " + err.Error() + ".", Remedy: howToHaveOne(l.server.URL)}
}

// Interrupt implements resource.Access.
func (l *login) Interrupt(status int, _ time.Duration) *resource.Failure {
	if status == 429 {
		return &resource.Failure{Code: tooManyConnections, Message: "sorry, too many clients already", Meaning: "A fault: the server has as many connections as it may have.", Remedy: "A robust client tries again, with growing pauses, and its pool is bounded."}
	}
	return &resource.Failure{Code: cannotConnectNow, Message: "the database system is starting up", Meaning: "A fault: the server restarts, as it does for maintenance and after a failover.", Remedy: "A robust client tries again, with growing pauses."}
}

// Describe implements resource.Access.
func (l *login) Describe(e *journal.Event) string {
	e.Method = "LOGIN"
	e.Detail["role"], e.Detail["database"] = l.role, l.database()
	if name := l.startup.login.Parameters["application_name"]; name != "" {
		e.Detail["application"] = name
	}
	return fmt.Sprintf("log in as %s to %s", l.role, l.database())
}
