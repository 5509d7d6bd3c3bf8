package hostmux

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/internal/journals"
)

// A panic ends one connection, and the journal says so without what the client sent.
func TestAStreamThatPanics(t *testing.T) {
	clk := clock.Stopped(time.Now())
	j, err := journals.New(clk, journals.Options{})
	if err != nil {
		t.Fatal(err)
	}
	m, err := New(clk, nil, Options{Journal: j})
	if err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		serve func()
		want  string
	}{
		"a value that quotes the client": {func() { panic("secret") }, "string"},
		"of the language":                {func() { _ = strings.Fields("secret")[1] }, "runtime error: index out of range [1] with length 1"},
		"of another goroutine": {func() {
			caught := make(chan *Panic)
			go func() { caught <- Catch(func() { panic(errors.New("secret")) }) }()
			panic(<-caught)
		}, "*errors.errorString"},
	} {
		t.Run(name, func(t *testing.T) {
			m.ServeStream(t.Context(), &Stream{Serve: func(context.Context, *Connection) { row.serve() }}, &Connection{Host: "orders.test", Port: 1433})
			events := j.Events()
			e := events[len(events)-1]
			if e.Host != "orders.test" || e.Error != "InternalError" || e.Detail["panic"] != row.want || strings.Contains(e.Summary+e.Meaning, "secret") {
				t.Errorf("%+v", e)
			}
		})
	}
	if Catch(func() {}) != nil {
		t.Error("there was no panic")
	}
}
