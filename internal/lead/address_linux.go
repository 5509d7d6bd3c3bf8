//go:build amd64 || arm64

package lead

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"
)

// An address is one as system calls have it: struct sockaddr.
type address struct {
	family uint16
	to     netip.AddrPort // of AF_INET and AF_INET6; else invalid
	path   string         // of AF_UNIX; one that begins with a zero byte is abstract
}

// maxAddress is the size of struct sockaddr_storage.
const maxAddress = 128

// readAddress reads an address of a thread. What is none has no family that we know, and
// the kernel says what is wrong with it.
func readAddress(tid int, at uint64, size int) (address, error) {
	if at == 0 || size < 2 {
		return address{}, nil
	}
	raw := make([]byte, min(size, maxAddress))
	if err := readMemory(tid, at, raw); err != nil {
		return address{}, err
	}
	return parseAddress(raw), nil
}

// parseAddress parses struct sockaddr_in, sockaddr_in6 or sockaddr_un. Source: ip(7),
// ipv6(7), unix(7).
func parseAddress(raw []byte) address {
	const six = unix.SizeofSockaddrInet6 - 4 // the kernel takes it without a scope, as well
	if len(raw) < 2 {
		return address{}
	}
	a := address{family: binary.NativeEndian.Uint16(raw)}
	switch {
	case a.family == unix.AF_INET && len(raw) >= unix.SizeofSockaddrInet4:
		a.to = netip.AddrPortFrom(netip.AddrFrom4([4]byte(raw[4:8])), binary.BigEndian.Uint16(raw[2:]))
	case a.family == unix.AF_INET6 && len(raw) >= six:
		ip := netip.AddrFrom16([16]byte(raw[8:24]))
		if len(raw) >= unix.SizeofSockaddrInet6 && ip.IsLinkLocalUnicast() {
			ip = ip.WithZone(strconv.FormatUint(uint64(binary.NativeEndian.Uint32(raw[24:])), 10))
		}
		a.to = netip.AddrPortFrom(ip, binary.BigEndian.Uint16(raw[2:]))
	case a.family == unix.AF_UNIX:
		a.path = string(raw[2:])
		if i := bytes.IndexByte(raw[2:], 0); i > 0 {
			a.path = a.path[:i]
		}
	}
	return a
}

// formatAddress is an address for a socket of a family: one of AF_INET6 has IPv4 addresses
// mapped.
func formatAddress(family uint16, to netip.AddrPort) []byte {
	if family == unix.AF_INET {
		raw := make([]byte, unix.SizeofSockaddrInet4)
		binary.NativeEndian.PutUint16(raw, family)
		binary.BigEndian.PutUint16(raw[2:], to.Port())
		ip := to.Addr().Unmap().As4()
		copy(raw[4:], ip[:])
		return raw
	}
	raw := make([]byte, unix.SizeofSockaddrInet6)
	binary.NativeEndian.PutUint16(raw, family)
	binary.BigEndian.PutUint16(raw[2:], to.Port())
	ip := to.Addr().As16()
	copy(raw[8:], ip[:])
	scope, _ := strconv.ParseUint(to.Addr().Zone(), 10, 32) // none: 0
	binary.NativeEndian.PutUint32(raw[24:], uint32(scope))
	return raw
}

// plain is an address as routes are looked up: a mapped one is IPv4.
func plain(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

// addressOf is a socket's address; invalid if it is none of IP.
func addressOf(name unix.Sockaddr) netip.AddrPort {
	switch a := name.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr), uint16(a.Port))
	}
	return netip.AddrPort{}
}
