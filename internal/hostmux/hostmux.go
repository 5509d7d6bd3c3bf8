// Package hostmux answers HTTP requests by the host that they name: over a network, as
// a handler, or in memory, as a transport. It listens nowhere, and what a host says is
// its handler's.
package hostmux

import (
	"cmp"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/internal/hostname"
	"github.com/wiemu/wiemu/internal/httppath"
	"github.com/wiemu/wiemu/internal/journals"
)

// Route leads the requests for some hosts to a handler.
type Route struct {
	// Hosts are names such as "graph.microsoft.com", in any case; one that starts
	// with a dot stands for every host below it (".vault.azure.net"). Of several
	// that fit a request the longest counts. Ports are not part of them.
	Hosts []string
	// Handler gets requests with the path folded: see package httppath.
	Handler http.Handler
	// Verbatim says that the handler gets requests as they are sent: the path is not
	// folded, since names in it may differ in case or doubled slashes, and the body is read
	// as it comes rather than before. The answer is sent as it is written. While the handler
	// waits for its client, it does not hold up the clock. What it leaves of the body is
	// discarded before the status goes out.
	Verbatim bool
	// MaxBody returns how many bytes the body of a request may have. It decides by
	// method, host and folded path, before anything of the body is read; 0 has the
	// body ignored, and the handler gets none. If nil, no request has a body.
	MaxBody func(*http.Request) int64
	// Unreadable answers, instead of Handler, requests whose body is too long or
	// breaks off. If nil, plain text says so.
	Unreadable http.Handler
}

// Options are what a Mux can do without.
type Options struct {
	Journal *journals.Journal // records handlers that panic. If nil, nothing is recorded
	Log     *slog.Logger      // for operators. If nil, nothing is logged

	// Observe wraps the handlers of all hosts, and sees requests and answers. If nil,
	// nothing is observed.
	Observe func(http.Handler) http.Handler

	// Receiving is told that the body of a request is being read, until done is called;
	// stop ends the reading. If nil, nothing is told.
	Receiving func(r *http.Request, stop func()) (done func())
}

// Mux answers for hosts.
type Mux struct {
	clock *clock.Lab
	opts  Options
	hosts hosts
	front http.Handler // byHost, observed
}

// New returns what answers for the hosts of routes. The time in answers is clk's.
func New(clk *clock.Lab, routes []Route, opts Options) (*Mux, error) {
	table, err := newHosts(routes)
	if err != nil {
		return nil, err
	}
	opts.Log = cmp.Or(opts.Log, slog.New(slog.DiscardHandler))
	if opts.Receiving == nil {
		opts.Receiving = func(*http.Request, func()) func() { return func() {} }
	}
	m := &Mux{clock: clk, opts: opts, hosts: table}
	if m.front = http.HandlerFunc(m.byHost); opts.Observe != nil {
		m.front = opts.Observe(m.front)
	}
	return m, nil
}

// Hosts lists the hosts as their routes have them, in lower case and sorted.
func (m *Mux) Hosts() []string { return slices.Sorted(maps.Keys(m.hosts)) }

// Has reports whether there is a handler for a host, given with or without a port.
func (m *Mux) Has(host string) bool { return m.hosts.find(host) != nil }

// Verbatim reports whether the route of a host is verbatim.
func (m *Mux) Verbatim(host string) bool {
	s := m.hosts.find(host)
	return s != nil && s.verbatim
}

// ServeHTTP answers for the host that the request names. The Date of the answer
// is lab time, and the clock's Advance waits for the answer: from when all of the
// request is there, so that a slow client does not stop the clock.
func (m *Mux) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header()["Date"] = []string{m.clock.Now().Format(http.TimeFormat)}
	answer := &answer{ResponseWriter: w}
	defer m.recovered(answer, r)
	r, release := m.withBody(answer, r)
	if r == nil {
		return
	}
	defer release()
	if answer.stream == nil {
		defer m.clock.Begin()()
		answer.writeBy(time.Time{})
	}
	w.Header()["Date"] = []string{m.clock.Now().Format(http.TimeFormat)} // it may have been a slow body
	m.front.ServeHTTP(answer, r)
	answer.begin() // it may have written nothing
}

// byHost answers with the handler of a host, and requests for other hosts with 421
// (RFC 9110 §15.5.20).
func (m *Mux) byHost(w http.ResponseWriter, r *http.Request) {
	if s := m.hosts.find(r.Host); s != nil {
		s.handler.ServeHTTP(w, r)
		return
	}
	http.Error(w, fmt.Sprintf("wiemu does not emulate the host %q. It emulates %s.", r.Host, strings.Join(m.Hosts(), ", ")), http.StatusMisdirectedRequest)
}

// hosts are the sites by their hosts; those of suffixes by these, with their leading dot.
type hosts map[string]*site

// site is what answers for a host: a Route, with paths folded unless it is verbatim.
type site struct {
	handler    http.Handler
	unreadable http.Handler // nil: plain text
	verbatim   bool
	maxBody    func(*http.Request) int64
}

func (s *site) maxBodyOf(r *http.Request) int64 {
	switch {
	case s == nil || s.maxBody == nil:
		return 0
	case s.verbatim:
		return s.maxBody(r)
	}
	return s.maxBody(httppath.Folded(r))
}

func newHosts(routes []Route) (hosts, error) {
	h := hosts{}
	for _, route := range routes {
		if route.Handler == nil {
			return nil, fmt.Errorf("the route of %q has no handler", route.Hosts)
		}
		s := &site{handler: route.Handler, unreadable: route.Unreadable, verbatim: route.Verbatim, maxBody: route.MaxBody}
		if !route.Verbatim {
			s.handler = httppath.Fold(s.handler)
			if s.unreadable != nil {
				s.unreadable = httppath.Fold(s.unreadable)
			}
		}
		for _, given := range route.Hosts {
			name := strings.ToLower(given)
			sample := name
			if strings.HasPrefix(name, ".") {
				sample = "x" + name
			}
			if !hostname.Is(sample) {
				return nil, fmt.Errorf("route: expected a host name without a port, such as graph.microsoft.com or .vault.azure.net, found %q", given)
			}
			if h[name] != nil {
				return nil, fmt.Errorf("route: %s has two handlers", given)
			}
			h[name] = s
		}
	}
	return h, nil
}

// find is the site of a host as a request names it: in any case, with or
// without a port, with or without a final dot; nil when there is none.
func (h hosts) find(host string) *site {
	host = hostname.Of(host)
	if s := h[host]; s != nil && host[0] != '.' {
		return s
	}
	for i := 1; i < len(host); i++ {
		if host[i] == '.' && h[host[i:]] != nil {
			return h[host[i:]]
		}
	}
	return nil
}
