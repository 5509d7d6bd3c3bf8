//go:build amd64 || arm64

package lead

import (
	"net/netip"

	"golang.org/x/sys/unix"
)

// IsLed reports whether the connections of this process are led: then a socket that is connected
// to a resolver's port has an answerer for a peer. Connecting one of UDP sends nothing.
func IsLed() bool {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer func() { _ = unix.Close(fd) }()
	to := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), dnsPort)
	if unix.Connect(fd, &unix.SockaddrInet4{Addr: to.Addr().As4(), Port: dnsPort}) != nil {
		return false
	}
	peer, err := unix.Getpeername(fd)
	return err == nil && addressOf(peer) != to
}
