package gateway

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/wiemu/wiemu/internal/hostmux"
)

// Servers are made and deleted while a gateway runs: it opens ports for them and names them to
// clients while there are any, and connections that name no host are for the only one.
func TestAStreamOfWhatIsMadeLater(t *testing.T) {
	var there atomic.Pointer[[]string]
	there.Store(new([]string))
	g, _ := started(t, Config{Streams: []hostmux.Stream{{
		Hosts: []string{".postgres.database.azure.com"}, Ports: []uint16{5432},
		There:     func() []string { return *there.Load() },
		Variables: func(at netip.AddrPort) []string { return []string{at.String()} },
		Serve:     func(_ context.Context, c *hostmux.Connection) { _, _ = fmt.Fprintf(c, "%q, %s", c.Host, c.Only) },
	}}})
	const host = "orders.postgres.database.azure.com"
	for _, step := range []struct {
		there []string
		says  string
	}{{nil, ""}, {[]string{host}, `"", ` + host}, {[]string{host, "reports.postgres.database.azure.com"}, `"", `}, {nil, ""}} {
		there.Store(&step.there)
		ports, variables := g.OpenPorts(), g.Variables()
		if step.says == "" {
			if len(ports) != 0 || len(variables) != 0 {
				t.Errorf("%v: open are %v, variables %v", step.there, ports, variables)
			}
			continue
		}
		if !slices.Equal(ports, []uint16{5432}) || len(variables) != 1 || !slices.Equal(variables, g.Variables()) {
			t.Fatalf("%v: open are %v, variables %v", step.there, ports, variables)
		}
		conn, err := net.Dial("tcp", variables[0])
		if err != nil {
			t.Fatal(err)
		}
		if says, err := io.ReadAll(conn); err != nil || string(says) != step.says {
			t.Errorf("%v: found %q, %v", step.there, says, err)
		}
		_ = conn.Close()
	}
}
