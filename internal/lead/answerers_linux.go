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
	"os"
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
	sockets map[syscall.RawConn]bool          // where questions arrive: of UDP, and listeners and connections of TCP

	busy atomic.Int64 // of them read, and questions being answered
}

// isBusy reports whether there are questions that have not been answered.
func (a *answerers) isBusy() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for raw := range a.sockets { // first: what is taken meanwhile counts as busy before
		if hasArrived(raw) {
			return true
		}
	}
	return a.busy.Load() > 0
}

// maxAnswerers is how many resolvers may be asked; who asks more, such as a program that
// resolves from the root on, asks the others directly.
const maxAnswerers = 512

func newAnswerers(n *names, mayReach func(host string) bool) *answerers {
	return &answerers{names: n, mayReach: mayReach, config: readResolverConfig, byMeant: map[netip.AddrPort]netip.AddrPort{}, meant: map[netip.AddrPort]netip.AddrPort{}, sockets: map[syscall.RawConn]bool{}}
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
	var listener *os.File
	if err == nil {
		listener, err = stream.File() // whose Read, unlike a net.Listener's, waits
	}
	var streams syscall.RawConn
	if err == nil {
		streams, err = listener.SyscallConn()
	}
	if err != nil {
		return netip.AddrPort{}, errors.Join(err, packets.Close(), stream.Close())
	}
	ours := packets.LocalAddr().(*net.UDPAddr).AddrPort()
	a.byMeant[meant], a.meant[ours] = ours, meant
	a.sockets[raw], a.sockets[streams] = true, true
	go a.answerPackets(packets, raw, meant) // until the process ends, as the next
	go a.answerStreams(streams, meant)
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

func (a *answerers) answerStreams(listener syscall.RawConn, meant netip.AddrPort) {
	for {
		conn, raw, err := a.nextStream(listener)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(time.Millisecond) // wall time: no file is left for the connection
			continue
		}
		go func() {
			defer a.forgetStream(conn, raw)
			for {
				_ = conn.SetDeadline(time.Now().Add(queryTimeout)) // wall time: input and output
				if !a.nextQuery(raw) {
					return
				}
				err := a.answerStream(conn, meant)
				a.busy.Add(-1)
				if err != nil {
					return
				}
			}
		}()
	}
}

// nextStream waits for a connection. As nextPacket it has a be busy before it is taken, until
// what arrives on it is seen.
func (a *answerers) nextStream(listener syscall.RawConn) (net.Conn, syscall.RawConn, error) {
	var fd int
	var failed error
	if err := listener.Read(func(at uintptr) bool {
		a.busy.Add(1)
		if fd, _, failed = unix.Accept4(int(at), unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK); errors.Is(failed, unix.EAGAIN) {
			a.busy.Add(-1)
			return false
		}
		return true
	}); err != nil {
		return nil, nil, errors.Join(net.ErrClosed, err)
	}
	defer a.busy.Add(-1)
	if failed != nil {
		return nil, nil, failed
	}
	file := os.NewFile(uintptr(fd), "question")
	defer file.Close()
	conn, err := net.FileConn(file)
	if err != nil {
		return nil, nil, err
	}
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sockets[raw] = true
	return conn, raw, nil
}

func (a *answerers) forgetStream(conn net.Conn, raw syscall.RawConn) {
	a.mu.Lock()
	delete(a.sockets, raw)
	a.mu.Unlock()
	_ = conn.Close()
}

// nextQuery waits until a question begins to arrive; a is busy then. False: none will.
func (a *answerers) nextQuery(raw syscall.RawConn) (comes bool) {
	err := raw.Read(func(fd uintptr) bool {
		a.busy.Add(1)
		n, _, failed := unix.Recvfrom(int(fd), make([]byte, 1), unix.MSG_PEEK|unix.MSG_DONTWAIT)
		comes = failed == nil && n > 0
		if !comes {
			a.busy.Add(-1)
		}
		return !errors.Is(failed, unix.EAGAIN)
	})
	return comes && err == nil
}

func (a *answerers) answerStream(conn net.Conn, meant netip.AddrPort) error {
	query, err := readStream(conn)
	if err != nil {
		return err
	}
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
