package entra

import (
	"context"
	"crypto/rsa"
	"crypto/sha1" // the size of an x5t: RFC 7515 §4.1.7
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/emulator/entra/aadsts"
	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/emulator/metadata"
)

// checkTrusts starts the narrowing: every federated credential is a candidate.
func checkTrusts(ctx context.Context, x *exchange) finding {
	x.candidates = x.known(ctx)
	f := finding{expected: "at least one federated credential", presented: fmt.Sprint(len(x.candidates))}
	if len(x.candidates) == 0 {
		f.refusal = aadsts.NoFederatedCredentials(x.principal.DisplayName)
	}
	return f
}

// checkForeign refuses Entra ID's own tokens, but for those of managed
// identities that an application of the same tenant trusts.
// Source: entra-docs, workload-identity-federation-config-app-trust-managed-identity.md.
// A token of the v2 issuer that nobody trusts was seen to get 700211
// (AzureAD/microsoft-authentication-library-for-python#739), one of the v1
// issuer 700222 (AzureAD/microsoft-identity-web#2519).
func checkForeign(_ context.Context, x *exchange) finding {
	issuer := x.assertion.issuer
	f := finding{expected: "an issuer other than Entra ID", presented: issuer}
	tenant, own := x.service.ownIssuer(issuer)
	if !own {
		return f
	}
	trusted := slices.ContainsFunc(x.candidates, func(c directory.FederatedCredential) bool { return c.Issuer == issuer })
	switch {
	case x.principal.Kind == directory.ManagedIdentity, !trusted && strings.HasPrefix(issuer, "https://"+x.service.cloud.STS+"/"):
		f.refusal = aadsts.OwnToken()
	case !trusted:
	case tenant != x.tenant.ID:
		f.refusal = aadsts.OwnTokenOfOtherTenant(issuer)
	case !x.isManagedIdentity(x.assertion.subject):
		f.refusal = aadsts.OwnTokenNotOfManagedIdentity()
	default:
		f.note = "a managed identity's token, which the application trusts"
	}
	return f
}

func (x *exchange) isManagedIdentity(objectID string) bool {
	p, ok := x.service.directory.PrincipalByObjectID(x.tenant.ID, objectID)
	return ok && p.Kind == directory.ManagedIdentity
}

// ownIssuer reports whether an issuer is Entra ID, and of which tenant.
func (s *Service) ownIssuer(issuer string) (tenant string, own bool) {
	if rest, ok := strings.CutPrefix(issuer, "https://"+s.cloud.STS+"/"); ok {
		return strings.TrimSuffix(rest, "/"), true
	}
	if rest, ok := strings.CutPrefix(issuer, s.cloud.Authority()); ok {
		return strings.TrimSuffix(rest, "/v2.0"), true
	}
	return "", false
}

// The candidates are narrowed by issuer, then subject, then audience; the first
// that leaves none says why. Each is compared character by character.

func checkIssuer(_ context.Context, x *exchange) finding {
	issuer := x.assertion.issuer
	return x.narrow(issuerOf, equal(issuerOf, issuer), issuer, aadsts.NoMatchingIssuer)
}

func checkSubject(ctx context.Context, x *exchange) finding {
	subject, refuse := x.assertion.subject, aadsts.NoMatchingSubject
	if x.overlooked(ctx) {
		return finding{expected: x.candidates[0].Trusted(), presented: subject, refusal: refuse(subject), note: "a fault: the credential that matches was overlooked"}
	}
	if slices.ContainsFunc(x.candidates, func(c directory.FederatedCredential) bool {
		return c.ClaimsMatching == "" && strings.EqualFold(c.Subject, subject)
	}) {
		refuse = aadsts.SubjectDiffersInCase
	}
	return x.narrow(subjectOf, x.trusts, subject, refuse)
}

func checkAudience(_ context.Context, x *exchange) finding {
	audience := x.assertion.audience.String()
	matches := equal(audienceOf, audience)
	if _, own := x.service.ownIssuer(x.assertion.issuer); own && audience == tokenExchangeID {
		matches = equal(audienceOf, x.service.cloud.TokenExchange) // Entra ID's own tokens for it name it by its id
	}
	return x.narrow(audienceOf, matches, audience, aadsts.NoMatchingAudience)
}

func issuerOf(c *directory.FederatedCredential) string   { return c.Issuer }
func subjectOf(c *directory.FederatedCredential) string  { return c.Trusted() }
func audienceOf(c *directory.FederatedCredential) string { return c.Audience }

func equal(field func(*directory.FederatedCredential) string, presented string) func(*directory.FederatedCredential) bool {
	return func(c *directory.FederatedCredential) bool { return field(c) == presented }
}

// trusts reports whether a credential's subject, or its expression, matches the
// assertion.
func (x *exchange) trusts(c *directory.FederatedCredential) bool {
	if c.ClaimsMatching == "" {
		return c.Subject == x.assertion.subject
	}
	e, err := directory.ParseExpression(c.ClaimsMatching)
	return err == nil && e.Matches(x.assertion.claim)
}

// narrow keeps the candidates whose field matches. When none is left it refuses,
// and shows what the candidates have; they stay for the explanation.
func (x *exchange) narrow(field func(*directory.FederatedCredential) string, matches func(*directory.FederatedCredential) bool, presented string, refuse func(string) *aadsts.Error) finding {
	var left []directory.FederatedCredential
	var others []string
	for i := range x.candidates {
		own := field(&x.candidates[i])
		if matches(&x.candidates[i]) {
			left = append(left, x.candidates[i])
		} else if !slices.Contains(others, own) {
			others = append(others, own)
		}
	}
	if len(left) == 0 {
		return finding{expected: strings.Join(others, " or "), presented: presented, refusal: refuse(presented)}
	}
	x.candidates = left
	return finding{expected: field(&left[0]), presented: presented}
}

