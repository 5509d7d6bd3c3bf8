package storage

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/faultkind"
	"github.com/wiemu/wiemu/internal/resource"
)

// call is one request on its way through the checks.
type call struct {
	*resource.Call
	accounts *Accounts

	name    string  // of the account, as the host has it
	account account // zero if there is none
	target  Target
	query   url.Values
	op      operation
	known   bool     // op is one that there is
	methods []string // if not: those with which it is one

	tooLarge bool      // the body
	batched  bool      // in a batch
	now      time.Time // when the request came
	id       string    // x-ms-request-id
	refused  *refusal  // what is answered in place of what was asked for
}

func (s *Accounts) begin(base *resource.Call) resource.Request { return s.newCall(base) }

func (s *Accounts) newCall(base *resource.Call) *call {
	c := &call{Call: base, accounts: s, now: s.kit.Clock.Now(), id: uuid.NewString()}
	var service Service
	c.name, service, c.account, _ = s.find(base.Host)
	c.target, c.query = parse(c.name, service, base.Request.RequestURI)
	c.op, c.known, c.methods = find(base.Request, c.target, c.query)
	switch {
	case c.query.Get("sig") != "":
		base.Instead = "a SAS"
	case c.sharedKey():
		base.Instead = "an account key"
	}
	return c
}

func (c *call) version() string { return c.Request.Header.Get("x-ms-version") }

// refuse remembers what is answered. It returns nil if there is nothing to refuse.
func (c *call) refuse(r *refusal) *resource.Failure {
	if r == nil {
		return nil
	}
	c.refused = r
	message := r.Message
	for _, extra := range r.Extra {
		if extra.Name == "AuthenticationErrorDetail" {
			message = extra.Value
		}
	}
	failed := resource.Fail(r.Status, r.Code, message, r.meaning, r.remedy)
	if r.challenge {
		// Its exact form matters: no quotes, and one blank between the two (azure-sdk-for-js,
		// recordings of "bearer token challenge should work").
		failed.Challenge = "Bearer authorization_uri=" + c.accounts.kit.Cloud().Authority() + c.account.tenant + "/oauth2/authorize resource_id=https://storage.azure.com"
	}
	if r.challenge && r.claims != "" { // as Azure's clients read claims everywhere: with quotes
		failed.Challenge = `Bearer realm="", authorization_uri="` + c.accounts.kit.Cloud().Authority() + `common/oauth2/authorize", error="insufficient_claims", claims="` + r.claims + `"`
	}
	return failed
}

// Demand implements resource.Access.
func (c *call) Demand() (*resource.Want, *resource.Failure) {
	switch {
	case c.account.name == "":
		c.Check("storage account", "a configured account", c.name, false)
		return nil, c.refuse(c.accounts.noSuchAccount(c.name, c.Host))
	case c.target.Service == DFS || c.target.Service == File:
		return nil, c.refuse(notServed(c.target.Service))
	case c.op.do == preflight:
		return nil, c.refuse(preflightRefused())
	}
	if sig := c.query.Get("sig"); c.sharedKey() || sig != "" && c.query.Get("skoid") == "" {
		c.Check("credential", "an access token or a user delegation SAS", "what is signed with an account key", false)
		return nil, c.refuse(keyRefused())
	} else if sig != "" {
		return c.wantedWithSAS(), nil
	}
	if c.Token != "" && c.version() < bearerVersion {
		c.Check("x-ms-version", bearerVersion+" or later", cmp.Or(c.version(), "none"), false)
		return nil, c.refuse(noBearer())
	}
	return c.want(c.account, c.target.Service), nil
}

// sharedKey reports whether the request is signed with an account key.
func (c *call) sharedKey() bool {
	scheme, _, _ := strings.Cut(c.Request.Header.Get("Authorization"), " ")
	return strings.HasPrefix(strings.ToLower(scheme), "sharedkey")
}

// want is what a token for an account has to be. Besides the audiences of all accounts, that
// of the account's own host of the service opens it (Azurite has the same list:
// VALID_BLOB_AUDIENCES).
func (c *call) want(a account, s Service) *resource.Want {
	want := c.accounts.kit.Want(a.tenant)
	own := "https://" + a.name + "." + string(s) + "." + c.accounts.kit.Cloud().Storage
	want.Audiences = append(want.Audiences, own, own+"/")
	return want
}

