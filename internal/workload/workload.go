// Package workload describes workloads: a [Spec] is the namespace, service account and client
// id of one, with the tokens that it asks for. It reads them from a radixconfig.yaml, and
// writes the federated credentials that they need in Entra ID. It starts nothing and issues
// nothing; see packages session and issuer.
package workload

import (
	"cmp"
	"fmt"
	"path"

	"github.com/google/uuid"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/internal/azwi"
	"github.com/wiemu/wiemu/internal/githubjob"
	"github.com/wiemu/wiemu/internal/lazyregexp"
	"github.com/wiemu/wiemu/internal/serviceconnection"
	"github.com/wiemu/wiemu/internal/tenants"
)

// NoIdentity is the service account of what runs in Radix without an identity.
// Source: radix-operator, pkg/apis/deployment/serviceaccountspec.go.
const NoIdentity = "default"

// Role says what part of an application a workload is.
type Role string

// The roles.
const (
	Component   Role = "component"   // spec.components[]
	Job         Role = "job"         // spec.jobs[]: the job's replicas, not its scheduler
	OAuth       Role = "oauth"       // the OAuth2 proxy in front of a component
	SubPipeline Role = "subpipeline" // the Tekton pipeline of an environment
	Trigger     Role = "trigger"     // a KEDA trigger: KEDA's own operator, shared by the cluster
)

// Workload is something that runs under a service account with an identity.
type Workload struct {
	Application string `json:"application,omitempty"`
	Environment string `json:"environment,omitempty"`

	// Component is the name under which the workload runs: that of a component or job,
	// COMPONENT-aux-oauth for its OAuth2 proxy, subpipeline, or for a trigger COMPONENT/TRIGGER.
	Component string `json:"component,omitempty"`

	Role           Role   `json:"role,omitempty"`
	Namespace      string `json:"namespace"`
	ServiceAccount string `json:"serviceAccount"`
	ClientID       string `json:"clientId,omitempty"` // a UUID in lower case

	// GitHubJob is the job of GitHub Actions that the workload is, whose repository is
	// Namespace/ServiceAccount. The zero value is a pod's.
	GitHubJob config.GitHubJob `json:"githubJob,omitzero"`

	// IssuerURL is that of the issuer of a job's tokens, if wiemu.yaml says it; see [DeclaredIn]. If
	// empty, it is that of github.com.
	IssuerURL string `json:"-"`

	// ServiceConnection is that of the task of Azure Pipelines that the workload is, whose
	// organization and name are Namespace and ServiceAccount. The zero value is a pod's.
	ServiceConnection config.ServiceConnection `json:"serviceConnection,omitzero"`

	// KeyVaults are the vaults that Radix mounts for the workload with this identity.
	KeyVaults []KeyVault `json:"keyVaults,omitempty"`
}

// KeyVault is an Azure Key Vault with what a workload takes from it.
type KeyVault struct {
	Name  string         `json:"name"`
	Path  string         `json:"path,omitempty"` // where the items are files; see MountPath
	Items []KeyVaultItem `json:"items,omitempty"`
}

// MountPath returns where the items are files in the workload's containers.
// Operator: pkg/apis/volumemount/volumemount.go.
func (v KeyVault) MountPath() string {
	return cmp.Or(v.Path, "/mnt/azure-key-vault/"+v.Name)
}

// KeyVaultItem is one secret, key or certificate of a vault.
type KeyVaultItem struct {
	Name   string `json:"name"`
	Type   string `json:"type"` // secret, key or cert
	EnvVar string `json:"envVar,omitempty"`

	Alias    string `json:"alias,omitempty"`    // name of the file, instead of Name
	Version  string `json:"version,omitempty"`  // if empty, the latest
	Format   string `json:"format,omitempty"`   // pem or pfx, of a certificate's secret
	Encoding string `json:"encoding,omitempty"` // base64 for a secret that is decoded
}

// FileName returns the name of the item's file.
func (i KeyVaultItem) FileName() string {
	return cmp.Or(i.Alias, i.Name)
}

// OwnIssuer returns the URL of the issuer of what is in no cluster; "" of a pod.
func (w Workload) OwnIssuer() string {
	if githubjob.Is(w.GitHubJob) {
		return cmp.Or(w.IssuerURL, githubjob.Issuer)
	}
	return w.ServiceConnection.Issuer
}

// Subject returns the sub claim of the workload's tokens.
func (w Workload) Subject() string {
	if githubjob.Is(w.GitHubJob) {
		return githubjob.Subject(w.GitHubJob)
	}
	if serviceconnection.Is(w.ServiceConnection) {
		return w.ServiceConnection.Subject
	}
	return azwi.Subject(w.Namespace, w.ServiceAccount)
}

// CredentialName returns the name of the workload's federated credential:
// APP_ENV_COMPONENT as the Radix documentation suggests.
func (w Workload) CredentialName() string {
	parts := []string{w.Application, w.Environment, w.Component}
	if w.Role == Trigger { // one credential serves every trigger of the application
		parts = []string{w.Application, w.ServiceAccount}
	}
	switch {
	case githubjob.Is(w.GitHubJob):
		parts = []string{w.ServiceAccount, cmp.Or(w.GitHubJob.Environment, path.Base(w.GitHubJob.Ref))}
	case serviceconnection.Is(w.ServiceConnection):
		parts = []string{w.ServiceConnection.Project, w.ServiceConnection.Name}
	case w.Application == "":
		parts = []string{w.Namespace, w.ServiceAccount}
	}
	return tenants.CredentialName(parts...)
}

// IdentityName returns the default name of the workload's identity: APP-COMPONENT, or the
// workload's name, or "".
func (w Workload) IdentityName() string {
	switch {
	case w.Application == "":
		return w.Component
	case w.Component == "" || w.Role == Trigger: // it is the whole application's
		return w.Application
	}
	return w.Application + "-" + w.Component
}

// String returns the workload's name for messages: web in dev.
func (w Workload) String() string {
	switch {
	case w.Component == "":
		return w.Namespace + "/" + w.ServiceAccount
	case w.Environment == "":
		return w.Component
	}
	return w.Component + " in " + w.Environment
}

// The operator accepts what github.com/google/uuid parses, the schema (format:
// uuid) only these two forms of it.
var uuidForm = lazyregexp.New(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$|^[0-9a-fA-F]{32}$`)

// ParseClientID returns a client id as Radix writes it: with dashes, in lower case.
func ParseClientID(text string) (string, error) {
	if !uuidForm().MatchString(text) {
		return "", fmt.Errorf("expected a client id such as b96d264b-7053-4465-a4a7-32be5b0fec49 (a UUID), found %q", text)
	}
	id, err := uuid.Parse(text)
	if err != nil {
		return "", fmt.Errorf("client id %q: %w", text, err)
	}
	return id.String(), nil
}
