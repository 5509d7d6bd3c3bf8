// Package hostname tells host names and addresses from other text, and finds the host in
// what a request names.
package hostname

import (
	"net"
	"net/netip"
	"strings"
)

// IsName reports whether name, in lower case and without a final dot, is one
// that DNS and certificates can carry: RFC 1123 §2.1, and underscores as they
// occur in practice.
func IsName(name string) bool {
	if name == "" || len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}

// Is reports whether host is a name or an address, in lower case and
// without brackets.
func Is(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Zone() == ""
	}
	return IsName(host)
}

// Of is the host of host[:port], in lower case, without brackets and final
// dot. A host that is so already costs no allocation.
func Of(hostport string) string {
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
