package workload

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/internal/cloud"
	"github.com/wiemu/wiemu/internal/githubjob"
	"github.com/wiemu/wiemu/internal/identitybinding"
)

// Spec describes a workload and the tokens that it asks for.
type Spec struct {
	Workload     `json:"workload"`
	TokenOptions `json:"identity"`

	Own *Own `json:"-"` // what a manifest says of the pod. If nil, no manifest describes it
}

// Declared returns the workload that an entry of a wiemu.yaml describes.
func Declared(w config.Workload) Spec {
	return Spec{
		Workload: Workload{Component: w.Name, Namespace: w.Namespace, ServiceAccount: w.ServiceAccount, ClientID: w.ClientID, GitHubJob: w.GitHubJob, ServiceConnection: w.ServiceConnection},
		TokenOptions: TokenOptions{
			Tenant: w.Tenant, Issuer: w.Issuer, Audience: w.Audience, TokenLifetime: w.TokenLifetime,
			Credential: w.Credential, ManagedIdentity: w.ManagedIdentity, IdentityBinding: w.IdentityBinding,
		},
	}
}

// DeclaredIn is Declared for a workload of a configuration that is complete, with the issuer of a job.
func DeclaredIn(c config.Config, w config.Workload) Spec {
	s := Declared(w)
	if githubjob.Is(w.GitHubJob) {
		for _, i := range c.Issuers {
			if i.Name == w.Issuer {
				s.IssuerURL = i.URL
			}
		}
	}
	return s
}

// Entry returns the entry of a wiemu.yaml that describes the workload. Names are unique
// there, so that of a Radix component begins with its environment.
func (s Spec) Entry() config.Workload {
	name := s.Component
	if s.Environment != "" {
		name = s.Environment + "-" + name
	}
	return config.Workload{
		Name: name, Namespace: s.Namespace, ServiceAccount: s.ServiceAccount, ClientID: s.ClientID, GitHubJob: s.GitHubJob, ServiceConnection: s.ServiceConnection,
		Tenant: s.Tenant, Issuer: s.Issuer, Audience: s.Audience, TokenLifetime: s.TokenLifetime,
		Credential: s.Credential, ManagedIdentity: s.ManagedIdentity, IdentityBinding: s.IdentityBinding,
	}
}

// SamePod reports whether another workload is the same pod: the same service account asks
// for the same tokens with the same client id.
func (s Spec) SamePod(other Spec) bool {
	return s.Namespace == other.Namespace && s.ServiceAccount == other.ServiceAccount && s.ClientID == other.ClientID && s.GitHubJob == other.GitHubJob && s.ServiceConnection == other.ServiceConnection && s.TokenOptions == other.TokenOptions
}

// PresentsToken reports whether the workload itself exchanges its service-account token:
// it has a client id, and neither a secret or certificate nor something that answers for it.
func (s Spec) PresentsToken() bool {
	return s.ClientID != "" && !config.OfApplication(s.Credential) && s.ManagedIdentity == "" && s.IdentityBinding == ""
}

// TokenDirectory returns the name of the directory of a pod's token file: that of the
// service account, numbered where another pod has taken it.
func (w Workload) TokenDirectory(taken func(name string) bool) string {
	name := w.Namespace + "_" + w.ServiceAccount
	for n := 2; taken(name); n++ {
		name = fmt.Sprintf("%s_%s_%d", w.Namespace, w.ServiceAccount, n)
	}
	return name
}

// Own holds what a workload's container has from its pod's manifest.
type Own struct {
	Variables []string // NAME=VALUE
	NoToken   bool     // the webhook leaves the pod alone
}

// Without returns a copy without a variable.
func (o *Own) Without(variable string) *Own {
	if o == nil {
		return nil
	}
	rest := slices.DeleteFunc(slices.Clone(o.Variables), func(v string) bool { return strings.HasPrefix(v, variable+"=") })
	return &Own{rest, o.NoToken}
}

// TokenOptions are the options of a workload's tokens, and how it authenticates. The zero
// value is the first tenant and issuer, Entra ID's audience and one hour.
type TokenOptions struct {
	Tenant        string        `json:"tenant,omitempty"`        // id or domain
	Issuer        string        `json:"issuer,omitempty"`        // name of a hosted issuer
	Audience      string        `json:"audience,omitempty"`      // of the service-account token
	TokenLifetime time.Duration `json:"tokenLifetime,omitempty"` // what the projected volume asks for

	Credential      string `json:"credential,omitempty"`      // one of config.CredentialKinds. If empty, its service-account token
	ManagedIdentity string `json:"managedIdentity,omitempty"` // imds, app-service or sidecar: it runs on a machine with a managed identity
	IdentityBinding string `json:"identityBinding,omitempty"` // ca-file or ca-data: it uses its cluster's identity-binding proxy
}

// With returns the options, overridden by the fields that over sets.
func (id TokenOptions) With(over TokenOptions) TokenOptions {
	id.Tenant, id.Issuer = cmp.Or(over.Tenant, id.Tenant), cmp.Or(over.Issuer, id.Issuer)
	id.Audience, id.TokenLifetime = cmp.Or(over.Audience, id.Audience), cmp.Or(over.TokenLifetime, id.TokenLifetime)
	if over.Credential != "" {
		id.Credential = over.Credential
		if config.OfApplication(over.Credential) {
			id.ManagedIdentity, id.IdentityBinding = "", ""
		}
	}
	if over.ManagedIdentity != "" {
		id.Credential, id.ManagedIdentity, id.IdentityBinding = over.Credential, over.ManagedIdentity, ""
	}
	if over.IdentityBinding != "" {
		id.Credential, id.IdentityBinding = over.Credential, over.IdentityBinding
		if over.ManagedIdentity == "" {
			id.ManagedIdentity = ""
		}
		if over.Audience == "" && (id.Audience == "" || id.Audience == cloud.Public().TokenExchange) {
			id.Audience = identitybinding.Audience
		}
	}
	return id
}
