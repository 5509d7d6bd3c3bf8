package harness_test

import (
	"context"
	"crypto/tls"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"
	mssql "github.com/microsoft/go-mssqldb"
	"github.com/microsoft/go-mssqldb/msdsn"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/harness"
	"github.com/wiemu/wiemu/internal/resource/postgres/local"
)

// accessToken is what the code that is tested does to get one; most has the Azure SDK do it.
func accessToken(client *http.Client, pod *harness.Pod, scope string) (string, error) {
	assertion, err := os.ReadFile(pod.TokenFile)
	if err != nil {
		return "", err
	}
	resp, err := client.PostForm(pod.AuthorityHost+pod.TenantID+"/oauth2/v2.0/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {pod.ClientID}, "scope": {scope},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {string(assertion)},
	})
	if err != nil {
		return "", err
	}
	var said struct {
		AccessToken string `json:"access_token"`
		Description string `json:"error_description"`
	}
	err = errors.Join(json.NewDecoder(resp.Body).Decode(&said), resp.Body.Close())
	if err == nil && said.AccessToken == "" {
		err = errors.New(said.Description)
	}
	return said.AccessToken, err
}

// objectID is the oid of an access token, by which clients log in to a cache.
func objectID(token string) string {
	var claims struct {
		ObjectID string `json:"oid"`
	}
	if parts := strings.Split(token, "."); len(parts) == 3 {
		if body, err := base64.RawURLEncoding.DecodeString(parts[1]); err == nil {
			_ = json.Unmarshal(body, &claims) // without it there is no user name, and the login fails
		}
	}
	return claims.ObjectID
}

// sqlDialer has go-mssqldb connect by the lab, and leave the host's name to that.
type sqlDialer struct{ lab *harness.Lab }

func (d sqlDialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return d.lab.Dial(ctx, network, address)
}
func (sqlDialer) HostName() string { return "" }

// openSQL is a pool of connections of a pod to a database of Azure SQL.
func openSQL(lab *harness.Lab, pod *harness.Pod, host, database string) (*sql.DB, error) {
	settings, err := msdsn.Parse("sqlserver://" + host + "?encrypt=true&database=" + database)
	if err != nil {
		return nil, err
	}
	settings.TLSConfig.RootCAs = lab.RootCAs()
	connector, err := mssql.NewSecurityTokenConnector(settings, func(context.Context) (string, error) {
		return accessToken(lab.HTTPClient(), pod, "https://database.windows.net/.default")
	})
	if err != nil {
		return nil, err
	}
	connector.Dialer = sqlDialer{lab}
	return sql.OpenDB(connector), nil
}

// A database user comes and goes; no port is opened.
func ExampleLab_SQL() {
	err := harness.Try(func(t harness.TB) {
		lab := harness.New(t)
		web := lab.Workload("shop/web-sa")
		orders := lab.SQL("orders") // the database orders of orders.database.windows.net
		db, err := openSQL(lab, web, orders.Host, "orders")
		if err != nil {
			t.Fatalf("%v", err)
		}
		defer db.Close()
		fmt.Println(db.Ping())
		orders.User(web, "db_datareader")
		var user string
		var reads, writes bool
		err = db.QueryRow("SELECT USER_NAME(), IS_MEMBER('db_datareader'), IS_MEMBER('db_datawriter')").Scan(&user, &reads, &writes)
		fmt.Println(user, reads, writes, err)
	})
	fmt.Println(err)
	// Output:
	// mssql: Login failed for user '<token-identified principal>'. (18456)
	// web-sa true false <nil>
	// <nil>
}

// openRedis is a client of a pod that logs in to a cache.
func openRedis(lab *harness.Lab, pod *harness.Pod, host string) *redis.Client {
	return redis.NewClient(&redis.Options{
		Addr: host + ":6380", MaxRetries: -1, PoolSize: 1, ConnMaxIdleTime: -1,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}, // which looks the name up
		Dialer: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := lab.Dial(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return tls.Client(conn, &tls.Config{ServerName: host, RootCAs: lab.RootCAs(), MinVersion: tls.VersionTLS12}), nil
		},
		CredentialsProviderContext: func(context.Context) (string, string, error) {
			token, err := accessToken(lab.HTTPClient(), pod, "https://redis.azure.com/.default")
			return objectID(token), token, err
		},
	})
}

// What a program may do in a cache is what its data access policy says.
func ExampleLab_Redis() {
	err := harness.Try(func(t harness.TB) {
		lab := harness.New(t)
		web := lab.Workload("shop/web-sa")
		cache := lab.Redis("orders") // orders.redis.cache.windows.net
		cache.Set("greeting", "good morning")
		cache.Grant(web, "Data Reader")
		client := openRedis(lab, web, "orders.redis.cache.windows.net")
		defer client.Close()
		fmt.Println(client.Get(t.Context(), "greeting").Result())
		err := client.Set(t.Context(), "greeting", "good night", 0).Err()
		fmt.Println(strings.HasPrefix(err.Error(), "NOPERM"), cache.Get("greeting"))
	})
	fmt.Println(err)
	// Output:
	// good morning <nil>
	// true good morning
	// <nil>
}

