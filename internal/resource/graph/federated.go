package graph

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/httppath"
	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/tenants"
)

func federatedContext(p *directory.Principal) string {
	return "applications('" + p.ApplicationObjectID + "')/federatedIdentityCredentials"
}

func (c *call) beta() bool { return c.version() == "beta" }

// federatedOf are the credentials of an application that Graph finds.
func (c *call) federatedOf(p *directory.Principal) []directory.FederatedCredential {
	if !c.kit.Faults.Any() || !c.hidden(c.kit.Directory.FederatedCredentialsChanged(c.Caller.Tenant, p.ClientID)) {
		return p.FederatedCredentials
	}
	return c.kit.Directory.FederatedCredentialsAsOf(c.Caller.Tenant, p.ClientID, c.kit.Clock.Now().Add(-c.lag))
}

func (c *call) federatedCredentials(p *directory.Principal) (resource.Answer, *resource.Failure) {
	shown := c.federatedOf(p)
	var all []entity
	for _, f := range shown {
		all = append(all, federatedEntity(f, c.beta()))
	}
	answer, failed := c.list(federatedKind, federatedContext(p), func(query) objects { return entities(all) })
	if failed == nil {
		c.breakOff(&answer, shown)
	}
	return answer, failed
}

// breakOff breaks an answer of v1.0 off in which there is a flexible federated credential, as Graph
// does: v1.0 knows of subjects alone, and finds out when the answer has begun.
// Source: microsoftgraph/msgraph-sdk-python#1359 (2025-09), Azure/azure-workload-identity#373
// (2024-12), Azure/azure-cli#32816 (2026-06).
func (c *call) breakOff(answer *resource.Answer, shown []directory.FederatedCredential) {
	if c.beta() || !slices.ContainsFunc(shown, func(f directory.FederatedCredential) bool { return f.ClaimsMatching != "" }) {
		return
	}
	text := string(appendJSON(nil, answer.Body))
	at := strings.Index(text, `"subject":null`)
	if at < 0 {
		return // it was not selected
	}
	c.Note("the answer breaks off at a flexible federated credential, which v1.0 cannot show: ask beta")
	answer.Body = broken(strings.TrimSuffix(text[:at], ",")) // none is there if subject is the first that was selected
}

// broken is the begin of an answer in which Graph failed.
type broken string

// federatedCredential finds one by id or name.
func (c *call) federatedCredential(p *directory.Principal) (resource.Answer, *resource.Failure) {
	wanted, failed := c.credentialName()
	if failed != nil {
		return resource.Answer{}, failed
	}
	all := c.federatedOf(p)
	i := credentialAt(all, wanted)
	if i < 0 {
		return resource.Answer{}, notFound(wanted)
	}
	answer, failed := c.one(federatedKind, federatedContext(p), federatedEntity(all[i], c.beta()))
	if failed == nil {
		c.breakOff(&answer, all[i:i+1])
	}
	return answer, failed
}

// credentialName is the id or name of the credential that the path names.
func (c *call) credentialName() (string, *resource.Failure) {
	key, keyed := c.key("credential", c.behind())
	if !keyed {
		return key, nil
	}
	property, value, ok := alternateKey(key)
	if !ok || property != "name" && property != "" {
		return "", unknownSegment(httppath.Segment(c.Request, c.behind()))
	}
	return value, nil
}

func credentialAt(all []directory.FederatedCredential, wanted string) int {
	return slices.IndexFunc(all, func(f directory.FederatedCredential) bool {
		return strings.EqualFold(f.ID, wanted) || strings.EqualFold(f.Name, wanted)
	})
}

// federated is a federated credential of a body; what is not there is nil.
type federated struct {
	Name        *string
	Issuer      *string
	Subject     *string
	Description *string
	Audiences   []string
	Expression  *struct {
		Value   string `json:"value"`
		Version *int   `json:"languageVersion"`
	}

	noSubject, noExpression bool // they are null
}

// askedFederated reads the credential of the body, refuses other members, and returns the
// application, to be written.
func (c *call) askedFederated() (f federated, p *directory.Principal, failed *resource.Failure) {
	body, failed := c.body()
	if failed != nil {
		return f, nil, failed
	}
	f.noSubject, f.noExpression = string(body["subject"]) == "null", string(body["claimsMatchingExpression"]) == "null"
	var id json.RawMessage
	failed = body.taken("name", &f.Name, "issuer", &f.Issuer, "subject", &f.Subject, "description", &f.Description, "audiences", &f.Audiences, "claimsMatchingExpression", &f.Expression, "id", &id)
	if failed == nil {
		failed = body.unknown()
	}
	if failed == nil {
		p, failed = c.target()
	}
	return f, p, failed
}

