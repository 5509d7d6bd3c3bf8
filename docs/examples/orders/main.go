// Command orders keeps an order in a database and reads it again as any program with pgx does.
// It knows nothing of wiemu.
package main

import (
	"cmp"
	"context"
	"fmt"
	"log"
	"os"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/jackc/pgx/v5"
)

func main() {
	ctx := context.Background()
	credential, err := azidentity.NewDefaultAzureCredential(nil)
	if err != nil {
		log.Fatal(err)
	}
	config, err := pgx.ParseConfig("host=orders.postgres.database.azure.com dbname=orders sslmode=verify-full user=" + cmp.Or(os.Getenv("PGUSER"), "web"))
	if err != nil {
		log.Fatal(err)
	}
	token, err := credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{"https://ossrdbms-aad.database.windows.net/.default"}})
	if err != nil {
		log.Fatal(err)
	}
	config.Password = token.Token
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := conn.Exec(ctx, "create table if not exists orders (what text)"); err != nil {
		log.Fatal(err)
	}
	if _, err := conn.Exec(ctx, "insert into orders values ($1)", "two loaves of bread"); err != nil {
		log.Fatal(err)
	}
	var what string
	if err := conn.QueryRow(ctx, "select what from orders limit 1").Scan(&what); err != nil {
		log.Fatal(err)
	}
	fmt.Println(what)
	if err := conn.Close(ctx); err != nil {
		log.Fatal(err)
	}
}
