package rest

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/wiemu/wiemu/internal/resource"
)

// between is the chain of a request that calls it where the request pauses.
type between func()

func (b between) Pause() { b() }

// While a write pauses for those beside it, one that is alone can be done, and then it goes on.
func TestAPausedWriteKeepsNobodyOut(t *testing.T) {
	m := &Manager{}
	alone := func() bool {
		if !m.writes.TryLock() {
			return false
		}
		m.writes.Unlock()
		return true
	}
	paused := false
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPut, "/", nil)
	r = r.WithContext(context.WithValue(r.Context(), chainKey{}, between(func() {
		if paused = true; !alone() {
			t.Error("nothing can be written alone while a write pauses")
		}
	})))
	c := &Call{Call: &resource.Call{Request: r}, Manager: m, operation: Operation{Serve: func(c *Call) (Reply, *resource.Failure) {
		c.Overlap(0)
		if alone() {
			t.Error("a write that goes on after a pause does not keep out those that are alone")
		}
		return Reply{}, nil
	}}}
	if _, failed := c.Serve(); failed != nil || !paused {
		t.Errorf("the write: %v, paused: %v", failed, paused)
	}
	if !alone() {
		t.Error("a write that is done keeps others out")
	}
}
