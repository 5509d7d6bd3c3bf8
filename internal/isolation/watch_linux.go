package isolation

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/wiemu/wiemu/internal/gateway"
)

// attempts sees what the program tries to reach on ports that the lab does not answer, and reports
// it to the lab's proxy, which writes it down. Nothing is dialled for it.
type attempts struct {
	socket    *os.File
	lab       *responder
	plan      plan // what is answered
	found     chan attempt
	reading   sync.WaitGroup
	reporting sync.WaitGroup
}

type attempt struct {
	method string // in which it is reported: gateway.AttemptTCP or AttemptUDP
	from   uint16 // port
	to     netip.AddrPort
}

// maxAttempts is the number of attempts that may wait to be reported; more are dropped.
const maxAttempts = 1 << 12

func watch(socket *os.File, lab *responder, p plan) *attempts {
	a := &attempts{socket: socket, lab: lab, plan: p, found: make(chan attempt, maxAttempts)}
	a.reading.Go(a.read)
	a.reporting.Go(a.report)
	return a
}

func (a *attempts) read() {
	packet := make([]byte, 256)
	for {
		size, err := a.socket.Read(packet)
		if err != nil {
			return
		}
		a.see(packet[:size])
	}
}

func (a *attempts) see(packet []byte) {
	seen, ok := parseAttempt(packet)
	if !ok || seen.to.Addr().IsLoopback() || seen.to.Addr().IsMulticast() {
		return
	}
	_, forwarded := a.plan.Forwards[seen.to.String()]
	if seen.method == gateway.AttemptTCP && (forwarded || slices.Contains(a.plan.Ports, seen.to.Port())) || seen.to.Port() == dnsPort || seen.from == dnsPort {
		return // answered, or an answer
	}
	select {
	case a.found <- seen:
	default:
	}
}

// parseAttempt reads the head of an IP packet that carries TCP or UDP.
func parseAttempt(p []byte) (attempt, bool) {
	var protocol byte
	var to netip.Addr
	var header int
	switch {
	case len(p) >= 20 && p[0]>>4 == 4:
		protocol, header = p[9], int(p[0]&0xf)*4
		to = netip.AddrFrom4([4]byte(p[16:20]))
	case len(p) >= 40 && p[0]>>4 == 6:
		protocol, header = p[6], 40
		to = netip.AddrFrom16([16]byte(p[24:40])).Unmap()
	default:
		return attempt{}, false
	}
	if len(p) < header+4 {
		return attempt{}, false
	}
	method := gateway.AttemptTCP
	if protocol == unix.IPPROTO_UDP {
		method = gateway.AttemptUDP
	}
	return attempt{method, binary.BigEndian.Uint16(p[header:]), netip.AddrPortFrom(to, binary.BigEndian.Uint16(p[header+2:]))}, true
}

func (a *attempts) report() {
	for seen := range a.found {
		a.lab.report(seen.method, a.lab.names.target(seen.to))
	}
}

// close reads what has arrived, and blocks until it is reported.
func (a *attempts) close() error {
	err := a.socket.SetReadDeadline(time.Unix(0, 0)) // wall time: ends the reading
	a.reading.Wait()
	raw, why := a.socket.SyscallConn()
	if why == nil {
		packet := make([]byte, 256)
		why = raw.Control(func(fd uintptr) {
			for {
				size, err := unix.Read(int(fd), packet)
				if err != nil && !errors.Is(err, unix.EINTR) {
					return // nothing is left
				}
				a.see(packet[:max(size, 0)])
			}
		})
	}
	err = errors.Join(err, why, a.socket.Close())
	close(a.found)
	a.reporting.Wait()
	return err
}

func portText(port uint16) string { return strconv.Itoa(int(port)) }
