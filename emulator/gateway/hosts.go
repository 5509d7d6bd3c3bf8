package gateway

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/emulator/gateway/httppath"
	"github.com/wiemu/wiemu/emulator/trust"
)

// hosts finds the site of a host, by index.
type hosts struct {
	exact    map[string]*site
	suffixes map[string]*site // with their leading dot
}

// site is what answers for a host: a Route, with paths folded.
type site struct {
	handler    http.Handler
	unreadable http.Handler // nil: plain text
	maxBody    func(*http.Request) int64
}

// maxBodyOf returns how long the body of a request may be, in bytes.
func (s *site) maxBodyOf(r *http.Request) int64 {
	if s == nil || s.maxBody == nil {
		return 0
	}
	return s.maxBody(httppath.Folded(r))
}

func newHosts(routes []Route, authority *trust.Authority) (*hosts, error) {
	h := &hosts{exact: map[string]*site{}, suffixes: map[string]*site{}}
	for _, route := range routes {
		if route.Handler == nil {
			return nil, fmt.Errorf("the route of %q has no handler", route.Hosts)
		}
		s := &site{handler: httppath.Fold(route.Handler), maxBody: route.MaxBody}
		if route.Unreadable != nil {
			s.unreadable = httppath.Fold(route.Unreadable)
		}
		for _, given := range route.Hosts {
			name := strings.ToLower(given)
			index, sample := h.exact, name
			if strings.HasPrefix(name, ".") {
				index, sample = h.suffixes, "x"+name
			}
			if !isHost(sample) {
				return nil, fmt.Errorf("route: expected a host name without a port, such as graph.microsoft.com or .vault.azure.net, found %q", given)
			}
			if index[name] != nil {
				return nil, fmt.Errorf("route: %s has two handlers", given)
			}
			if !authority.Permits(sample) {
				return nil, fmt.Errorf("route: the CA does not certify %s; open it with this name", given)
			}
			index[name] = s
		}
	}
	return h, nil
}

// isHost reports whether host is a name or an address, in lower case and
// without brackets.
func isHost(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Zone() == ""
	}
	return trust.IsHostName(host)
}

// find is the site of a host as a request names it: in any case, with or
// without a port, with or without a final dot; nil when there is none.
func (h *hosts) find(host string) *site {
	host = hostOf(host)
	if s := h.exact[host]; s != nil {
		return s
	}
	for rest := host; ; {
		dot := strings.IndexByte(rest, '.')
		if dot < 0 {
			return nil
		}
		if s := h.suffixes[rest[dot:]]; s != nil && dot+len(host)-len(rest) > 0 {
			return s
		}
		rest = rest[dot+1:]
	}
}

// list is all hosts, sorted.
func (h *hosts) list() []string {
	var all []string
	for _, index := range []map[string]*site{h.exact, h.suffixes} {
		for name := range index {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return all
}

// hostOf is the host of host[:port], in lower case, without brackets and final
// dot. A host that is so already costs no allocation.
func hostOf(hostport string) string {
	host := hostport
	if strings.IndexByte(host, ':') >= 0 {
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		} else {
			host = strings.Trim(host, "[]") // an IPv6 address without a port
		}
	}
	return strings.TrimSuffix(strings.ToLower(host), ".")
}
