package emulator

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/emulator/issuer"
	"github.com/wiemu/wiemu/emulator/journal"
)

// Workload is a service account and the client id that it uses.
type Workload struct {
	Name           string // names the federated credential; "": the service account's
	Identity       string // names the identity, if one is made; "": the service account's
	Application    string // the Radix application; "": none
	Namespace      string
	ServiceAccount string
	ClientID       string // "": the service account exists and nothing trusts it
	Tenant         string // id or domain; "": the first
	Issuer         string // name; "": the first that is hosted. An external one has its service accounts itself
	Audience       string // "": api://AzureADTokenExchange
}

// Trust makes the service account in its cluster and, as the workload's owners
// would have done in Azure, a federated credential for it. A client id that no
// tenant knows becomes what the configuration's newIdentities says, a user-assigned
// managed identity by default, unless somebody has removed it. An identity whose federated credentials wiemu.yaml lists keeps
// exactly those, and one that trusts the service account already is left as it is.
func (e *Emulator) Trust(w Workload) error {
	if err := config.CheckNames(w.Namespace, w.ServiceAccount); err != nil {
		return err
	}
	url, hosted, err := e.configuredIssuer(w.Issuer)
	if err != nil {
		return err
	}
	tenant, err := e.Tenant(w.Tenant)
	if err != nil {
		return err
	}
	annotations := map[string]string{}
	if w.ClientID != "" {
		annotations["azure.workload.identity/client-id"] = w.ClientID
	}
	if hosted != nil {
		hosted.PutServiceAccount(w.Namespace, w.ServiceAccount, annotations)
	}
	if w.ClientID == "" || e.listsCredentials(w.ClientID) {
		return nil
	}
	w.Name = cmp.Or(w.Name, w.ServiceAccount)
	subject := "system:serviceaccount:" + w.Namespace + ":" + w.ServiceAccount
	credential := directory.FederatedCredential{
		ID:   config.StableID("federated credential", w.ClientID, url, subject),
		Name: directory.CredentialName(w.Name), Issuer: url, Subject: subject, Audience: cmp.Or(w.Audience, e.cloud.TokenExchange),
	}
	if changed, err := e.addCredential(tenant, w, credential); err != nil {
		return fmt.Errorf("trust %s/%s as %s: %w", w.Namespace, w.ServiceAccount, w.ClientID, err)
	} else if changed {
		e.journal.Record(journal.Event{
			Kind: journal.Directory, Outcome: journal.OK, Workload: w.Namespace + "/" + w.ServiceAccount,
			Tenant: tenant, ClientID: w.ClientID, Identity: e.displayName(tenant, w.ClientID), Issuer: credential.Issuer, Subject: subject, Audience: []string{credential.Audience},
			Summary: fmt.Sprintf("%s (%s) trusts %s of %s", e.displayName(tenant, w.ClientID), w.ClientID, subject, credential.Issuer),
		})
	}
	return nil
}

// addCredential gives the workload's identity a federated credential, and makes
// the identity if there is none. It reports whether anything changed.
func (e *Emulator) addCredential(tenant string, w Workload, credential directory.FederatedCredential) (changed bool, err error) {
	p, exists := e.directory.Principal(tenant, w.ClientID)
	if e.directory.Removed(tenant, w.ClientID) {
		return false, nil
	}
	if !exists {
		return true, e.makeIdentity(tenant, w, e.newKind(), []directory.FederatedCredential{credential})
	}
	if slices.ContainsFunc(p.FederatedCredentials, func(f directory.FederatedCredential) bool {
		return f.Issuer == credential.Issuer && f.Subject == credential.Subject
	}) {
		return false, nil
	}
	return true, e.directory.Update(tenant, w.ClientID, func(p *directory.Principal) error {
		name := credential.Name
		for n := 2; slices.ContainsFunc(p.FederatedCredentials, func(f directory.FederatedCredential) bool { return f.Name == credential.Name }); n++ {
			suffix := fmt.Sprintf("_%d", n)
			credential.Name = name[:min(len(name), directory.MaxCredentialName-len(suffix))] + suffix
		}
		p.FederatedCredentials = append(p.FederatedCredentials, credential)
		return nil
	})
}

// listsCredentials reports whether wiemu.yaml says what the client id trusts.
func (e *Emulator) listsCredentials(clientID string) bool {
	lists := func(p config.Principal) bool {
		return p.FederatedCredentials != nil && strings.EqualFold(p.ClientID, clientID)
	}
	return slices.ContainsFunc(e.config.Applications, func(a config.Application) bool { return lists(a.Principal) }) ||
		slices.ContainsFunc(e.config.Identities, func(i config.Identity) bool { return lists(i.Principal) })
}

// Tenant returns the id of the tenant that an id or domain names; "" is the first.
func (e *Emulator) Tenant(name string) (string, error) {
	if name == "" {
		return e.config.Tenants[0].ID, nil
	}
	t, ok := e.directory.Tenant(name)
	if !ok {
		return "", &control.StatusError{Status: http.StatusBadRequest, Field: "tenant", Err: fmt.Errorf("tenant %q: expected the id or a domain of a configured tenant, such as %s", name, e.config.Tenants[0].ID)}
	}
	return t.ID, nil
}

// configuredIssuer returns the URL of an issuer by name, and the issuer if it is
// hosted; "" is the first hosted one.
func (e *Emulator) configuredIssuer(name string) (url string, hosted *issuer.Issuer, err error) {
	for _, i := range e.config.Issuers {
		if i.External && i.Name == name {
			return i.URL, nil, nil
		}
	}
	if hosted, err = e.Issuer(name); err != nil {
		return "", nil, err
	}
	return hosted.URL(), hosted, nil
}

// Issuer returns a hosted issuer by name; "" is the first.
func (e *Emulator) Issuer(name string) (*issuer.Issuer, error) {
	var known []string
	for _, i := range e.issuers {
		if name == "" || i.Name() == name {
			return i, nil
		}
		known = append(known, i.Name())
	}
	return nil, &control.StatusError{Status: http.StatusBadRequest, Field: "issuer", Err: fmt.Errorf("issuer %q: expected one that wiemu hosts: %s", name, strings.Join(known, ", "))}
}
