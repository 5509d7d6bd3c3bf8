package lab

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/azwi"
	"github.com/wiemu/wiemu/internal/issuer"
	"github.com/wiemu/wiemu/internal/kubename"
	"github.com/wiemu/wiemu/internal/tenants"
)

// Account is a service account and the client id that its workloads use, with the names of what
// is made for it.
type Account struct {
	Name           string // names the federated credential; "": the service account's
	Identity       string // names the identity, if one is made; "": the service account's
	Application    string // the Radix application; "": none
	Namespace      string
	ServiceAccount string
	ClientID       string // "": the service account exists and nothing trusts it
	Tenant         string // id or domain; "": the first
	Issuer         string // name; "": the first that is hosted. An external one has its service accounts itself
	Audience       string // "": api://AzureADTokenExchange

	// Subject is that of something that is in no cluster, for which no service account is made.
	// If empty, it is the service account's.
	Subject string

	// ByEntra says that Entra ID itself makes the token of such a thing, and not Issuer.
	ByEntra bool
}

// Trust makes the service account in its cluster and, as the workload's owners
// would have done in Azure, a federated credential for it. A client id that no
// tenant knows becomes what the configuration's newIdentities says, a user-assigned
// managed identity by default, unless somebody has removed it. An identity whose federated credentials wiemu.yaml lists keeps
// exactly those, as does one that code made at run time (OwnTrust), and one that trusts the service account already is left as it is.
func (l *Lab) Trust(a Account) error {
	if a.Subject == "" {
		if err := kubename.CheckAccount(a.Namespace, a.ServiceAccount); err != nil {
			return err
		}
	}
	url, hosted, err := l.configuredIssuer(a.Issuer)
	if err != nil {
		return err
	}
	tenant, err := l.Tenant(a.Tenant)
	if err != nil {
		return err
	}
	if a.ByEntra {
		url = l.cloud.IssuerV2(tenant)
	}
	if hosted != nil && a.Subject == "" {
		hosted.PutServiceAccount(a.Namespace, a.ServiceAccount, azwi.Annotations(a.ClientID))
	}
	if a.ClientID == "" || l.listsCredentials(a.ClientID) {
		return nil
	}
	a.Name = cmp.Or(a.Name, a.ServiceAccount)
	subject := cmp.Or(a.Subject, azwi.Subject(a.Namespace, a.ServiceAccount))
	credential := directory.FederatedCredential{
		ID:   tenants.StableID("federated credential", a.ClientID, url, subject),
		Name: tenants.CredentialName(a.Name), Issuer: url, Subject: subject, Audience: cmp.Or(a.Audience, l.cloud.TokenExchange),
	}
	if changed, err := l.addCredential(tenant, a, credential); err != nil {
		return fmt.Errorf("trust %s/%s as %s: %w", a.Namespace, a.ServiceAccount, a.ClientID, err)
	} else if changed {
		l.journal.Record(journal.Event{
			Kind: journal.Directory, Outcome: journal.OK, Workload: a.Namespace + "/" + a.ServiceAccount,
			Tenant: tenant, ClientID: a.ClientID, Identity: l.displayName(tenant, a.ClientID), Issuer: credential.Issuer, Subject: subject, Audience: []string{credential.Audience},
			Summary: fmt.Sprintf("%s (%s) trusts %s of %s", l.displayName(tenant, a.ClientID), a.ClientID, subject, credential.Issuer),
		})
	}
	return nil
}

// addCredential gives the workload's identity a federated credential, and makes
// the identity if there is none. It reports whether anything changed.
func (l *Lab) addCredential(tenant string, a Account, credential directory.FederatedCredential) (changed bool, err error) {
	p, exists := l.directory.Principal(tenant, a.ClientID)
	if l.directory.Removed(tenant, a.ClientID) || exists && p.OwnTrust {
		return false, nil
	}
	if !exists {
		return true, l.makeIdentity(tenant, a, l.newKind(), []directory.FederatedCredential{credential})
	}
	if slices.ContainsFunc(p.FederatedCredentials, func(f directory.FederatedCredential) bool {
		return f.Issuer == credential.Issuer && f.Subject == credential.Subject
	}) {
		return false, nil
	}
	return true, l.directory.Update(tenant, a.ClientID, func(p *directory.Principal) error {
		name := credential.Name
		for n := 2; slices.ContainsFunc(p.FederatedCredentials, func(f directory.FederatedCredential) bool { return f.Name == credential.Name }); n++ {
			suffix := fmt.Sprintf("_%d", n)
			credential.Name = name[:min(len(name), tenants.MaxCredentialName-len(suffix))] + suffix
		}
		p.FederatedCredentials = append(p.FederatedCredentials, credential)
		return nil
	})
}

