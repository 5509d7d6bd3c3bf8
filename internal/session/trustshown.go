package session

import (
	"net/http"
	"slices"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/entra"
	"github.com/wiemu/wiemu/internal/serviceconnection"
	"github.com/wiemu/wiemu/internal/tenants"
	"github.com/wiemu/wiemu/internal/workload"
)

// ShownWorkload is a workload as the Radix console shows it, with the trust that it meets.
type ShownWorkload struct {
	workload.Workload
	Spec workload.TokenOptions `json:"identity"`

	Tenant     string `json:"tenant"`             // GUID
	IssuerName string `json:"issuerName"`         // in this lab
	Issuer     string `json:"issuer"`             // URL
	Subject    string `json:"subject"`            //
	Audience   string `json:"audience"`           // of its tokens
	TokenFile  string `json:"tokenFile"`          // of the pod that runs; "": none was started
	Credential string `json:"suggestedName"`      // of its federated credential
	Identity   string `json:"identityName"`       // display name; "": no tenant has its client id
	Kind       string `json:"kind,omitempty"`     // of the identity, see directory.Kind
	SignsIn    bool   `json:"presentsToken"`      // whether it exchanges its service-account token
	Matching   string `json:"matching,omitempty"` // the federated credential that trusts it; "": none does

	Nearest *journal.Nearest `json:"nearest,omitempty"` // if none trusts it, the one that comes nearest; nil if there is none
}

// show answers with every workload that was declared or runs.
func (l *Session) show(*http.Request) (any, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	shown := []ShownWorkload{}
	seen := map[string]bool{}
	for _, d := range l.declared {
		seen[key(d)] = true
		shown = append(shown, l.shown(d, l.workloads[key(d)]))
	}
	rest := []string{}
	for id := range l.workloads {
		if !seen[id] {
			rest = append(rest, id)
		}
	}
	slices.Sort(rest)
	for _, id := range rest {
		w := l.workloads[id]
		shown = append(shown, l.shown(workload.Spec{Workload: w.Workload, TokenOptions: w.options}, w))
	}
	return shown, nil
}

// shown describes one workload; w is its pod, nil if there is none.
func (l *Session) shown(d workload.Spec, w *Workload) ShownWorkload {
	s := ShownWorkload{
		Workload: d.Workload, Spec: d.TokenOptions, Subject: d.Subject(), Credential: d.CredentialName(), SignsIn: d.PresentsToken(),
		Audience: l.audience(d.TokenOptions), IssuerName: d.Issuer,
	}
	s.Tenant, _ = l.emulator.Tenant(d.Tenant) // one that there is not was refused when it was declared
	all := l.emulator.Config().Issuers
	if i := slices.IndexFunc(all, func(i config.Issuer) bool { return i.Name == d.Issuer || d.Issuer == "" && !i.External }); i >= 0 {
		s.IssuerName, s.Issuer = all[i].Name, all[i].URL
	}
	if w != nil {
		s.IssuerName, s.Issuer, s.TokenFile = w.Issuer().Name(), w.Issuer().URL(), w.Env.TokenFile
	}
	if serviceconnection.OfEntra(d.ServiceConnection) {
		s.IssuerName, s.Issuer = "Entra ID", d.ServiceConnection.Issuer
	}
	p, ok := l.emulator.Directory().Principal(s.Tenant, d.ClientID)
	if d.ClientID == "" || !ok {
		return s
	}
	s.Identity, s.Kind = p.DisplayName, string(p.Kind)
	for i := range p.FederatedCredentials {
		if c := &p.FederatedCredentials[i]; c.Issuer == s.Issuer && c.Audience == s.Audience && trustsSubject(c, s) {
			s.Matching = c.Name
			return s
		}
	}
	s.Nearest = entra.Nearest(p.FederatedCredentials, s.Issuer, s.Subject, s.Audience)
	return s
}

func trustsSubject(c *directory.FederatedCredential, s ShownWorkload) bool {
	if c.ClaimsMatching == "" {
		return c.Subject == s.Subject
	}
	e, err := tenants.ParseExpression(c.ClaimsMatching)
	return err == nil && e.Matches(func(name string) (string, bool) { return s.Subject, name == "sub" })
}
