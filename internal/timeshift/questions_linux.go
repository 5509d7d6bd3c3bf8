//go:build amd64 || arm64

package timeshift

import (
	"bytes"
	"os"
	"time"
)

// resolverGivenUp is after how long a resolver is not waited for any more, in wall time: then
// programs give it up as well, or the socket is one that stays open.
const resolverGivenUp = 5 * time.Second

// questions are those that programs of this network namespace have asked resolvers, and that have no
// answer: who asks connects a socket of UDP, and closes it with the answer (glibc, Go, c-ares; that of
// musl is not connected, so it is not seen). The zero value is ready.
type questions struct {
	since map[string]time.Time // when their sockets were first seen, by inode
}

// areOpen reports whether there are any, of which no resolver has been given up.
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
