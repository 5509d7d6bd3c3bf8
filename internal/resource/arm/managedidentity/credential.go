package managedidentity

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/faultkind"
	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/resource/arm/rest"
	"github.com/wiemu/wiemu/internal/tenants"
)

type credential = rest.Shown[credentialProperties]

type credentialProperties struct {
	Issuer    string   `json:"issuer"`
	Subject   string   `json:"subject"`
	Audiences []string `json:"audiences"`
}

func shownCredential(p *directory.Principal, f directory.FederatedCredential) credential {
	return credential{
		ID: p.ResourceID + "/federatedIdentityCredentials/" + f.Name, Name: f.Name, Type: credentialType,
		Properties: credentialProperties{Issuer: f.Issuer, Subject: f.Subject, Audiences: []string{f.Audience}},
	}
}

// nested is the type of federated credentials without the namespace.
const nested = "userAssignedIdentities/federatedIdentityCredentials"

// operations are what ParentNotFound calls the methods of requests.
var operations = map[string]string{http.MethodGet: "read", http.MethodPut: "write", http.MethodDelete: "delete"}

// parent is the identity that the request's path names.
func (s *service) parent(c *rest.Call) (*directory.Principal, *resource.Failure) {
	group, failed := c.Group()
	if failed != nil {
		return nil, failed
	}
	id := s.id(c, group)
	if p, ok := s.Kit.Directory.ManagedIdentity(c.Caller.Tenant, id); ok {
		return p, nil
	}
	return nil, rest.ParentNotFound(operations[c.Request.Method], nested, id)
}

// named is the place of a federated credential; names ignore case, as all of a resource id do.
func named(p *directory.Principal, name string) int {
	return slices.IndexFunc(p.FederatedCredentials, func(f directory.FederatedCredential) bool { return strings.EqualFold(f.Name, name) })
}

func (s *service) listCredentials(c *rest.Call, p *directory.Principal) (rest.Reply, *resource.Failure) {
	var all []credential
	for _, f := range p.FederatedCredentials {
		all = append(all, shownCredential(p, f))
	}
	return rest.PageOf(c, all)
}

// getCredential answers for one that there is not with a code that clients do not look at; the
// text is inferred.
func (s *service) getCredential(c *rest.Call, p *directory.Principal) (rest.Reply, *resource.Failure) {
	i := named(p, c.Name("credential"))
	if i < 0 {
		return rest.Reply{}, resource.Fail(http.StatusNotFound, "NotFound", fmt.Sprintf("The Federated Identity Credential '%s' under the managed identity '%s' was not found.", c.Name("credential"), p.ResourceID),
			"The managed identity has no federated credential of this name.", "")
	}
	return rest.Reply{Body: shownCredential(p, p.FederatedCredentials[i])}, nil
}

// putCredential makes a federated credential or replaces it.
func (s *service) putCredential(c *rest.Call, asked *credentialProperties) (rest.Reply, *resource.Failure) {
	p, failed := s.parent(c)
	if failed != nil {
		return rest.Reply{}, failed
	}
	name := c.Name("credential")
	if failed := check(name, asked); failed != nil {
		return rest.Reply{}, failed
	}
	done, failed := s.begin(c, p)
	if failed != nil {
		return rest.Reply{}, failed
	}
	defer done()
	wanted := directory.FederatedCredential{Name: name, Issuer: asked.Issuer, Subject: asked.Subject, Audience: asked.Audiences[0]}
	status := http.StatusCreated
	err := s.Kit.Directory.Update(c.Caller.Tenant, p.ClientID, func(p *directory.Principal) error {
		if i := named(p, name); i >= 0 {
			status = http.StatusOK
			wanted.ID, wanted.Name, wanted.Description = p.FederatedCredentials[i].ID, p.FederatedCredentials[i].Name, p.FederatedCredentials[i].Description
			p.FederatedCredentials[i] = wanted
			return nil
		}
		p.FederatedCredentials = append(p.FederatedCredentials, wanted)
		return nil
	})
	if err != nil {
		return rest.Reply{}, refused(err, p, "write")
	}
	s.Kit.Journal.Record(journal.Event{
		Kind: journal.Directory, Outcome: journal.OK, Tenant: c.Caller.Tenant, ClientID: p.ClientID, ObjectID: p.ObjectID, Identity: p.DisplayName,
		Issuer: wanted.Issuer, Subject: wanted.Subject, Audience: []string{wanted.Audience},
		Summary: fmt.Sprintf("%s (%s) trusts %s of %s", p.DisplayName, p.ClientID, wanted.Subject, wanted.Issuer),
	})
	reply := rest.Reply{Status: status, Body: shownCredential(p, wanted)}
	if status == http.StatusCreated {
		reply.Header = map[string]string{"Location": p.ResourceID + "/federatedIdentityCredentials/" + wanted.Name}
	}
	return reply, nil
}

