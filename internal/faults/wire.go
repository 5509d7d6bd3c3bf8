package faults

import (
	"bytes"
	"context"
	"fmt"
	"html"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/faultkind"
	"github.com/wiemu/wiemu/internal/hostmux"
	"github.com/wiemu/wiemu/internal/httppath"
)

// Answers returns a handler that lets faults hit the requests to next, which selectors
// call component. It makes answers late, cuts connections and breaks bodies; for 429 and
// 5xx next calls [Refusal] and answers in its own format.
func (s *Set) Answers(component string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.Any() || r.Context().Value(withoutKey{}) != nil {
			next.ServeHTTP(w, r)
			return
		}
		about := s.subjectOf(component, r)
		r = r.WithContext(context.WithValue(r.Context(), trailKey{}, &trail{})) // this request's own
		if h, hit := s.Hit(faultkind.AtArrival, about); hit {
			AddHits(r.Context(), h)
			pause(r.Context(), h.Duration("latency"))
		}
		h, hit := s.Hit(faultkind.AtRequest, about)
		if !hit {
			s.answer(w, r, about, next)
			return
		}
		AddHits(r.Context(), h)
		s.applyFault(w, r, h, about, next)
	})
}

// writes are the methods that create, change and delete at a service; see isWrite.
var writes = map[string][]string{
	"arm":   {http.MethodPut, http.MethodPatch, http.MethodDelete}, // POST asks for something to be done, such as to list keys
	"graph": {http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete},
}

// answer lets next answer, unless the answer to a write is lost.
func (s *Set) answer(w http.ResponseWriter, r *http.Request, about Subject, next http.Handler) {
	losing := func(a fault.Active) bool { return a.Name == faultkind.WriteLostReply && !a.Spent }
	if !isWrite(about.Component, r) || !slices.ContainsFunc(s.Active(), losing) {
		next.ServeHTTP(w, r)
		return
	}
	a := record(next, r)
	if a.status < http.StatusBadRequest {
		if h, hit := s.Hit(faultkind.AtWrite, about); hit { // of which the event of the request knows nothing
			AddHits(r.Context(), h)
			s.record(r, about, journal.Event{
				Summary: "the write was done, and the connection was reset before the answer",
				Meaning: "The service did what it was asked for, as the event of this request before this one says. The client does not know.",
				Remedy:  "A robust client looks for what there is before it tries again.",
			})
			reset(r.Context())
		}
	}
	a.send(w, a.body)
}

// isWrite reports whether a request creates, changes or deletes something by itself: a batch of Graph
// has requests of its own, of which no answer is lost.
func isWrite(component string, r *http.Request) bool {
	path := strings.ToLower(strings.TrimRight(r.URL.Path, "/"))
	asks := component == "graph" && (strings.HasSuffix(path, "/$batch") || strings.HasSuffix(path, "/directoryobjects/getbyids"))
	return slices.Contains(writes[component], r.Method) && !asks
}

func (s *Set) applyFault(w http.ResponseWriter, r *http.Request, h Hit, about Subject, next http.Handler) {
	switch h.Name() {
	case faultkind.ConnectionReset:
		if h.Text("stage") == "before" {
			s.unanswered(r, about, "the connection was reset before the request was handled")
			reset(r.Context())
		}
		a := record(next, r)
		if h.Text("stage") == "body" {
			a.send(w, a.body[:len(a.body)/2])
			_ = http.NewResponseController(w).Flush() // one that cannot flush sends it when it can
		}
		reset(r.Context())
	case faultkind.Truncated:
		a := record(next, r)
		a.send(w, a.body[:len(a.body)/2])
	case faultkind.Malformed:
		a := record(next, r)
		broken := bytes.TrimRight(a.body, "}> \r\n") // of JSON, or of XML
		if r.Method != http.MethodHead {             // whose answer has the length of a body that is not there
			a.header.Set("Content-Length", strconv.Itoa(len(broken)))
		}
		a.send(w, broken)
	case faultkind.WrongContentType:
		s.unanswered(r, about, "a gateway's page was sent instead of an answer")
		page(w, h.Int("status"), r.Host)
	default:
		if after := h.retryAfter(); after > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(after))
		}
		next.ServeHTTP(w, r)
	}
}

// retryAfter is in whole seconds (RFC 9110 §10.2.3).
func (h Hit) retryAfter() int {
	return int((h.Duration("retry-after") + time.Second - 1) / time.Second)
}

// Refusal returns the status with which a fault refuses a request, if one does, and after
// how long the client may try again. The body is the caller's; Retry-After is in the
// answer's header already.
func Refusal(ctx context.Context) (status int, retryAfter time.Duration, refused bool) {
	for _, h := range Hits(ctx) {
		switch h.Name() {
		case faultkind.Throttled:
			return http.StatusTooManyRequests, time.Duration(h.retryAfter()) * time.Second, true
		case faultkind.ServerError:
			return h.Int("status"), time.Duration(h.retryAfter()) * time.Second, true
		}
	}
	return 0, 0, false
}

func (s *Set) unanswered(r *http.Request, about Subject, why string) {
	s.record(r, about, journal.Event{
		Summary: why,
		Meaning: "The request did not reach the service; a fault took its place.",
		Remedy:  "A robust client tries again, with growing pauses.",
	})
}

// record journals that a fault broke a request off. e says why.
func (s *Set) record(r *http.Request, about Subject, e journal.Event) {
	e.Kind, e.Outcome, e.Component, e.Host, e.Method, e.Path = journal.Access, journal.Failed, about.Component, r.Host, r.Method, httppath.Original(r)
	e.ClientID, e.Workload, e.Issuer, e.Kid, e.Resource = about.Client, about.Workload, about.Issuer, about.Kid, about.Resource
	e.Summary = fmt.Sprintf("%s %s: %s", r.Method, r.Host, e.Summary)
	switch {
	case about.Component == Entra && r.Method == http.MethodPost:
		e.Kind = journal.Exchange
	case about.Component == Entra:
		e.Kind = journal.Discovery
	}
	Note(r.Context(), &e)
	s.journal.Record(e)
}

// Entra is what selectors call the token service.
const Entra = "entra"

// pause waits in machine time, because it delays input and output.
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
	status int
	header http.Header
	body   []byte
}

// record returns the answer to a request without sending it.
func record(next http.Handler, r *http.Request) recorded {
	answer := hostmux.Answer(next, r)
	defer answer.Body.Close()          // it is in memory
	body, _ := io.ReadAll(answer.Body) // of one that was to be longer, what there is
	return recorded{answer.StatusCode, answer.Header, body}
}

// send answers with the recorded header and the given body. If the recorded
// Content-Length is larger than the body, the server cuts the connection.
func (a recorded) send(w http.ResponseWriter, body []byte) {
	maps.Copy(w.Header(), a.header)
	w.WriteHeader(a.status)
	_, _ = w.Write(body) // a client that went away has no use for the error
}

// page answers as a gateway between client and service does.
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

// OnConnection lets faults reset the connection of a request. It is for
// [http.Server.ConnContext].
func OnConnection(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connectionKey{}, conn)
}

// reset ends the request's connection with a RST, and the handler with it. It
// does not return.
func reset(ctx context.Context) {
	if conn, networked := ctx.Value(connectionKey{}).(net.Conn); networked {
		if tcp := hostmux.Reset(conn); tcp != nil { // else it is over something that has no RST
			_ = tcp.Close()
		}
		panic(http.ErrAbortHandler)
	}
	panic(fmt.Errorf("%w: %w", http.ErrAbortHandler, syscall.ECONNRESET)) // in memory, this is the error that the client gets
}
