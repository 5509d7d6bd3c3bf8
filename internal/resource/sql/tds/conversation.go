package tds

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/wiemu/wiemu/internal/hostmux"
)

// conversation answers the requests of a session, one after the other.
type conversation struct {
	server  *Server
	wire    *wire
	session Conversation
	begun   chan struct{} // room for one: the message that was read last has begun, so the next one may be read

	transaction uint64 // descriptor of the open one; 0 if there is none
	descriptors uint64 // given out
	prepared    map[int64]prepared
	handles     int64

	preparedText int // bytes of the statements in prepared
}

// run answers until the client closes the connection. Another goroutine reads, so that an
// attention is seen while statements run. It reads the next message only after Begin was called for the
// last one: the lab clock waits for a connection from which nobody is reading, and for a request
// from its Begin on, so that it never moves in between.
func (c *conversation) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	messages, failed := make(chan message), make(chan error, 1)
	c.begun = make(chan struct{}, 1)
	read := make(chan struct{})
	go func() {
		defer close(read)
		for {
			m, err := c.wire.read(maxMessage)
			if err != nil {
				failed <- err
				cancel() // what runs is of no use any more
				return
			}
			select {
			case messages <- m:
			case <-ctx.Done():
				failed <- ctx.Err() // who waits for messages waits no longer
				return
			}
			select {
			case <-c.begun:
				if ctx.Err() != nil {
					failed <- ctx.Err()
					return
				}
			case <-ctx.Done():
				failed <- ctx.Err()
				return
			}
		}
	}()
	defer func() {
		cancel()
		_ = c.wire.conn.Close() // the reader ends
		<-read
	}()
	for {
		select {
		case m := <-messages:
			for next := &m; next != nil; {
				var err error
				if next, err = c.request(ctx, *next, messages, failed); err != nil {
					return err
				}
			}
		case err := <-failed:
			return orderly(err)
		}
	}
}