func (s *service) deleteCredential(c *rest.Call, p *directory.Principal) (rest.Reply, *resource.Failure) {
	done, failed := s.begin(c, p)
	if failed != nil {
		return rest.Reply{}, failed
	}
	defer done()
	name, found := c.Name("credential"), false
	err := s.Kit.Directory.Update(c.Caller.Tenant, p.ClientID, func(p *directory.Principal) error {
		if i := named(p, name); i >= 0 {
			found = true
			p.FederatedCredentials = slices.Delete(p.FederatedCredentials, i, i+1)
		}
		return nil
	})
	switch {
	case err != nil:
		return rest.Reply{}, refused(err, p, "delete")
	case !found:
		return rest.Reply{Status: http.StatusNoContent}, nil
	}
	s.record(c.Caller.Tenant, p, fmt.Sprintf("%s (%s) has federated credential %s removed", p.DisplayName, p.ClientID, name))
	return rest.Reply{}, nil
}

// begin claims an identity for a write of its federated credentials, until done is called.
// Source: the text of crossplane-contrib/provider-upjet-azure#689; the status of the table of
// entra-docs, workload-identity-federation-considerations.md, "Errors".
func (s *service) begin(c *rest.Call, p *directory.Principal) (done func(), failed *resource.Failure) {
	key := strings.ToLower(p.ResourceID)
	if _, busy := s.writing.LoadOrStore(key, true); busy {
		return nil, resource.Fail(http.StatusConflict, "ConcurrentFederatedIdentityCredentialsWritesForSingleManagedIdentity",
			fmt.Sprintf("Too many Federated Identity Credentials are written concurrently for the managed identity '%s'. Concurrent Federated Identity Credentials writes under the same managed identity are not supported.", p.ResourceID),
			"Another federated credential of the same managed identity is being written.", "Write them one after the other: depends_on in Terraform, @batchSize(1) or dependsOn in Bicep; or try again.")
	}
	if h, hit := s.Kit.Hit(c.Context(), c.Call, faultkind.ConcurrentWrites, nil); hit {
		c.Overlap(h.Duration("latency"))
	}
	return func() { s.writing.Delete(key) }, nil
}

// check refuses what a federated credential cannot be.
// Source of the texts: entra-docs, workload-identity-federation-considerations.md, "Errors";
// that of missing properties: zioproto/istio-aks-example#6, where it has the code BadRequest.
func check(name string, p *credentialProperties) *resource.Failure {
	bad := func(message, meaning string) *resource.Failure {
		return rest.BadRequest("BadRequest", message, meaning)
	}
	switch {
	case len(name) < tenants.MinCredentialName || len(name) > tenants.MaxCredentialName || tenants.CredentialName(name) != name:
		return bad(fmt.Sprintf("Federated Identity Credential name '%s' is invalid.", name), "The name of a federated credential has 3 to 120 letters, digits, - and _, and begins with a letter or digit.")
	case p == nil:
		return bad("Federated Identity Credential from HTTP body has empty properties", "The body has no properties.")
	case p.Issuer == "" || p.Subject == "" || p.Audiences == nil:
		return bad("The request format was unexpected. Federated Identity Credential must specify 'issuer', 'subject' and 'audience'.", "A federated credential has an issuer, a subject and an audience.")
	case len(p.Audiences) != 1:
		return bad("Federated identity credentials must have exactly one audience.", fmt.Sprintf("The body has %d audiences.", len(p.Audiences)))
	}
	return nil
}

// refused words what the directory does not take.
// Seen: the first (Azure/bicep-types-az#2054, with the code Conflict in logs of azd; the table of
// entra-docs says 400), and the beginning of the second as 400 BadRequest. The rest is inferred.
func refused(err error, p *directory.Principal, operation string) *resource.Failure {
	var what *tenants.Error
	if !errors.As(err, &what) {
		return rest.NotStored(err)
	}
	meaning := fmt.Sprintf("%s: expected %s, found %s.", what.Field, what.Expected, what.Found)
	switch {
	case errors.Is(what, tenants.ErrNotFound): // deleted meanwhile
		return rest.ParentNotFound(operation, nested, p.ResourceID)
	case errors.Is(what, tenants.ErrDuplicate):
		return resource.Fail(http.StatusConflict, "Conflict", "Issuer and subject combination already exists for this Managed Identity.", meaning, "Change the one that there is, or delete it first.")
	case errors.Is(what, tenants.ErrLimit):
		return rest.BadRequest("BadRequest", fmt.Sprintf("Too many Federated Identity Credentials for the managed identity '%s'. The maximum is %d.", p.ResourceID, tenants.MaxFederatedCredentials), meaning)
	case errors.Is(what, tenants.ErrInvalid):
		return rest.BadRequest("BadRequest", fmt.Sprintf("The request format was unexpected. Federated Identity Credential has an invalid '%s'.", what.Field[strings.LastIndexByte(what.Field, '.')+1:]), meaning)
	}
	return rest.NotStored(err)
}
