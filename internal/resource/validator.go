package resource

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/cloud"
	"github.com/wiemu/wiemu/internal/metadata"
)

// DefaultSkew is how far the clocks of the token service and of a resource may
// be apart, as in the libraries that Azure's resources use.
const DefaultSkew = 5 * time.Minute

// Options configure a validator. The zero value is a useful default.
type Options struct {
	Skew  time.Duration // allowed before nbf and after exp. If 0, it is DefaultSkew
	Cloud cloud.Cloud   // whose tokens are accepted. If zero, it is the public one

	// Name returns the display name of a client, for the journal if the token does not
	// have it. If nil, the journal has the client id alone.
	Name func(tenant, clientID string) string
}

// Validator checks access tokens as Azure's resources do: offline, with the
// tenant's published keys. It is safe for concurrent use.
type Validator struct {
	clock clock.Clock
	keys  *metadata.Source
	opts  Options
}

// NewValidator makes a validator that gets the tenants' keys from keys and the
// time from clk.
func NewValidator(clk clock.Clock, keys *metadata.Source, opts Options) *Validator {
	if opts.Cloud.IsZero() {
		opts.Cloud = cloud.Public()
	}
	opts.Skew = cmp.Or(opts.Skew, DefaultSkew)
	return &Validator{clk, keys, opts}
}

// Cloud returns the cloud whose tokens are accepted.
func (v *Validator) Cloud() cloud.Cloud {
	if v == nil {
		return cloud.Public()
	}
	return v.opts.Cloud
}

// Want is what a resource demands of a token.
type Want struct {
	Audiences []string // one of these, exactly
	Tenant    string   // GUID of the tenant that the resource belongs to. If empty, any that Known accepts

	// Known reports whether a tenant exists, so that keys are not fetched for invented
	// names. Required if Tenant is empty.
	Known func(tenant string) bool
}

// Caller is the principal of an accepted token.
type Caller struct {
	Tenant    string // tid
	ClientID  string // appid (v1) or azp (v2)
	ObjectID  string // oid of the service principal
	Name      string // app_displayname; often empty
	Issuer    string
	UTI       string // links the request to the exchange that gave the token out
	Roles     []string
	Delegated bool // there is a user behind it (scp)
	IssuedAt  time.Time
	ExpiresAt time.Time
	Evaluated bool // the resource evaluates its access continuously, and the client understands claims challenges (xms_cc: cp1)
}

// Validate checks the token in order and stops at the first check that fails. It returns
// the checks for the journal. If the token is refused, the caller is what it claims, as
// far as it could be read: for the journal only.
func (v *Validator) Validate(ctx context.Context, raw string, want Want) (Caller, []journal.Check, *Refusal) {
	if raw == "" {
		missing := journal.Check{Name: "token", Expected: "Authorization: Bearer …", Presented: "none", Outcome: journal.Failed}
		return Caller{}, []journal.Check{missing}, &Refusal{Reason: Missing, Check: missing.Name, Expected: missing.Expected, Presented: missing.Presented}
	}
	token, err := parse(raw)
	if err != nil {
		malformed := journal.Check{Name: "token", Expected: "a signed JWT", Presented: err.Error(), Outcome: journal.Failed}
		return Caller{}, []journal.Check{malformed}, &Refusal{Reason: Malformed, Check: malformed.Name, Expected: malformed.Expected, Presented: malformed.Presented, Undotted: !strings.Contains(raw, ".")}
	}
	e := &examination{Validator: v, ctx: ctx, token: token, want: want, now: v.clock.Now()}
	checks, refusal := e.run()
	caller := callerOf(token.claims)
	if caller.Name == "" && v.opts.Name != nil && caller.ClientID != "" {
		caller.Name = v.opts.Name(caller.Tenant, caller.ClientID)
	}
	return caller, checks, refusal
}

func callerOf(c claims) Caller {
	return Caller{
		Tenant: c.Tenant, ClientID: cmp.Or(c.AppID, c.AZP), ObjectID: c.ObjectID, Name: c.Name,
		Issuer: c.Issuer, UTI: c.UTI, Roles: c.Roles, Delegated: c.Scope != "",
		IssuedAt: c.IssuedAt.time(), ExpiresAt: c.Expiry.time(),
		Evaluated: slices.ContainsFunc(c.ClientCan, func(capability string) bool { return strings.EqualFold(capability, "cp1") }),
	}
}

type examination struct {
	*Validator
	ctx   context.Context
	token presented
	want  Want
	now   time.Time
	key   jose.JSONWebKey // found by signingKey
	cause error           // why there is no key
}

// check is one condition. Look returns what was expected and presented, and the
// reason of the refusal, or "" when the condition holds.
type check struct {
	name string
	look func(*examination) (expected, presented string, refused Reason)
}

