package local

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// Servers of one process are copies of one cluster from the second on, each with what is stored in
// it alone; and if something of that cluster is gone, another is made.
func TestClustersOfAProcess(t *testing.T) {
	if _, err := Find(); err != nil {
		if os.Getenv("WIEMU_REQUIRE") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	t.Setenv("TZ", "Europe/Oslo") // so that whatever ran before, the first of this test is the first
	// identity is what initdb gives a cluster; the table must not be there yet.
	identity := func() string {
		t.Helper()
		s, err := Start(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		conn, err := pgconn.Connect(t.Context(), s.ConnString())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close(context.Background()) }()
		results, err := conn.Exec(t.Context(), "create table stored (n int); select system_identifier || current_setting('timezone') from pg_control_system()").ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		return string(results[1].Rows[0][0])
	}
	first, second, third := identity(), identity(), identity()
	if first == second || second != third {
		t.Errorf("expected the second and the third to be copies of one cluster, found %s, %s, %s", first, second, third)
	}
	if err := os.Remove(filepath.Join(template.server.data(), "base", "1", "PG_VERSION")); err != nil {
		t.Fatal(err)
	}
	broken, after := identity(), identity()
	if broken == third || after == third {
		t.Errorf("expected new clusters after a file of the template was removed, found %s, %s", broken, after)
	}
	if err := os.RemoveAll(template.server.dir); err != nil {
		t.Fatal(err)
	}
	if gone := identity(); gone == after {
		t.Error("expected a new cluster after the template was removed")
	}
	t.Setenv("TZ", "Asia/Tokyo")
	if tokyo := identity(); tokyo[len(tokyo)-len("Asia/Tokyo"):] != "Asia/Tokyo" {
		t.Errorf("expected the time zone of the environment, found %s", tokyo)
	}
	if err := dropTemplate(); err != nil {
		t.Error(err)
	}
}
