//go:build amd64 || arm64

package lead

import (
	"context"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/wiemu/wiemu/internal/hostname"
)

// A name that no resolver knows, as on a machine that is offline, has an address of its own
// nevertheless, so that an attempt to connect to it is seen, refused and told by name:
// routeNowhere. An answer of a resolver stays what it is, also that there is no such name.

// forward asks the resolver that the program meant, and answers for a name that none knows.
func (a *answerers) forward(query []byte, meant netip.AddrPort, network string) []byte {
	config := a.config()
	header, question, ok := questionOf(query)
	q := asked{nameIn(question), question.Type, withoutZone(meant)}
	if !ok || !mayBeOutside(question) {
		reply, _, _ := a.ask(query, meant, network, config.timeout)
		return reply
	}
	code, failed := a.failures.find(q, repeatTime)
	reply := withCode(header, &question, code)
	if !failed {
		if reply, code, failed = a.ask(query, meant, network, config.timeout); !failed {
			return reply
		}
	}
	if a.mayReach(q.name) { // then it is looked up as without wiemu
		return reply
	}
	a.failures.add(q, code)
	if config.has(q.resolver) && !a.failures.haveAll(q, config.resolvers) {
		return reply // the program asks the others now, or does so at the same time
	}
	switch config.searched(q.name) {
	case withDomain: // some programs do not go on to the name itself after a failure
		return withCode(header, &question, dnsmessage.RCodeNameError)
	case withDomainOnly:
		return reply
	case wholeName:
	}
	const seconds = 1 // a resolver may know the name soon
	return addressReply(header, question, seconds, func() netip.Addr { return a.names.unknownAddress(q.name) }, onlyIPv6)
}

// ask asks a resolver, twice if it fails at once. A failure comes with its code.
func (a *answerers) ask(query []byte, resolver netip.AddrPort, network string, timeout time.Duration) (reply []byte, code dnsmessage.RCode, failed bool) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	for range 2 {
		var err error
		if reply, err = ask(ctx, query, resolver, network); err != nil {
			code, failed = dnsmessage.RCodeServerFailure, true
			reply = codeOnly(query, code)
			continue
		}
		if code, failed = a.failureIn(ctx, reply, resolver); !failed {
			a.names.learn(reply)
			break
		}
	}
	return reply, code, failed
}

// failureIn reports whether a resolver's reply says that it has no answer, and with which code.
// That a name does not exist is an answer, unless the resolver says that of every name, the
// root included, as those of machines do that are cut off: one that is part of DNS knows the
// root, and mostly says in which zone the name is missing (RFC 2308 §3).
func (a *answerers) failureIn(ctx context.Context, reply []byte, resolver netip.AddrPort) (dnsmessage.RCode, bool) {
	var m dnsmessage.Message
	if m.Unpack(reply) != nil {
		return 0, false // the program's to judge
	}
	switch m.RCode {
	case dnsmessage.RCodeServerFailure, dnsmessage.RCodeNotImplemented, dnsmessage.RCodeRefused:
		return m.RCode, true
	case dnsmessage.RCodeNameError:
		return m.RCode, len(m.Authorities) == 0 && a.isRootless(ctx, resolver)
	}
	return m.RCode, false
}

// isRootless reports whether a resolver says that DNS has no root.
func (a *answerers) isRootless(ctx context.Context, resolver netip.AddrPort) bool {
	q := asked{".", dnsmessage.TypeNS, withoutZone(resolver)}
	if _, failed := a.failures.find(q, repeatTime); failed {
		return true
	}
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: uint16(time.Now().UnixNano()), RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName("."), Type: q.kind, Class: dnsmessage.ClassINET}},
	}
	query, err := m.Pack()
	if err != nil {
		return false
	}
	reply, err := ask(ctx, query, resolver, "udp")
	if err != nil || m.Unpack(reply) != nil || m.RCode != dnsmessage.RCodeNameError {
		return false
	}
	a.failures.add(q, m.RCode)
	return true
}

// mayBeOutside reports whether a question is about the address of a host that may be outside:
// not this machine's own (RFC 6761 §6.3).
func mayBeOutside(q dnsmessage.Question) bool {
	name := nameIn(q)
	if q.Class != dnsmessage.ClassINET || q.Type != dnsmessage.TypeA && q.Type != dnsmessage.TypeAAAA ||
		!hostname.IsName(name) || name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return false
	}
	own, err := os.Hostname()
	own = strings.ToLower(own)
	return err != nil || name != own && !strings.HasPrefix(name, own+".")
}

// asked is a question to a resolver.
type asked struct {
	name     string
	kind     dnsmessage.Type
	resolver netip.AddrPort
}

// failures remembers which questions resolvers did not answer of late, and with which code.
type failures struct {
	mu  sync.Mutex
	all map[asked]failureAt
}

type failureAt struct {
	code dnsmessage.RCode
	at   time.Time
}

// Both are wall time.
const (
	// repeatTime is how long a question is not asked again: some programs wait less than a
	// resolver is given, and then repeat it.
	repeatTime = 5 * time.Second

	// failureTime is how long a program may take to ask all resolvers of resolv.conf, of which
	// libc takes three.
	failureTime = 15 * time.Second
)

// maxFailures is how many are remembered.
const maxFailures = 4096

// find returns with which code a question failed in the last time; false: it did not.
func (f *failures) find(q asked, within time.Duration) (dnsmessage.RCode, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	found, ok := f.all[q]
	return found.code, ok && time.Since(found.at) < within
}

// haveAll reports whether all resolvers have failed to answer the same.
func (f *failures) haveAll(q asked, resolvers []netip.AddrPort) bool {
	return !slices.ContainsFunc(resolvers, func(r netip.AddrPort) bool {
		_, failed := f.find(asked{q.name, q.kind, r}, failureTime)
		return !failed
	})
}

// add notes a failure. One that is repeated from memory stays as old as it is.
func (f *failures) add(q asked, code dnsmessage.RCode) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if known, ok := f.all[q]; ok && time.Since(known.at) < repeatTime {
		return
	}
	if f.all == nil || len(f.all) >= maxFailures {
		f.all = map[asked]failureAt{}
	}
	f.all[q] = failureAt{code, time.Now()}
}
