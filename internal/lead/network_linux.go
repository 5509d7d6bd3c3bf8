//go:build amd64 || arm64

package lead

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/wiemu/wiemu/internal/lead/handover"
	"github.com/wiemu/wiemu/internal/seccomp"
)

// Network decides about the system calls of Blocks.
type Network struct {
	opts      Options
	way       Way
	killable  bool // a call that was taken ends early for deadly signals alone (WAIT_KILLABLE_RECV)
	names     *names
	answerers *answerers
	arrivals  *arrivals
	report    func(Unled)
	ended     atomic.Bool // the lab answers for the names no more
	namespace namespace   // of the network: its loopback is ours
	programs  knownPrograms
	datagrams sync.Map // where outside they may be sent, by handover.Target
	asking    func()   // see OnAsk; nil: nobody wants to know

	askers sync.Map     // sockets that ask our DNS, by name: when they did last
	asked  atomic.Int64 // how many questions there were
	taking atomic.Int64 // messages that are no longer in a socket, and not yet with the program

	mu      sync.Mutex
	told    map[Unled]bool // without process ids
	waiting map[int]bool   // copies of sockets on which a program waits for an answer
}

// maxTold is how many programs are reported that are not led.
const maxTold = 100

// NewNetwork makes what decides for the programs of one filter; report is called for what is
// not led, once each. The options are complete. It decides once Use has been called.
func NewNetwork(opts Options, report func(Unled)) (*Network, error) {
	n := &Network{opts: opts, names: newNames(opts.Names), namespace: ownNamespace(), report: report, told: map[Unled]bool{}, waiting: map[int]bool{}}
	n.answerers = newAnswerers(n.names, n.mayReach)
	var lab *handover.Client
	var err error
	if opts.Handover != "" {
		if lab, err = handover.Dial(opts.Handover); err != nil {
			return nil, err
		}
	}
	if n.arrivals, err = newArrivals(lab, n.lost); err != nil {
		return nil, err
	}
	go n.arrivals.serve()
	return n, nil
}

// Use says which way the filter is installed for, and whether a call that was taken ends
// early for deadly signals alone (WAIT_KILLABLE_RECV).
func (n *Network) Use(way Way, killable bool) { n.way, n.killable = way, killable }

// OnAsk has f called before the program may ask for a name, of which AsksNow then tells
// whether it has been answered. Call it before Use.
func (n *Network) OnAsk(f func()) { n.asking, n.answerers.asking = f, f }

// AsksNow reports whether there are questions about names that have not been answered.
func (n *Network) AsksNow() bool { return n.answerers.isBusy() }

// Take answers a system call of Head or Blocks, at once or later. done is called when it has
// been answered, or the program waits in it for something else: see Busy.
func (n *Network) Take(listener int, asked seccomp.Notification, done func()) {
	n.take(&call{Notification: asked, listener: listener}, done)
}

// IsCall reports whether a system call of which the kernel tells is one of Head or Blocks.
func IsCall(arch uint32, number int32) bool {
	_, ok := decisions[number]
	return ok || arch != auditArch
}

// decisions are about the calls that the supervisor is asked about; see decide.
var decisions = map[int32]func(*Network, *call) (verdict, func() verdict){
	unix.SYS_CONNECT: (*Network).connect,
	unix.SYS_SENDTO:  (*Network).sendto,
	unix.SYS_SENDMSG: func(n *Network, c *call) (verdict, func() verdict) { return n.sendMessages(c, 1, int(c.Args[2])) },
	unix.SYS_SENDMMSG: func(n *Network, c *call) (verdict, func() verdict) {
		return n.sendMessages(c, min(int(uint32(c.Args[2])), maxMessages), int(c.Args[3]))
	},
	unix.SYS_RECVFROM: (*Network).receive,
	unix.SYS_RECVMSG:  (*Network).receive,
	unix.SYS_RECVMMSG: (*Network).receive,
}

