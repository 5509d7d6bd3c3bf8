//go:build amd64 || arm64

package timeshift

import (
	"bytes"
	"os"
	"time"
)

// resolverGivenUp is how long, in wall time, a turn waits for a resolver's answer: as long as glibc does by
// default. A socket that is open for longer may be one that stays open.
const resolverGivenUp = 5 * time.Second

// questions finds lookups by DNS of programs in this network namespace that have no answer yet. A resolver
// library (glibc, Go, c-ares) connects a UDP socket to port 53 for a lookup, and closes it after the
// answer; musl does not connect its socket, so its lookups are not seen. The zero value is ready.
type questions struct {
	since map[string]time.Time // when their sockets were first seen, by inode
}

// areOpen reports whether a lookup has been open for less than resolverGivenUp.
func (q *questions) areOpen() bool {
	now, since, open := time.Now(), map[string]time.Time{}, false
	for _, file := range []string{"/proc/self/net/udp", "/proc/self/net/udp6"} {
		sockets, _ := os.ReadFile(file) // without IPv6 there is one
		for line := range bytes.Lines(sockets) {
			inode, asks := parseUDP(line)
			if !asks {
				continue
			}
			first, known := q.since[inode]
			if !known {
				first = now
			}
			since[inode] = first
			open = open || now.Sub(first) < resolverGivenUp
		}
	}
	q.since = since
	return open
}

// parseUDP reads what the kernel says of a socket: NUMBER LOCAL REMOTE STATE QUEUES TIMER RETRANSMISSIONS
// UID TIMEOUT INODE …, and asks is whether its other end is a resolver. Source: udp4_format_sock
// in Linux's net/ipv4/udp.c.
func parseUDP(line []byte) (inode string, asks bool) {
	fields := bytes.Fields(line)
	if len(fields) < 10 {
		return "", false
	}
	return string(fields[9]), bytes.HasSuffix(fields[2], []byte(":0035"))
}
