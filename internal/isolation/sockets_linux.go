package isolation

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/wiemu/wiemu/internal/seccomp"
)

const (
	tlsPort = 443
	dnsPort = 53
)

// resolver is the name server of the namespace; any address would do.
var resolver = netip.MustParseAddr("198.18.0.1")

// The names of the sockets that are handed out of the namespace. Those of ports
// that are answered on any address are :PORT; those of Forwards the address.
const (
	dnsSocket   = "dns"
	dnsStream   = "dns-stream"
	watchSocket = "watch"
)

// openSockets opens the ports that the lab answers, and what sees attempts to reach others.
func openSockets(p plan) (map[string]*os.File, error) {
	sockets := map[string]*os.File{}
	add := func(name string, file *os.File, err error) error {
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		sockets[name] = file
		return nil
	}
	var errs []error
	for _, port := range p.Ports {
		name := fmt.Sprintf(":%d", port)
		file, err := listenFile(name)
		errs = append(errs, add(name, file, err))
	}
	for address := range p.Forwards {
		if to, err := netip.ParseAddrPort(address); err == nil && slices.Contains(p.Ports, to.Port()) {
			continue // it arrives there
		}
		file, err := listenFile(address)
		errs = append(errs, add(address, file, err))
	}
	file, err := listenFile(fmt.Sprintf("0.0.0.0:%d", dnsPort))
	errs = append(errs, add(dnsStream, file, err))
	file, err = packetFile(fmt.Sprintf("0.0.0.0:%d", dnsPort))
	errs = append(errs, add(dnsSocket, file, err))
	file, err = watchFile()
	errs = append(errs, add(watchSocket, file, err))
	return sockets, errors.Join(errs...)
}

func listenFile(address string) (*os.File, error) {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", address)
	if err != nil {
		return nil, err
	}
	defer func() { _ = l.Close() }() // the file is another reference to it
	return l.(*net.TCPListener).File()
}

func packetFile(address string) (*os.File, error) {
	c, err := new(net.ListenConfig).ListenPacket(context.Background(), "udp4", address)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }() // as above
	return c.(*net.UDPConn).File()
}

// watchFile opens a socket that sees the first packet of every TCP connection and
// every UDP packet that arrives on loopback, which is all that there is.
// Source: packet(7).
func watchFile() (*os.File, error) {
	filter, err := seccomp.Program(watched...)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0) // no protocol yet: nothing arrives before the filter is set
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), watchSocket)
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, filter); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	const all = unix.ETH_P_ALL>>8 | unix.ETH_P_ALL&0xff<<8 // in network order
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all}); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// watched passes what watchFile is for. Packets begin with their IP header.
var watched = []bpf.Instruction{
	bpf.LoadExtension{Num: bpf.ExtType}, // 0: it arrives; loopback shows it leaving as well
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.PACKET_HOST, SkipTrue: 20},
	bpf.LoadAbsolute{Off: 0, Size: 1}, // 2: the version of IP
	bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 4},
	bpf.JumpIf{Cond: bpf.JumpEqual, Val: 6, SkipTrue: 10},
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 4, SkipTrue: 16},

	bpf.LoadAbsolute{Off: 9, Size: 1}, // 6: IPv4: the protocol
	bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.IPPROTO_UDP, SkipTrue: 15},
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.IPPROTO_TCP, SkipTrue: 13},
	bpf.LoadAbsolute{Off: 6, Size: 2}, // 9: not a later fragment
	bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: 0x1fff, SkipTrue: 11},
	bpf.LoadMemShift{Off: 0},
	bpf.LoadIndirect{Off: 13, Size: 1}, // 12: the flags of TCP
	bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0x12},
	bpf.Jump{Skip: 5},

	bpf.LoadAbsolute{Off: 6, Size: 1}, // 15: IPv6: the next header
	bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.IPPROTO_UDP, SkipTrue: 6},
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.IPPROTO_TCP, SkipTrue: 4},
	bpf.LoadAbsolute{Off: 53, Size: 1},
	bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0x12},

	bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0x02, SkipTrue: 2}, // 20: SYN without ACK
	bpf.RetConstant{Val: 0},                                 // 21
	bpf.RetConstant{Val: 0},                                 // 22
	bpf.RetConstant{Val: 128},                               // 23: enough for the headers
}
