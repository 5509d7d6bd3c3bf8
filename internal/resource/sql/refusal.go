package sql

import (
	"cmp"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/resource/sql/tds"
)

// refusal is what a client is told, and for the journal why, and what to change.
type refusal struct {
	*tds.Error
	meaning, remedy string
}

// failure is the refusal for the kit.
func (r *refusal) failure() *resource.Failure {
	return &resource.Failure{Code: strconv.Itoa(int(r.Number)), Message: r.Message, Meaning: r.meaning, Remedy: r.remedy}
}

// loginFailed is 18456 of a login with a token. The client sees state 1, whatever the reason.
// Source: techcommunity.microsoft.com, azure-database-support-blog 1417535.
func loginFailed(detail string) *tds.Error {
	return &tds.Error{Number: 18456, State: 1, Class: 14, Message: strings.TrimSpace("Login failed for user '<token-identified principal>'. " + detail)}
}

// The details of 18456. Sources: mssql-jdbc#1944 and SqlClient#3245, vscode-mssql#22031,
// tedious#1418 and azure-sdk-for-python#45216. That a token with a bad signature or from the
// future is "incorrect or invalid" is inferred.
const (
	tokenExpired = "Token is expired."
	tokenInvalid = "Incorrect or invalid token."
	tokenForeign = "The server is not currently configured to accept this token."
)

// tokenRefused words why a token was not accepted.
func tokenRefused(r *resource.Refusal, database, server string) *refusal {
	if r.Reason == resource.KeysUnreachable {
		return &refusal{unavailable(database, server), r.Meaning(), r.Remedy()}
	}
	detail := tokenInvalid
	switch r.Reason {
	case resource.Expired:
		detail = tokenExpired
	case resource.WrongTenant, resource.WrongIssuer:
		detail = tokenForeign
	}
	made := &refusal{loginFailed(detail), r.Meaning(), r.Remedy()}
	if r.Reason == resource.WrongAudience && strings.Contains(r.Presented, "//") && strings.HasSuffix(strings.TrimSuffix(r.Presented, "/"), "/") {
		made.meaning = "The token's audience ends with more slashes than Azure SQL's. A scope is a resource, one slash and .default; what a resource ends with stays in its audience."
	}
	return made
}

// noToken refuses who brings a password or a Windows login.
// Source: learn.microsoft.com, database-engine-events-and-errors, 18456 and 40607.
func noToken(user string, integrated bool) *refusal {
	const meaning, remedy = "The program logged in without an access token: with a user and a password, or as a Windows user. wiemu's servers let identities in.", "Set the driver's authentication to one of Microsoft Entra ID, such as ActiveDirectoryDefault or ActiveDirectoryWorkloadIdentity, or give it an access token."
	if integrated {
		return &refusal{&tds.Error{Number: 40607, State: 1, Class: 14, Message: "Windows logins are not supported in this version of SQL Server."}, meaning, remedy}
	}
	return &refusal{&tds.Error{Number: 18456, State: 1, Class: 14, Message: "Login failed for user '" + user + "'."}, meaning, remedy}
}

// noServer refuses a server that does not exist. That it is of class 20 is inferred.
// Source: learn.microsoft.com, troubleshoot-common-connectivity-issues, 40532.
func (s *Servers) noServer(name string) *refusal {
	r := &refusal{
		&tds.Error{Number: 40532, State: 1, Class: 20, Message: fmt.Sprintf(`Cannot open server "%s" requested by the login.  The login failed.`, name)},
		"There is no SQL server of that name in the lab.", "Add sqlServers: [{name: " + cmp.Or(name, "NAME") + "}] to wiemu.yaml, with its databases and users.",
	}
	if near := s.nearest(name); near != "" {
		r.remedy = "Did you mean " + near + "? If not: " + r.remedy
	}
	return r
}