// maxLifetime is how long an external token may be valid.
// Source: the text of 70023 (1.01:00:00).
const maxLifetime = 25 * time.Hour

// checkLifetime measures from the earliest of iat, nbf and now, so that no claim
// makes a long life look short.
func checkLifetime(_ context.Context, x *exchange) finding {
	a := x.assertion
	from := x.now
	for _, claimed := range []time.Time{a.notBefore, a.issuedAt} {
		if !claimed.IsZero() && claimed.Before(from) {
			from = claimed
		}
	}
	lifetime := a.expiresAt.Sub(from)
	f := finding{expected: "at most 25h", presented: lifetime.String()}
	if !a.expiresAt.IsZero() && lifetime > maxLifetime {
		f.refusal = aadsts.LifetimeTooLong(from, a.expiresAt)
	}
	return f
}

// clockSkew is by how much the clocks may differ. Source: the usual default of
// Microsoft's token services; logs show failures only well past the expiry.
const clockSkew = 5 * time.Minute

// checkTime: a token without exp has expired in 1970, as Entra ID's text says.
func checkTime(_ context.Context, x *exchange) finding {
	a := x.assertion
	f := finding{expected: timeSpan(a.notBefore, a.expiresAt), presented: second(x.now)}
	switch {
	case a.expiresAt.IsZero():
		f.expected, f.note = "an exp claim", "it has none"
	case !x.now.Before(a.expiresAt.Add(clockSkew)):
		f.note = "it has expired"
	case x.now.Before(a.notBefore.Add(-clockSkew)):
		f.note = "it is not valid yet"
	default:
		return f
	}
	f.refusal = aadsts.NotInTime(x.now, a.notBefore, a.expiresAt)
	if x.selfSigned() {
		f.refusal = aadsts.OwnAssertionNotInTime(x.now, a.notBefore, a.expiresAt)
	}
	return f
}

func checkMetadata(ctx context.Context, x *exchange) finding {
	f := finding{expected: "discovery document and key set of the issuer"}
	keys, err := x.service.issuers.Keys(ctx, x.assertion.issuer)
	if err != nil {
		fault.Add(ctx, fault.Blamed(err)...)
		f.note, f.refusal = err.Error(), aadsts.MetadataUnreachable()
		return f
	}
	f.presented = "read at " + second(keys.FetchedAt) + " from " + keys.URL
	return f
}

func checkKey(ctx context.Context, x *exchange) finding {
	kid := x.assertion.keyID()
	f := finding{expected: "a key of the issuer", presented: kid}
	key, err := x.service.issuers.Key(ctx, x.assertion.issuer, kid)
	fault.Add(ctx, fault.Blamed(err)...)
	switch {
	case err == nil:
		x.key = key
	case errors.Is(err, metadata.ErrNoSuchKey):
		f.note, f.refusal = err.Error(), aadsts.KeyNotPublished(displayedKey(kid), x.assertion.issuer)
	default:
		f.note, f.refusal = err.Error(), aadsts.MetadataUnreachable()
	}
	return f
}

// displayedKey is how Entra ID writes a federated kid in its texts: one that is a
// SHA-1 thumbprint as such (seen), anything else as it is (inferred).
func displayedKey(kid string) string {
	if len(decodeThumbprint(kid)) == sha1.Size {
		return displayedThumbprint(kid)
	}
	return kid
}

// The sizes of RSA keys that are used, in bits: below, a signature proves
// nothing; above, verifying one is work that strangers could ask for.
const minKeyBits, maxKeyBits = 2048, 8192

func checkKeyKind(_ context.Context, x *exchange) finding {
	f := finding{expected: fmt.Sprintf("an RSA key of %d to %d bits", minKeyBits, maxKeyBits), presented: fmt.Sprintf("%T", x.key.Key)}
	public, ok := x.key.Key.(*rsa.PublicKey)
	if ok {
		f.presented = fmt.Sprintf("an RSA key of %d bits", public.N.BitLen())
	}
	if a := x.key.Algorithm; a != "" && a != string(jose.RS256) { // RFC 7517 §4.4
		f.presented += " for " + a
		ok = false
	}
	if !ok || public.N.BitLen() < minKeyBits || public.N.BitLen() > maxKeyBits {
		f.refusal = aadsts.UnsupportedKey()
	}
	return f
}

func checkSignature(_ context.Context, x *exchange) finding {
	f := finding{expected: "a signature by that key", presented: x.assertion.header.Algorithm}
	if err := x.assertion.verify(x.key, x.algorithms()...); err != nil {
		f.note, f.refusal = err.Error(), aadsts.WrongFederatedSignature(displayedKey(x.assertion.keyID()))
	}
	return f
}

// timeSpan and second write times for the journal.
func timeSpan(from, to time.Time) string {
	switch {
	case from.IsZero() && to.IsZero():
		return "at any time"
	case from.IsZero():
		return "until " + second(to)
	case to.IsZero():
		return "from " + second(from)
	}
	return "from " + second(from) + " until " + second(to)
}

func second(t time.Time) string { return t.UTC().Format(time.RFC3339) }