// into changes a credential as a body says.
func (f federated) into(c *directory.FederatedCredential) {
	for to, from := range map[*string]*string{&c.Name: f.Name, &c.Issuer: f.Issuer, &c.Subject: f.Subject, &c.Description: f.Description} {
		if from != nil {
			*to = *from
		}
	}
	if f.Audiences != nil {
		c.Audience = f.Audiences[0]
	}
	if f.noSubject {
		c.Subject = ""
	}
	if f.Expression != nil {
		c.ClaimsMatching = f.Expression.Value
	}
	if f.noExpression {
		c.ClaimsMatching = ""
	}
}

// createFederated makes a federated credential.
func (c *call) createFederated() (resource.Answer, *resource.Failure) {
	f, p, failed := c.askedFederated()
	if failed != nil {
		return resource.Answer{}, failed
	}
	return c.trust(p, f)
}

// trust adds a federated credential to an application.
func (c *call) trust(p *directory.Principal, f federated) (resource.Answer, *resource.Failure) {
	if failed := c.checkFederated(f, true); failed != nil {
		return resource.Answer{}, failed
	}
	var made directory.FederatedCredential
	f.into(&made)
	changed, failed := c.change(p, &made, func(p *directory.Principal) *resource.Failure {
		if credentialAt(p.FederatedCredentials, made.Name) >= 0 {
			return nameTaken(made.Name)
		}
		made.ID = next(p, "federated credential")
		p.FederatedCredentials = append(p.FederatedCredentials, made)
		return nil
	})
	if failed != nil {
		return resource.Answer{}, failed
	}
	c.recordTrust(changed, made, "trusts %s of %s", made.Trusted(), made.Issuer)
	return c.created(federatedContext(p), "federatedIdentityCredentials/"+made.ID, federatedEntity(made, c.beta())), nil
}

// patchFederated changes a federated credential, or makes one of this name if it may.
func (c *call) patchFederated() (resource.Answer, *resource.Failure) {
	f, p, failed := c.askedFederated()
	if failed != nil {
		return resource.Answer{}, failed
	}
	wanted, failed := c.credentialName()
	if failed != nil {
		return resource.Answer{}, failed
	}
	if credentialAt(p.FederatedCredentials, wanted) < 0 && c.upserting() {
		f.Name = &wanted
		return c.trust(p, f)
	}
	if failed := c.checkFederated(f, false); failed != nil {
		return resource.Answer{}, failed
	}
	var changed directory.FederatedCredential
	now, failed := c.change(p, &changed, func(p *directory.Principal) *resource.Failure {
		i := credentialAt(p.FederatedCredentials, wanted)
		if i < 0 {
			return notFound(wanted)
		}
		changed = p.FederatedCredentials[i]
		if f.Name != nil && *f.Name != changed.Name {
			failed := invalidCredential("Name is immutable and cannot be changed after creation.", "name", *f.Name)
			failed.Meaning, failed.Remedy = "A federated credential keeps its name.", "Make another one and delete this one."
			return failed
		}
		f.into(&changed)
		p.FederatedCredentials[i] = changed
		return nil
	})
	if failed != nil {
		return resource.Answer{}, failed
	}
	c.recordTrust(now, changed, "trusts %s of %s now, by its federated credential %s", changed.Trusted(), changed.Issuer, changed.Name)
	return noContent(), nil
}

func (c *call) deleteFederated(p *directory.Principal) (resource.Answer, *resource.Failure) {
	wanted, failed := c.credentialName()
	if failed != nil {
		return resource.Answer{}, failed
	}
	var was directory.FederatedCredential
	changed, failed := c.update(p, func(p *directory.Principal) *resource.Failure {
		i := credentialAt(p.FederatedCredentials, wanted)
		if i < 0 {
			return notFound(wanted)
		}
		was = p.FederatedCredentials[i]
		p.FederatedCredentials = slices.Delete(p.FederatedCredentials, i, i+1)
		return nil
	})
	if failed != nil {
		return resource.Answer{}, failed
	}
	c.recordTrust(changed, was, "has federated credential %s removed: it does not trust %s of %s any more", was.Name, was.Trusted(), was.Issuer)
	return noContent(), nil
}

// change updates an application with a credential that the directory may not take.
func (c *call) change(p *directory.Principal, to *directory.FederatedCredential, by func(*directory.Principal) *resource.Failure) (*directory.Principal, *resource.Failure) {
	return c.write(p, by, func(err error, p *directory.Principal) *resource.Failure { return c.untrusted(err, p, *to) })
}

// recordTrust tells the journal what became of an application's trust.
func (c *call) recordTrust(p *directory.Principal, f directory.FederatedCredential, format string, args ...any) {
	c.recordEvent(p, journal.Event{Issuer: f.Issuer, Subject: f.Subject, Audience: []string{f.Audience}, Summary: fmt.Sprintf(format, args...)})
}

