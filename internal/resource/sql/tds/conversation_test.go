package tds

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wiemu/wiemu/internal/hostmux"
)

// defective is a session that panics at one statement, and answers another one at length.
type defective struct{ begun, ended int }

func (*defective) Close() error                          { return nil }
func (*defective) Database() string                      { return "sales" }
func (*defective) Transaction(Transaction, string) error { return nil }
func (*defective) InTransaction() bool                   { return false }
func (*defective) RolledBack() bool                      { return false }
func (*defective) Reset()                                {}

func (d *defective) Begin() (func(), *Error) {
	d.begun++
	return func() { d.ended++ }, nil
}

func (*defective) Batch(_ context.Context, sql string, _ []Param, out *Reply) error {
	if sql == "panic" {
		panic("a defect")
	}
	for range 1000 {
		out.Message(&Error{Message: strings.Repeat("x", 1000)})
	}
	return nil
}

func converse(t *testing.T, sql string) (d *defective, caught *hostmux.Panic, err error) {
	t.Helper()
	client, server := net.Pipe()
	defer client.Close()
	d = &defective{}
	w := newWire(server)
	w.timeout = 10 * time.Millisecond
	go func() {
		_ = newWire(client).send(packetBatch, append([]byte{4, 0, 0, 0}, toUTF16(sql)...))
	}()
	caught = hostmux.Catch(func() {
		err = (&conversation{server: &Server{}, wire: w, session: d}).run(t.Context())
	})
	return d, caught, err
}

// A panic while statements run gets to the goroutine of the connection, where it can be
// recovered from, and the lab clock goes on.
func TestAPanicOfAStatement(t *testing.T) {
	d, caught, _ := converse(t, "panic")
	if caught == nil || caught.Value != "a defect" || !strings.Contains(string(caught.Stack), "Batch") || d.begun != 1 || d.ended != 1 {
		t.Errorf("%+v, %+v", d, caught)
	}
}

// A client that does not read its answer does not hold the lab clock for ever.
func TestAClientThatDoesNotRead(t *testing.T) {
	if d, _, err := converse(t, "long"); !errors.Is(err, os.ErrDeadlineExceeded) || d.ended != 1 {
		t.Errorf("%+v, %v", d, err)
	}
}

// watched is a connection of which one sees whether it is being read.
type watched struct {
	net.Conn
	reading atomic.Bool
}

func (w *watched) Read(p []byte) (int, error) {
	w.reading.Store(true)
	n, err := w.Conn.Read(p)
	w.reading.Store(false)
	return n, err
}

// beginning sees whether the connection of a request that has not begun is read on.
type beginning struct {
	defective
	conn   *watched
	readOn bool
}

func (b *beginning) Begin() (func(), *Error) {
	for range 10_000 { // others have a processor meanwhile
		runtime.Gosched()
		b.readOn = b.readOn || b.conn.reading.Load()
	}
	return b.defective.Begin()
}

// The lab clock waits for who is not reading, and for requests that have begun: there is nothing
// between the two.
func TestWhatWasReadBeginsBeforeMoreIsRead(t *testing.T) {
	client, server := net.Pipe()
	b := &beginning{conn: &watched{Conn: server}}
	ended := make(chan error, 1)
	go func() {
		ended <- (&conversation{server: &Server{}, wire: newWire(b.conn), session: b}).run(t.Context())
	}()
	w := newWire(client)
	for range 3 {
		if err := w.send(packetBatch, append([]byte{4, 0, 0, 0}, toUTF16("short")...)); err != nil {
			t.Fatal(err)
		}
		if _, err := w.read(maxMessage); err != nil {
			t.Fatal(err)
		}
	}
	client.Close()
	if err := <-ended; err != nil || b.begun != 3 || b.readOn {
		t.Errorf("%d requests began (%v), and more was read before: %v", b.begun, err, b.readOn)
	}
}

// interrupted is a session of a lab that ends while a request begins.
type interrupted struct {
	defective
	end context.CancelFunc
}

func (i *interrupted) Begin() (func(), *Error) {
	i.end()
	return i.defective.Begin()
}

// A conversation ends with its lab, whatever it is about to do.
func TestALabThatEndsWhileARequestBegins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		go func() {
			_ = newWire(client).send(packetBatch, append([]byte{4, 0, 0, 0}, toUTF16("short")...)) // whether it is taken is the lab's
			_, _ = io.Copy(io.Discard, client)
		}()
		ctx, cancel := context.WithCancel(t.Context())
		if err := (&conversation{server: &Server{}, wire: newWire(server), session: &interrupted{end: cancel}}).run(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("it ended with %v", err)
		}
	})
}

