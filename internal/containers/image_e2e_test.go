//go:build e2e

package containers_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/jackc/pgx/v5"
	mssql "github.com/microsoft/go-mssqldb"
	"github.com/microsoft/go-mssqldb/msdsn"
	"github.com/moby/moby/client"
	"github.com/redis/go-redis/v9"

	"github.com/wiemu/wiemu/internal/docker"
	"github.com/wiemu/wiemu/internal/resource/postgres/postgrestest"
)

// The image alone, started by docker run with its ports published: clients of this machine, which
// are told where the names are, log in by the names.
func TestTheImageWithPublishedPorts(t *testing.T) {
	image, api := serverImage(t)
	id := strings.TrimSpace(runImage(t, image, postgrestest.InDocker(t), "listen: {gateway: '0.0.0.0:443', streams: 0.0.0.0}"))
	at := published{ports: map[string]string{}}
	for _, port := range []string{"443", "1433", "5432", "6380", "10000"} {
		out, err := exec.Command("docker", "port", id, port+"/tcp").Output()
		if err != nil {
			t.Fatalf("port %s is not published: %v", port, err)
		}
		at.ports[port], _, _ = strings.Cut(string(out), "\n")
	}
	assertion := read(t, api, id, "/lab/tokens/shop_web-sa/azure-identity-token")
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(read(t, api, id, "/lab/trust/ca.pem")) {
		t.Fatal("the image's CA is no certificate")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	credential, err := azidentity.NewClientAssertionCredential("3aa4a235-b6e2-48d5-9195-7fcf05b459b0", clientID, func(context.Context) (string, error) { return string(assertion), nil },
		&azidentity.ClientAssertionCredentialOptions{ClientOptions: policy.ClientOptions{Transport: &http.Client{Transport: &http.Transport{DialContext: at.DialContext, TLSClientConfig: &tls.Config{RootCAs: roots}}}}})
	if err != nil {
		t.Fatal(err)
	}
	token := func(scope string) string {
		got, err := credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{scope}})
		if err != nil {
			t.Fatal(err)
		}
		return got.Token
	}

	t.Run("Azure SQL", func(t *testing.T) {
		config, err := msdsn.Parse("sqlserver://orders.database.windows.net?database=sales&encrypt=true")
		if err != nil {
			t.Fatal(err)
		}
		config.TLSConfig.RootCAs = roots
		access := token("https://database.windows.net/.default")
		connector, err := mssql.NewSecurityTokenConnector(config, func(context.Context) (string, error) { return access, nil })
		if err != nil {
			t.Fatal(err)
		}
		connector.Dialer = at
		db := sql.OpenDB(connector)
		defer db.Close()
		var user string
		if err := db.QueryRowContext(ctx, "SELECT USER_NAME()").Scan(&user); err != nil || user != "web" {
			t.Errorf("user %q, %v", user, err)
		}
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		config, err := pgx.ParseConfig("host=orders.postgres.database.azure.com dbname=orders user=web sslmode=verify-full")
		if err != nil {
			t.Fatal(err)
		}
		config.Password, config.TLSConfig.RootCAs, config.DialFunc = token("https://ossrdbms-aad.database.windows.net/.default"), roots, at.DialContext
		config.LookupFunc = func(_ context.Context, host string) ([]string, error) { return []string{host}, nil }
		conn, err := pgx.ConnectConfig(ctx, config)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(ctx)
		var user string
		if err := conn.QueryRow(ctx, "select current_user").Scan(&user); err != nil || user != "web" {
			t.Errorf("user %q, %v", user, err)
		}
	})
	for _, address := range []string{"orders.redis.cache.windows.net:6380", "orders.northeurope.redis.azure.net:10000"} {
		t.Run("Redis at "+address, func(t *testing.T) {
			access := token("https://redis.azure.com/.default")
			host, _, _ := strings.Cut(address, ":")
			cache := redis.NewClient(&redis.Options{
				Addr: address, Username: objectID(t, access), Password: access,
				Dialer: func(ctx context.Context, network, address string) (net.Conn, error) {
					conn, err := at.DialContext(ctx, network, address)
					if err != nil {
						return nil, err
					}
					return tls.Client(conn, &tls.Config{RootCAs: roots, ServerName: host}), nil
				},
			})
			defer cache.Close()
			if err := cache.Set(ctx, "seen", address, 0).Err(); err != nil {
				t.Fatal(err)
			}
			if text, err := cache.Get(ctx, "seen").Result(); err != nil || text != address {
				t.Errorf("found %q, %v", text, err)
			}
		})
	}
}

