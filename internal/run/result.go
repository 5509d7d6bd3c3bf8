package run

import (
	"net/http"
	"slices"

	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/explain"
)

// Result is what came of a program that ran as a workload.
type Result struct {
	ExitCode int
	Events   []journal.Event // while it ran
	Traffic  control.Traffic // while it ran
	Missed   []fault.Active  // faults that hit nothing; empty if the lab is a running server's
	Choice   Choice          // how it reached the lab, unless it was isolated
}

// Led reports whether every program of the run was led to the lab, so that none escaped
// unseen on ports 443 and 80.
func (r Result) Led() bool {
	return r.Choice.Way != "" && !slices.ContainsFunc(r.Events, isUnled)
}

// Silent reports whether no request of the run has arrived anywhere in the lab, its proxy
// included.
func (r Result) Silent() bool {
	if r.Traffic.Requests > 0 {
		return false
	}
	return !slices.ContainsFunc(r.Events, func(e journal.Event) bool { // what the proxy refuses reaches no endpoint
		return e.Kind == journal.Escape || e.Kind == journal.Exchange || e.Kind == journal.Access
	})
}

// Unseen reports whether a program that succeeded did not even connect to the lab: one that
// ignores the proxy may have reached a host outside.
func (r Result) Unseen() bool {
	return r.ExitCode == 0 && r.Traffic.Connections == 0 && r.Silent()
}

// Escapes is how many times the program tried to reach a host outside the lab.
func (r Result) Escapes() int {
	return r.count(func(e journal.Event) bool { return e.Kind == journal.Escape })
}

// Finding is an event that a user of the program is told of.
type Finding struct {
	journal.Event
	Times int // how many events of the run are like it, itself included
}

// Findings returns what a user of the program is told of, in the order of the events: the
// first escape to each host, failures of the run itself, and of refusals that are alike the
// last.
func (r Result) Findings() (found []Finding) {
	escaped := map[string]bool{}
	for i, e := range r.Events {
		switch {
		case e.Kind == journal.Escape:
			if !escaped[e.Host] {
				escaped[e.Host] = true
				found = append(found, Finding{e, r.count(func(o journal.Event) bool { return o.Kind == e.Kind && o.Host == e.Host })})
			}
		case e.Kind == journal.Run && e.Outcome == journal.Failed:
			found = append(found, Finding{e, 1})
		case (refused(e) || r.unanswered(i)) && !slices.ContainsFunc(r.Events[i+1:], func(later journal.Event) bool { return explain.Alike(e, later) }):
			found = append(found, Finding{e, r.count(func(o journal.Event) bool { return explain.Alike(e, o) })})
		}
	}
	return found
}

func (r Result) count(is func(journal.Event) bool) (n int) {
	for _, e := range r.Events {
		if is(e) {
			n++
		}
	}
	return n
}

// refused reports whether a token request was refused, or a request to a resource for want
// of a token, of a permission or of what it asks for, because it is malformed, or because
// wiemu does not emulate it.
func refused(e journal.Event) bool {
	switch {
	case e.Outcome != journal.Denied || e.Detail["challenge"] != "":
		return false
	case e.Kind == journal.Access:
		// Streams have no status: a login, or a request after it, was refused.
		return slices.Contains([]int{0, http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusNotImplemented}, e.Status)
	}
	return e.Kind == journal.Exchange
}

// unanswered reports whether an event is a challenge that the program did nothing about: it
// asked for no token after it, and sent none.
func (r Result) unanswered(at int) bool {
	e := r.Events[at]
	return e.Outcome == journal.Denied && e.Detail["challenge"] != "" && !slices.ContainsFunc(r.Events[at+1:], func(later journal.Event) bool {
		return later.Kind == journal.Exchange || later.Kind == journal.Access && later.Host == e.Host && later.Detail["challenge"] == ""
	})
}
