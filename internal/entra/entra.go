// Package entra answers token requests as Entra ID does: it authenticates clients by
// federated assertion, secret or certificate, issues access tokens, and publishes the
// metadata and keys by which those are found and verified. It does not decide
// who exists (see tenants), how a JWT is read (see assertion), what documents
// say (see discovery), nor what a token gives access to (see resource).
//
// It answers exactly as Entra ID does, refusals included (see aadsts). Why it
// answered so goes to the journal: every check in order with what was expected
// and presented, and for a federated refusal the credential that came nearest
// and what to change. The checks are one list; see checkList.
package entra

import (
	"context"
	"crypto/rand"
	"io"
	"net/http"

	"github.com/gorilla/mux"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/cloud"
	"github.com/wiemu/wiemu/internal/entra/aadsts"
	"github.com/wiemu/wiemu/internal/entra/discovery"
	"github.com/wiemu/wiemu/internal/faults"
	"github.com/wiemu/wiemu/internal/httppath"
	"github.com/wiemu/wiemu/internal/journals"
	"github.com/wiemu/wiemu/internal/keyring"
	"github.com/wiemu/wiemu/internal/metadata"
	"github.com/wiemu/wiemu/internal/tenants"
)

// Config configures a token service. Directory, Keys, Clock and Issuers are required.
type Config struct {
	Directory *tenants.Directory // who exists
	Keys      *keyring.Ring      // what access tokens are signed with; its Identify is KeyID
	Clock     clock.Clock        // lab time of tokens and replies
	Issuers   *metadata.Source   // the keys of the issuers that federated credentials name

	Cloud   cloud.Cloud       // the zero value is the public one
	Limits  Limits            // of requests; the zero value is none
	Faults  *faults.Set       // if nil, no faults are injected
	Journal *journals.Journal // if nil, nothing is recorded
	Random  io.Reader         // trace ids and opaque claims; safe for concurrent use; defaults to crypto/rand
}

// Service is the token service of all tenants of a directory. It is safe for
// concurrent use and keeps nothing between requests but their number.
type Service struct {
	config    Config
	counted   counters
	checks    []check               // the checks of a token request, in order
	resources map[string]*wellKnown // Microsoft's own, by identifier in canonical form
}

// New makes a token service.
func New(c Config) *Service {
	if c.Cloud.IsZero() {
		c.Cloud = cloud.Public()
	}
	if c.Random == nil {
		c.Random = rand.Reader
	}
	s := &Service{config: c, resources: indexResources(c.Cloud)}
	s.checks = s.checkList()
	return s
}

// Cloud returns the cloud whose names the service uses.
func (s *Service) Cloud() cloud.Cloud { return s.config.Cloud }

// Handler answers every path of a login host, in any case, with doubled slashes
// and with or without a final one.
func (s *Service) Handler() http.Handler {
	r := mux.NewRouter().SkipClean(true) // cleaning is a redirect, which would turn a POST into a GET
	r.NotFoundHandler = http.HandlerFunc(s.serveNotFound)
	document := func(path string, serve http.HandlerFunc) { r.HandleFunc(path, s.interruptible(s.readOnly(serve))) }
	token := func(version int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { s.serveToken(w, r, version) }
	}
	configuration := func(version int) http.HandlerFunc {
		return s.serveDocument(func(t discovery.Tenant) any { return discovery.Configuration(t, version) })
	}
	keys := func(version int) http.HandlerFunc {
		return s.serveDocument(func(t discovery.Tenant) any { return discovery.Keys(t, s.config.Keys.Published(), version) })
	}
	r.HandleFunc("/{tenant}/oauth2/v2.0/token", token(2))
	r.HandleFunc("/{tenant}/oauth2/token", token(1))
	document("/common/discovery/instance", s.serveInstance)
	document("/common/userrealm", s.serveUserRealm)
	document("/common/userrealm/{user}", s.serveUserRealm)
	document("/{tenant}/v2.0/.well-known/openid-configuration", configuration(2))
	document("/{tenant}/.well-known/openid-configuration", configuration(1))
	document("/{tenant}/discovery/v2.0/keys", keys(2))
	document("/{tenant}/discovery/keys", keys(1))
	return httppath.Fold(withoutFinalSlash(r))
}

// Exchange issues an access token, or returns the refusal that Entra ID would answer
// with. Either way it records one event.
func (s *Service) Exchange(ctx context.Context, r Request) (Token, *aadsts.Error) {
	ctx = s.config.Faults.WithTrail(ctx)
	x := s.begin(r)
	x.interrupted = interruption(ctx)
	x.run(ctx)
	var token Token
	if x.refusal == nil {
		token = x.issue(ctx)
		x.rotateKeyOnFault(ctx)
	}
	e := x.event(token)
	faults.Note(ctx, &e)
	s.config.Journal.Record(e)
	return token, x.refusal
}

// Examine makes the checks of a federated exchange on an assertion, all of them
// even if one fails, and returns the event that Exchange would have recorded. Nothing
// is issued and nothing is recorded.
func (s *Service) Examine(ctx context.Context, tenant, clientID, assertion string) journal.Event {
	x := s.begin(Request{Tenant: tenant, ClientID: clientID, Assertion: assertion, AssertionType: jwtBearer})
	x.examining = true
	x.run(ctx)
	e := s.config.Journal.Bound(x.event(Token{}))
	e.Time = x.now
	return e
}
