package hostmux

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/journals"
)

// Panic is one that was caught in a goroutine of a connection, for the connection's own
// goroutine to panic with: [Mux.ServeStream] recovers only from that one.
type Panic struct {
	Value any
	Stack []byte
}

// Catch calls f. It returns nil if f did not panic.
func Catch(f func()) (caught *Panic) {
	defer func() {
		switch v := recover().(type) {
		case nil:
		case *Panic:
			caught = v
		default:
			caught = &Panic{v, debug.Stack()}
		}
	}()
	f()
	return nil
}

// cause is what the journal may say of it: other values may quote what the client sent.
func (p *Panic) cause() string {
	var err runtime.Error
	if e, ok := p.Value.(error); ok && errors.As(e, &err) {
		return err.Error()
	}
	return fmt.Sprintf("%T", p.Value)
}

// ServeStream has a stream serve a connection. A panic ends that connection alone, and is
// recorded as a defect.
func (m *Mux) ServeStream(ctx context.Context, s *Stream, c *Connection) {
	caught := Catch(func() { s.Serve(ctx, c) })
	if caught == nil {
		return
	}
	host := cmp.Or(c.Host, c.Only)
	m.opts.Log.Error("a stream failed", "host", host, "port", c.Port, "panic", caught.Value, "stack", string(caught.Stack))
	m.opts.Journal.Record(journal.Event{
		Kind: journal.Access, Outcome: journal.Failed, Host: host, Program: journals.ProgramOf(ctx), Error: "InternalError",
		Summary: fmt.Sprintf("serving a connection to %s, port %d, failed: a defect of wiemu", host, c.Port),
		Meaning: "What serves this host stopped with a panic, and the connection was closed; the real service was not imitated.",
		Remedy:  "Report it with this event and the log of the emulator.",
		Detail:  map[string]string{"panic": caught.cause()},
	})
}