// noDatabase refuses a database that does not exist, with two errors, of which drivers show
// the first or the last. Source: azure-sql troubleshoot-common-errors, 4060; that the pair
// also comes for tokens is inferred.
func (s *server) noDatabase(name string) *refusal {
	return &refusal{
		&tds.Error{Number: 4060, State: 1, Class: 11, Message: fmt.Sprintf(`Cannot open database "%s" requested by the login. The login failed.`, name), Next: loginFailed("")},
		fmt.Sprintf("The server %s has no database %s; it has %s.", s.name, name, strings.Join(s.names(), ", ")),
		fmt.Sprintf("Name one of these in the connection string, or add {name: %s} to databases: of %s.", name, cmp.Or(s.source, "sqlServers")),
	}
}

// blocked refuses a client by the server's firewall. Source: learn.microsoft.com,
// database-engine-events-and-errors, 40615.
func (s *server) blocked(from net.Addr) *refusal {
	host, _, err := net.SplitHostPort(from.String())
	if err != nil {
		host = from.String()
	}
	return &refusal{
		&tds.Error{Number: 40615, State: 1, Class: 14, Message: fmt.Sprintf("Cannot open server '%s' requested by the login. Client with IP address '%s' is not allowed to access the server.  To enable access, use the Azure Management Portal or run sp_set_firewall_rule on the master database to create a firewall rule for this IP address or address range.  It may take up to five minutes for this change to take effect.", s.name, host)},
		"A fault plays a firewall of the server that does not let the client in.", "A real server needs a firewall rule or a private endpoint for where the program runs.",
	}
}

// unavailable is 40613.
func unavailable(database, server string) *tds.Error {
	return &tds.Error{Number: 40613, State: 1, Class: 17, Message: fmt.Sprintf("Database '%s' on server '%s' is not currently available.  Please retry the connection later.  If the problem persists, contact customer support, and provide them the session tracing ID of '{%s}'.", database, server, strings.ToUpper(uuid.NewString()))}
}

// transient are the errors that Azure SQL gives when a program may try again.
// Source: learn.microsoft.com, azure-sql/database/troubleshoot-common-errors-issues, of the
// texts; classes as in the messages of sys.messages, of 10928 and 10929 inferred.
func transient(number int, database, server string) *tds.Error {
	incident := strings.ToUpper(uuid.NewString())
	switch number {
	case 40197:
		return &tds.Error{Number: 40197, State: 1, Class: 17, Message: "The service has encountered an error processing your request. Please try again. Error code 4221."}
	case 40501:
		return &tds.Error{Number: 40501, State: 1, Class: 20, Message: "The service is currently busy. Retry the request after 10 seconds. Incident ID: {" + incident + "}. Code: 131072."}
	case 10928:
		return &tds.Error{Number: 10928, State: 1, Class: 20, Message: "Resource ID: 1. The request limit for the database is 90 and has been reached. See 'https://docs.microsoft.com/azure/azure-sql/database/resource-limits-logical-server' for assistance."}
	case 10929:
		return &tds.Error{Number: 10929, State: 1, Class: 20, Message: "Resource ID: 1. The request minimum guarantee is 0, maximum limit is 90 and the current usage for the database is 89. However, the server is currently too busy to support requests greater than 0 for this database. See 'https://docs.microsoft.com/azure/azure-sql/database/resource-limits-logical-server' for assistance. Otherwise, please try again later."}
	}
	return unavailable(database, server)
}

// tooManySessions is 10928 of sessions, which are resource 2. Source: as transient.
func tooManySessions() *refusal {
	return &refusal{
		&tds.Error{Number: 10928, State: 1, Class: 20, Message: fmt.Sprintf("Resource ID: 2. The session limit for the database is %d and has been reached. See 'https://docs.microsoft.com/azure/azure-sql/database/resource-limits-logical-server' for assistance.", maxSessions)},
		fmt.Sprintf("As many clients are logged in to the servers of this lab as may be, %d: what a database of the tier Basic allows.", maxSessions),
		"Look for connections that are not closed, and bound the pools.",
	}
}

// tokenEnded is 18456 in an open session, whose token Azure SQL looks at again.
// Source: azuredatastudio#14497, SqlClient#1333: state 233.
func tokenEnded() *tds.Error {
	return &tds.Error{Number: 18456, State: 233, Class: 14, Message: "Login failed for user '<token-identified principal>'. " + tokenExpired}
}
