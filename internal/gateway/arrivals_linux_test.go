package gateway

import (
	"errors"
	"io"
	"net"
	"runtime"
	"slices"
	"testing"
	"time"
)

// watched returns both ends of a connection to a listener, whose own is watched.
func watched(t *testing.T, a *arrivals) (client, server net.Conn) {
	t.Helper()
	listener, err := a.listen("gateway", "")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if client, err = net.Dial("tcp", listener.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if server, err = listener.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = client.Close(), server.Close() })
	return client, server
}

// What a client without TCP_NODELAY has sent is seen to arrive, although its kernel
// holds it back until what it has sent before is acknowledged.
func TestWhatNagleHoldsBackArrives(t *testing.T) {
	client, server := watched(t, &arrivals{most: 1})
	if err := client.(*net.TCPConn).SetNoDelay(false); err != nil {
		t.Fatal(err)
	}
	one := make([]byte, 1)
	send := func(from, to net.Conn) {
		t.Helper()
		if _, err := from.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(to, one); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 50 { // questions and answers, after which the kernel delays what it acknowledges
		send(client, server)
		send(server, client)
		send(client, server)
		if _, err := client.Write([]byte("y")); err != nil {
			t.Fatal(err)
		}
		if got, _ := received(server.(*arrivalConn).raw); got != uint64(3*n+3) {
			t.Fatalf("round %d: the kernel has received %d bytes, want %d", n, got, 3*n+3)
		}
		if _, err := io.ReadFull(server, one); err != nil {
			t.Fatal(err)
		}
	}
}

// A tunnel in which nothing is on its way does not hold the clock.
func TestATunnelIsAtRest(t *testing.T) {
	a := arrivals{most: 1}
	client, conn := watched(t, &a)
	far, near := net.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		newTunnels().join(conn, near)
	}()
	sent := make([]byte, 1)
	if _, err := client.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(far, sent); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); a.any(); runtime.Gosched() { // wall time: another goroutine reads
		if time.Now().After(end) {
			t.Error("something is said to arrive, and nothing does")
			break
		}
	}
	if err := errors.Join(client.Close(), far.Close()); err != nil {
		t.Error(err)
	}
	<-ended
}

// A connection is seen from when its client is connected, also in the moment in which it has
// left the kernel's queue and is not among those of the listener yet.
func TestAConnectionIsSeenAtOnce(t *testing.T) {
	a := arrivals{most: 1000}
	listener, err := a.listen("gateway", "")
	if err != nil {
		t.Fatal(err)
	}
	var accepted []net.Conn
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			accepted = append(accepted, conn)
		}
	}()
	var clients []net.Conn
	for n := range 500 {
		before := a.events.Load()
		client, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		clients = append(clients, client)
		if !a.any() && a.events.Load() == before {
			t.Errorf("connection %d was not seen", n)
		}
		for a.events.Load() == before { // it is among those of the listener
			runtime.Gosched()
		}
	}
	if err := listener.Close(); err != nil {
		t.Error(err)
	}
	<-ended
	for _, conn := range slices.Concat(clients, accepted) {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
}
