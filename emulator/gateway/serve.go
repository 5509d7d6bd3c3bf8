package gateway

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/gorilla/mux"

	"github.com/wiemu/wiemu/emulator/gateway/requestbody"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/emulator/trust"
)

// tlsConfig is that of the TLS door. Handshakes are on wall time; what the
// certificates say fits both clocks.
func tlsConfig(authority *trust.Authority) *tls.Config {
	return &tls.Config{GetCertificate: authority.GetCertificate, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
}

// ServeHTTP answers for the host that the request names. The Date of the answer
// is lab time, and the clock's Advance waits for the answer: from when all of the
// request is there, so that a slow client does not stop the clock.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) { g.lead(g.front, w, r) }

// lead leads a request to the router, or to what stands before it.
func (g *Gateway) lead(to http.Handler, w http.ResponseWriter, r *http.Request) {
	w.Header()["Date"] = []string{g.clock.Now().Format(http.TimeFormat)}
	answer := &answer{ResponseWriter: w}
	defer g.recovered(answer, r)
	r, release := g.withBody(answer, r)
	if r == nil {
		return
	}
	defer release()
	defer g.clock.Begin()()
	w.Header()["Date"] = []string{g.clock.Now().Format(http.TimeFormat)} // it may have been a slow body
	to.ServeHTTP(answer, r)
}

// matchHost is the router's one question.
func (g *Gateway) matchHost(r *http.Request, match *mux.RouteMatch) bool {
	s := g.hosts.find(r.Host)
	if s == nil {
		return false
	}
	match.Handler = s.handler
	return true
}

// misdirected answers requests for hosts that are not emulated (RFC 9110
// §15.5.20).
func (g *Gateway) misdirected(w http.ResponseWriter, r *http.Request) {
	http.Error(w, fmt.Sprintf("wiemu does not emulate the host %q. It emulates %s.", r.Host, strings.Join(g.Hosts(), ", ")), http.StatusMisdirectedRequest)
}

// withBody returns the request with its body read whole, so that no handler has to
// deal with one that breaks off or is slow. The route decides how long it may be;
// where a request has none to say, the body is not read and the handler gets none.
// A body that is too long or cannot be read is answered here, and the request nil.
func (g *Gateway) withBody(w http.ResponseWriter, r *http.Request) (_ *http.Request, release func()) {
	if r.ContentLength == 0 || r.Body == nil || r.Body == http.NoBody {
		return r, func() {}
	}
	s := g.hosts.find(r.Host)
	most := s.maxBodyOf(r)
	if most == 0 {
		leaveUnread(w)
		return without(r), func() {}
	}
	ctx, stop := context.WithCancel(r.Context())
	defer stop()
	defer g.conns.receiving(r, stop)()
	body, release, err := requestbody.Read(w, r.WithContext(ctx), most)
	var tooLong *requestbody.TooLongError
	switch {
	case err == nil:
		read := r.WithContext(r.Context())
		read.Body, read.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		return read, release
	case errors.As(err, &tooLong):
		g.unreadable(s, w, r, fmt.Sprintf("wiemu takes request bodies of up to %d bytes here.", tooLong.Most), http.StatusRequestEntityTooLarge)
	case errors.Is(err, requestbody.ErrBusy):
		w.Header().Set("Retry-After", "1")
		leaveUnread(w)
		http.Error(w, "wiemu is reading as many request bodies as it may; try again.", http.StatusServiceUnavailable)
	default:
		g.unreadable(s, w, r, "wiemu could not read the request's body to its end.", http.StatusBadRequest)
	}
	return nil, nil
}

// without is the request without its body.
func without(r *http.Request) *http.Request {
	bare := r.WithContext(r.Context())
	bare.Body, bare.ContentLength = http.NoBody, 0
	return bare
}

// leaveUnread has the connection closed after the answer, rather than wait for a
// body that nobody wants (HTTP/2 ends the stream alone).
func leaveUnread(w http.ResponseWriter) {
	w.Header().Set("Connection", "close")
	// net/http reads on for a while, so that the client sees the answer. In memory
	// there is nothing to wait for, and no deadline.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(lingerTimeout)) // wall time: input and output
}

// unreadable answers a request whose body is not there: in the words of its host
// if it has any.
func (g *Gateway) unreadable(s *site, w http.ResponseWriter, r *http.Request, text string, status int) {
	leaveUnread(w)
	if s.unreadable == nil {
		http.Error(w, text, status)
		return
	}
	s.unreadable.ServeHTTP(w, without(r))
}

// recovered turns a panic of a handler into an answer: 500 if none has begun,
// else a cut connection, so that no client takes half an answer for a whole one.
func (g *Gateway) recovered(w *answer, r *http.Request) {
	v := recover()
	if v == nil {
		return
	}
	if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(v) // the handler wants the connection cut
	}
	g.log.Error("a handler failed", "host", r.Host, "method", r.Method, "path", r.URL.Path, "panic", v, "stack", string(debug.Stack()))
	cause := fmt.Sprintf("%T", v)
	if err, ok := v.(runtime.Error); ok {
		cause = err.Error() // other values may quote what the client sent
	}
	g.journal.Record(journal.Event{
		Kind: journal.Access, Outcome: journal.Failed, Status: http.StatusInternalServerError,
		Summary: fmt.Sprintf("answering %s %s failed: a defect of wiemu", r.Method, hostOf(r.Host)),
		Host:    r.Host, Method: r.Method, Path: r.URL.Path,
		Meaning: "The handler of this host stopped with a panic; the real service was not imitated.",
		Remedy:  "Report it with this event and the log of the emulator.",
		Detail:  map[string]string{"panic": cause},
	})
	if w.begun {
		panic(http.ErrAbortHandler)
	}
	http.Error(w, "wiemu failed to answer this request; its log says why.", http.StatusInternalServerError)
}

// answer knows whether it has begun.
type answer struct {
	http.ResponseWriter
	begun bool
}

func (a *answer) WriteHeader(status int) {
	a.begun = a.begun || status >= 200
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(p []byte) (int, error) {
	a.begun = true
	return a.ResponseWriter.Write(p)
}

// Flush implements http.Flusher.
func (a *answer) Flush() {
	a.begun = true
	_ = http.NewResponseController(a.ResponseWriter).Flush() // a writer that cannot flush does not have to
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
