package aadsts

import (
	"fmt"
	"time"
)

// TooManyRequests refuses a tenant that has asked too often, for a while.
func TooManyRequests(retryAfter time.Duration) *Error {
	e := refuse(90055)
	e.RetryAfter = retryAfter
	return e
}

// RequestLoop refuses a client that asks the same again and again.
func RequestLoop() *Error { return refuse(50196) }

// RegionalOnly refuses an application at a regional endpoint.
func RegionalOnly() *Error { return refuse(100007) }

// CrossCloud refuses a client at a login host of another cloud than its own, whose
// name and login host are given.
func CrossCloud(asked, cloud, login string) *Error {
	e := refuse(900382)
	e.Meaning = fmt.Sprintf("The application's tenant is in %s, and %s is a login host of another cloud.", cloud, clip(asked))
	e.Remedy = fmt.Sprintf("Ask at https://%s/: set AZURE_AUTHORITY_HOST to it, or the credential's authorityHost or cloud, which wins over the variable.", login)
	return e
}

// Unavailable says that the token service failed itself.
func Unavailable() *Error { return refuse(90033) }
