//go:build amd64 || arm64

package lead

import (
	"net"
	"net/netip"
	"strings"
	"sync"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/wiemu/wiemu/internal/hostname"
)

// names gives emulated names addresses, and remembers those of others, to tell escapes by.
type names struct {
	emulated []string // see Options

	mu      sync.Mutex
	given   pool                  // to emulated names
	unknown pool                  // to names that no resolver knows: see forward
	learned map[netip.Addr]string // what other resolvers answered
}

// The addresses of names are on loopback, which is this machine's as a whole. Other labs may
// use the same; each leads its own programs alone.
var (
	emulatedAddresses = netip.MustParsePrefix("127.77.0.0/17")
	unknownAddresses  = netip.MustParsePrefix("127.77.128.0/17")
)

// firstAddress leaves the lowest of them to others.
var firstAddress = netip.MustParseAddr("127.77.0.10")

// maxLearned is how many addresses of other names are remembered.
const maxLearned = 8192

func newNames(emulated []string) *names {
	n := &names{
		emulated: emulated, given: newPool(emulatedAddresses, firstAddress),
		unknown: newPool(unknownAddresses, unknownAddresses.Addr().Next()), learned: map[netip.Addr]string{},
	}
	for _, name := range emulated {
		if name[0] != '.' {
			n.address(name)
		}
	}
	n.given.first = n.given.next
	return n
}

// A pool gives names addresses, each its own.
type pool struct {
	addresses netip.Prefix
	first     netip.Addr // those before it stay whose they are
	next      netip.Addr
	byName    map[string]netip.Addr
	byAddr    map[netip.Addr]string
}

func newPool(addresses netip.Prefix, first netip.Addr) pool {
	return pool{addresses, first, first, map[string]netip.Addr{}, map[netip.Addr]string{}}
}

// address returns that of a name. When all have been given, the oldest are given again.
func (p *pool) address(name string) netip.Addr {
	if a, ok := p.byName[name]; ok {
		return a
	}
	a := p.next
	if p.next = a.Next(); !p.addresses.Contains(p.next.Next()) { // not the last, which may be for broadcasts
		p.next = p.first
	}
	delete(p.byName, p.byAddr[a])
	p.byName[name], p.byAddr[a] = a, name
	return a
}

// isEmulated reports whether a name in lower case and without a final dot is. What DNS can
// carry and is no name of a host (RFC 1123) never is.
func (n *names) isEmulated(name string) bool {
	if !hostname.IsName(name) {
		return false
	}
	for _, pattern := range n.emulated {
		if pattern == name || pattern[0] == '.' && strings.HasSuffix(name, pattern) {
			return true
		}
	}
	return false
}

// address returns that of an emulated name. Those of whole names stay.
func (n *names) address(name string) netip.Addr {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.given.address(name)
}

// name returns the emulated name that has an address; false: none has.
func (n *names) name(a netip.Addr) (string, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	name, ok := n.given.byAddr[a]
	return name, ok
}

// unknownAddress returns the address of a name that no resolver knows.
func (n *names) unknownAddress(name string) netip.Addr {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.unknown.address(name)
}

// unknownName returns the name that no resolver knows and that has an address; false: none
// has.
func (n *names) unknownName(a netip.Addr) (string, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	name, ok := n.unknown.byAddr[a]
	return name, ok
}

// host is what to call an address that is not emulated: by the name that a program last
// looked up for it, if it did.
func (n *names) host(a netip.Addr) string {
	a = a.Unmap().WithZone("")
	n.mu.Lock()
	defer n.mu.Unlock()
	if name, ok := n.learned[a]; ok {
		return name
	}
	return a.String()
}

// answer is the reply to a question about an emulated name; nil if the message is about
// another, or none. For sixOnly see addressReply.
func (n *names) answer(message []byte, sixOnly func() bool) []byte {
	header, question, ok := questionOf(message)
	if !ok {
		return nil
	}
	name := nameIn(question)
	if !n.isEmulated(name) {
		return nil
	}
	return addressReply(header, question, 60, func() netip.Addr { return n.address(name) }, sixOnly)
}

