package redis

import (
	"crypto/rand"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"

	"github.com/wiemu/wiemu/emulator/clock"
)

// memory is a Redis in this process, on the lab clock, whose connections are pipes.
type memory struct {
	*miniredis.Miniredis
	server   *server.Server
	greeting string // the command with which a pipe begins, which nobody guesses

	script    chan bool     // holds one while a client runs a script
	busyAfter time.Duration // for how long, in wall time, a script may run before other clients are told

	mu      sync.Mutex
	late    chan struct{}                        // closed while a script runs for longer than that
	clients map[*server.Peer]bool                // at the ends of pipes; each call of a script has a peer of its own
	permits func(args []string) (refusal string) // what a script calls; nil: none runs
}

func newMemory(clk clock.Clock) (*memory, error) {
	m := &memory{Miniredis: miniredis.NewMiniRedis(), greeting: strings.ToUpper(rand.Text()), script: make(chan bool, 1), busyAfter: busyAfter, late: make(chan struct{}), clients: map[*server.Peer]bool{}}
	m.SetTime(clk.Now())
	m.ClockTTL(true)
	first, err := m.Dial() // which starts it without a listener
	if err != nil {
		return nil, err
	}
	m.server = m.Server()
	m.server.SetPreHook(m.called)
	return m, first.Close()
}

// busyAfter is a cache's. Source: redis.conf, busy-reply-threshold.
const busyAfter = 5 * time.Second

// runScript has permits judge what is called by scripts until end is called. One client at a time
// runs scripts; ok is false if that of another does not end.
func (m *memory) runScript(permits func(args []string) (refusal string)) (end func(), ok bool) {
	select {
	case m.script <- true:
	case <-m.busy():
		return nil, false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.permits = permits
	late := m.late
	alarm := time.AfterFunc(m.busyAfter, func() { close(late) })
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.permits = nil
		if !alarm.Stop() {
			m.late = make(chan struct{})
		}
		<-m.script
	}, true
}

// busy returns what is closed when a script has run for too long, during which the engine does
// nothing else.
func (m *memory) busy() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.late
}

// do has the engine do something, unless a script runs for too long. Then it is done when that has ended.
func (m *memory) do(what func()) bool {
	busy, done := m.busy(), make(chan struct{})
	select {
	case <-busy:
		return false
	default:
	}
	go func() {
		defer close(done)
		what()
	}()
	select {
	case <-done:
		return true
	case <-busy:
		return false
	}
}

// called is asked before each command, and returns true if it has answered.
// Source of the refusal: redis/src/script.c, scriptVerifyACL.
func (m *memory) called(p *server.Peer, name string, args ...string) bool {
	m.mu.Lock()
	if name == m.greeting {
		m.clients[p] = true
		p.OnDisconnect(func() {
			m.mu.Lock()
			defer m.mu.Unlock()
			delete(m.clients, p)
		})
	}
	isClient, permits := m.clients[p], m.permits
	m.mu.Unlock()
	switch {
	case name == m.greeting:
		p.WriteOK()
		return true
	case isClient || permits == nil:
		return false
	}
	refusal := permits(append([]string{name}, args...))
	if reason, ok := strings.CutPrefix(refusal, "NOPERM "); ok {
		refusal = "ERR ACL failure in script: " + reason
	}
	if refusal != "" {
		p.WriteError(oneLine.Replace(refusal))
	}
	return refusal != ""
}

// served is the engine's end of a pipe.
type served struct {
	net.Conn
	closed chan struct{} // when the engine has done with it
	once   sync.Once
}

// Close implements net.Conn.
func (s *served) Close() error {
	s.once.Do(func() { close(s.closed) })
	return s.Conn.Close()
}

// pipe is a client's end.
type pipe struct {
	net.Conn
	memory *memory
	far    *served
}

// dial connects.
func (m *memory) dial() net.Conn {
	near, far := net.Pipe()
	s := &served{Conn: far, closed: make(chan struct{})}
	m.server.ServeConn(s)
	if _, err := near.Write(appendCommand(nil, m.greeting)); err == nil {
		_, _ = io.ReadFull(near, make([]byte, len("+OK\r\n"))) // of an engine that has ended: the next read says so
	}
	return &pipe{near, m, s}
}

// wakeEvery is how often, in wall time, an engine is told to look for clients that have gone.
const wakeEvery = time.Millisecond

// Close implements net.Conn. A command that waits, such as BLPOP, looks for its client only when
// something is written: a key that does not exist is deleted until it has. A script that does not end
// is not waited for.
func (p *pipe) Close() error {
	err := p.Conn.Close()
	for {
		select {
		case <-p.far.closed:
			return err
		case <-time.After(wakeEvery): // wall time: input and output
			if !p.memory.do(func() { p.memory.DB(0).Del("\x00 no key") }) {
				return err
			}
		}
	}
}
