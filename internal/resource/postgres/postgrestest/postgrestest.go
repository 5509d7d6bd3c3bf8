// Package postgrestest has a PostgreSQL of this machine for tests with containers and pods: one
// that they reach as the url of a server in wiemu.yaml.
package postgrestest

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"net/url"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/wiemu/wiemu/internal/resource/postgres/local"
)

// InDocker starts a PostgreSQL that is reached on this machine's address in Docker's default
// network, and there alone, until the test ends. It returns its URL, with a superuser and a
// password.
func InDocker(t testing.TB) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "docker", "network", "inspect", "bridge", "--format", "{{with index .IPAM.Config 0}}{{.Subnet}} {{.Gateway}}{{end}}").Output()
	subnet, gateway, _ := strings.Cut(strings.TrimSpace(string(out)), " ")
	network, malformed := netip.ParsePrefix(subnet)
	if err = errors.Join(err, malformed); err != nil {
		t.Fatalf("find this machine's address in Docker's network: %v, found %q", err, out)
	}
	if gateway = strings.TrimSpace(gateway); gateway == "" { // not told by a Docker whose configuration does not name it
		gateway = network.Masked().Addr().Next().String()
	}
	server, err := local.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	t.Cleanup(func() {
		if err := server.Close(); err != nil { // which ends what is relayed
			t.Error(err)
		}
		serving.Wait()
	})
	at, err := pgconn.ParseConfig(server.ConnString())
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(gateway, "0"))
	if err != nil {
		t.Fatal(err)
	}
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return // closed
			}
			serving.Go(func() { relay(conn, at) })
		}
	})
	t.Cleanup(func() { _ = listener.Close() }) // before PostgreSQL
	// It asks for no password; wiemu makes the roles of identities passwords of this one.
	u := url.URL{Scheme: "postgres", User: url.UserPassword(at.User, "secret"), Host: listener.Addr().String(), Path: "/postgres", RawQuery: "sslmode=disable"}
	return u.String()
}

// relay copies what a client sends to the socket of PostgreSQL, and its answers back.
func relay(client net.Conn, at *pgconn.Config) {
	defer client.Close()
	network, address := pgconn.NetworkAddress(at.Host, at.Port)
	server, err := (&net.Dialer{}).DialContext(context.Background(), network, address)
	if err != nil {
		return // the client learns it from its next read
	}
	defer server.Close()
	ended := make(chan struct{}, 2)
	for _, pair := range [][2]net.Conn{{client, server}, {server, client}} {
		go func() {
			_, _ = io.Copy(pair[0], pair[1])
			ended <- struct{}{}
		}()
	}
	<-ended
}