// addressReply is that to a question about a name which has one address of IPv4, and nothing else
// (no AAAA, no HTTPS); sixOnly says that it has the mapped one of IPv6 as well: see onlyIPv6.
func addressReply(header dnsmessage.Header, question dnsmessage.Question, seconds uint32, address func() netip.Addr, sixOnly func() bool) []byte {
	b := dnsmessage.NewBuilder(nil, replyTo(header))
	b.EnableCompression()
	if b.StartQuestions() != nil || b.Question(question) != nil || b.StartAnswers() != nil {
		return nil
	}
	resource := dnsmessage.ResourceHeader{Name: question.Name, Class: question.Class, TTL: seconds}
	var err error
	switch {
	case question.Class != dnsmessage.ClassINET:
	case question.Type == dnsmessage.TypeA:
		err = b.AResource(resource, dnsmessage.AResource{A: address().As4()})
	case question.Type == dnsmessage.TypeAAAA && sixOnly():
		err = b.AAAAResource(resource, dnsmessage.AAAAResource{AAAA: address().As16()})
	}
	if err != nil {
		return nil
	}
	return finished(b)
}

// questionOf is the header and the only question of a query; false if it is none.
func questionOf(message []byte) (dnsmessage.Header, dnsmessage.Question, bool) {
	var p dnsmessage.Parser
	header, err := p.Start(message)
	if err != nil || header.Response || header.OpCode != 0 {
		return header, dnsmessage.Question{}, false
	}
	questions, err := p.AllQuestions()
	if err != nil || len(questions) != 1 {
		return header, dnsmessage.Question{}, false
	}
	return header, questions[0], true
}

// nameIn is the name that is asked for, without a final dot and with ASCII letters in lower
// case: DNS knows no others (RFC 4343).
func nameIn(q dnsmessage.Question) string {
	lower := []byte(strings.TrimSuffix(q.Name.String(), "."))
	for i, c := range lower {
		if c >= 'A' && c <= 'Z' {
			lower[i] = c + 'a' - 'A'
		}
	}
	return string(lower)
}

func replyTo(h dnsmessage.Header) dnsmessage.Header {
	return dnsmessage.Header{ID: h.ID, Response: true, OpCode: h.OpCode, RecursionDesired: h.RecursionDesired, RecursionAvailable: true}
}

// codeOnly answers a query with a code and nothing else; nil for what is no query.
func codeOnly(message []byte, code dnsmessage.RCode) []byte {
	var p dnsmessage.Parser
	header, err := p.Start(message)
	if err != nil || header.Response {
		return nil
	}
	if _, question, ok := questionOf(message); ok {
		return withCode(header, &question, code)
	}
	return withCode(header, nil, code)
}

// withCode is a reply that has a code and nothing else, but for the question if there is one.
func withCode(header dnsmessage.Header, question *dnsmessage.Question, code dnsmessage.RCode) []byte {
	reply := replyTo(header)
	reply.RCode = code
	b := dnsmessage.NewBuilder(nil, reply)
	if question != nil && (b.StartQuestions() != nil || b.Question(*question) != nil) {
		return nil
	}
	return finished(b)
}

func finished(b dnsmessage.Builder) []byte {
	message, err := b.Finish()
	if err != nil {
		return nil
	}
	return message
}

// learn remembers whose the addresses in an answer are: those of the name that was asked
// for, whatever it is an alias of.
func (n *names) learn(answer []byte) {
	var p dnsmessage.Parser
	if _, err := p.Start(answer); err != nil {
		return
	}
	questions, err := p.AllQuestions()
	if err != nil || len(questions) != 1 {
		return
	}
	name := nameIn(questions[0])
	resources, err := p.AllAnswers()
	if err != nil || !hostname.IsName(name) { // then an escape is told by its address
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, r := range resources {
		if len(n.learned) >= maxLearned {
			clear(n.learned)
		}
		switch body := r.Body.(type) {
		case *dnsmessage.AResource:
			n.learned[netip.AddrFrom4(body.A)] = name
		case *dnsmessage.AAAAResource:
			n.learned[netip.AddrFrom16(body.AAAA).Unmap()] = name
		}
	}
}

// onlyIPv6 reports whether this machine has addresses of IPv6 and none of IPv4 but loopback.
// There AI_ADDRCONFIG has libc ask for AAAA alone (getaddrinfo(3)).
func onlyIPv6() bool {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	var ips []netip.Addr
	for _, a := range all {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil {
			ips = append(ips, prefix.Addr())
		}
	}
	return onlySix(ips)
}

func onlySix(ips []netip.Addr) bool {
	six := false
	for _, ip := range ips {
		switch {
		case ip.IsLoopback():
		case ip.Is4():
			return false
		default:
			six = true
		}
	}
	return six
}
