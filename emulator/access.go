package emulator

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/cloud"
	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/emulator/issuer"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/emulator/keyring"
	"github.com/wiemu/wiemu/emulator/resource/keyvault"
	"github.com/wiemu/wiemu/emulator/trust"
)

// Clock is the lab clock.
func (e *Emulator) Clock() *clock.Lab { return e.clock }

// Journal is the record of what happens in this emulator.
func (e *Emulator) Journal() *journal.Journal { return e.journal }

// Faults are what goes wrong on purpose.
func (e *Emulator) Faults() *fault.Set { return e.faults }

// Cloud is the Azure cloud that is emulated.
func (e *Emulator) Cloud() cloud.Cloud { return e.cloud }

// Directory holds the tenants; changes to it take effect at the next request.
func (e *Emulator) Directory() *directory.Directory { return e.directory }

// Vaults are the key vaults; changes to them take effect at the next request.
func (e *Emulator) Vaults() *keyvault.Service { return e.vaults }

// Authority is the CA that signs the certificates of the gateway.
func (e *Emulator) Authority() *trust.Authority { return e.authority }

// Issuers returns the hosted issuers in the order of the configuration.
func (e *Emulator) Issuers() []*issuer.Issuer { return e.issuers }

// KeyRing returns the signing keys of an issuer by its name, or of Entra ID by
// the name "entra"; "" is the first issuer's.
func (e *Emulator) KeyRing(name string) (*keyring.Ring, error) {
	if name == "" {
		name = e.issuers[0].Name()
	}
	if ring, ok := e.rings[name]; ok {
		return ring, nil
	}
	return nil, fmt.Errorf("key ring %q: expected the name of a hosted issuer, or entra", name)
}

// Address is the host:port of the gateway, the TLS door that applications meet.
func (e *Emulator) Address() string { return e.gateway.Address() }

// ProxyURL is the HTTP proxy through which applications reach the gateway.
func (e *Emulator) ProxyURL() string { return e.gateway.ProxyURL() }

// IsolatedAddress is the host:port of the proxy through which isolated
// applications reach the gateway (package isolation).
func (e *Emulator) IsolatedAddress() string { return e.gateway.IsolatedAddress() }

// ClusterURL is the Kubernetes API server URL of a hosted issuer's cluster; ""
// for a lab in memory, as are the other addresses.
func (e *Emulator) ClusterURL(issuer string) string {
	if e.inMemory {
		return ""
	}
	return "https://" + e.cluster.address() + "/clusters/" + issuer
}

// ControlURL is where the lab is steered; requests carry Token as bearer token.
func (e *Emulator) ControlURL() string {
	if e.inMemory {
		return ""
	}
	return "http://" + e.steering.address()
}

// Token is the bearer token of the cluster and control doors.
func (e *Emulator) Token() string { return e.token }

// ClockToken is a bearer token of the control door that opens the stream of the lab
// clock alone: for workloads that live on it.
func (e *Emulator) ClockToken() string { return e.control.ClockToken() }

// Control is the server of the control door, to which other rooms add paths.
func (e *Emulator) Control() *control.Server { return e.control }

// Steering steers the lab from this process, as others do through the control door.
func (e *Emulator) Steering() *control.Client {
	return control.InMemory(e.token, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { e.Answer(ControlDoor, w, r) }))
}

// Transport reaches the emulated hosts in memory, without TLS: for Go programs
// in the same process, also inside a testing/synctest bubble.
func (e *Emulator) Transport() http.RoundTripper { return e.gateway.Transport() }

// HTTPClient reaches the emulated hosts as an application does: through the
// proxy, over TLS, trusting the lab's CA alone.
func (e *Emulator) HTTPClient() *http.Client {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(e.authority.RootPEM())
	proxy, err := url.Parse(e.ProxyURL())
	return &http.Client{Transport: &http.Transport{
		Proxy:             func(*http.Request) (*url.URL, error) { return proxy, err },
		TLSClientConfig:   &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2: true,
	}}
}

// Hosts are the emulated hosts by name, sorted: what a place that maps names to
// the gateway one by one has to map, such as network aliases or a pod's
// hostAliases. Vaults are those that there are now. Regional login hosts are not
// among them; nobody could list those.
func (e *Emulator) Hosts() []string {
	hosts := slices.DeleteFunc(e.gateway.Hosts(), func(host string) bool { return strings.HasPrefix(host, ".") })
	for _, name := range e.vaults.Names() {
		hosts = append(hosts, name+"."+e.cloud.Vault)
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

// Webhook says what pods of a cluster are given, as the configuration has it.
func (e *Emulator) Webhook() config.Webhook { return e.config.Webhook }

// Examine runs the checks that Entra ID would make of an assertion, all of them,
// and issues nothing.
func (e *Emulator) Examine(ctx context.Context, tenant, clientID, assertion string) journal.Event {
	return e.entra.Examine(ctx, tenant, clientID, assertion)
}
