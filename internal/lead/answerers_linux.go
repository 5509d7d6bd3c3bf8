//go:build amd64 || arm64

package lead

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// answerers answer DNS in the place of the resolvers that programs ask: one for each, so
// that what is not emulated is asked of the resolver that was meant.
type answerers struct {
	names    *names
	mayReach func(host string) bool // whether programs may connect to a host that is not emulated
	config   func() resolverConfig  // which resolvers there are
	failures failures
	asking   func() // see Network.OnAsk; nil: nobody wants to know

	mu      sync.Mutex
	byMeant map[netip.AddrPort]netip.AddrPort
	meant   map[netip.AddrPort]netip.AddrPort // the other way round
	packets []syscall.RawConn                 // their sockets of UDP

	busy atomic.Int64 // of them read, and questions being answered
}

// isBusy tells whether there are questions that have not been answered.
func (a *answerers) isBusy() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.ContainsFunc(a.packets, hasArrived) || a.busy.Load() > 0
}

// maxAnswerers is how many resolvers may be asked; who asks more, such as a program that
// resolves from the root on, asks the others directly.
const maxAnswerers = 512

func newAnswerers(n *names, mayReach func(host string) bool) *answerers {
	return &answerers{names: n, mayReach: mayReach, config: readResolverConfig, byMeant: map[netip.AddrPort]netip.AddrPort{}, meant: map[netip.AddrPort]netip.AddrPort{}}
}

// resolver is the one that was meant by whoever asks the answerer at an address; false if
// there is no answerer.
func (a *answerers) resolver(at netip.AddrPort) (netip.AddrPort, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	meant, ok := a.meant[at]
	return meant, ok
}

// at returns where the resolver that was meant is answered for, by UDP and TCP. For one on
// loopback that is its own address, with another port: some programs look at that.
func (a *answerers) at(meant netip.AddrPort) (netip.AddrPort, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if ours, ok := a.byMeant[meant]; ok {
		return ours, nil
	}
	if len(a.byMeant) >= maxAnswerers {
		return netip.AddrPort{}, errors.New("too many resolvers were asked")
	}
	ip := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	switch {
	case meant.Addr().IsLoopback():
		ip = meant.Addr()
	case meant.Addr().Is6():
		ip = netip.IPv6Loopback()
	}
	packets, stream, err := listenBoth(ip)
	if err != nil && ip.Is6() { // a machine without IPv6: sockets of IPv6 take mapped addresses
		packets, stream, err = listenBoth(netip.AddrFrom4([4]byte{127, 0, 0, 1}))
	}
	if err != nil {
		return netip.AddrPort{}, err
	}
	raw, err := packets.SyscallConn()
	if err != nil {
		return netip.AddrPort{}, errors.Join(err, packets.Close(), stream.Close())
	}
	ours := packets.LocalAddr().(*net.UDPAddr).AddrPort()
	a.byMeant[meant], a.meant[ours] = ours, meant
	a.packets = append(a.packets, raw)
	go a.answerPackets(packets, raw, meant) // until the process ends, as the next
	go a.answerStreams(stream, meant)
	return ours, nil
}

// listenBoth opens a port that is free for both UDP and TCP.
func listenBoth(ip netip.Addr) (*net.UDPConn, *net.TCPListener, error) {
	var errs []error
	for range 20 {
		packets, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, 0)))
		if err != nil {
			return nil, nil, err
		}
		stream, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(packets.LocalAddr().(*net.UDPAddr).AddrPort()))
		if err == nil {
			return packets, stream, nil
		}
		errs = append(errs, err, packets.Close())
	}
	return nil, nil, fmt.Errorf("no port of %v is free for both UDP and TCP: %w", ip, errors.Join(errs...))
}

func (a *answerers) answerPackets(conn *net.UDPConn, raw syscall.RawConn, meant netip.AddrPort) {
	buffer := make([]byte, 64<<10)
	for {
		n, from, err := a.nextPacket(raw, buffer)
		if err != nil {
			return
		}
		if a.asking != nil {
			a.asking()
		}
		query := append([]byte(nil), buffer[:n]...)
		if reply := a.names.answer(query, onlyIPv6); reply != nil || n == 0 {
			if n > 0 {
				_, _ = conn.WriteToUDPAddrPort(reply, from) // who asked may be gone, as below
			}
			a.busy.Add(-1)
			continue
		}
		go func() {
			defer a.busy.Add(-1)
			if reply := a.forward(query, meant, "udp"); reply != nil {
				_, _ = conn.WriteToUDPAddrPort(reply, from)
			}
		}()
	}
}

// nextPacket waits for a packet, and has a be busy before it is taken. An empty one, or that
// somebody did not wait for an answer, is no packet of anybody.
func (a *answerers) nextPacket(raw syscall.RawConn, buffer []byte) (n int, from netip.AddrPort, err error) {
	err = raw.Read(func(fd uintptr) bool {
		a.busy.Add(1)
		size, sender, failed := unix.Recvfrom(int(fd), buffer, unix.MSG_DONTWAIT)
		if errors.Is(failed, unix.EAGAIN) {
			a.busy.Add(-1)
			return false
		}
		if failed == nil {
			n, from = size, addressOf(sender)
		}
		return true
	})
	return n, from, err
}

// queryTimeout is how long, in wall time, a connection may be without a question.
const queryTimeout = 30 * time.Second

func (a *answerers) answerStreams(l *net.TCPListener, meant netip.AddrPort) {
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(time.Millisecond) // wall time: no file is left for the connection
			continue
		}
		go func() {
			defer conn.Close()
			for {
				_ = conn.SetDeadline(time.Now().Add(queryTimeout)) // wall time: input and output
				query, err := readStream(conn)
				if err != nil {
					return
				}
				if a.answerStream(conn, query, meant) != nil {
					return
				}
			}
		}()
	}
}

func (a *answerers) answerStream(conn net.Conn, query []byte, meant netip.AddrPort) error {
	a.busy.Add(1)
	defer a.busy.Add(-1)
	if a.asking != nil {
		a.asking()
	}
	reply := a.names.answer(query, onlyIPv6)
	if reply == nil {
		reply = a.forward(query, meant, "tcp")
	}
	if reply == nil {
		return errors.New("expected a message")
	}
	return writeStream(conn, reply)
}

func ask(ctx context.Context, query []byte, meant netip.AddrPort, network string) ([]byte, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, meant.String())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	deadline, bounded := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil { // the zero time, if there is none
		return nil, err
	}
	if network == "tcp" {
		if err := writeStream(conn, query); err != nil {
			return nil, err
		}
		return readStream(conn)
	}
	if _, err := conn.Write(query); err != nil {
		return nil, err
	}
	if bounded { // the question may have been lost
		again := time.AfterFunc(time.Until(deadline)/2, func() { _, _ = conn.Write(query) }) // a failure is noticed by reading
		defer again.Stop()
	}
	buffer := make([]byte, 64<<10)
	for {
		n, err := conn.Read(buffer)
		if err != nil {
			return nil, err
		}
		if n >= 2 && len(query) >= 2 && [2]byte(buffer) == [2]byte(query) { // its id
			return buffer[:n], nil
		}
	}
}

// readStream reads a message of DNS over TCP (RFC 1035 §4.2.2).
func readStream(r io.Reader) ([]byte, error) {
	var size uint16
	if err := binary.Read(r, binary.BigEndian, &size); err != nil {
		return nil, err
	}
	message := make([]byte, size)
	_, err := io.ReadFull(r, message)
	return message, err
}

func writeStream(w io.Writer, message []byte) error {
	_, err := w.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(message))), message...))
	return err
}