// checks are made in this order. Nothing is fetched before the tenant is known
// to be the right one.
func checks() []check {
	return []check{
		{"token type", (*examination).tokenType},
		{"algorithm", (*examination).algorithm},
		{"tenant", (*examination).tenant},
		{"issuer", (*examination).issuer},
		{"audience", (*examination).audience},
		{"signing key", (*examination).signingKey},
		{"signature", (*examination).signature},
		{"valid from", (*examination).notBefore},
		{"valid until", (*examination).expiry},
	}
}

func (e *examination) run() ([]journal.Check, *Refusal) {
	all := checks()
	made := make([]journal.Check, 0, len(all)+2) // resources add theirs
	for _, c := range all {
		expected, presented, refused := c.look(e)
		if refused != "" {
			made = append(made, journal.Check{Name: c.name, Expected: expected, Presented: presented, Outcome: journal.Failed})
			return made, &Refusal{Reason: refused, Check: c.name, Expected: expected, Presented: presented, Cause: e.cause, Lockstep: e.followed()}
		}
		made = append(made, journal.Check{Name: c.name, Expected: expected, Presented: presented, Outcome: journal.Passed})
	}
	return made, nil
}

func (e *examination) followed() bool {
	lab, ok := e.clock.(interface{ Followed() bool })
	return ok && lab.Followed()
}

func unless(holds bool, reason Reason) Reason {
	if holds {
		return ""
	}
	return reason
}

func (e *examination) tokenType() (expected, presented string, refused Reason) {
	c := e.token.claims
	expected, presented = "an access token of Entra ID", "version "+c.Version
	switch {
	case len(c.Kubernetes) > 0:
		presented = "a Kubernetes service-account token"
	case c.Version == "":
		presented = "a JWT without the claim ver"
	case cmp.Or(c.AppID, c.AZP) == "":
		presented = "a JWT without the claim appid or azp, as an id token"
	}
	ok := (c.Version == "1.0" && c.AppID != "" || c.Version == "2.0" && c.AZP != "") && len(c.Kubernetes) == 0
	return expected, presented, unless(ok, WrongType)
}

func (e *examination) algorithm() (expected, presented string, refused Reason) {
	return string(jose.RS256), e.token.algorithm, unless(e.token.algorithm == string(jose.RS256), WrongAlgorithm)
}

func (e *examination) tenant() (expected, presented string, refused Reason) {
	presented = e.token.claims.Tenant
	if e.want.Tenant != "" {
		return e.want.Tenant, presented, unless(presented == e.want.Tenant, WrongTenant)
	}
	known := presented != "" && e.want.Known != nil && e.want.Known(presented)
	return "a known tenant", presented, unless(known, WrongTenant)
}

func (e *examination) issuer() (expected, presented string, refused Reason) {
	expected = e.opts.Cloud.IssuerV1(e.token.claims.Tenant)
	if e.token.claims.Version == "2.0" {
		expected = e.opts.Cloud.IssuerV2(e.token.claims.Tenant)
	}
	return expected, e.token.claims.Issuer, unless(e.token.claims.Issuer == expected, WrongIssuer)
}

// audienceSeparator is between the audiences of [Refusal.Expected]; the first is the usual one.
const audienceSeparator = " or "

func (e *examination) audience() (expected, presented string, refused Reason) {
	found := e.token.claims.Audience
	ok := len(found) == 1 && slices.Contains(e.want.Audiences, found[0])
	return strings.Join(e.want.Audiences, audienceSeparator), found.String(), unless(ok, WrongAudience)
}

func (e *examination) signingKey() (expected, presented string, refused Reason) {
	address := e.opts.Cloud.Authority() + e.token.claims.Tenant + "/discovery/keys"
	expected, presented = "a key of "+address, e.token.kid
	e.key, e.cause = e.keys.KeyAt(e.ctx, address, e.token.kid)
	switch {
	case e.cause == nil:
		return expected, presented, ""
	case errors.Is(e.cause, metadata.ErrNoSuchKey):
		return expected, presented, UnknownKey
	default:
		return expected, presented, KeysUnreachable
	}
}

func (e *examination) signature() (expected, presented string, refused Reason) {
	if _, err := e.token.signed.Verify(e.key); err != nil {
		return "made with key " + e.token.kid, "another one", BadSignature
	}
	return "", "", ""
}

func (e *examination) notBefore() (expected, presented string, refused Reason) {
	start := e.token.claims.NotBefore.time()
	ok := !e.now.Add(e.opts.Skew).Before(start)
	return e.at("valid from before"), stamp(start), unless(ok, NotYetValid)
}

func (e *examination) expiry() (expected, presented string, refused Reason) {
	end := e.token.claims.Expiry.time()
	ok := !end.IsZero() && e.now.Before(end.Add(e.opts.Skew))
	return e.at("valid until after"), stamp(end), unless(ok, Expired)
}

func (e *examination) at(when string) string {
	return fmt.Sprintf("%s lab time %s, give or take %v", when, e.now.Format(time.RFC3339), e.opts.Skew)
}

// stamp formats a time of the token, or says that it has none.
func stamp(t time.Time) string {
	if t.IsZero() {
		return "not told"
	}
	return t.Format(time.RFC3339)
}
