package entra

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"

	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/entra/aadsts"
	"github.com/wiemu/wiemu/internal/entra/assertion"
	"github.com/wiemu/wiemu/internal/entra/discovery"
)

// Request is a token request. An empty field is a parameter that was not sent.
type Request struct {
	Version int    // of the endpoint: 1 (/oauth2/token) or 2 (/oauth2/v2.0/token); defaults to 2
	Host    string // that was asked; defaults to login.microsoftonline.com
	Tenant  string // as in the path: id or domain

	GrantType     string // client_credentials
	ClientID      string
	Scope         string // v2: RESOURCE/.default
	Resource      string // v1
	ClientSecret  string
	Assertion     string // client_assertion
	AssertionType string // client_assertion_type
	Claims        string // claims request, JSON (OpenID Connect Core §5.5)

	TraceID       uuid.UUID // if zero, a new one
	CorrelationID uuid.UUID // if zero, a new one

	http httpDetails
	host *Host // vouches for the client; if nil, the client has to present a credential
}

// Token is an issued access token, with what the reply says about it.
type Token struct {
	AccessToken string        // compact JWS
	Resource    string        // its audience as the client named it
	NotBefore   time.Time     // five minutes ago, as Entra ID dates back
	ExpiresAt   time.Time     // lab time
	ExpiresIn   time.Duration // expires_in of the reply, a second less than the lifetime
	InStrings   bool          // numbers of the reply are strings, as those of the v1 endpoint
	UTI         string        // its uti claim, by which a resource's log finds the exchange
}

// exchange is one token request and what the checks have found out about it so far.
type exchange struct {
	service   *Service
	request   Request
	now       time.Time
	examining bool // every check is made, none answers

	has          facts
	tenant       directory.Tenant
	target       target               // the resource
	capabilities []string             // of the client, from the claims parameter
	principal    *directory.Principal // who asks
	secret       *directory.Secret    // that was presented
	assertion    *assertion.Assertion
	candidates   []directory.FederatedCredential // those not ruled out yet
	certificate  directory.Certificate           // that signed the assertion
	key          jose.JSONWebKey                 // that is to verify it

	interrupted *aadsts.Error // by a fault, before anything is looked at

	checks  []journal.Check
	refusal *aadsts.Error
	nearest *journal.Nearest
	hint    string // goes before the catalogue's remedy
}

func (s *Service) begin(r Request) *exchange {
	r.Version = cmp.Or(r.Version, 2)
	r.Host = cmp.Or(r.Host, s.config.Cloud.Login)
	if r.TraceID == uuid.Nil {
		r.TraceID = s.newTraceID()
	}
	if r.CorrelationID == uuid.Nil {
		r.CorrelationID = s.newGUID()
	}
	return &exchange{service: s, request: r, now: s.config.Clock.Now(), checks: make([]journal.Check, 0, len(s.checks))}
}

// run makes the checks in order. The first that fails is the answer; those after
// it are written down as skipped, or made for the explanation when examining.
func (x *exchange) run(ctx context.Context) {
	for i := range x.service.checks {
		st := &x.service.checks[i]
		if !x.inScope(st.scope) {
			continue
		}
		check := journal.Check{Name: st.name, Outcome: journal.Skipped}
		if x.has&st.requires == st.requires && (x.refusal == nil || x.examining) {
			found := st.run(ctx, x)
			check.Expected, check.Presented, check.Note = bounded(found.expected), bounded(found.presented), bounded(found.note)
			if found.refusal == nil {
				check.Outcome = journal.Passed
				x.has |= st.provides
			} else {
				check.Outcome = journal.Failed
				x.refusal = cmp.Or(x.refusal, found.refusal)
			}
		}
		x.checks = append(x.checks, check)
	}
	if x.refusal != nil && x.assertion != nil && x.principal != nil && isMismatch(x.refusal.Code) {
		a := x.assertion
		x.nearest = Nearest(x.principal.FederatedCredentials, bounded(a.Issuer), bounded(a.Subject), bounded(a.Audience.String()))
		x.hint = x.trustedElsewhere()
		if x.assertion.Audience.String() == identityBindingAudience {
			x.hint = identityBindingHint
		}
	}
}

func (x *exchange) inScope(on scope) bool {
	switch on {
	case onRequest:
		return !x.examining
	case onInterruption:
		return x.interrupted != nil
	case onLimited:
		return !x.examining && x.request.host == nil && x.service.config.Limits != Limits{}
	case onClaimsRequest:
		return x.request.Claims != ""
	case onForeignCloud:
		return !x.examining && x.service.config.Cloud.IsForeignLogin(discovery.PlainHost(x.request.Host))
	case onRegion:
		return !x.examining && x.service.config.Cloud.IsRegional(discovery.PlainHost(x.request.Host))
	case onSecret:
		return x.request.Assertion == "" && x.request.ClientSecret != ""
	case onAssertion:
		return x.request.Assertion != ""
	case onCertificate:
		return x.selfSigned()
	case onFederation:
		return x.request.Assertion != "" && !x.selfSigned()
	default:
		return true
	}
}

