package entra

import (
	"context"
	"fmt"
	"slices"
	"strings"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/wiemu/wiemu/emulator/entra/aadsts"
)

func checkToken(_ context.Context, x *exchange) finding {
	f := finding{expected: "a signed JWT", presented: fmt.Sprintf("%d bytes", len(x.request.Assertion))}
	a, err := parseAssertion(x.request.Assertion)
	if err != nil {
		f.note, f.refusal = err.Error(), aadsts.MalformedToken()
		return f
	}
	x.assertion = a
	return f
}

// checkType: no typ is good, Kubernetes writes none.
func checkType(_ context.Context, x *exchange) finding {
	f := finding{expected: "JWT, http://openid.net/specs/jwt/1.0 or none", presented: "none"}
	if t := x.assertion.header.Type; t != nil {
		f.presented = clipped(*t)
		if !strings.EqualFold(*t, "JWT") && *t != "http://openid.net/specs/jwt/1.0" {
			f.refusal = aadsts.WrongType()
		}
	}
	return f
}

// checkHeader refuses a header that would make the verifier do something the
// sender chose. Entra ID's own answer to these is not known.
func checkHeader(_ context.Context, x *exchange) finding {
	f := finding{expected: "no member that names a key, an address or an extension", presented: "none"}
	if names := x.assertion.header.forbidden(); len(names) > 0 {
		f.presented, f.refusal = strings.Join(names, ", "), aadsts.MalformedToken()
	} else if member, id := x.assertion.keyName(); len(id) > maxKeyID {
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

func checkAlgorithm(_ context.Context, x *exchange) finding {
	allowed, presented := x.algorithms(), x.assertion.header.Algorithm
	f := finding{expected: string(allowed[0]), presented: clipped(presented)}
	for _, other := range allowed[1:] {
		f.expected += " or " + string(other)
	}
	if !slices.Contains(allowed, jose.SignatureAlgorithm(presented)) {
		f.refusal = aadsts.UnsupportedAlgorithm(presented)
	}
	return f
}

func checkKeyNamed(_ context.Context, x *exchange) finding {
	f := finding{expected: "kid, x5t or x5t#S256", presented: x.assertion.keyID()}
	if f.presented == "" {
		f.refusal = aadsts.NoKeyNamed()
	}
	return f
}

// checkClaims demands claims of the right types, and one audience: a list of two
// was seen to be refused as malformed for a self-signed assertion.
func checkClaims(_ context.Context, x *exchange) finding {
	a := x.assertion
	f := finding{expected: "iss, sub and one aud"}
	switch {
	case a.problem != nil:
		f.note, f.refusal = a.problem.Error(), aadsts.MalformedClaim(a.problem.Error())
	case a.missing != "":
		f.note, f.refusal = a.missing+" is missing", aadsts.MissingClaim(a.missing)
	case len(a.audience) > 1:
		f.presented, f.refusal = fmt.Sprintf("%d audiences: %s", len(a.audience), clipped(a.audience.String())), aadsts.SeveralAudiences(x.selfSigned())
		f.note = "a token must be for one audience; that Entra ID gives this code to a federated assertion is not verified"
	default:
		f.presented = f.expected
	}
	return f
}