// Without listen.streams the ports of databases are closed, and the image says so.
func TestTheImageWithoutPortsOfDatabases(t *testing.T) {
	image, _ := serverImage(t)
	id := strings.TrimSpace(runImage(t, image, postgrestest.InDocker(t), "listen: {gateway: '0.0.0.0:443'}"))
	if said := logs(t, id); !strings.Contains(said, "listen.streams is not set") || !strings.Contains(said, ".database.windows.net") {
		t.Errorf("expected a warning, found\n%s", said)
	}
}

// The image has no PostgreSQL: without the url of one it does not start, and says what to do.
func TestTheImageWithoutPostgreSQL(t *testing.T) {
	image, _ := serverImage(t)
	out, err := exec.CommandContext(t.Context(), "docker", "run", "--rm", "--volume", configuration(t, "", "")+":/etc/wiemu/wiemu.yaml:ro", image, "-f", "/etc/wiemu/wiemu.yaml").CombinedOutput()
	want := "wiemu-server: PostgreSQL server orders: find PostgreSQL: initdb is neither on PATH nor in "
	if err == nil || strings.Count(string(out), "find PostgreSQL") != 1 || !strings.Contains(string(out), want) || !strings.Contains(string(out), "or name one that runs, such as a container, with url of the server in wiemu.yaml") {
		t.Errorf("%v: expected one error %q with what to do, found\n%s", err, want, out)
	}
}

func serverImage(t *testing.T) (string, client.APIClient) {
	t.Helper()
	found, err := docker.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = found.Client().Close() })
	image, err := docker.ServerImage(t.Context(), found.Client(), server)
	if err != nil {
		t.Fatal(err)
	}
	return image, found.Client()
}

// configuration writes a wiemu.yaml with a server of each protocol, and returns its path.
func configuration(t *testing.T, postgres, more string) string {
	t.Helper()
	text, err := os.ReadFile("../compose/testdata/databases/wiemu.yaml")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "wiemu.yaml")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(text), "${POSTGRES}", postgres)+more+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// runImage starts the image until the test ends, and returns the container's id when it is ready.
func runImage(t *testing.T, image, postgres, more string) string {
	t.Helper()
	args := []string{"run", "--detach", "--publish-all", "--volume", configuration(t, postgres, more) + ":/etc/wiemu/wiemu.yaml:ro", image, "-f", "/etc/wiemu/wiemu.yaml", "-lab", "/lab"}
	var said bytes.Buffer
	run := exec.CommandContext(t.Context(), "docker", args...)
	run.Stderr = &said
	out, err := run.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, said.Bytes())
	}
	id := strings.TrimSpace(string(out))
	t.Cleanup(func() {
		if out, err := exec.Command("docker", "rm", "--force", "--volumes", id).CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	})
	for deadline := time.Now().Add(5 * time.Minute); !strings.Contains(logs(t, id), "ready: "); time.Sleep(100 * time.Millisecond) { // wall time, of a process
		if time.Now().After(deadline) {
			t.Fatalf("it is not ready:\n%s", logs(t, id))
		}
	}
	return id
}

func logs(t *testing.T, id string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "docker", "logs", id).CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func read(t *testing.T, api client.APIClient, id, file string) []byte {
	t.Helper()
	data, err := docker.ReadFile(t.Context(), api, id, file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// objectID is the claim oid of a token: the user name of a cache.
func objectID(t *testing.T, token string) string {
	t.Helper()
	var claims struct {
		ObjectID string `json:"oid"`
	}
	body, err := base64.RawURLEncoding.DecodeString(strings.Split(token+"..", ".")[1])
	if err == nil {
		err = json.Unmarshal(body, &claims)
	}
	if err != nil {
		t.Fatal(err)
	}
	return claims.ObjectID
}

// published dials the ports of this machine at which those of a container are published.
type published struct{ ports map[string]string }

// DialContext implements mssql.Dialer.
func (p published) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	return (&net.Dialer{}).DialContext(ctx, network, p.ports[port])
}

// HostName implements mssql.HostDialer, by which the driver looks no name up.
func (published) HostName() string { return "container" }
