//go:build amd64 || arm64

package lead

import (
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// resolverConfig is how programs look names up on this machine. Source: resolv.conf(5).
type resolverConfig struct {
	resolvers []netip.AddrPort
	search    []string // domains, in lower case and without a final dot
	dots      int      // a name with as many is asked for before it is with the domains
	timeout   time.Duration
}

// maxForwardTimeout is how long, in wall time, another resolver may take: a little less than
// the 5 s after which libc asks the next one, if nothing else is configured.
const maxForwardTimeout = 4 * time.Second

// readResolverConfig reads the file that libc reads. Without one there is one resolver on
// this machine, as it is to libc.
func readResolverConfig() resolverConfig {
	text, _ := os.ReadFile("/etc/resolv.conf")
	return parseResolverConfig(string(text))
}

func parseResolverConfig(text string) resolverConfig {
	const most = 3 // MAXNS
	c := resolverConfig{dots: 1, timeout: maxForwardTimeout}
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		switch words[0] {
		case "nameserver":
			if ip, err := netip.ParseAddr(words[1]); err == nil && len(c.resolvers) < most {
				c.resolvers = append(c.resolvers, withoutZone(netip.AddrPortFrom(ip, dnsPort)))
			}
		case "domain", "search": // the last one counts
			c.search = nil
			for _, domain := range words[1:] {
				c.search = append(c.search, strings.ToLower(strings.Trim(domain, ".")))
			}
		case "options":
			c.setOptions(words[1:])
		}
	}
	if len(c.resolvers) == 0 {
		c.resolvers = []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), dnsPort)}
	}
	return c
}

func (c *resolverConfig) setOptions(options []string) {
	for _, option := range options {
		name, value, _ := strings.Cut(option, ":")
		number, err := strconv.Atoi(value)
		if err != nil || number < 0 {
			continue
		}
		switch name {
		case "ndots":
			c.dots = number
		case "timeout":
			if own := time.Duration(number) * time.Second * 4 / 5; own > 0 && own < c.timeout {
				c.timeout = own
			}
		}
	}
}

func (c resolverConfig) has(resolver netip.AddrPort) bool {
	return slices.Contains(c.resolvers, resolver)
}

// searched says what a name is that a program asks for.
func (c resolverConfig) searched(name string) searchedName {
	for _, domain := range c.search {
		rest, ok := strings.CutSuffix(name, "."+domain)
		dots := strings.Count(rest, ".")
		switch {
		case !ok || domain == "" || dots >= c.dots:
		case dots == 0:
			return withDomainOnly
		default:
			return withDomain
		}
	}
	return wholeName
}

type searchedName int

const (
	wholeName      searchedName = iota // as the program was given it
	withDomain                         // most likely with a domain of search behind it
	withDomainOnly                     // likewise; or a host of that domain
)

func withoutZone(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}
