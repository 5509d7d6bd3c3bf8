// Package entra is the token service: it authenticates clients by federated
// assertion, secret or certificate, gives out access tokens, and publishes the
// metadata and keys by which those are found and verified. It does not decide
// who exists (see directory) nor what a token opens (see resource).
//
// It answers exactly as Entra ID does, refusals included (see aadsts). Why it
// answered so goes to the journal: every check in order with what was expected
// and presented, and for a federated refusal the credential that came nearest
// and what to change. The checks are one list; see steps.
package entra

import (
	"context"
	"crypto/rand"
	"io"
	"net/http"

	"github.com/gorilla/mux"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/cloud"
	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/emulator/entra/aadsts"
	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/emulator/gateway/httppath"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/emulator/keyring"
	"github.com/wiemu/wiemu/emulator/metadata"
)

// Config is what a token service works with. All but Journal and Random are
// required.
type Config struct {
	Directory *directory.Directory // who exists
	Keys      *keyring.Ring        // what access tokens are signed with; its Identify is KeyID
	Clock     clock.Clock          // lab time of tokens and replies
	Issuers   *metadata.Source     // the keys of the issuers that federated credentials name

	Cloud   cloud.Cloud      // the zero value is the public one
	Limits  Limits           // of requests; the zero value is none
	Faults  *fault.Set       // nil: nothing goes wrong on purpose
	Journal *journal.Journal // nil: nothing is written down
	Random  io.Reader        // trace ids and opaque claims; safe for concurrent use; nil: crypto/rand
}

// Service is the token service of all tenants of a directory. It is safe for
// concurrent use and keeps nothing between requests but their number.
type Service struct {
	directory *directory.Directory
	keys      *keyring.Ring
	clock     clock.Clock
	issuers   *metadata.Source
	journal   *journal.Journal
	random    io.Reader
	cloud     cloud.Cloud
	limits    Limits
	counted   counters
	faults    *fault.Set

	steps     []step                // the checks of a token request, in order
	resources map[string]*wellKnown // Microsoft's own, by identifier in canonical form
}

// New makes a token service.
func New(c Config) *Service {
	s := &Service{
		directory: c.Directory, keys: c.Keys, clock: c.Clock, issuers: c.Issuers, journal: c.Journal, random: c.Random,
		cloud: c.Cloud, limits: c.Limits, faults: c.Faults,
	}
	if s.cloud.IsZero() {
		s.cloud = cloud.Public()
	}
	s.resources = indexResources(s.cloud)
	if s.random == nil {
		s.random = rand.Reader
	}
	s.steps = s.list()
	return s
}

// Cloud is the one that the service is of.
func (s *Service) Cloud() cloud.Cloud { return s.cloud }

// Handler answers every path of a login host, in any case, with doubled slashes
// and with or without a final one.
func (s *Service) Handler() http.Handler {
	r := mux.NewRouter().SkipClean(true) // cleaning is a redirect, which would turn a POST into a GET
	r.NotFoundHandler = http.HandlerFunc(s.serveNothing)
	versioned := func(serve func(http.ResponseWriter, *http.Request, int), version int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { serve(w, r, version) }
	}
	document := func(path string, serve http.HandlerFunc) { r.HandleFunc(path, s.interruptible(s.readOnly(serve))) }
	r.HandleFunc("/{tenant}/oauth2/v2.0/token", versioned(s.serveToken, 2))
	r.HandleFunc("/{tenant}/oauth2/token", versioned(s.serveToken, 1))
	document("/common/discovery/instance", s.serveInstance)
	document("/common/userrealm", s.serveUserRealm)
	document("/common/userrealm/{user}", s.serveUserRealm)
	document("/{tenant}/v2.0/.well-known/openid-configuration", versioned(s.serveConfiguration, 2))
	document("/{tenant}/.well-known/openid-configuration", versioned(s.serveConfiguration, 1))
	document("/{tenant}/discovery/v2.0/keys", versioned(s.serveKeys, 2))
	document("/{tenant}/discovery/keys", versioned(s.serveKeys, 1))
	return httppath.Fold(withoutFinalSlash(r))
}

// Exchange gives a client an access token, or says why not as Entra ID would.
// Either way it writes one event.
func (s *Service) Exchange(ctx context.Context, r Request) (Token, *aadsts.Error) {
	ctx = s.faults.Collect(ctx)
	x := s.begin(r)
	x.interrupted = interruption(ctx)
	x.run(ctx)
	var token Token
	if x.refusal == nil {
		token = x.issue(ctx)
		x.moveOn(ctx)
	}
	e := x.event(token)
	fault.Note(ctx, &e)
	s.journal.Record(e)
	return token, x.refusal
}

// Examine makes the checks of a federated exchange on an assertion, all of them
// even if one fails, and returns what Exchange would have written down. Nothing
// is issued and nothing is written.
func (s *Service) Examine(ctx context.Context, tenant, clientID, assertion string) journal.Event {
	x := s.begin(Request{Tenant: tenant, ClientID: clientID, Assertion: assertion, AssertionType: jwtBearer})
	x.examining = true
	x.run(ctx)
	e := s.journal.Bound(x.event(Token{}))
	e.Time = x.now
	return e
}
