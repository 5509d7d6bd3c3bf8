package keyvault

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/gorilla/mux"

	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/emulator/gateway/httppath"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/emulator/resource"
)

// appID is Key Vault's client id, which tokens may name as their audience.
const appID = "cfa8b339-82a2-471a-a3c9-0fc0be7a4093"

// operation is one thing that a vault can be asked for.
type operation struct {
	method, path string // the path in lower case, without a trailing slash
	verb         string // for people
	permission   string // of Permissions()
	action       string // the data action in a 403
	serve        func(*call) (status int, body any, failed *failure)
}

// operations lists what is served. The permissions are those that Key Vault's
// REST reference names for each operation.
func operations() []operation {
	const action = "Microsoft.KeyVault/vaults/secrets/"
	return []operation{
		{"GET", "/secrets", "list secrets", "list", action + "readMetadata/action", (*call).list},
		{"PUT", "/secrets/{name}", "set secret", "set", action + "setSecret/action", (*call).set},
		{"GET", "/secrets/{name}", "get secret", "get", action + "getSecret/action", (*call).get},
		{"PATCH", "/secrets/{name}", "update secret", "set", action + "update/action", (*call).update},
		{"DELETE", "/secrets/{name}", "delete secret", "delete", action + "delete", (*call).delete},
		{"GET", "/secrets/{name}/versions", "list versions of secret", "list", action + "readMetadata/action", (*call).versions},
		{"GET", "/secrets/{name}/{version}", "get secret", "get", action + "getSecret/action", (*call).get},
		{"PATCH", "/secrets/{name}/{version}", "update secret", "set", action + "update/action", (*call).update},
		{"GET", "/deletedsecrets", "list deleted secrets", "list", action + "readMetadata/action", (*call).listDeleted},
		{"GET", "/deletedsecrets/{name}", "get deleted secret", "get", action + "readMetadata/action", (*call).getDeleted},
		{"DELETE", "/deletedsecrets/{name}", "purge secret", "purge", action + "purge/action", (*call).purge},
		{"POST", "/deletedsecrets/{name}/recover", "recover secret", "recover", action + "recover/action", (*call).recover},
	}
}

func (s *Service) routes() *mux.Router {
	router := mux.NewRouter().SkipClean(true)
	for _, op := range operations() {
		router.Methods(op.method).Path(op.path).HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.handle(w, r, op) })
	}
	unknown := operation{serve: (*call).unknown}
	elsewhere := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.handle(w, r, unknown) })
	router.NotFoundHandler, router.MethodNotAllowedHandler = elsewhere, elsewhere
	return router
}

// call is one request on its way through the checks.
type call struct {
	validator *resource.Validator

	r      *http.Request
	op     operation
	vault  *vault
	name   string // of the secret, as the client spelt it
	id     string // of the version; "" for the latest
	caller resource.Caller
	checks []journal.Check
	now    time.Time
}

// handle makes the checks in order, serves the request and writes down both.
func (s *Service) handle(w http.ResponseWriter, r *http.Request, op operation) {
	host, v := s.find(r.Host)
	if v == nil {
		failed := noSuchVault(host, s.validator.Cloud().Vault, s.nearest(host))
		event := resource.Access(r, resource.Caller{}, []journal.Check{{
			Name: "vault", Expected: "a configured vault", Presented: host, Outcome: journal.Failed,
		}})
		s.tell(r.Context(), event, host, op, "", failed.status, failed)
		answer(w, r, failed.status, failed.body())
		return
	}
	c := &call{validator: s.validator, r: r, op: op, vault: v, now: s.clock.Now()}
	if vars := mux.Vars(r); vars["name"] != "" {
		c.name = httppath.Segment(r, 1)
		if vars["version"] != "" {
			c.id = httppath.Segment(r, 2)
		}
	}
	tenant, access := v.rules()
	refused := c.authenticate(tenant)
	upset := interrupted(r.Context())
	if upset != nil {
		refused = nil
	}
	if refused != nil {
		challenge(w, c.validator.Cloud(), tenant)
	}
	status, body, failed := 0, any(nil), upset
	if upset == nil {
		status, body, failed = c.answer(access, tenant, refused)
	}
	if failed != nil {
		status, body = failed.status, failed.body()
	}
	event := resource.Access(r, c.caller, c.checks)
	if refused != nil {
		resource.Refuse(&event, refused)
	}
	if failed == nil && openToAll(access) {
		event.Detail[journal.DetailNote] = fmt.Sprintf("vault %s has no access: in wiemu.yaml, so every identity of its tenant may do everything there; a real vault lets nobody in whom no role assignment or access policy names", v.name)
	}
	s.tell(r.Context(), event, v.name, op, c.name, status, failed)
	answer(w, r, status, body)
}