func (l *Lab) listsCredentials(clientID string) bool {
	lists := func(p config.Principal) bool {
		return p.FederatedCredentials != nil && strings.EqualFold(p.ClientID, clientID)
	}
	return slices.ContainsFunc(l.config.Applications, func(a config.Application) bool { return lists(a.Principal) }) ||
		slices.ContainsFunc(l.config.Identities, func(i config.Identity) bool { return lists(i.Principal) })
}

// Tenant returns the id of the tenant that an id or domain names; "" is the first.
func (l *Lab) Tenant(name string) (string, error) {
	if name == "" {
		return l.config.Tenants[0].ID, nil
	}
	t, ok := l.directory.Tenant(name)
	if !ok {
		return "", &control.StatusError{Status: http.StatusBadRequest, Field: "tenant", Err: fmt.Errorf("tenant %q: expected the id or a domain of a configured tenant, such as %s", name, l.config.Tenants[0].ID)}
	}
	return t.ID, nil
}

// configuredIssuer returns the URL of an issuer by name, and the issuer if it is
// hosted; "" is the first hosted one.
func (l *Lab) configuredIssuer(name string) (url string, hosted *issuer.Issuer, err error) {
	for _, i := range l.config.Issuers {
		if i.External && i.Name == name {
			return i.URL, nil, nil
		}
	}
	if hosted, err = l.Issuer(name); err != nil {
		return "", nil, err
	}
	return hosted.URL(), hosted, nil
}

// Issuer returns a hosted issuer by name; "" is the first.
func (l *Lab) Issuer(name string) (*issuer.Issuer, error) {
	var known []string
	for _, i := range l.issuers {
		if name == "" || i.Name() == name {
			return i, nil
		}
		known = append(known, i.Name())
	}
	return nil, &control.StatusError{Status: http.StatusBadRequest, Field: "issuer", Err: fmt.Errorf("issuer %q: expected one that wiemu hosts: %s", name, strings.Join(known, ", "))}
}

// makeIdentity makes the identity of a client id that no tenant knows, under the
// name of its workload. Where two workloads have one name, the second identity has
// the namespace before it.
func (l *Lab) makeIdentity(tenant string, a Account, kind directory.Kind, trusts []directory.FederatedCredential) error {
	name := l.nameFor(tenant, a)
	p := directory.Principal{
		Kind: kind, ClientID: a.ClientID, ObjectID: tenants.StableID("service principal", a.ClientID),
		DisplayName: name, FederatedCredentials: trusts,
	}
	if kind == directory.ManagedIdentity {
		p.ResourceID = tenants.ManagedIdentityResourceID(tenant, name)
	} else {
		p.ApplicationObjectID = tenants.StableID("application", a.ClientID)
	}
	if err := l.directory.Put(tenant, p); err != nil {
		return err
	}
	l.known.mu.Lock()
	defer l.known.mu.Unlock()
	l.known.made = append(l.known.made, control.MadeIdentity{Name: name, ClientID: a.ClientID, Kind: string(kind), TokenLifetime: int(p.Lifetime() / time.Second)})
	return nil
}

func (l *Lab) newKind() directory.Kind {
	if l.config.NewIdentities == config.NewApplication {
		return directory.Application
	}
	return directory.ManagedIdentity
}

func (l *Lab) nameFor(tenant string, a Account) string {
	l.known.mu.Lock()
	defer l.known.mu.Unlock()
	if l.known.taken == nil {
		l.known.taken = map[string]bool{}
		for pr := range l.config.Principals() {
			l.known.taken[pr.Tenant+" "+pr.Name] = true
		}
	}
	if l.accountNames {
		return cmp.Or(a.Application, a.ServiceAccount)
	}
	own := cmp.Or(a.Identity, a.ServiceAccount)
	name := own
	for n := 1; l.known.taken[tenant+" "+name]; n++ {
		name = a.Namespace + "-" + own
		if n > 1 {
			name += "-" + strconv.Itoa(n)
		}
	}
	l.known.taken[tenant+" "+name] = true
	return name
}

// displayName is the name of an identity; its client id if the tenant knows none.
func (l *Lab) displayName(tenant, clientID string) string {
	return cmp.Or(l.knownName(tenant, clientID), clientID)
}

// knownName is the name of an identity; "" if the tenant knows none.
func (l *Lab) knownName(tenant, clientID string) string {
	if p, ok := l.directory.Principal(tenant, clientID); ok {
		return p.DisplayName
	}
	return ""
}

// Made are the identities that were made because a workload uses their client id,
// in that order.
func (l *Lab) Made() []control.MadeIdentity {
	l.known.mu.Lock()
	defer l.known.mu.Unlock()
	return slices.Clone(l.known.made)
}
