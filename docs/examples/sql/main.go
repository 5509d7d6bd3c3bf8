// Command sql logs in to a database as any Azure program does, and prints who it is there.
// It knows nothing of wiemu.
package main

import (
	"database/sql"
	"fmt"
	"log"

	"github.com/microsoft/go-mssqldb/azuread"
)

func main() {
	db, err := sql.Open(azuread.DriverName, "sqlserver://orders.database.windows.net?database=sales&fedauth=ActiveDirectoryDefault")
	if err != nil {
		log.Fatal(err)
	}
	var user string
	var reads, writes bool
	if err := db.QueryRow("SELECT USER_NAME(), IS_MEMBER('db_datareader'), IS_MEMBER('db_datawriter')").Scan(&user, &reads, &writes); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("user %s, reads %v, writes %v\n", user, reads, writes)
}
