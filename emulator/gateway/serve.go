package gateway

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/gorilla/mux"

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
	r, ok := g.limited(answer, r)
	if !ok {
		return
	}
	defer g.clock.Begin()()
	w.Header()["Date"] = []string{g.clock.Now().Format(http.TimeFormat)} // it may have been a slow body
	to.ServeHTTP(answer, r)
}

// matchHost is the router's one question.
func (g *Gateway) matchHost(r *http.Request, match *mux.RouteMatch) bool {
	handler := g.hosts.find(r.Host)
	if handler == nil {
		return false
	}
	match.Handler = handler
	return true
}

// misdirected answers requests for hosts that are not emulated (RFC 9110
// §15.5.20).
func (g *Gateway) misdirected(w http.ResponseWriter, r *http.Request) {
	http.Error(w, fmt.Sprintf("wiemu does not emulate the host %q. It emulates %s.", r.Host, strings.Join(g.Hosts(), ", ")), http.StatusMisdirectedRequest)
}

// limited refuses requests with too large a body, and reads the others' whole,
// so that no handler has to deal with a body that breaks off or is slow.
func (g *Gateway) limited(w http.ResponseWriter, r *http.Request) (*http.Request, bool) {
	if r.ContentLength == 0 || r.Body == nil {
		return r, true
	}
	if r.ContentLength <= maxBody {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		var tooLarge *http.MaxBytesError
		switch {
		case err == nil:
			read := r.WithContext(r.Context())
			read.Body, read.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
			return read, true
		case !errors.As(err, &tooLarge):
			g.unreadable(w, r, "wiemu could not read the request's body to its end.", http.StatusBadRequest)
			return nil, false
		}
	}
	g.unreadable(w, r, fmt.Sprintf("wiemu takes request bodies of up to %d bytes.", maxBody), http.StatusRequestEntityTooLarge)
	return nil, false
}

// unreadable answers a request whose body is not there: in the words of its host
// if it has any.
func (g *Gateway) unreadable(w http.ResponseWriter, r *http.Request, text string, status int) {
	w.Header().Set("Connection", "close") // rather than read it all (HTTP/2 ends the stream alone)
	own := g.hosts.unreadable[hostOf(r.Host)]
	if own == nil {
		http.Error(w, text, status)
		return
	}
	bare := r.WithContext(r.Context())
	bare.Body, bare.ContentLength = http.NoBody, 0
	own.ServeHTTP(w, bare)
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
