package tds

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
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
