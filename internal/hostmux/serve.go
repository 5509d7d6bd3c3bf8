package hostmux

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/hostname"
	"github.com/wiemu/wiemu/internal/journals"
	"github.com/wiemu/wiemu/internal/requestbody"
)

// withBody returns the request with its body read whole, so that no handler has to
// deal with one that breaks off or is slow. The route decides how long it may be;
// where a request has none to say, the body is not read and the handler gets none.
// A body that is too long or cannot be read is answered here, and the request nil.
func (m *Mux) withBody(w *answer, r *http.Request) (_ *http.Request, release func()) {
	s := m.hosts.find(r.Host)
	verbatim := s != nil && s.verbatim
	if r.ContentLength == 0 || r.Body == nil || r.Body == http.NoBody {
		if verbatim {
			return m.streamed(w, r, 0)
		}
		return r, func() {}
	}
	most := s.maxBodyOf(r)
	if verbatim && most > 0 && r.ContentLength <= most {
		return m.streamed(w, r, most)
	}
	if most == 0 {
		leaveUnread(w)
		return without(r), func() {}
	}
	if verbatim { // its handler says in its own words how long it may be
		m.unreadable(s, w, r, fmt.Sprintf("wiemu takes request bodies of up to %d bytes here.", most), http.StatusRequestEntityTooLarge)
		return nil, nil
	}
	ctx, stop := context.WithCancel(r.Context())
	defer stop()
	defer m.opts.Receiving(r, stop)()
	body, release, err := requestbody.Read(w, r.WithContext(ctx), most)
	var tooLong *requestbody.TooLongError
	switch {
	case err == nil:
		read := r.WithContext(r.Context())
		read.Body, read.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		return read, release
	case errors.As(err, &tooLong):
		m.unreadable(s, w, r, fmt.Sprintf("wiemu takes request bodies of up to %d bytes here.", tooLong.Most), http.StatusRequestEntityTooLarge)
	case errors.Is(err, requestbody.ErrBusy):
		w.Header().Set("Retry-After", "1")
		leaveUnread(w)
		http.Error(w, "wiemu is reading as many request bodies as it may; try again.", http.StatusServiceUnavailable)
	default:
		m.unreadable(s, w, r, "wiemu could not read the request's body to its end.", http.StatusBadRequest)
	}
	return nil, nil
}

func without(r *http.Request) *http.Request {
	bare := r.WithContext(r.Context())
	bare.Body, bare.ContentLength = http.NoBody, 0
	return bare
}

// lingerTimeout is how long a client whose body is refused may take to read why.
const lingerTimeout = 500 * time.Millisecond

// leaveUnread has the connection closed after the answer, rather than wait for the
// rest of the body (HTTP/2 ends only the stream).
func leaveUnread(w http.ResponseWriter) {
	w.Header().Set("Connection", "close")
	// net/http reads on for a while, so that the client sees the answer. In memory
	// there is nothing to wait for, and no deadline.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(lingerTimeout)) // wall time: input and output
}

// unreadable answers a request with a body that cannot be read: as its host does,
// if it has a handler for that.
func (m *Mux) unreadable(s *site, w http.ResponseWriter, r *http.Request, text string, status int) {
	leaveUnread(w)
	if s.unreadable == nil {
		http.Error(w, text, status)
		return
	}
	bare := without(r)
	bare.ContentLength = r.ContentLength // which tells what is too long from what breaks off
	s.unreadable.ServeHTTP(w, bare)
}

// recovered turns a panic of a handler into an answer: 500 if none has begun,
// else a cut connection, so that no client takes half an answer for a whole one.
func (m *Mux) recovered(w *answer, r *http.Request) {
	v := recover()
	if v == nil {
		return
	}
	if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(v) // the handler wants the connection cut
	}
	m.opts.Log.Error("a handler failed", "host", r.Host, "method", r.Method, "path", r.URL.Path, "panic", v, "stack", string(debug.Stack()))
	m.opts.Journal.Record(journal.Event{
		Kind: journal.Access, Outcome: journal.Failed, Status: http.StatusInternalServerError,
		Summary: fmt.Sprintf("answering %s %s failed: a defect of wiemu", r.Method, hostname.Of(r.Host)),
		Host:    r.Host, Method: r.Method, Path: r.URL.Path, Program: journals.ProgramOf(r.Context()),
		Meaning: "The handler of this host stopped with a panic; the real service was not imitated.",
		Remedy:  "Report it with this event and the log of the emulator.",
		Detail:  map[string]string{"panic": (&Panic{Value: v}).cause()},
	})
	if w.begun {
		panic(http.ErrAbortHandler)
	}
	http.Error(w, "wiemu failed to answer this request; its log says why.", http.StatusInternalServerError)
}

type answer struct {
	http.ResponseWriter
	begun  bool
	stream *stream // nil: the answer is not sent as it is written
}

func (a *answer) WriteHeader(status int) {
	if status >= 200 {
		a.begin()
	}
	defer a.waiting()()
	a.ResponseWriter.WriteHeader(status)
}

// begin is called before the status goes out.
func (a *answer) begin() {
	if !a.begun {
		a.begun = true
		a.stream.discard(a)
		if a.stream == nil {
			a.writeBy(time.Now().Add(answerTimeout)) // wall time: input and output
		}
	}
}

// answerTimeout is how long a client may take to read an answer, from when it begins.
const answerTimeout = 2 * time.Minute

// writeBy sets a deadline in place of the server's, whose time-out begins with the request: what a
// handler takes is not the client's time. A write that comes too late is lost, and over TLS the
// server's end of the stream after it is a bad record MAC to the client. In memory there is none.
func (a *answer) writeBy(at time.Time) {
	_ = http.NewResponseController(a.ResponseWriter).SetWriteDeadline(at)
}

// Write implements http.ResponseWriter.
func (a *answer) Write(p []byte) (sent int, _ error) {
	a.begin()
	if a.stream == nil {
		return a.ResponseWriter.Write(p)
	}
	for {
		n, err := a.writeNext(p[:min(len(p), chunk)])
		sent, p = sent+n, p[n:]
		if err != nil || len(p) == 0 {
			return sent, err
		}
	}
}

func (a *answer) writeNext(p []byte) (int, error) {
	defer a.waiting()()
	return a.ResponseWriter.Write(p)
}

// waiting says that a stream may have to wait for its client.
func (a *answer) waiting() (done func()) {
	if a.stream == nil {
		return func() {}
	}
	a.stream.writeBy(time.Now().Add(streamTimeout)) // wall time: input and output
	return a.stream.wait()
}

func (a *answer) Flush() {
	a.begin()
	defer a.waiting()()
	_ = http.NewResponseController(a.ResponseWriter).Flush() // a writer that cannot flush does not have to
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
