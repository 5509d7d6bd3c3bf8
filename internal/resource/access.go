package resource

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/faults"
	"github.com/wiemu/wiemu/internal/httppath"
)

// Call is one use of a resource: a request of HTTP, or a login on a stream of bytes.
type Call struct {
	Request *http.Request     // nil on a stream
	Vars    map[string]string // of the path, in lower case
	Host    string            // as the client named it
	Token   string            // the access token as it was sent; "" for none
	Instead string            // what was sent in place of a token, such as "a SAS"; "" for nothing
	Caller  Caller            // whom the token speaks for, verified or not
	Checks  []journal.Check   // made so far

	unauthenticated bool            // refused because there is no token
	login           context.Context // of a stream; see Context
	note            string          // see Note
}

// Context is that of the request, or, on a stream, of the login, once Kit.Login has begun:
// faults that hit the call are added to it.
func (c *Call) Context() context.Context {
	if c.Request != nil {
		return c.Request.Context()
	}
	if c.login == nil {
		return context.Background()
	}
	return c.login
}

// Check notes a condition for the journal, and returns ok.
func (c *Call) Check(name, expected, presented string, ok bool) bool {
	made := journal.Check{Name: name, Expected: expected, Presented: presented, Outcome: journal.Passed}
	if !ok {
		made.Outcome = journal.Failed
	}
	c.Checks = append(c.Checks, made)
	return ok
}

// Failure is how a resource refuses, in its own words.
type Failure struct {
	Status    int // of HTTP; 0 on a stream
	Code      string
	Inner     string // a more specific code, for the journal. If empty, it is Code
	Message   string
	Challenge string // the header WWW-Authenticate. If empty, it is not sent

	Meaning, Remedy string // for the journal
}

// Fail returns a failure over HTTP. Meaning and remedy are for the journal.
func Fail(status int, code, message, meaning, remedy string) *Failure {
	return &Failure{Status: status, Code: code, Message: message, Meaning: meaning, Remedy: remedy}
}

// Access is what a resource decides about a call. Its methods are called in this order,
// each once at most.
type Access interface {
	// Demand returns what the call's token has to be; nil if none is asked for. If what
	// is asked for does not exist it refuses, before the token is looked at.
	Demand() (*Want, *Failure)
	// Allow decides whether the caller may do what it asks for. refused is why its token
	// was not accepted, nil if it was: usually the first thing to answer.
	Allow(refused *Refusal) *Failure
	// Interrupt is how the resource refuses because of a fault, whatever the token: with 429
	// if it is throttled, or 5xx; retryAfter is when the client may ask again.
	Interrupt(status int, retryAfter time.Duration) *Failure
	// Describe adds to the event of the call what the resource knows of it, and returns
	// what the caller wanted to do, such as "get secret".
	Describe(*journal.Event) (action string)
}

// admit takes a call through token, role and faults, as far as the handler.
func (k Kit) admit(ctx context.Context, c *Call, a Access) *Failure {
	want, failed := a.Demand()
	if failed != nil {
		return failed
	}
	var refused *Refusal
	if want != nil {
		c.Caller, c.Checks, refused = k.Tokens.Validate(ctx, c.Token, *want)
		if refused == nil {
			k.revoke(ctx, c)
			refused = k.revoked(c)
		}
	}
	failed = a.Allow(refused)
	if c.Request == nil {
		k.hit(ctx, c)
	}
	if status, after, interrupted := faults.Refusal(ctx); interrupted {
		return a.Interrupt(status, after)
	}
	c.unauthenticated = refused != nil && refused.Reason == Missing
	return failed
}

// record writes the call into the journal. failed is nil if it was answered.
func (k Kit) record(ctx context.Context, c *Call, a Access, status int, failed *Failure) {
	e := c.event()
	e.Component, e.Resource, e.Status = k.Resource.Name, k.Resource.Title, status
	if failed != nil {
		e.Outcome, e.Error, e.Message = journal.Denied, cmp.Or(failed.Inner, failed.Code), failed.Message
		e.Meaning, e.Remedy = failed.Meaning, failed.Remedy
	} else if c.note != "" {
		e.Detail[journal.DetailNote] = c.note
	}
	action := a.Describe(&e)
	e.Summary = fmt.Sprintf("%s: %s by %s", e.Resource, action, cmp.Or(e.Identity, e.ClientID, c.stranger()))
	if failed != nil {
		code := e.Error
		if status != 0 {
			code = fmt.Sprintf("%d %s", status, code)
		}
		e.Summary += fmt.Sprintf(": refused with %s: %s", code, cmp.Or(failed.Meaning, failed.Message))
	}
	faults.Note(ctx, &e)
	k.Journal.Record(e)
}

// stranger is who made a call that names nobody.
func (c *Call) stranger() string {
	switch {
	case c.Instead != "":
		return "somebody with " + c.Instead
	case c.Token != "": // it is no token, or was not looked at
		return "somebody whose token was not read"
	}
	return "somebody without a token"
}

// event returns what the journal says of every call. One without a token is marked as a
// challenge, which clients ask for on purpose.
func (c *Call) event() journal.Event {
	e := journal.Event{
		Kind:     journal.Access,
		Outcome:  journal.Granted,
		Tenant:   c.Caller.Tenant,
		ClientID: c.Caller.ClientID,
		ObjectID: c.Caller.ObjectID,
		Identity: c.Caller.Name,
		UTI:      c.Caller.UTI,
		Host:     c.Host,
		Checks:   c.Checks,
		Detail:   map[string]string{},
	}
	if r := c.Request; r != nil {
		e.Method, e.Path = r.Method, httppath.Original(r)
		e.CorrelationID = cmp.Or(r.Header.Get("x-ms-client-request-id"), r.Header.Get("client-request-id"))
	}
	if c.unauthenticated {
		e.Detail["challenge"] = "true"
	}
	return e
}

// Bearer returns the token of the request's Authorization header, "" when there
// is none. Source: RFC 6750 §2.1, RFC 9110 §11.1 (the scheme ignores case).
func Bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(strings.TrimSpace(r.Header.Get("Authorization")), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}