// Allow implements resource.Access: the first check that fails is what the client is told.
func (c *call) Allow(refused *resource.Refusal) *resource.Failure {
	if _, hit := c.accounts.kit.Hit(c.Request.Context(), c.Call, faultkind.NetworkRules, nil); hit {
		return c.refuse(networkRefused())
	}
	if r := c.authenticate(refused); r != nil {
		return c.refuse(r)
	}
	for _, look := range []func() *refusal{c.operation, c.role, c.length, c.overwrite, c.source} {
		if r := look(); r != nil {
			return c.refuse(r)
		}
	}
	return nil
}

func (c *call) authenticate(refused *resource.Refusal) *refusal {
	if refused != nil {
		return unauthorized(refused, c.version())
	}
	if c.query.Get("sig") != "" {
		return c.signed(c.target, c.query, c.op)
	}
	return nil
}

// operation refuses what nothing is called.
func (c *call) operation() *refusal {
	if c.known {
		return nil
	}
	return unknownOperation(c.query.Get("comp"), c.methods)
}

// role checks whether the caller's roles permit the operation.
func (c *call) role() *refusal {
	if c.op.needs == nil {
		return nil
	}
	return c.permitted(c.Call, c.account, c.target, c.op)
}

// permitted checks the roles of base's caller for an operation on a target.
func (c *call) permitted(base *resource.Call, a account, t Target, op operation) *refusal {
	d := c.accounts.kit.Authorize(base.Request.Context(), base, t.scope(a.scope), op.actions()...)
	if d.Allowed {
		return nil
	}
	scope, only := "storage account "+a.name+" ("+a.scope+")", ""
	if t.Container != "" && d.HasBelow(a.scope) { // who has roles on containers is to get no role on the account
		scope = t.Service.holds() + " " + t.Container + " of storage account " + a.name
		only = ", " + t.Service.holds() + ": " + t.Container
	}
	return mismatch(d.Meaning(), d.Remedy(scope, func(role string) string {
		return fmt.Sprintf("access of storage account %s: - {identity: %s, roles: [%s]%s}", a.name, base.Caller.ClientID, role, only)
	}))
}

// length refuses bodies that are too long, or may be.
func (c *call) length() *refusal {
	switch r := c.Request; {
	case c.tooLarge && r.ContentLength >= 0:
		return tooLarge(MaxBody)
	case r.ContentLength < 0 && (r.Method == http.MethodPut || r.Method == http.MethodPost):
		return noLength()
	}
	return nil
}

// Interrupt implements resource.Access. Storage throttles with 503, never with 429 (REST
// reference, "Common REST API error codes").
func (c *call) Interrupt(status int, _ time.Duration) *resource.Failure {
	switch status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return c.refuse(fail(http.StatusServiceUnavailable, "ServerBusy", "The server is busy.", "The account had too many requests and takes no more for a while.", "Try again, with growing pauses."))
	}
	return c.refuse(fail(status, "InternalError", "The server encountered an internal error. Please retry the request.", "The account failed.", "Try again, with growing pauses."))
}

// Serve implements resource.Request.
func (c *call) Serve() (resource.Answer, *resource.Failure) {
	switch c.op.do {
	case giveKey:
		key, refused := c.delegate()
		return resource.Answer{Body: key}, c.refuse(refused)
	case takeApart:
		parts, refused := c.batch()
		if refused != nil && refused.Code == tooManyRequests {
			return resource.Answer{Send: c.refuseAsPart(refused)}, nil
		}
		return resource.Answer{Status: http.StatusAccepted, Body: parts}, c.refuse(refused)
	}
	return resource.Answer{Send: c.pass}, nil
}

// pass has the backend answer.
func (c *call) pass(w http.ResponseWriter, begin func(status int, failed *resource.Failure)) {
	c.identify(w)
	out := &relay{ResponseWriter: w, call: c, begin: begin}
	c.accounts.backend.Serve(out, c.bare(), c.target)
	if !out.begun {
		out.WriteHeader(http.StatusOK)
	}
}

// bare is the request without what says by whom it is.
func (c *call) bare() *http.Request {
	out := c.Request.WithContext(c.Request.Context())
	out.Header = c.Request.Header.Clone()
	out.Header.Del("Authorization")
	out.Header.Del("x-ms-copy-source-authorization")
	if c.target.Source != nil {
		out.Header.Set("x-ms-copy-source", withoutSAS(out.Header.Get("x-ms-copy-source")))
	}
	out.RequestURI = withoutSAS(c.Request.RequestURI)
	at := *c.Request.URL
	_, at.RawQuery = split(out.RequestURI)
	out.URL = &at
	return out
}

