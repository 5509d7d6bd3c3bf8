package aadsts

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
