// Package requestbody reads the bodies of HTTP requests whole: up to a length that
// the caller allows for the request, and out of a budget that all requests to this
// process share, so that strangers cannot use up its memory. When the budget is
// spent, bodies that have stopped coming give way to those that come. It does not
// parse, and does not limit the number of connections; see package gateway.
package requestbody

import (
	"bytes"
	"container/list"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
)

// Budget is how many bytes of bodies the process holds at a time, of all requests
// from when they are read until they are answered. A token request has 2 to 8 KiB.
const Budget = 4 << 20

// Times of the wall: they are about input and output.
const (
	stallTime = 250 * time.Millisecond // without a byte, a body is stalled
	slowTime  = 2 * time.Second        // after that a body gives way although it goes on coming
	patience  = 10 * time.Second       // how long a body waits for others to give way
)

// ErrBusy is that the budget stayed spent for as long as a request may wait.
var ErrBusy = errors.New("too many request bodies are being read; try again")

// TooLongError is that a body is longer than the request's may be.
type TooLongError struct{ Most int64 } // bytes

func (e *TooLongError) Error() string {
	return fmt.Sprintf("the body is longer than %d bytes", e.Most)
}

// process is the budget of this process, whatever labs and listeners it has: memory
// is the process's.
var process = newBudget(Budget)

// Read returns the request's body, which may have most bytes. The caller calls
// release when nothing refers to it any more. A body that is too long, by its
// declared length or in fact, gives a *TooLongError; one that stalled while others
// waited for its part of the budget breaks off. The request's body may be left
// unread then, and its connection should be closed.
func Read(w http.ResponseWriter, r *http.Request, most int64) (body []byte, release func(), err error) {
	return process.read(w, r, most)
}

type budget struct {
	bytes *semaphore.Weighted

	mu      sync.Mutex
	readers list.List // of *reader, in the order in which they began
}

func newBudget(size int64) *budget { return &budget{bytes: semaphore.NewWeighted(size)} }

type reader struct {
	weight int64
	began  time.Time
	moved  atomic.Int64 // when the last byte came, in nanoseconds since began
	stop   func()       // ends the reading
	from   io.Reader
}

// Read implements io.Reader and notes that bytes come.
func (r *reader) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	if n > 0 {
		r.moved.Store(int64(time.Since(r.began)))
	}
	return n, err
}

func (r *reader) givesWay(now time.Time) bool {
	age := now.Sub(r.began)
	return age > slowTime || age-time.Duration(r.moved.Load()) > stallTime
}

func (b *budget) read(w http.ResponseWriter, r *http.Request, most int64) (body []byte, release func(), err error) {
	if r.ContentLength > most {
		return nil, nil, &TooLongError{most}
	}
	weight := r.ContentLength
	if weight < 0 { // it does not say: it may become as long as any
		weight = most
	}
	if err := b.acquire(r.Context(), weight); err != nil {
		return nil, nil, err
	}
	held := weight
	defer func() {
		if err != nil {
			b.bytes.Release(held)
		}
	}()
	body, err = b.readAll(w, r, weight)
	if err != nil {
		return nil, nil, err
	}
	if unused := held - int64(len(body)); unused > 0 {
		b.bytes.Release(unused)
		held -= unused
	}
	return body, sync.OnceFunc(func() { b.bytes.Release(held) }), nil
}

func (b *budget) readAll(w http.ResponseWriter, r *http.Request, weight int64) ([]byte, error) {
	x := &reader{weight: weight, began: time.Now(), from: r.Body} // wall time, as all here
	x.stop = func() {
		// A writer that has no deadlines, as in memory, has no stranger behind it.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now())
	}
	b.mu.Lock()
	at := b.readers.PushBack(x)
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.readers.Remove(at) // does nothing if it was removed
	}()
	if r.ContentLength >= 0 {
		body := make([]byte, weight)
		_, err := io.ReadFull(x, body)
		return body, err
	}
	var body bytes.Buffer
	if _, err := body.ReadFrom(io.LimitReader(x, weight+1)); err != nil {
		return nil, err
	}
	if int64(body.Len()) > weight {
		return nil, &TooLongError{weight}
	}
	return body.Bytes(), nil
}

// acquire takes a part of the budget. While there is not enough, it has those give
// way who stall.
func (b *budget) acquire(ctx context.Context, weight int64) error {
	if b.bytes.TryAcquire(weight) {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, patience, ErrBusy)
	defer cancel()
	for {
		b.interrupt(weight, time.Now())
		soon, cancel := context.WithTimeout(ctx, stallTime)
		err := b.bytes.Acquire(soon, weight)
		cancel()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

// interrupt ends the reading of bodies that stall, the oldest first, until enough
// will be free.
func (b *budget) interrupt(wanted int64, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for at := b.readers.Front(); at != nil && wanted > 0; {
		x, next := at.Value.(*reader), at.Next()
		if x.givesWay(now) {
			b.readers.Remove(at)
			x.stop()
			wanted -= x.weight
		}
		at = next
	}
}
