package aadsts

import "net/http"

// tokens are the refusals of an assertion that is not a proper JWT, whoever
// signed it.
func tokens() []Entry {
	return []Entry{
		{
			Code: 50027, OAuth: invalidRequest, Status: http.StatusBadRequest, URI: true,
			Text:       "JWT token is invalid or malformed.",
			Meaning:    "The assertion cannot be read as a JWT, has a claim of the wrong type, or names several audiences.",
			Remedy:     "Send the content of AZURE_FEDERATED_TOKEN_FILE and nothing else: three base64url parts with dots between. A token for one audience only.",
			Source:     "panva/openid-client#348 (2021); AzureAD/microsoft-authentication-library-for-dotnet test data (2023-12). That several audiences get this code is seen for self-signed assertions, for federated ones it is not verified",
			Confidence: Seen,
		},
		{
			Code: 5002723, OAuth: invalidClient, Status: http.StatusUnauthorized, URI: true,
			Text:       "Invalid JWT token. No certificate SHA-1 thumbprint, certificate SHA-256 thumbprint, nor keyId specified in token header.",
			Meaning:    "The header of the assertion does not say which key signed it.",
			Remedy:     "Have the issuer put kid into the header; for a certificate, x5t or x5t#S256.",
			Source:     "AzureAD/microsoft-authentication-library-for-dotnet test data (2023-12)",
			Confidence: Seen,
		},
		{
			Code: 5002727, OAuth: invalidRequest, Status: http.StatusBadRequest,
			Text:       "Invalid JWT header type specified. Allowed types: 'JWT','http://openid.net/specs/jwt/1.0'",
			Meaning:    "The header's typ is something else than JWT. It may be left out, as Kubernetes does.",
			Remedy:     "Send an identity token; access tokens (typ at+jwt) and others are refused.",
			Source:     "error reports since 2021-12, newer wording",
			Confidence: Seen,
		},
		{
			Code: 5002730, OAuth: invalidRequest, Status: http.StatusBadRequest, URI: true,
			Text:       "Invalid JWT token. Unsupported key for the signing algorithm.",
			Meaning:    "The key that the header names cannot be used with the algorithm that it names.",
			Remedy:     "Sign with an RSA key of 2048 bits or more and RS256.",
			Source:     "AzureAD/microsoft-authentication-library-for-dotnet#4712 (2024)",
			Confidence: Seen,
		},
		{
			Code: 5002738, OAuth: invalidClient, Status: http.StatusUnauthorized, URI: true,
			Text:       "Invalid JWT token. '{algorithm}' is not a supported signature algorithm. Supported signing algorithms are: 'RS256,RS384,RS512'",
			Meaning:    "The assertion is not signed with an algorithm that is accepted; \"none\" and those with a shared key never are.",
			Remedy:     "Sign with RS256. Federated credentials are documented for RS256 only; a certificate may use PS256 too.",
			Source:     "AzureAD/microsoft-authentication-library-for-dotnet test data (2023-12), for HS256 of a self-signed assertion",
			Confidence: Seen,
		},
	}
}

// MalformedToken refuses an assertion that is no proper JWT.
func MalformedToken() *Error { return refuse(50027) }

// MalformedClaim refuses an assertion with a claim of a wrong type. problem says
// which.
func MalformedClaim(problem string) *Error {
	e := MalformedToken()
	e.Meaning = "A claim of the assertion has a wrong type: " + clip(problem) + "."
	e.Remedy = "Make the token anew: iss, sub and jti are texts, aud is a text or a list of one, iat, nbf and exp are seconds since 1970."
	return e
}

// SeveralAudiences refuses an assertion for more than one audience. own reports
// whether the client signed it itself.
func SeveralAudiences(own bool) *Error {
	e := MalformedToken()
	e.Meaning = "The assertion names several audiences."
	e.Remedy = "Ask for a token with the one audience of the federated credential: a token of the pod's own volume with audience api://AzureADTokenExchange, not the API server's."
	if own {
		e.Remedy = "Put one text into aud, the address of the token endpoint: some libraries for private_key_jwt write a list of two, and have an option for it."
	}
	return e
}

// MalformedKeyName refuses an assertion that names its key by something that can
// be no name. member is kid, x5t or x5t#S256.
func MalformedKeyName(member string) *Error {
	e := MalformedToken()
	e.Meaning = "The member " + member + " of the assertion's header cannot be the name of a key."
	e.Remedy = "Have the issuer put the key's name into kid as its key set has it, as plain text."
	if member != "kid" {
		e.Remedy = "Put the certificate's hash into " + member + ": base64url of the SHA-1 (x5t) or SHA-256 (x5t#S256) of its DER form."
	}
	return e
}

// NoKeyNamed refuses an assertion whose header names no key.
func NoKeyNamed() *Error { return refuse(5002723) }

// WrongType refuses an assertion whose typ is not JWT.
func WrongType() *Error { return refuse(5002727) }

// UnsupportedKey refuses an assertion whose key does not fit its algorithm.
func UnsupportedKey() *Error { return refuse(5002730) }

// UnsupportedAlgorithm refuses an assertion by its alg.
func UnsupportedAlgorithm(algorithm string) *Error { return refuse(5002738, "algorithm", algorithm) }
