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
	"github.com/wiemu/wiemu/internal/entra/aadsts"
	"github.com/wiemu/wiemu/internal/faults"
	"github.com/wiemu/wiemu/internal/metadata"
	"github.com/wiemu/wiemu/internal/tenants"
)

// checkTrusts starts the narrowing: every federated credential is a candidate.
func checkTrusts(ctx context.Context, x *exchange) result {
	x.candidates = x.visibleCredentials(ctx)
	f := result{expected: "at least one federated credential", presented: fmt.Sprint(len(x.candidates))}
	if len(x.candidates) == 0 {
		f.refusal = aadsts.NoFederatedCredentials(x.principal.DisplayName)
	}
	return f
}

// checkNotEntraToken refuses Entra ID's own tokens, but for those of managed identities that an
// application of the same tenant trusts, and those by which Azure DevOps stands for a service
// connection, which a managed identity may trust, too.
// Source: entra-docs, workload-identity-federation-config-app-trust-managed-identity.md.
// A token of the v2 issuer that nobody trusts was seen to get 700211
// (AzureAD/microsoft-authentication-library-for-python#739), one of the v1
// issuer 700222 (AzureAD/microsoft-identity-web#2519). Of service connections see [Service.SignConnection];
// learn.microsoft.com, azure/devops/pipelines/release/convert-service-connections, names applications
// and managed identities of one tenant.
func checkNotEntraToken(_ context.Context, x *exchange) result {
	issuer := x.assertion.Issuer
	f := result{expected: "an issuer other than Entra ID", presented: issuer}
	tenant, own := x.service.ownIssuer(issuer)
	if !own {
		return f
	}
	trusted := slices.ContainsFunc(x.candidates, func(c directory.FederatedCredential) bool { return c.Issuer == issuer })
	connection := strings.HasPrefix(x.assertion.Subject, connectionSubjects)
	switch {
	case x.principal.Kind == directory.ManagedIdentity && !connection, !trusted && strings.HasPrefix(issuer, "https://"+x.service.config.Cloud.STS+"/"):
		f.refusal = aadsts.OwnToken()
	case !trusted:
	case tenant != x.tenant.ID:
		f.refusal = aadsts.OwnTokenOfOtherTenant(issuer)
	case connection:
		f.note = "a service connection's token, of an issuer that the identity trusts"
	case !x.isManagedIdentity(x.assertion.Subject):
		f.refusal = aadsts.OwnTokenNotOfManagedIdentity()
	default:
		f.note = "a managed identity's token, which the application trusts"
	}
	return f
}

func (x *exchange) isManagedIdentity(objectID string) bool {
	p, ok := x.service.config.Directory.PrincipalByObjectID(x.tenant.ID, objectID)
	return ok && p.Kind == directory.ManagedIdentity
}

// ownIssuer reports whether an issuer is Entra ID, and of which tenant.
func (s *Service) ownIssuer(issuer string) (tenant string, own bool) {
	if rest, ok := strings.CutPrefix(issuer, "https://"+s.config.Cloud.STS+"/"); ok {
		return strings.TrimSuffix(rest, "/"), true
	}
	if rest, ok := strings.CutPrefix(issuer, s.config.Cloud.Authority()); ok {
		return strings.TrimSuffix(rest, "/v2.0"), true
	}
	return "", false
}

// The candidates are narrowed by issuer, then subject, then audience; the first
// that leaves none says why. Each is compared character by character.

func checkIssuer(_ context.Context, x *exchange) result {
	issuer := x.assertion.Issuer
	return x.narrow(issuerOf, equal(issuerOf, issuer), issuer, aadsts.NoMatchingIssuer)
}

func checkSubject(ctx context.Context, x *exchange) result {
	subject, refuse := x.assertion.Subject, aadsts.NoMatchingSubject
	if x.matchHidden(ctx) {
		return result{expected: x.candidates[0].Trusted(), presented: subject, refusal: refuse(subject), note: "a fault: the credential that matches was overlooked"}
	}
	if slices.ContainsFunc(x.candidates, func(c directory.FederatedCredential) bool {
		return c.ClaimsMatching == "" && strings.EqualFold(c.Subject, subject)
	}) {
		refuse = aadsts.SubjectDiffersInCase
	}
	return x.narrow(subjectOf, x.trusts, subject, refuse)
}

func checkAudience(_ context.Context, x *exchange) result {
	audience := x.assertion.Audience.String()
	matches := equal(audienceOf, audience)
	if _, own := x.service.ownIssuer(x.assertion.Issuer); own && audience == tokenExchangeID {
		matches = equal(audienceOf, x.service.config.Cloud.TokenExchange) // Entra ID's own tokens for it name it by its id
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
		return c.Subject == x.assertion.Subject
	}
	e, err := tenants.ParseExpression(c.ClaimsMatching)
	return err == nil && e.Matches(x.assertion.Claim)
}

