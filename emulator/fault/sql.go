package fault

import "github.com/wiemu/wiemu/internal/faultkind"

// sql are faults of Azure SQL, besides those of all resources: network-rules is 40615 there,
// throttled 40501, server-error 40613.
func sql() []Kind {
	selects := []string{selectClient, selectResource}
	return []Kind{
		{
			Name: faultkind.SQLError, Point: faultkind.AtSQLLogin, Selects: selects,
			Summary: "a SQL server refuses logins with a transient error",
			Description: "The login fails with the error of that number, whatever the token: 40613 a database that is not available, 40501 a busy service, 10928 and 10929 limits of the database, 40197 a failover. " +
				"A robust client connects again, with growing pauses; drivers try some of them again by themselves. Source: azure-docs, azure-sql/database/troubleshoot-common-errors-issues.md.",
			Parameters: []Parameter{{Name: "number", Type: TypeChoice, Values: []string{"40613", "40501", "10928", "10929", "40197"}, Default: "40613", Description: "the error's number"}},
			Example:    "sql-error --for resource=sql --count 2 number=40501",
		},
		{
			Name: faultkind.SQLRedirect, Point: faultkind.AtSQLRedirect, Selects: selects,
			Summary: "a SQL server sends clients that have logged in to another host and port",
			Description: "As after a failover, or under the connection policy Redirect: the answer to the login names NAME.worker.database.windows.net, port 11000, and the driver logs in there. " +
				"A firewall that lets 1433 out alone breaks this, and tiberius leaves it to the program. Source: azure-docs, azure-sql/database/connectivity-architecture.md.",
			Example: "sql-redirect --for resource=sql --count 1",
		},
		{
			Name: faultkind.SQLSessionEnded, Point: faultkind.AtSQLSession, Selects: selects,
			Summary: "a SQL server ends an open session at its next request",
			Description: "18456: the server looks at the session's token now and not after ten hours, and says that it is expired (state 233), as after maintenance. 40197: the database fails over. " +
				"A pool has to drop the connection and open another one. Source: dotnet/SqlClient#1333 and #3245.",
			Parameters: []Parameter{{Name: "number", Type: TypeChoice, Values: []string{"18456", "40197"}, Default: "18456", Description: "the error's number"}},
			Example:    "sql-session-ended --for resource=sql --count 1 number=40197",
		},
	}
}
