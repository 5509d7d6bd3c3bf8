package redis

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/internal/resource/internal/tokentest"
)

// dialer leads go-redis to the lab, whatever the address.
func (l *lab) dialer() func(context.Context, string, string) (net.Conn, error) {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(l.authority.RootPEM())
	return func(ctx context.Context, _, address string) (net.Conn, error) {
		name, _, _ := strings.Cut(address, ":")
		return (&tls.Dialer{Config: &tls.Config{ServerName: name, RootCAs: roots}}).DialContext(ctx, "tcp", l.listener.Addr().String())
	}
}

func (l *lab) inject(text string) {
	l.Helper()
	f, err := fault.Parse(text)
	if err == nil {
		_, err = l.faults.Inject(f)
	}
	if err != nil {
		l.Fatal(err)
	}
}

// A client without cluster mode reports MOVED, and a connection that is ended costs it nothing; one
// with cluster mode asks again.
func TestFaultsWithGoRedis(t *testing.T) {
	l := newLab(t, Cache{Name: "cache"})
	token := l.tokens.Mint(t, audience, nil)
	single := goredis.NewClient(&goredis.Options{Addr: host + ":6380", Username: tokentest.ObjectID, Password: token, Dialer: l.dialer()})
	cluster := goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: []string{host + ":6380"}, Username: tokentest.ObjectID, Password: token, Dialer: l.dialer()})
	defer single.Close()
	defer cluster.Close()
	if err := single.Set(t.Context(), "a", "1", 0).Err(); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		fault  string
		client goredis.UniversalClient
		want   string // the error
	}{
		{"redis-moved", single, "MOVED 15495 " + host + ":6380"},
		{"redis-moved", cluster, ""},
		{"redis-connection-ended", single, ""},
		{"redis-connection-ended", cluster, ""},
		{"server-error", single, ""}, // LOADING, which it tries again
	} {
		l.inject(row.fault + ",for.resource=redis,when.count=1")
		text, err := row.client.Get(t.Context(), "a").Result()
		if err == nil && text != "1" || err != nil && err.Error() != row.want || err == nil && row.want != "" {
			t.Errorf("%s, %T: %q, %v, want %q", row.fault, row.client, text, err, row.want)
		}
		l.faults.ClearAll()
	}
}