// readPostgres logs in to a database as a role, and asks something.
func readPostgres(ctx context.Context, lab *harness.Lab, pod *harness.Pod, host, database, role, query string) (answer string, err error) {
	settings, err := pgx.ParseConfig((&url.URL{Scheme: "postgres", User: url.User(role), Host: host, Path: "/" + database, RawQuery: "sslmode=verify-full"}).String())
	if err != nil {
		return "", err
	}
	settings.DialFunc = lab.Dial
	settings.LookupFunc = func(_ context.Context, host string) ([]string, error) { return []string{host}, nil }
	settings.TLSConfig.RootCAs = lab.RootCAs()
	if settings.Password, err = accessToken(lab.HTTPClient(), pod, "https://ossrdbms-aad.database.windows.net/.default"); err != nil {
		return "", err
	}
	conn, err := pgx.ConnectConfig(ctx, settings)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	err = conn.QueryRow(ctx, query).Scan(&answer)
	return answer, err
}

// The test prepares a database in SQL, which is a PostgreSQL of this machine, and a program reads
// it as the role of its identity. It prints "two apples <nil>", where PostgreSQL is installed.
func ExampleLab_Postgres() {
	err := harness.Try(func(t harness.TB) {
		lab := harness.New(t)
		web := lab.Workload("shop/web-sa")
		orders := lab.Postgres("orders") // orders.postgres.database.azure.com, with a database orders
		orders.Query("orders", "create table orders (what text); insert into orders values ('two apples')")
		role := orders.User(web, "pg_read_all_data")
		fmt.Println(readPostgres(t.Context(), lab, web, orders.Host, "orders", role, "select what from orders"))
	})
	fmt.Println(err)
}

// A driver in the test's process reads what the owner has stored, and is refused as another role.
func TestPostgresOfADriver(t *testing.T) {
	t.Parallel()
	if _, err := local.Find(); err != nil {
		if os.Getenv("WIEMU_REQUIRE") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	lab := harness.New(t)
	web := lab.Workload("shop/web-sa")
	orders := lab.Postgres("orders")
	orders.Query("orders", "create table orders (what text); insert into orders select repeat('apples ', 1000000)")
	role := orders.User(web, "pg_read_all_data")
	if got, err := readPostgres(t.Context(), lab, web, orders.Host, "orders", role, "select what from orders"); err != nil || len(got) != 7_000_000 {
		t.Errorf("read %d bytes, %v", len(got), err)
	}
	if _, err := readPostgres(t.Context(), lab, web, orders.Host, "orders", "admin", "select 1"); err == nil || !strings.Contains(err.Error(), "28P01") {
		t.Errorf("as another role: %v", err)
	}
}

// In a bubble, pools of real drivers age with the lab: Azure SQL ends a session after ten hours,
// as its token has expired, and a cache ends a connection with its token.
func TestADayOfPoolsInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lab := harness.New(t, harness.WithConfig(config.Config{NewIdentities: config.NewApplication})) // whose tokens live for an hour
		web := lab.Workload("shop/web-sa")
		orders := lab.SQL("orders")
		orders.User(web)
		db, err := openSQL(lab, web, orders.Host, "orders")
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		db.SetMaxOpenConns(1)
		lab.Redis("orders").Grant(web, "Data Contributor")
		cache := openRedis(lab, web, "orders.redis.cache.windows.net")
		defer cache.Close()
		var ended, closed []int
		for hour := 0; hour < 26; hour += 3 {
			var one int
			if err := db.QueryRow("SELECT 1").Scan(&one); err != nil {
				var refused mssql.Error
				if !errors.As(err, &refused) || refused.Number != 18456 || refused.State != 233 {
					t.Errorf("after %d hours: %v", hour, err)
				}
				ended = append(ended, hour)
			}
			if err := cache.Set(t.Context(), "seen", hour, 0).Err(); err != nil {
				closed = append(closed, hour)
			}
			time.Sleep(3 * time.Hour) // of the bubble's clock: at once
		}
		if fmt.Sprint(ended, closed) != "[12] [3 9 15 21]" {
			t.Errorf("SQL failed after %v hours, the cache after %v; expected [12] and [3 9 15 21]", ended, closed)
		}
	})
}

// What cannot be dialled says so, as an error of the driver's.
func TestDialSomethingElse(t *testing.T) {
	t.Parallel()
	lab := harness.New(t)
	lab.Redis("orders")
	for address, says := range map[string]string{
		"orders.redis.cache.windows.net:6379": "expected port 6380",
		"mykeyvault.vault.azure.net:443":      "no database and no cache",
		"example.com:5432":                    "no database and no cache",
		"orders":                              "expected host:port",
	} {
		var failed *net.OpError
		if _, err := lab.Dial(t.Context(), "tcp", address); !errors.As(err, &failed) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v; expected a dial error that says %q", address, err, says)
		}
	}
	if _, err := lab.Dial(t.Context(), "udp", "orders.redis.cache.windows.net:6380"); err == nil {
		t.Error("udp was dialled")
	}
}