// A message costs no more than its own size, and no stack.
func TestMessagesThatExhaust(t *testing.T) {
	head := []byte{4, 0, 0, 0, 0xFF, 0xFF, procExecuteSQL, 0, 0, 0}
	const levels = 1 << 20
	variants := append(head[:len(head):len(head)], 0, 0, tVariant, 0, 0, 0, 0)
	for left := levels; left > 0; left-- {
		variants = append(binary.LittleEndian.AppendUint32(variants, uint32(6*left-4)), tVariant, 0)
	}
	params := append(head[:len(head):len(head)], []byte(strings.Repeat("\x00\x00\x1f", maxParams+4))...)
	calls := append([]byte{4, 0, 0, 0}, []byte(strings.Repeat("\xff\xff\x0a\x00\x00\x00\xff", maxCalls+1))...)
	for name, row := range map[string]struct {
		message []byte
		want    string
	}{
		"variants of variants": {variants, "sql_variant of type 0x62"},
		"parameters":           {params, "too many parameters"},
		"calls":                {calls, "calls"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := parseCalls(row.message); err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("expected %s, got %v", row.want, err)
			}
		})
	}
	c := &conversation{}
	for range 10 {
		c.prepare(strings.Repeat("x", 10<<20), nil)
	}
	if len(c.prepared) > 6 {
		t.Errorf("%d long statements are prepared", len(c.prepared))
	}
	token, rest, err := sized(appendError(nil, &Error{Message: strings.Repeat("é", 1<<20)}, strings.Repeat("s", 1000)))
	if err != nil || len(rest) > 0 || len(token) > 10_000 {
		t.Errorf("a message: %d bytes, %d left, %v", len(token), len(rest), err)
	}
}

// Output parameters come back by the names and at the places that the client gave them. That
// of sp_prepare is @handle in tedious, which takes no other name, and has none in other drivers.
func TestOutputParameters(t *testing.T) {
	call := func(number byte, params ...[]byte) []byte {
		b := []byte{4, 0, 0, 0, 0xFF, 0xFF, number, 0, 0, 0}
		for _, p := range params {
			b = append(b, p...)
		}
		return b
	}
	param := func(name string, flags byte, of Type, value any) []byte {
		b, err := of.appendValue(of.appendInfo(append(appendText8(nil, name), flags)), value)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	text := func(s string) []byte { return param("", 0, NVarChar(4000), s) }
	back := func(ordinal int, name string, of Type, value any) []byte {
		b, err := appendReturnValue(nil, output{ordinal, Param{Name: name, Type: of, Value: value}})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	variant := []byte{0, 1, tVariant, 0, 0, 0, 0, 6, 0, 0, 0, tInt4, 0, 7, 0, 0, 0}
	for _, row := range []struct {
		name    string
		message []byte
		want    []byte
	}{
		{"sp_prepare by name", call(procPrepare, param("@handle", 1, Int, nil), text(""), text("SELECT 1")), back(0, "@handle", Int, int64(1))},
		{"sp_prepare by position", call(procPrepare, param("", 1, Int, nil), text(""), text("SELECT 1")), back(0, "", Int, int64(1))},
		{"sp_executesql", call(procExecuteSQL, text("SET @b = 2"), text("@a int, @b int OUTPUT"), param("@a", 0, Int, int64(1)), param("@b", 1, Int, int64(3))), back(3, "@b", Int, int64(3))},
		{"sp_prepexec", call(procPrepExec, param("", 1, Int, nil), text("@a nvarchar(9) OUTPUT"), text("SET @a = 'a'"), param("", 1, NVarChar(9), "x")), append(back(0, "", Int, int64(1)), back(3, "@a", NVarChar(9), "x")...)},
		{"a type of which none come back", call(procExecuteSQL, text("SET @a = 1"), text("@a sql_variant OUTPUT"), variant), toUTF16("parameter 2 is an output parameter")},
	} {
		t.Run(row.name, func(t *testing.T) {
			client, server := net.Pipe()
			ended := make(chan error)
			go func() {
				ended <- (&conversation{server: &Server{}, wire: newWire(server), session: &defective{}}).run(t.Context())
			}()
			w := newWire(client)
			sent := make(chan error, 1)
			go func() { sent <- w.send(packetRPC, row.message) }()
			answer, err := w.read(maxMessage)
			if err != nil || !bytes.Contains(answer.data, row.want) {
				t.Errorf("expected %x in %x, %v", row.want, answer.data[max(0, len(answer.data)-100):], err)
			}
			_ = client.Close()
			if sent, err := <-sent, <-ended; sent != nil || err != nil {
				t.Error(sent, err)
			}
		})
	}
}
