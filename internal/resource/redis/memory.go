package redis

import (
	"net"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/wiemu/wiemu/emulator/clock"
)

// memory is a Redis in this process, on the lab clock, whose connections are pipes.
type memory struct{ *miniredis.Miniredis }

func newMemory(clk clock.Clock) (*memory, error) {
	m := &memory{miniredis.NewMiniRedis()}
	m.SetTime(clk.Now())
	m.ClockTTL(true)
	first, err := m.Dial() // which starts it without a listener
	if err != nil {
		return nil, err
	}
	return m, first.Close()
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
	m.Server().ServeConn(s)
	return &pipe{near, m, s}
}

// wakeEvery is how often, in wall time, an engine is told to look for clients that have gone.
const wakeEvery = time.Millisecond

// Close implements net.Conn. A command that waits, such as BLPOP, looks for its client only when
// something is written: a key that does not exist is deleted until it has.
func (p *pipe) Close() error {
	err := p.Conn.Close()
	for {
		select {
		case <-p.far.closed:
			return err
		case <-time.After(wakeEvery): // wall time: input and output
			p.memory.DB(0).Del("\x00 no key")
		}
	}
}
