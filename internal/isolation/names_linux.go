package isolation

import (
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/net/ipv4"

	"github.com/wiemu/wiemu/internal/hostname"
)

// names gives every host name an address of its own, so that a program's connections can be
// reported by name. The addresses are of the network for testing (RFC 2544: 198.18.0.0/15).
type names struct {
	mu     sync.Mutex
	byName map[string]netip.Addr
	byAddr map[netip.Addr]string
	next   netip.Addr
}

// testNetwork is where addresses are from.
var testNetwork = netip.MustParsePrefix("198.18.0.0/15")

func newNames() *names {
	return &names{byName: map[string]netip.Addr{}, byAddr: map[netip.Addr]string{}, next: resolver.Next()}
}

// address returns that of a name, and makes one for a name that was not asked for
// before; false for what is no host's name, and when there are no more.
func (n *names) address(name string) (netip.Addr, bool) {
	name, ok := hostName(name)
	if !ok {
		return netip.Addr{}, false
	}
	if name == "localhost" || strings.HasSuffix(name, ".localhost") { // RFC 6761 §6.3
		return netip.AddrFrom4([4]byte{127, 0, 0, 1}), true
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	a, known := n.byName[name]
	if known {
		return a, true
	}
	if !testNetwork.Contains(n.next) {
		return a, false
	}
	a, n.next = n.next, n.next.Next()
	n.byName[name], n.byAddr[a] = a, name
	return a, true
}

// hostName returns a name as it is looked up, and whether a host may have it. What some resolver
// takes for an address is no name: a connection to it would be led by that address.
func hostName(name string) (string, bool) {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	return name, hostname.IsName(name) && !isNumeric(name)
}

// isNumeric reports whether the last label of a name is a number, decimal or
// hexadecimal: 127.0.0.1, 127.1, 2130706433 and 0x7f.1 are addresses to
// inet_aton(3) and getaddrinfo(3), and no top-level domain is a number.
// Source: WHATWG URL, "ends in a number checker".
func isNumeric(name string) bool {
	last := name[strings.LastIndexByte(name, '.')+1:]
	if strings.Trim(last, "0123456789") == "" {
		return true
	}
	hex, isHex := strings.CutPrefix(last, "0x")
	return isHex && strings.Trim(hex, "0123456789abcdef") == ""
}

// target is where a program that connects to an address wants to go: to the name
// that it was given the address for, or the address itself.
func (n *names) target(to netip.AddrPort) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	addr := to.Addr().Unmap()
	if name, ok := n.byAddr[addr]; ok {
		return net.JoinHostPort(name, portText(to.Port()))
	}
	return netip.AddrPortFrom(addr, to.Port()).String()
}

// answerPackets answers DNS over UDP until the socket is closed, from the address
// that each question was sent to.
func (n *names) answerPackets(conn net.PacketConn) {
	packets := ipv4.NewPacketConn(conn)
	_ = packets.SetControlMessage(ipv4.FlagDst, true) // without it the resolver of resolv.conf still works
	buffer := make([]byte, 64<<10)
	for {
		size, control, from, err := packets.ReadFrom(buffer)
		if err != nil {
			return
		}
		answer := n.answer(buffer[:size])
		if answer == nil {
			continue
		}
		reply := &ipv4.ControlMessage{}
		if control != nil {
			reply.Src = control.Dst
		}
		_, _ = packets.WriteTo(answer, reply, from) // a client that is gone asks no more
	}
}

// dnsTimeout is how long a client may take to ask (wall time).
const dnsTimeout = 10 * time.Second

// answerStream answers DNS over TCP (RFC 1035 §4.2.2).
func (n *names) answerStream(conn net.Conn) {
	for {
		_ = conn.SetDeadline(time.Now().Add(dnsTimeout)) // wall time: input and output
		var size uint16
		if err := binary.Read(conn, binary.BigEndian, &size); err != nil {
			return
		}
		question := make([]byte, size)
		if _, err := io.ReadFull(conn, question); err != nil {
			return
		}
		answer := n.answer(question)
		if answer == nil {
			return
		}
		if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)); err != nil {
			return
		}
	}
}

// answer is the reply to a message; nil for one that is none or asks nothing. Every
// host name has one address, and nothing else; other names do not exist.
func (n *names) answer(message []byte) []byte {
	var p dnsmessage.Parser
	header, err := p.Start(message)
	if err != nil || header.Response {
		return nil
	}
	reply := dnsmessage.Header{
		ID: header.ID, Response: true, OpCode: header.OpCode, RecursionDesired: header.RecursionDesired, RecursionAvailable: true,
	}
	question, err := p.Question()
	if err != nil { // such as a label with a dot in it: no question that could be repeated
		reply.RCode = dnsmessage.RCodeFormatError
		return finished(dnsmessage.NewBuilder(nil, reply))
	}
	var addr netip.Addr
	wanted := question.Class == dnsmessage.ClassINET && question.Type == dnsmessage.TypeA
	_, isHost := hostName(question.Name.String())
	switch {
	case header.OpCode != 0:
		reply.RCode = dnsmessage.RCodeNotImplemented
	case !isHost: // of whatever type and class
		reply.RCode = dnsmessage.RCodeNameError
	case wanted:
		var ok bool
		if addr, ok = n.address(question.Name.String()); !ok {
			reply.RCode = dnsmessage.RCodeServerFailure
		}
	}
	b := dnsmessage.NewBuilder(nil, reply)
	b.EnableCompression()
	if b.StartQuestions() != nil || b.Question(question) != nil || b.StartAnswers() != nil {
		return nil
	}
	if reply.RCode == dnsmessage.RCodeSuccess && wanted {
		err = b.AResource(dnsmessage.ResourceHeader{Name: question.Name, Class: question.Class, TTL: 60}, dnsmessage.AResource{A: addr.As4()})
		if err != nil {
			return nil
		}
	}
	return finished(b)
}

func finished(b dnsmessage.Builder) []byte {
	answer, err := b.Finish()
	if err != nil {
		return nil
	}
	return answer
}
