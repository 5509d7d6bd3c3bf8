package entra

import (
	"context"
	"fmt"
	"slices"
	"strings"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/wiemu/wiemu/internal/entra/aadsts"
	"github.com/wiemu/wiemu/internal/entra/assertion"
)

// maxKeyID is in bytes. Source: Kubernetes' external JWT signer allows as many.
const maxKeyID = 1024

func checkToken(_ context.Context, x *exchange) result {
	f := result{expected: "a signed JWT", presented: fmt.Sprintf("%d bytes", len(x.request.Assertion))}
	a, err := assertion.Parse(x.request.Assertion)
	if err != nil {
		f.note, f.refusal = err.Error(), aadsts.MalformedToken()
		return f
	}
	x.assertion = a
	return f
}

// checkType: no typ is good, Kubernetes writes none.
func checkType(_ context.Context, x *exchange) result {
	f := result{expected: "JWT, http://openid.net/specs/jwt/1.0 or none", presented: "none"}
	if t := x.assertion.Header.Type; t != nil {
		f.presented = clipped(*t)
		if !strings.EqualFold(*t, "JWT") && *t != "http://openid.net/specs/jwt/1.0" {
			f.refusal = aadsts.WrongType()
		}
	}
	return f
}

// checkHeader refuses a header that would make the verifier do something the
// sender chose. Entra ID's own answer to these is not known.
func checkHeader(_ context.Context, x *exchange) result {
	f := result{expected: "no member that names a key, an address or an extension", presented: "none"}
	if names := x.assertion.Header.Forbidden(); len(names) > 0 {
		f.presented, f.refusal = strings.Join(names, ", "), aadsts.MalformedToken()
	} else if member, id := x.assertion.KeyName(); len(id) > maxKeyID {
		f.presented, f.refusal = fmt.Sprintf("a member %s of %d bytes; at most %d are taken", member, len(id), maxKeyID), aadsts.MalformedKeyName(member)
	} else if !isText(id) || strings.ContainsAny(id, "\r\n\t") {
		f.presented, f.refusal = fmt.Sprintf("a member %s with control characters: %q", member, clipped(id)), aadsts.MalformedKeyName(member)
	}
	return f
}

// algorithms are those an assertion may be signed with. Source: entra-docs: only
// RS256 is tested for federated credentials; certificates may use PS256. The text
// of 5002738 names RS384 and RS512, too.
func (x *exchange) algorithms() []jose.SignatureAlgorithm {
	if x.selfSigned() {
		return []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.RS384, jose.RS512}
	}
	return []jose.SignatureAlgorithm{jose.RS256}
}

func checkAlgorithm(_ context.Context, x *exchange) result {
	allowed, presented := x.algorithms(), x.assertion.Header.Algorithm
	f := result{expected: string(allowed[0]), presented: clipped(presented)}
	for _, other := range allowed[1:] {
		f.expected += " or " + string(other)
	}
	if !slices.Contains(allowed, jose.SignatureAlgorithm(presented)) {
		f.refusal = aadsts.UnsupportedAlgorithm(presented)
	}
	return f
}

func checkKeyNamed(_ context.Context, x *exchange) result {
	f := result{expected: "kid, x5t or x5t#S256", presented: x.assertion.KeyID()}
	if f.presented == "" {
		f.refusal = aadsts.NoKeyNamed()
	}
	return f
}

// checkClaims demands claims of the right types, and one audience: a list of two
// was seen to be refused as malformed for a self-signed assertion.
func checkClaims(_ context.Context, x *exchange) result {
	a := x.assertion
	f := result{expected: "iss, sub and one aud"}
	switch {
	case a.Problem != nil:
		f.note, f.refusal = a.Problem.Error(), aadsts.MalformedClaim(a.Problem.Error())
	case a.Missing != "":
		f.note, f.refusal = a.Missing+" is missing", aadsts.MissingClaim(a.Missing)
	case len(a.Audience) > 1:
		f.presented, f.refusal = fmt.Sprintf("%d audiences: %s", len(a.Audience), clipped(a.Audience.String())), aadsts.SeveralAudiences(x.selfSigned())
		f.note = "a token must be for one audience; that Entra ID gives this code to a federated assertion is not verified"
	default:
		f.presented = f.expected
	}
	return f
}
