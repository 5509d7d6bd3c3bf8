package hostmux

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
)

// streamTimeout is how long a client may take to send or to read the next bytes of a body
// that is handed on as it comes. It is wall time: it is about input and output.
const streamTimeout = 2 * time.Minute

// unwantedTimeout is how long the next bytes of a body may take that the handler left: its
// client may be waiting for the answer.
const unwantedTimeout = 5 * time.Second

// chunk is how much of an answer is to be written within one streamTimeout.
const chunk = 256 << 10

// streamed has a body of up to most bytes read by the handler, as it comes, and the answer
// sent as it is written. The clock's Advance waits for the handler, but not for the client.
func (m *Mux) streamed(w *answer, r *http.Request, most int64) (*http.Request, func()) {
	s := &stream{clock: m.clock, end: m.clock.Begin(), control: http.NewResponseController(w)}
	s.readBy(time.Time{}) // the server's time-outs are for all of a request
	w.stream = s
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
		return r, s.close
	}
	in := r.WithContext(r.Context())
	s.body = &streamedBody{stream: s, limited: http.MaxBytesReader(w, r.Body, most), receiving: func() func() {
		return m.opts.Receiving(r, func() { s.readBy(time.Now()) })
	}}
	s.body.awaited = strings.EqualFold(r.Header.Get("Expect"), "100-continue")
	in.Body = s.body
	return in, s.close
}

// stream lets the clock move on while one request's handler waits for its client.
type stream struct {
	clock   *clock.Lab
	control *http.ResponseController
	body    *streamedBody // nil: there is none

	mu      sync.Mutex
	end     func() // of the clock's waiting
	waiting int    // reads and writes
	closed  bool
}

// wait says that the handler waits for its client, until done is called.
func (s *stream) wait() (done func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting++; s.waiting == 1 {
		s.end()
	}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.waiting--; s.waiting == 0 && !s.closed {
			s.end = s.clock.Begin()
		}
	}
}

func (s *stream) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.end()
}

// readBy and writeBy set deadlines; in memory there are none.
func (s *stream) readBy(at time.Time)  { _ = s.control.SetReadDeadline(at) }
func (s *stream) writeBy(at time.Time) { _ = s.control.SetWriteDeadline(at) }

type streamedBody struct {
	*stream
	limited   io.Reader
	receiving func() (done func())

	reading sync.Mutex // a proxy may read on while it answers
	awaited bool       // the client sends nothing before it is read
	ended   error
}

// Read implements io.Reader.
func (b *streamedBody) Read(p []byte) (int, error) { return b.read(p, streamTimeout) }

func (b *streamedBody) read(p []byte, within time.Duration) (int, error) {
	defer b.wait()()
	b.reading.Lock()
	defer b.reading.Unlock()
	if b.ended != nil {
		return 0, b.ended
	}
	defer b.receiving()()
	b.awaited = false
	b.readBy(time.Now().Add(within)) // wall time: input and output
	n, err := b.limited.Read(p)
	if err != nil {
		b.ended = err
		b.readBy(time.Time{}) // the server goes on reading, to see whether the client is there
	}
	return n, err
}

// Close does nothing: what is left of the body is discarded before the answer.
func (b *streamedBody) Close() error { return nil }

// discard reads what the handler left of the body, before the status goes out: many clients
// send all of a body before they look for an answer, and one that gets a reset connection
// before does not see it (Python's requests, Node.js). What does not come, or is too long,
// costs the client its connection. In memory nothing is on its way.
func (s *stream) discard(w http.ResponseWriter) {
	if s == nil || s.body == nil || s.control.SetReadDeadline(time.Now().Add(unwantedTimeout)) != nil { // also for who reads now
		return
	}
	defer s.wait()() // also between the reads
	buffer := make([]byte, 32<<10)
	var err error
	for err == nil && !s.body.isAwaited() {
		_, err = s.body.read(buffer, unwantedTimeout)
	}
	if errors.Is(err, io.EOF) {
		s.readBy(time.Time{})
		return
	}
	leaveUnread(w)
}

func (b *streamedBody) isAwaited() bool {
	b.reading.Lock()
	defer b.reading.Unlock()
	return b.awaited
}