// checkFederated refuses what is missing. v1.0 takes subjects alone.
// Seen: the text about an empty subject in Azure/azure-cli#32816 (2026-02). The others are
// modelled on it.
func (c *call) checkFederated(f federated, isNew bool) *resource.Failure {
	if !c.beta() && f.Expression != nil {
		failed := badRequest("Property 'subject' cannot be empty.", "v1.0 does not know flexible federated credentials.", "Use beta, with subject null.")
		if f.Subject != nil {
			failed = badRequest("Invalid property 'claimsMatchingExpression'.", failed.Meaning, failed.Remedy)
		}
		return failed
	}
	for _, required := range []struct {
		name  string
		value *string
	}{{"name", f.Name}, {"issuer", f.Issuer}, {"subject", f.Subject}} {
		instead := required.name == "subject" && f.Expression != nil
		if required.value == nil && isNew && !instead || required.value != nil && *required.value == "" {
			return badRequest(fmt.Sprintf("Property '%s' cannot be empty.", required.name), "A federated credential has name, issuer, subject and audiences.", "")
		}
	}
	if f.Audiences == nil && isNew {
		return badRequest("Property 'audiences' cannot be empty.", "A federated credential has name, issuer, subject and audiences.", "")
	}
	if f.Audiences != nil && len(f.Audiences) != 1 {
		return resource.Fail(http.StatusBadRequest, "InvalidFederatedIdentityCredentialsAudienceLength", "Federated identity credentials must have exactly 1 audience.", fmt.Sprintf("The body has %d audiences.", len(f.Audiences)), "") // seen of Resource Manager: Azure/azure-cli#31598 (2025-06)
	}
	return nil
}

// nameTaken: seen in Azure/azure-dev#1482 (2023-02).
func nameTaken(name string) *resource.Failure {
	return resource.Fail(http.StatusConflict, "Request_MultipleObjectsWithSameKeyValue", fmt.Sprintf("FederatedIdentityCredential with name %s already exists.", name),
		"The application has a federated credential of this name.", "Change it with PATCH, or choose another name.")
}

// invalidCredential refuses a value. The code and the form of the text: see untrusted.
func invalidCredential(message, field, value string) *resource.Failure {
	return resource.Fail(http.StatusBadRequest, "InvalidFederatedIdentityCredentialValue", fmt.Sprintf("%s paramName: FederatedIdentityCredential.%s, paramValue: %s, objectType: Microsoft.Online.DirectoryServices.Application", message, strings.ToUpper(field[:1])+field[1:], value),
		"", "")
}

// untrusted words why the directory does not take a credential.
// Source of the one about issuer and subject: Azure/azure-workload-identity#434 (2022-05). That
// more than twenty are answered with 403, a name with spaces with 400 and its text, and that a
// name stays: a support article of Microsoft on federated credentials (2026-04); the text about the
// size: microsoftgraph/microsoft-graph-docs#21469 (2023-05), for key credentials; the text about a
// name: Azure/azure-dev#2505 (2023-07). Other texts are modelled on these.
func (c *call) untrusted(err error, p *directory.Principal, to directory.FederatedCredential) *resource.Failure {
	var what *tenants.Error
	if !errors.As(err, &what) {
		return c.refused(err, p)
	}
	field := what.Field[strings.LastIndexByte(what.Field, '.')+1:]
	value := map[string]string{"name": to.Name, "issuer": to.Issuer, "subject": to.Subject, "audience": to.Audience, "description": to.Description, "claimsMatchingExpression": to.ClaimsMatching}[field]
	failed := invalidCredential(fmt.Sprintf("The value of %s is not valid.", field), field, value)
	switch {
	case errors.Is(what, tenants.ErrNotFound): // deleted meanwhile
		return notFound(p.ApplicationObjectID)
	case errors.Is(what, tenants.ErrLimit):
		failed = sizeExceeded("", "An application has at most 20 federated credentials: use a flexible one, or another application.")
	case errors.Is(what, tenants.ErrDuplicate) && field == "subject":
		failed = invalidCredential(fmt.Sprintf("The combination of issuer and subject must be unique for the application. Issuer %s and Subject: %s already exist.", to.Issuer, to.Trusted()), field, to.Trusted())
	case errors.Is(what, tenants.ErrDuplicate):
		return nameTaken(to.Name)
	case field == "name":
		failed = invalidCredential("The specified Name value is not a valid URI last segment.", field, value)
	}
	failed.Meaning = fmt.Sprintf("%s: expected %s, found %s.", what.Field, what.Expected, what.Found)
	return failed
}
