package entra

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/google/uuid"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/entra/aadsts"
	"github.com/wiemu/wiemu/internal/faults"
	"github.com/wiemu/wiemu/internal/httppath"
	"github.com/wiemu/wiemu/internal/journals"
)

// What a login host answers to requests that are for none of its endpoints, or
// that do not use one as it is meant. No recording of these is at hand: headers
// and envelope are those of every other reply, the statuses are inferred.

// serveNotFound answers paths that are no endpoint: 404 with Entra ID's headers
// and an empty body.
func (s *Service) serveNotFound(w http.ResponseWriter, r *http.Request) {
	traceID := s.newTraceID()
	path := httppath.Original(r)
	s.config.Journal.Record(journal.Event{
		Kind: journal.Discovery, Outcome: journal.Denied, Status: http.StatusNotFound,
		Host: bounded(r.Host), Method: bounded(r.Method), Path: bounded(path), TraceID: traceID.String(), Program: journals.ProgramOf(r.Context()),
		Summary: "a client asked for a path that Entra ID does not have: " + clipped(path),
		Meaning: "The login host has no such endpoint, or wiemu does not imitate it.",
		Remedy:  "Check how the address was put together: AZURE_AUTHORITY_HOST is a host alone, https://login.microsoftonline.com/, without tenant and path.",
	})
	s.errorHeaders(w, r, traceID)
	delete(w.Header(), "Content-Type")
	writeBody(w, http.StatusNotFound, nil)
}

// readOnly lets a document be read with GET and HEAD, and answers OPTIONS, which
// browsers ask before: the documents' own headers say that it is allowed.
func (s *Service) readOnly(serve http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case http.MethodGet, http.MethodHead:
			serve(w, r)
		case http.MethodOptions:
			s.preflight(w, r, "GET, OPTIONS")
		default:
			w.Header()["Allow"] = []string{"GET, OPTIONS"}
			s.refuse(w, r, aadsts.WrongMethod("GET, OPTIONS", r.Method), http.StatusMethodNotAllowed, "a client asked for metadata with "+clipped(r.Method))
		}
	}
}

// preflight answers a browser that asks which methods an endpoint allows.
func (s *Service) preflight(w http.ResponseWriter, r *http.Request, methods string) {
	s.metadataHeaders(w, r, s.newTraceID())
	h := w.Header()
	delete(h, "Content-Type")
	h["Access-Control-Allow-Methods"] = []string{methods}
	if asked := r.Header["Access-Control-Request-Headers"]; len(asked) > 0 {
		h["Access-Control-Allow-Headers"] = asked
	}
	writeBody(w, http.StatusOK, nil)
}

// UnreadableBody answers requests whose body is longer than any token request or
// breaks off. Its error is that of a body that is no form.
func (s *Service) UnreadableBody() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		refusal := aadsts.MalformedRequest()
		s.refuse(w, r, refusal, refusal.Status, "a request's body is too long or breaks off")
	})
}

// refuse answers with an error that no check of a token request gave.
func (s *Service) refuse(w http.ResponseWriter, r *http.Request, refusal *aadsts.Error, status int, summary string) {
	traceID, correlationID := s.recordRefusal(r, refusal, status, summary)
	s.errorHeaders(w, r, traceID)
	writeJSON(w, status, refusal.Reply(s.config.Cloud.Login, s.config.Clock.Now(), traceID.String(), correlationID.String()))
}

// recordRefusal records a refusal that no check of a token request gave, and returns the
// ids of its reply.
func (s *Service) recordRefusal(r *http.Request, refusal *aadsts.Error, status int, summary string) (traceID, correlationID uuid.UUID) {
	traceID, correlationID = s.newTraceID(), s.newGUID()
	if id, ok := parseGUID(r.Header.Get("Client-Request-Id")); ok {
		correlationID = id
	}
	e := journal.Event{
		Kind: journal.Discovery, Outcome: journal.Denied, Status: status,
		Host: bounded(r.Host), Method: bounded(r.Method), Path: bounded(httppath.Original(r)),
		TraceID: traceID.String(), CorrelationID: correlationID.String(),
		Code: refusal.Code, Error: refusal.OAuth, Message: refusal.Error(), Meaning: refusal.Meaning, Remedy: refusal.Remedy,
		Summary: summary,
	}
	faults.Note(r.Context(), &e)
	s.config.Journal.Record(e)
	return traceID, correlationID
}

func (s *Service) errorHeaders(w http.ResponseWriter, r *http.Request, traceID uuid.UUID) {
	h := w.Header()
	h["Cache-Control"] = []string{"no-store, no-cache"}
	h["Pragma"] = []string{"no-cache"}
	h["Expires"] = []string{"-1"}
	s.setCookies(h)
	s.commonHeaders(h, traceID, r.Header.Get("Client-Request-Id"))
}

// withoutFinalSlash takes one off the path: Entra ID, an ASP.NET service, routes
// both spellings alike.
func withoutFinalSlash(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if path := r.URL.Path; len(path) > 1 && strings.HasSuffix(path, "/") {
			shorter := r.WithContext(r.Context())
			shorter.URL = new(url.URL)
			*shorter.URL = *r.URL
			shorter.URL.Path, shorter.URL.RawPath = strings.TrimSuffix(path, "/"), ""
			r = shorter
		}
		next.ServeHTTP(w, r)
	})
}
