package resource

import (
	"cmp"
	"net/http"

	"github.com/gorilla/mux"

	"github.com/wiemu/wiemu/internal/httppath"
)

// Request is a call over HTTP.
type Request interface {
	Access
	// Serve does what was asked for; the caller may.
	Serve() (Answer, *Failure)
	// Write sends what Serve returned, or the failure if there is one. Of the headers,
	// WWW-Authenticate is set already.
	Write(w http.ResponseWriter, answer Answer, failed *Failure)
}

// Answer is what a resource answers when it does not refuse.
type Answer struct {
	Status int // if 0, it is 200
	Body   any

	// Send writes the answer in place of Write, as long ones are sent while they are made.
	// Before the status it calls begin, which writes the call into the journal; failed is how
	// the answer refuses, nil if it does not.
	Send func(w http.ResponseWriter, begin func(status int, failed *Failure))
}

// Route is one thing that a resource can be asked for.
type Route struct {
	Methods []string // if empty, all
	Path    string   // a pattern of gorilla/mux for the folded path: see package httppath
	Begin   func(*Call) Request
}

// Handler answers for a resource's routes, and with elsewhere for anything else.
func (k Kit) Handler(routes []Route, elsewhere func(*Call) Request) http.Handler {
	router := mux.NewRouter().SkipClean(true)
	for _, route := range routes {
		r := router.Path(route.Path).Handler(k.Serve(route.Begin))
		if len(route.Methods) > 0 {
			r.Methods(route.Methods...)
		}
	}
	router.NotFoundHandler = k.Serve(elsewhere)
	router.MethodNotAllowedHandler = router.NotFoundHandler
	return httppath.Fold(router)
}

// Serve takes requests all the way: through the checks and faults to the resource's
// handler, to the answer and into the journal.
func (k Kit) Serve(begin func(*Call) Request) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := &Call{Request: r, Vars: mux.Vars(r), Host: r.Host, Token: Bearer(r)}
		request := begin(c)
		var answer Answer
		failed := k.admit(r.Context(), c, request)
		if failed == nil {
			answer, failed = request.Serve()
		}
		if failed == nil && answer.Send != nil {
			answer.Send(w, func(status int, failed *Failure) { k.record(r.Context(), c, request, status, failed) })
			return
		}
		if failed != nil {
			answer = Answer{Status: failed.Status}
			if failed.Challenge != "" {
				w.Header().Set("WWW-Authenticate", failed.Challenge)
			}
		}
		answer.Status = cmp.Or(answer.Status, http.StatusOK)
		k.record(r.Context(), c, request, answer.Status, failed)
		request.Write(w, answer, failed)
	})
}