// orderly returns nil for the end of a connection between messages.
func orderly(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// request answers a message. It returns the next one if that came before the answer was
// complete.
func (c *conversation) request(ctx context.Context, m message, messages <-chan message, failed <-chan error) (*message, error) {
	readOn := func() { c.begun <- struct{}{} }
	switch {
	case m.ignored(): // one DONE and no acknowledgement (2.2.1.7)
		defer readOn()
		return nil, c.done(doneError)
	case m.kind == packetAttention: // nothing runs any more
		defer readOn()
		return nil, c.done(doneAttention)
	}
	end, ended := c.session.Begin()
	defer end()
	readOn()
	if ended != nil {
		out := c.reply()
		out.write(appendError(nil, ended, c.server.Name))
		out.done(tokDone, doneError|doneSevere, 0, 0)
		return nil, errors.Join(out.packets.end(), ended)
	}
	running, stop := context.WithCancel(ctx)
	defer stop()
	out, answered := c.reply(), make(chan error, 1)
	var caught *hostmux.Panic
	go func() {
		var err error
		caught = hostmux.Catch(func() { err = c.answer(running, m, out) })
		answered <- err
	}()
	var next *message
	var attention bool
	var err error
	select {
	case err = <-answered:
	case n := <-messages:
		if attention = n.kind == packetAttention; attention {
			readOn()
			stop()
		} else { // it begins when this one has ended
			next = &n
		}
		err = <-answered
	case lost := <-failed:
		stop()
		_ = c.wire.conn.Close() // so that no write waits for a client that only closed its half
		err = errors.Join(lost, <-answered)
	}
	if caught != nil {
		panic(caught) // here it ends this connection, and there it would end the process
	}
	if err == nil {
		err = errors.Join(out.err, out.packets.end())
	}
	if err == nil && attention { // which has an answer of its own, after that of what it ended
		err = c.done(doneAttention)
	}
	return next, err
}

func (c *conversation) reply() *Reply { return &Reply{of: c, packets: c.wire.begin(packetReply)} }

// done sends a message of one DONE.
func (c *conversation) done(status uint16) error {
	return c.wire.send(packetReply, appendDone(nil, tokDone, status, 0, 0))
}

// answer writes the answer to a message. It returns what ends the connection.
func (c *conversation) answer(ctx context.Context, m message, out *Reply) error {
	if m.reset() {
		if m.status&statusResetSkip == 0 || !c.session.InTransaction() {
			c.transaction = 0
			c.session.Reset()
		}
		c.prepared, c.preparedText = nil, 0
		out.write(appendEnv(nil, envReset, []byte{0, 0}))
	}
	switch m.kind {
	case packetBatch:
		b, err := skipHeaders(m.data)
		if err != nil {
			return err
		}
		out.final = tokDone
		c.statements(ctx, fromUTF16(b), nil, out)
		return nil
	case packetRPC:
		calls, err := parseCalls(m.data)
		if err != nil {
			out.final = tokDoneProc
			if e := (*Error)(nil); !errors.As(err, &e) {
				err = Errorf(8009, "The incoming tabular data stream (TDS) remote procedure call (RPC) protocol stream is incorrect: %v.", err)
			}
			out.Fail(err)
			out.finish()
			return nil
		}
		for i, call := range calls {
			out.final, out.more = tokDoneProc, i+1 < len(calls)
			if c.call(ctx, call, out); out.cancelled {
				break // the answer has its end
			}
		}
		return nil
	case packetTransaction:
		return c.manage(m.data, out)
	case packetBulk:
		out.final = tokDone
		out.Fail(Errorf(4002, "The incoming tabular data stream (TDS) protocol stream is incorrect. wiemu takes no bulk load; connect a SQL Server (url:) for that."))
		out.finish()
		return nil
	}
	return fmt.Errorf("a packet of type %#x", m.kind)
}

func (c *conversation) statements(ctx context.Context, sql string, params []Param, out *Reply) {
	before, database := c.session.InTransaction(), c.session.Database()
	err := c.session.Batch(ctx, sql, params, out)
	if now := c.session.Database(); now != database {
		out.write(appendEnvText(nil, envDatabase, now, database))
	}
	switch after := c.session.InTransaction(); { // statements begin and end transactions, too
	case after && (!before || c.transaction == 0):
		c.began(out)
	case before && !after:
		c.over(out)
	}
	switch {
	case ctx.Err() != nil: // the attention is answered with a message of its own
		out.cancelled = true
	case err != nil:
		out.Fail(err)
	default:
		out.outputs(params)
	}
	out.finish()
}

func (c *conversation) began(out *Reply) {
	c.descriptors++
	c.transaction = uint64(c.wire.spid)<<32 | c.descriptors
	out.write(appendEnvBytes(nil, envBegin, c.descriptor(), nil))
}

// over tells the client that the transaction has ended, and how.
func (c *conversation) over(out *Reply) {
	kind := byte(envCommit)
	if c.session.RolledBack() {
		kind = envRollback
	}
	out.write(appendEnvBytes(nil, kind, nil, c.descriptor()))
	c.transaction = 0
}

func (c *conversation) descriptor() []byte {
	return binary.LittleEndian.AppendUint64(nil, c.transaction)
}

// manage answers a request to the transaction manager.
func (c *conversation) manage(data []byte, out *Reply) error {
	data, err := skipHeaders(data)
	if err != nil {
		return err
	}
	r := &reader{b: data}
	kind := Transaction(r.u16())
	out.final = tokDone
	var name string
	switch kind {
	case Begin:
		r.byte() // isolation level
	case Commit, Rollback, Save:
		name = fromUTF16(r.take(int(r.byte())))
	default:
		out.Fail(Errorf(8004, "The incoming tabular data stream (TDS) protocol stream is incorrect: transaction manager request %d is not answered by wiemu.", kind))
		out.finish()
		return nil
	}
	again := (kind == Commit || kind == Rollback) && r.byte()&1 == 1 // another one begins at once
	if r.err != nil {
		return r.err
	}
	if err := c.session.Transaction(kind, name); err != nil {
		out.Fail(err)
		out.finish()
		return nil
	}
	switch {
	case kind == Begin:
		c.began(out)
	case c.session.InTransaction(): // of an outer one, or saved
	default:
		c.over(out)
	}
	if again {
		if err := c.session.Transaction(Begin, ""); err != nil {
			out.Fail(err)
		} else {
			c.began(out)
		}
	}
	out.finish()
	return nil
}
