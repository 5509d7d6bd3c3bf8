package console_test

import (
	"encoding/base64"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

func encoded(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// A gate is an address that leads to a server, until it is shut: then every connection breaks.
type gate struct {
	url string

	mu     sync.Mutex
	target string // host:port; "": shut
	conns  map[net.Conn]bool
}

func newGate(t *testing.T, target string) *gate {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{url: "http://" + l.Addr().String(), conns: map[net.Conn]bool{}}
	g.to(target)
	t.Cleanup(func() {
		_ = l.Close()
		g.shut()
	})
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go g.pass(conn)
		}
	}()
	return g
}

func (g *gate) pass(from net.Conn) {
	defer from.Close()
	g.mu.Lock()
	target := g.target
	g.mu.Unlock()
	if target == "" {
		return
	}
	to, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer to.Close()
	g.mu.Lock()
	g.conns[from] = true
	g.mu.Unlock()
	go func() {
		_, _ = io.Copy(to, from) // ends when either is closed
		_ = to.Close()
	}()
	_, _ = io.Copy(from, to)
}

// shut breaks every connection, and each that comes.
func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.target = ""
	for c := range g.conns {
		_ = c.Close()
	}
	clear(g.conns)
}

// to lets the gate lead to another server.
func (g *gate) to(target string) {
	g.shut()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.target = strings.TrimPrefix(target, "http://")
}