// Busy reports whether something is done for the program of which the kernel does not say that
// it is: a question that has not been answered, an answer that it has not received, or a
// connection that has not been handed over.
func (n *Network) Busy() bool {
	if n.arrivals.isBusy() || n.answerers.isBusy() {
		return true
	}
	n.mu.Lock() // after the answerers: an answer that is theirs no more has been received
	waiting := make([]unix.PollFd, 0, len(n.waiting))
	for fd := range n.waiting {
		waiting = append(waiting, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
	}
	received, err := 0, error(nil)
	if len(waiting) > 0 {
		received, err = unix.Poll(waiting, 0)
	}
	n.mu.Unlock()
	return received > 0 || err != nil || n.taking.Load() > 0
}

// End hands over what has arrived. From then on connections to emulated names are refused,
// and escapes go on.
func (n *Network) End() {
	n.ended.Store(true)
	n.arrivals.drain()
}

// A call is a system call that waits for our answer.
type call struct {
	seccomp.Notification
	listener int  // where it is answered
	copied   bool // dup is a copy of its socket
	dup      int
}

// file is the first argument, of all calls.
func (c *call) file() int { return int(int32(c.Args[0])) }

// verdict is what a system call returns, or that the kernel goes on with it.
type verdict struct {
	value int64
	errno unix.Errno
	goOn  bool
	gone  bool // the program does not wait for it any more
}

var (
	goesOn  = verdict{goOn: true}
	nobody  = verdict{gone: true}
	refused = fails(unix.ECONNREFUSED)
)

func fails(errno unix.Errno) verdict { return verdict{errno: errno} }

// decide returns a verdict, or what will find one and may take a while: later.
func (n *Network) decide(c *call) (v verdict, later func() verdict) {
	if c.Arch != auditArch {
		return n.unled(c, "it is a 32-bit program"), nil
	}
	if about, ok := decisions[c.Number]; ok {
		return about(n, c)
	}
	return goesOn, nil
}

// Where an address leads.
type route int

const (
	routeOn      route = iota // where the program asked for
	routeLab                  // an emulated name: to our listener
	routeOther                // a literal address of Options: to another one of this machine
	routeDNS                  // to an answerer
	routeEscape               // out of this machine, if that is permitted
	routeNowhere              // a name that no resolver knows
)

// A destination is where an address leads.
type destination struct {
	route  route
	at     netip.AddrPort  // of routeOther and routeDNS
	target handover.Target // of routeLab, routeEscape and routeNowhere
}

// isOfDatagrams reports whether what is sent there without a connection does not go on.
func (d destination) isOfDatagrams() bool { return d.route == routeDNS || d.route == routeNowhere }

// isQUIC reports whether datagrams that are sent there with an address would be HTTP/3's, and
// leave this machine.
func (d destination) isQUIC() bool { return d.route == routeEscape && d.target.Port == 443 }

const dnsPort = 53

// sharedAddresses are those of carriers and overlay networks, RFC 6598: not public.
var sharedAddresses = netip.MustParsePrefix("100.64.0.0/10")

// lookup says where an address leads, by itself.
func (n *Network) lookup(to netip.AddrPort) destination {
	to = plain(to)
	ip, port := to.Addr(), to.Port()
	if !to.IsValid() || port == 0 {
		return destination{}
	}
	if at, ok := n.opts.Literals[to]; ok {
		return destination{route: routeOther, at: at}
	}
	if name, ok := n.names.name(ip); ok {
		return destination{route: routeLab, target: handover.Target{Host: name, Port: port}}
	}
	if name, ok := n.names.unknownName(ip); ok {
		return destination{route: routeNowhere, target: handover.Target{Host: name, Port: port}}
	}
	if what, ok := n.arrivals.at(to); ok { // rewritten before, and used again
		return destination{route: routeLab, target: what.to}
	}
	switch {
	case port == dnsPort:
		at, err := n.answerers.at(to)
		if err != nil {
			return destination{}
		}
		return destination{route: routeDNS, at: at}
	case !isWeb(port),
		ip.IsLoopback(), ip.IsPrivate(), ip.IsLinkLocalUnicast(), ip.IsUnspecified(), ip.IsMulticast(), sharedAddresses.Contains(ip):
		return destination{}
	}
	return destination{route: routeEscape, target: handover.Target{Host: n.names.host(ip), Port: port}}
}

// isWeb reports whether connections to a port that leave this machine are escapes.
func isWeb(port uint16) bool { return port == 443 || port == 80 }

func (n *Network) connect(c *call) (verdict, func() verdict) {
	a, err := readAddress(int(c.Thread), c.Args[1], int(int32(c.Args[2])))
	if err != nil {
		return n.unreadable(c, err), nil
	}
	if isLookupService(a.path) {
		return fails(unix.ENOENT), nil
	}
	d := n.lookup(a.to)
	if d.route == routeOn {
		return goesOn, nil
	}
	return n.reach(c, d, func(at netip.AddrPort) (verdict, func() verdict) {
		if n.way == Rewrite {
			return n.rewrite(c, c.Args[1], int(int32(c.Args[2])), a.family, at), nil
		}
		connect := func() verdict { return n.connectCopy(c, a.family, at) }
		if d.route == routeOther { // who accepts there may be busy
			return verdict{}, connect
		}
		return connect(), nil
	})
}

// isLookupService reports whether a socket is one by which names are looked up elsewhere:
// systemd-resolved's or nscd's. Without it libc falls back to DNS.
func isLookupService(path string) bool {
	path = strings.TrimPrefix(path, "/var")
	return strings.HasPrefix(path, "/run/systemd/resolve/") || strings.HasPrefix(path, "/run/nscd/")
}

// permitTimeout is how long, in wall time, the lab may take to decide about an escape.
const permitTimeout = 5 * time.Second

// reach finds out where a connection or message to an address arrives, and has it led
// there; or the program may go on, or is refused.
func (n *Network) reach(c *call, d destination, lead func(at netip.AddrPort) (verdict, func() verdict)) (verdict, func() verdict) {
	tid := int(c.Thread)
	if d.route == routeNowhere {
		return n.nowhere(c, d.target)
	}
	if d.route != routeDNS && !n.isStream(c) {
		if c.Number != unix.SYS_CONNECT && d.isQUIC() {
			return n.datagram(c, d.target)
		}
		return goesOn, nil // getaddrinfo connects UDP, to see which address is nearer (RFC 3484)
	}
	if d.route != routeEscape && n.isElsewhere(c) {
		v := n.unled(c, "it is in another network namespace")
		if d.route == routeLab {
			v = refused
		}
		return v, nil
	}
	ended := n.ended.Load() || n.arrivals.gone.Load()
	switch d.route {
	case routeLab:
		if ended {
			return refused, nil
		}
		return lead(n.arrivals.address(d.target, n.programs.of(tid)))
	case routeEscape:
		if ended || n.arrivals.lab == nil {
			return goesOn, nil
		}
		return verdict{}, func() verdict {
			permitted, err := n.permits(tid, d.target)
			switch {
			case !c.IsWaiting(c.listener):
				return nobody
			case permitted, err != nil && n.ended.Load():
				return goesOn
			}
			return refused
		}
	case routeDNS:
		if n.asking != nil {
			return verdict{}, func() verdict {
				n.asking()
				v, later := lead(d.at)
				if later != nil {
					v = later()
				}
				return v
			}
		}
	case routeOther, routeOn, routeNowhere:
	}
	return lead(d.at)
}

// datagram asks the lab whether a program may send datagrams outside: again until it may.
func (n *Network) datagram(c *call, to handover.Target) (verdict, func() verdict) {
	if _, permitted := n.datagrams.Load(to); permitted || n.ended.Load() || n.arrivals.gone.Load() || n.arrivals.lab == nil {
		return goesOn, nil
	}
	return verdict{}, func() verdict {
		permitted, err := n.permits(int(c.Thread), to)
		if permitted {
			n.datagrams.Store(to, true)
		}
		switch {
		case !c.IsWaiting(c.listener):
			return nobody
		case permitted, err != nil && n.ended.Load():
			return goesOn
		}
		return refused
	}
}

// nowhere refuses what a program sends to a name that no resolver knows. By TCP to 443 or 80
// it would have been an escape, of which the lab is told.
func (n *Network) nowhere(c *call, to handover.Target) (verdict, func() verdict) {
	tid := int(c.Thread)
	if !isWeb(to.Port) || n.ended.Load() || n.arrivals.gone.Load() || n.arrivals.lab == nil || !n.isStream(c) {
		return refused, nil
	}
	return verdict{}, func() verdict {
		_, _ = n.permits(tid, to) // which reports its errors
		if !c.IsWaiting(c.listener) {
			return nobody
		}
		return refused
	}
}

// permits asks the lab whether a thread may connect to an address outside. Errors are
// reported.
func (n *Network) permits(tid int, to handover.Target) (bool, error) {
	ctx, cancel := context.WithTimeout(context.Background(), permitTimeout)
	defer cancel()
	program := n.programs.of(tid)
	permitted, err := n.arrivals.lab.Permits(ctx, to, program)
	if err != nil {
		n.lost(program, err)
	}
	return permitted, err
}

// mayReach asks the lab whether programs may connect to a host that is not emulated. Without
// a lab they may.
func (n *Network) mayReach(host string) bool {
	if n.ended.Load() || n.arrivals.gone.Load() || n.arrivals.lab == nil {
		return true
	}
	ctx, cancel := context.WithTimeout(context.Background(), permitTimeout)
	defer cancel()
	allowed, err := n.arrivals.lab.Allows(ctx, host)
	return allowed || err != nil
}

func (n *Network) sendto(c *call) (verdict, func() verdict) {
	const at, size = 4, 5 // arguments
	a, err := readAddress(int(c.Thread), c.Args[at], int(int32(c.Args[size])))
	if err != nil {
		return n.unreadable(c, err), nil
	}
	flags := int(c.Args[3])
	d := n.lookup(a.to)
	fast := flags&unix.MSG_FASTOPEN != 0
	if d.route == routeOn || !d.isOfDatagrams() && !fast && (!d.isQUIC() || n.isStream(c)) { // one of TCP that is connected has no use for an address
		return goesOn, nil
	}
	return n.reach(c, d, func(to netip.AddrPort) (verdict, func() verdict) {
		if n.way == Rewrite {
			return n.rewrite(c, c.Args[at], int(int32(c.Args[size])), a.family, to), nil
		}
		data := make([]byte, min(c.Args[2], maxData))
		if readMemory(int(c.Thread), c.Args[1], data) != nil {
			return fails(unix.EFAULT), nil
		}
		return n.send(c, flags, func(dup int) verdict {
			sent, errno := sendRaw(dup, data, flags, formatAddress(a.family, to))
			if errno != 0 {
				return fails(errno)
			}
			n.remember(dup, to)
			return verdict{value: int64(sent)}
		})
	})
}

// send sends something on a copy of the program's socket: later, if that connects it, too,
// and may wait.
func (n *Network) send(c *call, flags int, do func(dup int) verdict) (verdict, func() verdict) {
	if flags&unix.MSG_FASTOPEN != 0 {
		return verdict{}, func() verdict { return n.onCopy(c, do) }
	}
	return n.onCopy(c, do), nil
}

// unreadable is for an address that could not be read.
func (n *Network) unreadable(c *call, err error) verdict {
	if !isRefused(err) {
		return goesOn // there is nothing, which the kernel says, or the thread is gone
	}
	return n.unled(c, fmt.Sprintf("its memory may not be read: %v (it belongs to another user, or is protected)", errnoOf(err)))
}

// uncopied is for a socket of which there could be no copy.
func (n *Network) uncopied(c *call, err error) verdict {
	if !isRefused(err) {
		return goesOn // as above
	}
	return n.unled(c, fmt.Sprintf("its socket may not be copied: %v", errnoOf(err)))
}

// unled lets the kernel go on, and reports the program.
func (n *Network) unled(c *call, reason string) verdict {
	n.unledProgram(n.programs.of(int(c.Thread)), reason)
	return goesOn
}

// lost reports a program about whose connection the lab could not be told, while there is
// one.
func (n *Network) lost(by handover.Program, why error) {
	if !n.ended.Load() {
		n.unledProgram(by, why.Error())
	}
}

func (n *Network) unledProgram(p handover.Program, reason string) {
	u := Unled{PID: p.PID, Executable: p.Executable, Name: p.Name, Reason: reason}
	key := u
	key.PID = 0
	n.mu.Lock()
	again := n.told[key] || len(n.told) >= maxTold
	if !again {
		n.told[key] = true
	}
	n.mu.Unlock()
	if !again {
		n.report(u)
	}
}

func errnoOf(err error) unix.Errno {
	var errno unix.Errno
	errors.As(err, &errno)
	return errno
}