// selfSigned tells the two kinds of assertion apart as Entra ID does: the issuer
// of one that a client signs itself is the client.
func (x *exchange) selfSigned() bool {
	return x.assertion != nil && x.assertion.Issuer != "" && strings.EqualFold(x.assertion.Issuer, x.request.ClientID)
}

// event is the exchange for the journal. It holds ids and claims, no credential.
func (x *exchange) event(token Token) journal.Event {
	e := journal.Event{
		Kind: journal.Exchange, Outcome: journal.Granted, Status: 200,
		Tenant: cmp.Or(x.tenant.ID, bounded(x.request.Tenant)), ClientID: bounded(x.request.ClientID),
		TraceID: x.request.TraceID.String(), CorrelationID: x.request.CorrelationID.String(),
		Host: x.request.Host, Method: x.request.http.method, Path: bounded(x.request.http.path),
		Resource: bounded(x.target.asked), Checks: x.checks, Nearest: x.nearest, Detail: x.detail(),
	}
	who := "client " + e.ClientID
	if p := x.principal; p != nil {
		e.ClientID, e.ObjectID, e.Identity = p.ClientID, p.ObjectID, p.DisplayName
		who = p.DisplayName
	}
	if a := x.assertion; a != nil {
		e.Issuer, e.Subject, e.Kid, e.JTI = bounded(a.Issuer), bounded(a.Subject), bounded(a.KeyID()), bounded(a.ID)
		e.Audience = boundedAll(a.Audience)
		if e.Workload = x.service.config.Faults.WorkloadOf(e.Subject); e.Workload != "" {
			who = e.Workload + " as " + who
		}
	}
	if h := x.request.host; h != nil {
		e.Workload = h.Workload
		who = e.Workload + " as " + who
	}
	switch {
	case x.refusal != nil:
		e.Outcome, e.Status, e.Code, e.Error, e.Message = journal.Denied, x.refusal.Status, x.refusal.Code, x.refusal.OAuth, x.refusal.Error()
		e.Meaning, e.Remedy = x.refusal.Meaning, strings.TrimSpace(x.hint+" "+x.refusal.Remedy)
		sentence, _, _ := strings.Cut(e.Message, ". ")
		e.Summary = who + ": " + sentence
	case x.examining:
		e.Summary = who + ": the assertion would be accepted"
	default:
		e.UTI, e.IssuedAt, e.ExpiresAt = token.UTI, &x.now, &token.ExpiresAt
		e.Summary = fmt.Sprintf("%s: a token for %s, valid %v", who, e.Resource, token.ExpiresIn)
	}
	return e
}

func boundedAll(values []string) []string {
	const most = 10
	kept := make([]string, min(len(values), most))
	for i := range kept {
		kept[i] = bounded(values[i])
	}
	return kept
}

func (x *exchange) detail() map[string]string {
	d := make(map[string]string, 4)
	if !x.examining {
		d["endpoint"] = "v2.0"
		if x.request.Version == 1 {
			d["endpoint"] = "v1"
		}
	}
	switch {
	case x.request.host != nil:
		d["endpoint"], d["authentication"] = x.request.host.Service, "managed identity"
	case x.request.Assertion == "" && x.request.ClientSecret != "":
		d["authentication"] = "client secret"
	case x.selfSigned():
		d["authentication"] = "certificate"
	case x.request.Assertion != "":
		d["authentication"] = "federated assertion"
		if len(x.candidates) == 1 && x.has&hasTrust != 0 {
			d["credential"] = x.candidates[0].Name
		}
	}
	if x.request.http.client != "" {
		d["client"] = x.request.http.client
	}
	return d
}

// Host is an Azure resource that vouches for the managed identities assigned to
// it, such as a virtual machine with its metadata service.
type Host struct {
	Service    string // which vouches, for the journal: "IMDS"
	Workload   string // what runs there, for the journal
	ResourceID string // Azure's, the xms_az_rid claim; if empty, there is none
}

// ExchangeForHost gives a managed identity an access token for what runs on an
// Azure host. Azure itself proves who asks, so the application presents no
// credential; everything else is checked and written down as in Exchange.
// Resource is as in the v1 endpoint.
func (s *Service) ExchangeForHost(ctx context.Context, r Request, h Host) (Token, *aadsts.Error) {
	r.Version, r.GrantType, r.host = 1, clientCredentials, &h
	return s.Exchange(ctx, r)
}

// The tokens of AKS's identity bindings are for the cluster's proxy, which an
// application has to be told to use.
// Source: azidentity's TROUBLESHOOTING.md; package identitybinding.
const (
	identityBindingAudience = "api://AKSIdentityBinding"
	identityBindingHint     = "The token is for AKS's identity-binding proxy, and the application sent it to Entra ID itself: " +
		"use WorkloadIdentityCredential and switch its proxy on (EnableAzureProxy in Go, enableAzureProxy in JavaScript, enable_azure_proxy in Python); DefaultAzureCredential never uses it."
)