func (v *vault) rules() (tenant string, access []Access) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.tenant, v.access
}

func (c *call) authenticate(tenant string) (refused *resource.Refusal) {
	c.caller, c.checks, refused = c.validator.Validate(c.r.Context(), resource.Bearer(c.r), resource.Want{
		Audiences: []string{"https://" + c.validator.Cloud().Vault, appID},
		Tenant:    tenant,
	})
	return refused
}

// answer is what the client gets: the first check that fails says it.
func (c *call) answer(access []Access, tenant string, refused *resource.Refusal) (int, any, *failure) {
	if refused != nil {
		return 0, nil, c.unauthorized(refused, tenant)
	}
	for _, look := range []func([]Access) *failure{c.apiVersion, c.secretName, c.permission} {
		if failed := look(access); failed != nil {
			return 0, nil, failed
		}
	}
	return c.op.serve(c)
}

// apiVersion lets every version pass that has the form of one: a client that is
// newer than this code must not be turned away.
func (c *call) apiVersion([]Access) *failure {
	version := c.r.URL.Query().Get("api-version")
	ok := validVersion(version)
	c.check("api-version", "7.x or a date like 2025-07-01", version, ok)
	switch {
	case ok:
		return nil
	case version == "":
		return badParameter("api-version must be specified")
	default:
		return badParameter("The specified version (%s) is not recognized. Consider using the latest supported version.", version)
	}
}

// validVersion accepts 7.6, 2025-07-01, and both followed by -preview or
// -preview.1.
func validVersion(v string) bool {
	base, preview, _ := strings.Cut(v, "-preview")
	if len(v) > 32 || preview != "" && !isNumber(strings.TrimPrefix(preview, ".")) {
		return false
	}
	if _, err := time.Parse(time.DateOnly, base); err == nil {
		return true
	}
	major, minor, _ := strings.Cut(base, ".")
	return isNumber(major) && isNumber(minor)
}

func isNumber(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

func (c *call) secretName([]Access) *failure {
	if c.name == "" || ValidSecretName(c.name) {
		return nil
	}
	c.check("secret name", "1 to 127 letters, digits and hyphens", c.name, false)
	return badParameter("The request URI contains an invalid name: %s", c.name)
}

func (c *call) permission(access []Access) *failure {
	if c.op.permission == "" {
		return nil
	}
	held := permitted(access, c.caller)
	presented, ok := "none", false
	for i, p := range held {
		if i == 0 {
			presented = p
		} else {
			presented += ", " + p
		}
		ok = ok || p == c.op.permission
	}
	c.check("permission", c.op.permission, presented, ok)
	if ok {
		return nil
	}
	return forbidden(c.vault.name, c.name, c.op.action, c.caller, c.op.permission)
}

// unknown answers for what no operation serves.
func (c *call) unknown() (int, any, *failure) {
	path := strings.Trim(c.r.URL.Path, "/")
	first, _, _ := strings.Cut(path, "/")
	switch {
	case first == "keys", first == "deletedkeys", first == "certificates", first == "deletedcertificates",
		first == "storage", first == "secrets" && (strings.HasSuffix(path, "/backup") || path == "secrets/restore"):
		return 0, nil, notServed(c.r.URL.Path)
	default:
		return 0, nil, badParameter("Method %s does not allow operation '%s'", c.r.Method, path[strings.LastIndex(path, "/")+1:])
	}
}

// check notes a condition.
func (c *call) check(name, expected, presented string, ok bool) {
	made := journal.Check{Name: name, Expected: expected, Presented: presented, Outcome: journal.Passed}
	if !ok {
		made.Outcome = journal.Failed
	}
	c.checks = append(c.checks, made)
}

// tell writes the request into the journal.
func (s *Service) tell(ctx context.Context, e journal.Event, vault string, op operation, secret string, status int, failed *failure) {
	e.Part, e.Resource, e.Status = vault, "key vault "+vault, status
	if op.action != "" {
		e.Detail["action"] = op.action
	}
	if secret != "" {
		e.Detail["secret"] = secret
	}
	who := cmp.Or(e.Identity, e.ClientID, "somebody without a token")
	e.Summary = fmt.Sprintf("%s: %s by %s", e.Resource, strings.TrimSpace(cmp.Or(op.verb, e.Method+" "+e.Path)+" "+secret), who)
	if failed != nil {
		e.Outcome, e.Error, e.Message = journal.Denied, cmp.Or(failed.inner, failed.code), failed.message
		e.Meaning, e.Remedy = failed.meaning, failed.remedy
		e.Summary += fmt.Sprintf(": refused with %d %s: %s", status, e.Error, cmp.Or(failed.meaning, failed.message))
	}
	fault.Note(ctx, &e)
	s.journal.Record(e)
}
