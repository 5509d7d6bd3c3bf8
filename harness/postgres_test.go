package harness_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/wiemu/wiemu/harness"
	"github.com/wiemu/wiemu/internal/resource/postgres/local"
)

// The owner of a server prepares it in SQL, with nothing running before and nothing after.
func TestPostgres(t *testing.T) {
	t.Parallel()
	if _, err := local.Find(); err != nil {
		if os.Getenv("WIEMU_REQUIRE") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	lab := harness.New(t)
	orders := lab.Postgres("orders")
	if orders.Host != "orders.postgres.database.azure.com" {
		t.Errorf("found %s", orders.Host)
	}
	orders.Query("orders", "create table orders (n int); insert into orders values (7)")
	if rows := lab.Postgres("orders").Query("orders", "select n, current_database() from orders"); fmt.Sprint(rows) != "[[7 orders]]" {
		t.Errorf("found %v", rows)
	}
	web := lab.Workload("shop/web-sa")
	if role := orders.User(web, "pg_read_all_data"); role == "" || role == web.ClientID {
		t.Errorf("found the role %q", role)
	}
}
