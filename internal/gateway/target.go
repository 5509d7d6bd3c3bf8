package gateway

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/wiemu/wiemu/internal/hostmux"
	"github.com/wiemu/wiemu/internal/hostname"
)

// target is where a client of the proxy wants to go.
type target struct {
	host string // a name in lower case without a final dot, or an address without brackets
	port uint16
}

func (t target) String() string { return net.JoinHostPort(t.host, strconv.Itoa(int(t.port))) }

// parseTarget reads host:port, the request target of a CONNECT (RFC 9112
// §3.2.3). There is no default port.
func parseTarget(s string) (target, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return target{}, fmt.Errorf("expected host:port, found %q", s)
	}
	number, err := parsePort(port)
	if err != nil {
		return target{}, err
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if !hostname.Is(host) {
		return target{}, fmt.Errorf("expected a host name or an IP address before the port, found %q", s)
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		host = ip.Unmap().String() // ::ffff:127.0.0.1 is 127.0.0.1
	}
	return target{host: host, port: number}, nil
}

// parsePort reads digits: no sign, no name of a service.
func parsePort(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 || s[0] == '+' {
		return 0, fmt.Errorf("expected a port from 1 to 65535, found %q", s)
	}
	return uint16(n), nil
}

// isLoopback reports whether the target is on the client's own machine.
func (t target) isLoopback() bool {
	ip, err := netip.ParseAddr(t.host)
	return err == nil && ip.IsLoopback() || t.host == "localhost"
}

// allowed are the hosts outside the lab that clients may reach.
type allowed struct {
	list  []allowedHost
	login func(host string) bool // see Config
}

type allowedHost struct {
	name string // ".example.com" stands for every host below
	port uint16 // 0: any
}

func parseAllowed(entries []string, emulated *hostmux.Mux, login func(string) bool) (allowed, error) {
	if login == nil {
		login = func(string) bool { return false }
	}
	made := allowed{login: login}
	for _, entry := range entries {
		a, ok := parseAllowedHost(strings.ToLower(entry))
		if !ok {
			return made, fmt.Errorf("allow host %q: expected a name (example.com), a name and a port (example.com:443), or a suffix (.example.com)", entry)
		}
		if a.port == 0 || a.port == tlsPort {
			if emulated.Has(a.name) || slices.Contains(emulated.Hosts(), a.name) {
				return made, fmt.Errorf("allow host %q: the lab emulates it, so clients cannot reach the real one as well", entry)
			}
		}
		made.list = append(made.list, a)
	}
	return made, nil
}

func parseAllowedHost(entry string) (a allowedHost, ok bool) {
	a.name = strings.Trim(entry, "[]")
	if host, port, err := net.SplitHostPort(entry); err == nil {
		if a.port, err = parsePort(port); err != nil {
			return a, false
		}
		a.name = host
	}
	a.name = strings.TrimSuffix(a.name, ".")
	if !hostname.Is(strings.TrimPrefix(a.name, ".")) {
		return a, false
	}
	if ip, err := netip.ParseAddr(a.name); err == nil {
		a.name = ip.Unmap().String()
	}
	return a, true
}

// ports are those, besides that of TLS, on which some host may be reached.
func (all allowed) ports() []uint16 {
	var ports []uint16
	for _, a := range all.list {
		switch {
		case a.port == 0:
			ports = append(ports, plainPort)
		case a.port != tlsPort:
			ports = append(ports, a.port)
		}
	}
	slices.Sort(ports)
	return slices.Compact(ports)
}

// permits reports whether a client may go to the target.
func (all allowed) permits(t target) bool {
	return slices.ContainsFunc(all.list, func(a allowedHost) bool {
		return (a.port == 0 || a.port == t.port) && all.covers(a, t.host)
	})
}

// allows reports whether a client may go to the host, on whatever port.
func (all allowed) allows(host string) bool {
	return slices.ContainsFunc(all.list, func(a allowedHost) bool { return all.covers(a, host) })
}

// covers reports whether a host is an allowed one. A login host is named itself, or by a
// suffix that is one.
func (all allowed) covers(a allowedHost, host string) bool {
	if all.login(host) && !all.login(strings.TrimPrefix(a.name, ".")) {
		return false
	}
	return host == a.name || strings.HasPrefix(a.name, ".") && strings.HasSuffix(host, a.name)
}
