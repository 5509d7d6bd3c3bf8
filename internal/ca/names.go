package ca

import (
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/wiemu/wiemu/internal/hostname"
)

// names are what a CA is asked to certify: lower case, sorted, without loopback.
type names struct {
	exact    []string
	suffixes []string // with their leading dot
	ips      []netip.Addr
}

func parseNames(opts Options) (names, error) {
	var n names
	for _, ip := range opts.IPs {
		if !ip.IsValid() {
			return names{}, fmt.Errorf("the CA's addresses: expected IP addresses, found one that is not set")
		}
		n.ips = append(n.ips, ip.Unmap().WithZone(""))
	}
	for _, given := range opts.Names {
		name := strings.ToLower(given)
		if ip, err := netip.ParseAddr(name); err == nil {
			n.ips = append(n.ips, ip.Unmap().WithZone(""))
			continue
		}
		base, isSuffix := strings.CutPrefix(name, ".")
		if !hostname.IsName(base) {
			return names{}, fmt.Errorf("the CA's names: expected a host name such as login.microsoftonline.com, or a suffix such as .vault.azure.net, found %q", given)
		}
		if isSuffix {
			n.suffixes = append(n.suffixes, name)
		} else {
			n.exact = append(n.exact, name)
		}
	}
	for _, list := range []*[]string{&n.exact, &n.suffixes} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	slices.SortFunc(n.ips, netip.Addr.Compare)
	n.ips = slices.Compact(n.ips)
	return n, nil
}

func (n names) serves(host string) bool {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if ip, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		ip = ip.Unmap()
		return ip == loopback4 || ip == loopback6 || slices.Contains(n.ips, ip)
	}
	return host == localhost || n.certifies(host)
}

// certifies reports whether a host, in lower case, is one of the names, or a wildcard for hosts with
// a suffix, such as *.database.windows.net.
func (n names) certifies(host string) bool {
	_, found := slices.BinarySearch(n.exact, host)
	return found || slices.ContainsFunc(n.suffixes, func(suffix string) bool {
		return strings.HasSuffix(host, suffix) && hostname.IsName(strings.TrimPrefix(host, "*."))
	})
}

// The names under which a lab's control and cluster endpoints are reached.
const localhost = "localhost"

var (
	loopback4 = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	loopback6 = netip.IPv6Loopback()
)

// addresses are the permitted addresses with loopback.
func (n names) addresses() []netip.Addr {
	return append([]netip.Addr{loopback4, loopback6}, n.ips...)
}

// domains are the name constraints for DNS: a domain permits itself and what is
// below it. RFC 5280 §4.2.1.10 has no leading dot here, and Java refuses one.
func (n names) domains() []string {
	domains := append([]string{localhost}, n.exact...)
	for _, suffix := range n.suffixes {
		domains = append(domains, suffix[1:])
	}
	slices.Sort(domains)
	return slices.Compact(domains)
}

// ranges are the name constraints for addresses.
func (n names) ranges() []*net.IPNet {
	var ranges []*net.IPNet
	for _, ip := range n.addresses() {
		ranges = append(ranges, &net.IPNet{IP: ip.AsSlice(), Mask: net.CIDRMask(ip.BitLen(), ip.BitLen())})
	}
	return ranges
}

// differFrom says in what a CA certificate's name constraints are not exactly those of
// the names; "" when they are.
func (n names) differFrom(cert *x509.Certificate) string {
	if !cert.PermittedDNSDomainsCritical {
		return "is not held to names"
	}
	if why := compare(cert.PermittedDNSDomains, n.domains()); why != "" {
		return why
	}
	if why := compare(texts(cert.PermittedIPRanges), texts(n.ranges())); why != "" {
		return why
	}
	none := []string{nothing}
	if !slices.Equal(cert.PermittedEmailAddresses, none) || !slices.Equal(cert.PermittedURIDomains, none) ||
		len(cert.ExcludedDNSDomains)+len(cert.ExcludedIPRanges)+len(cert.ExcludedEmailAddresses)+len(cert.ExcludedURIDomains) > 0 {
		return "has constraints that are not wiemu's"
	}
	return ""
}

func compare(permitted, wanted []string) string {
	for _, name := range wanted {
		if !slices.Contains(permitted, name) {
			return "does not permit " + name
		}
	}
	for _, name := range permitted {
		if !slices.Contains(wanted, name) {
			return "permits " + strconv.Quote(name) + ", which this configuration does not name"
		}
	}
	return ""
}

func texts(ranges []*net.IPNet) []string {
	all := make([]string, len(ranges))
	for i, r := range ranges {
		all[i] = r.String()
	}
	return all
}
