package fault

import (
	"bytes"
	"context"
	"fmt"
	"html"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"

	"github.com/wiemu/wiemu/emulator/gateway/httppath"
	"github.com/wiemu/wiemu/emulator/journal"
)

// Answers lets faults hit the requests that next answers; part is what selectors
// call it. Slow answers, cut connections and bodies that are no JSON are made
// here; for 429 and 5xx next asks Refusal and answers in its own words.
func (s *Set) Answers(part string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.Any() || r.Context().Value(spared{}) != nil {
			next.ServeHTTP(w, r)
			return
		}
		about := subjectOf(part, r)
		r = r.WithContext(context.WithValue(r.Context(), trailKey{}, &trail{})) // this request's own
		if h, hit := s.Hit(AtArrival, about); hit {
			Add(r.Context(), h)
			pause(r.Context(), h.Duration("latency"))
		}
		h, hit := s.Hit(AtRequest, about)
		if !hit {
			next.ServeHTTP(w, r)
			return
		}
		Add(r.Context(), h)
		s.spoil(w, r, h, about, next)
	})
}

func (s *Set) spoil(w http.ResponseWriter, r *http.Request, h Hit, about Subject, next http.Handler) {
	switch h.Name() {
	case ConnectionReset:
		if h.Text("stage") == "before" {
			s.unanswered(r, about, "the connection was reset before the request was handled")
			reset(r.Context())
		}
		a := record(next, r)
		if h.Text("stage") == "body" {
			a.send(w, a.body.Bytes()[:a.body.Len()/2])
			_ = http.NewResponseController(w).Flush() // one that cannot flush sends it when it can
		}
		reset(r.Context())
	case Truncated:
		a := record(next, r)
		a.send(w, a.body.Bytes()[:a.body.Len()/2])
	case Malformed:
		a := record(next, r)
		broken := bytes.TrimRight(a.body.Bytes(), "} \r\n")
		a.header.Set("Content-Length", strconv.Itoa(len(broken)))
		a.send(w, broken)
	case WrongContentType:
		s.unanswered(r, about, "a gateway's page was sent instead of an answer")
		page(w, h.Int("status"), r.Host)
	default:
		if after := h.retryAfter(); after > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(after))
		}
		next.ServeHTTP(w, r)
	}
}

// retryAfter is in whole seconds, as RFC 9110 §10.2.3 has it.
func (h Hit) retryAfter() int {
	return int((h.Duration("retry-after") + time.Second - 1) / time.Second)
}

// Refusal is how a request is to be refused by a fault: with which status, and
// after how long the client may ask again. Whoever answers says it in its own
// words; Retry-After is in the answer's header already.
func Refusal(ctx context.Context) (status int, retryAfter time.Duration, refused bool) {
	for _, h := range Hits(ctx) {
		switch h.Name() {
		case Throttled:
			return http.StatusTooManyRequests, time.Duration(h.retryAfter()) * time.Second, true
		case ServerError:
			return h.Int("status"), time.Duration(h.retryAfter()) * time.Second, true
		}
	}
	return 0, 0, false
}

// unanswered writes down a request that nobody got to see.
func (s *Set) unanswered(r *http.Request, about Subject, why string) {
	e := journal.Event{
		Kind: journal.Access, Outcome: journal.Failed, Part: about.Part, Host: r.Host, Method: r.Method, Path: httppath.Original(r),
		ClientID: about.Client, Workload: about.Workload, Issuer: about.Issuer, Kid: about.Kid, Resource: about.Resource,
		Summary: fmt.Sprintf("%s %s: %s", r.Method, r.Host, why),
		Meaning: "The request did not reach the service; a fault took its place.",
		Remedy:  "A robust client tries again, with growing pauses.",
	}
	switch {
	case about.Part == PartEntra && r.Method == http.MethodPost:
		e.Kind = journal.Exchange
	case about.Part == PartEntra:
		e.Kind = journal.Discovery
	}
	Note(r.Context(), &e)
	s.journal.Record(e)
}

// PartEntra is what selectors call the token service.
const PartEntra = "entra"

// pause waits on the machine's clock: it delays input and output.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// recorded is an answer that was not sent.
type recorded struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func record(next http.Handler, r *http.Request) *recorded {
	a := &recorded{header: http.Header{}}
	next.ServeHTTP(a, r)
	if a.status == 0 {
		a.status = http.StatusOK
	}
	a.header.Set("Content-Length", strconv.Itoa(a.body.Len()))
	return a
}

// Header implements http.ResponseWriter.
func (a *recorded) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter.
func (a *recorded) WriteHeader(status int) {
	if a.status == 0 && status >= 200 {
		a.status = status
	}
}

// Write implements http.ResponseWriter.
func (a *recorded) Write(p []byte) (int, error) { return a.body.Write(p) }

// send answers with the recorded header and a body of ours. A Content-Length that
// says more than there is makes the server cut the connection.
func (a *recorded) send(w http.ResponseWriter, body []byte) {
	for name, values := range a.header {
		w.Header()[name] = values
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(body) // a client that went away has no use for the error
}

// page is what a gateway in between says.
func page(w http.ResponseWriter, status int, host string) {
	title := strconv.Itoa(status) + " " + http.StatusText(status)
	if status == http.StatusOK {
		title = "Sign in to continue"
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "<!DOCTYPE html>\n<html><head><title>%s</title></head>\n<body><h1>%s</h1><p>%s</p><hr><center>gateway</center></body></html>\n", title, title, html.EscapeString(host))
}

type connectionKey struct{}

// OnConnection is for http.Server.ConnContext: it lets faults reset the
// connection that a request came by.
func OnConnection(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connectionKey{}, conn)
}

// reset ends the request's connection with a RST, and the handler with it. It
// does not return.
func reset(ctx context.Context) {
	conn, networked := ctx.Value(connectionKey{}).(net.Conn)
	for conn != nil {
		if tcp, ok := conn.(interface{ SetLinger(int) error }); ok { // also one that others have wrapped
			_ = tcp.SetLinger(0) // closing then sends RST; a connection that is gone needs none
			_ = conn.Close()
			panic(http.ErrAbortHandler)
		}
		wrapped, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		conn = wrapped.NetConn()
	}
	if networked { // over something that has no RST
		panic(http.ErrAbortHandler)
	}
	panic(fmt.Errorf("%w: %w", http.ErrAbortHandler, syscall.ECONNRESET)) // in memory: what the client is told
}