// relay is the answer of a backend on its way to the client.
type relay struct {
	http.ResponseWriter
	*call
	begin func(status int, failed *resource.Failure)
	begun bool

	meaning, remedy string // see Explain
}

// Explain writes into the journal why the answer that follows is an error, where its code
// does not say it. Backends find it in their http.ResponseWriter.
func (r *relay) Explain(meaning, remedy string) { r.meaning, r.remedy = meaning, remedy }

// WriteHeader writes the call into the journal, before the client can know how it ended.
func (r *relay) WriteHeader(status int) {
	if status >= 200 && !r.begun {
		r.begun = true
		r.Header()["Date"] = []string{r.accounts.kit.Clock.Now().Format(http.TimeFormat)} // a long body may have come since
		r.begin(status, r.failure(status))
	}
	r.ResponseWriter.WriteHeader(status)
}

// failure is how an answer of the backend refuses.
func (r *relay) failure(status int) *resource.Failure {
	if status < http.StatusBadRequest {
		return nil
	}
	code := r.Header().Get("x-ms-error-code")
	text := told[code]
	if r.meaning != "" {
		text.meaning, text.remedy = r.meaning, r.remedy
	}
	return resource.Fail(status, code, "", cmp.Or(text.meaning, "The account says "+strings.TrimSpace(fmt.Sprintf("%d %s", status, code))+"."), text.remedy)
}

func (r *relay) Write(p []byte) (int, error) {
	if !r.begun {
		r.WriteHeader(http.StatusOK)
	}
	return r.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (r *relay) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// identify sets the headers that every answer has.
func (c *call) identify(w http.ResponseWriter) {
	h := w.Header()
	h.Set("x-ms-request-id", c.id)
	h.Set("Server", c.target.Service.server())
	for _, name := range []string{"x-ms-version", "x-ms-client-request-id"} {
		if v := c.Request.Header.Get(name); v != "" {
			h.Set(name, v)
		}
	}
}

// server is the header Server of a service.
func (s Service) server() string {
	return "Windows-Azure-" + strings.ToUpper(string(s[:1])) + string(s[1:]) + "/1.0 Microsoft-HTTPAPI/2.0"
}

// Write implements resource.Request.
func (c *call) Write(w http.ResponseWriter, answer resource.Answer, failed *resource.Failure) {
	if !slices.Contains(services(), c.target.Service) {
		c.target.Service = Blob
	}
	c.identify(w)
	h := w.Header()
	if failed != nil {
		if failed.Status == http.StatusUnauthorized { // seen: with none of these (the recordings of unauthorized)
			h.Set("Server", "Microsoft-HTTPAPI/2.0")
			h.Del("x-ms-version")
			h.Del("x-ms-client-request-id")
		}
		WriteError(w, c.Request, c.target.Service, c.now, c.refused.Error)
		return
	}
	switch body := answer.Body.(type) {
	case delegationKey:
		h.Set("Content-Type", "application/xml")
		w.WriteHeader(answer.Status)
		text, _ := xml.Marshal(body)                                                    // of strings
		_, _ = w.Write([]byte("\ufeff" + strings.TrimSpace(xml.Header) + string(text))) // the client has gone: there is nobody to tell
	case batchAnswer:
		h.Set("Content-Type", "multipart/mixed; boundary="+body.boundary)
		w.WriteHeader(answer.Status)
		_, _ = w.Write(body.text) // as above
	}
}

// Describe implements resource.Access.
func (c *call) Describe(e *journal.Event) (action string) {
	e.Component, e.Resource, e.TraceID = c.name, "storage account "+c.name, c.id
	e.Path, _ = split(c.Request.RequestURI)
	e.Detail["operation"], e.Detail["service"] = c.op.name, string(c.target.Service)
	if len(c.op.needs) > 0 {
		e.Detail["action"] = "Microsoft.Storage/storageAccounts/" + c.op.needs[0]
	}
	if c.target.Container != "" {
		e.Detail[c.target.Service.holds()] = c.target.Container
	}
	if c.target.Name != "" && c.target.Service == Blob {
		e.Detail["blob"] = c.target.Name
	}
	if c.batched {
		e.Detail["batch"] = "true"
	}
	return strings.TrimSpace(c.op.name + " " + c.target.path())
}

// holds is what a service calls a Container.
func (s Service) holds() string {
	switch s {
	case Queue, Table:
		return string(s)
	}
	return "container"
}