// narrow keeps the candidates whose field matches. When none is left it refuses,
// and shows what the candidates have; they stay for the explanation.
func (x *exchange) narrow(field func(*directory.FederatedCredential) string, matches func(*directory.FederatedCredential) bool, presented string, refuse func(string) *aadsts.Error) result {
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
		return result{expected: strings.Join(others, " or "), presented: presented, refusal: refuse(presented)}
	}
	x.candidates = left
	return result{expected: field(&left[0]), presented: presented}
}

// maxLifetime is how long an external token may be valid.
// Source: the text of 70023 (1.01:00:00).
const maxLifetime = 25 * time.Hour

// checkLifetime measures from the earliest of iat, nbf and now, so that no claim
// makes a long life look short.
func checkLifetime(_ context.Context, x *exchange) result {
	a := x.assertion
	from := x.now
	for _, claimed := range []time.Time{a.NotBefore, a.IssuedAt} {
		if !claimed.IsZero() && claimed.Before(from) {
			from = claimed
		}
	}
	lifetime := a.ExpiresAt.Sub(from)
	f := result{expected: "at most 25h", presented: lifetime.String()}
	if !a.ExpiresAt.IsZero() && lifetime > maxLifetime {
		f.refusal = aadsts.LifetimeTooLong(from, a.ExpiresAt)
	}
	return f
}

// clockSkew is by how much the clocks may differ. Source: the usual default of
// Microsoft's token services; logs show failures only well past the expiry.
const clockSkew = 5 * time.Minute

// checkTime: a token without exp has expired in 1970, as Entra ID's text says.
func checkTime(_ context.Context, x *exchange) result {
	a := x.assertion
	f := result{expected: timeSpan(a.NotBefore, a.ExpiresAt), presented: rfc3339(x.now)}
	switch {
	case a.ExpiresAt.IsZero():
		f.expected, f.note = "an exp claim", "it has none"
	case !x.now.Before(a.ExpiresAt.Add(clockSkew)):
		f.note = "it has expired"
	case x.now.Before(a.NotBefore.Add(-clockSkew)):
		f.note = "it is not valid yet"
	default:
		return f
	}
	f.refusal = aadsts.NotInTime(x.now, a.NotBefore, a.ExpiresAt)
	if x.selfSigned() {
		f.refusal = aadsts.OwnAssertionNotInTime(x.now, a.NotBefore, a.ExpiresAt)
	}
	return f
}

func checkMetadata(ctx context.Context, x *exchange) result {
	f := result{expected: "discovery document and key set of the issuer"}
	keys, err := x.service.config.Issuers.Keys(ctx, x.assertion.Issuer)
	if err != nil {
		faults.AddHits(ctx, faults.HitsOf(err)...)
		f.note, f.refusal = err.Error(), aadsts.MetadataUnreachable()
		return f
	}
	f.presented = "read at " + rfc3339(keys.FetchedAt) + " from " + keys.URL
	return f
}

func checkKey(ctx context.Context, x *exchange) result {
	kid := x.assertion.KeyID()
	f := result{expected: "a key of the issuer", presented: kid}
	key, err := x.service.config.Issuers.Key(ctx, x.assertion.Issuer, kid)
	faults.AddHits(ctx, faults.HitsOf(err)...)
	switch {
	case err == nil:
		x.key = key
	case errors.Is(err, metadata.ErrNoSuchKey):
		f.note, f.refusal = err.Error(), aadsts.KeyNotPublished(displayedKey(kid), x.assertion.Issuer)
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

func checkKeyKind(_ context.Context, x *exchange) result {
	f := result{expected: fmt.Sprintf("an RSA key of %d to %d bits", minKeyBits, maxKeyBits), presented: fmt.Sprintf("%T", x.key.Key)}
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

func checkSignature(_ context.Context, x *exchange) result {
	f := result{expected: "a signature by that key", presented: x.assertion.Header.Algorithm}
	if err := x.assertion.Verify(x.key, x.algorithms()...); err != nil {
		f.note, f.refusal = err.Error(), aadsts.WrongFederatedSignature(displayedKey(x.assertion.KeyID()))
	}
	return f
}

// timeSpan and second write times for the journal.
func timeSpan(from, to time.Time) string {
	switch {
	case from.IsZero() && to.IsZero():
		return "at any time"
	case from.IsZero():
		return "until " + rfc3339(to)
	case to.IsZero():
		return "from " + rfc3339(from)
	}
	return "from " + rfc3339(from) + " until " + rfc3339(to)
}

func rfc3339(t time.Time) string { return t.UTC().Format(time.RFC3339) }
