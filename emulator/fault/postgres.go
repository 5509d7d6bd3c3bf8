package fault

import "github.com/wiemu/wiemu/internal/faultkind"

// postgres are faults of Azure Database for PostgreSQL, besides those of all resources: throttled is
// 53300 there, server-error 57P03.
func postgres() []Kind {
	return []Kind{{
		Name: faultkind.PostgresSessionEnded, Point: faultkind.AtPostgresSession, Selects: []string{selectClient, selectResource},
		Summary: "a PostgreSQL server ends an open session when it is next sent something",
		Description: "57P01: the server says \"terminating connection due to administrator command\" in place of an answer, as at a restart for maintenance or a failover. reset: the connection is cut, with no word. " +
			"token: the session's token is looked at again, which ends the session if it is not good any more; that Azure looks at it after the login is not known, and that it does not is documented. " +
			"A transaction that is open is rolled back. A pool has to drop the connection and open another one. Sources: azure-docs, articles/postgresql/flexible-server/concepts-connectivity.md (connections are dropped while they are idle and while they are in use); PostgreSQL, src/backend/tcop/postgres.c (ProcessInterrupts).",
		Parameters: []Parameter{{Name: "by", Type: TypeChoice, Values: []string{"57P01", "reset", "token"}, Default: "57P01", Description: "what ends the session"}},
		Example:    "postgres-session-ended --for resource=postgres --count 1 by=reset",
	}}
}
