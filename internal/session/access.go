package session

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/internal/ca"
	"github.com/wiemu/wiemu/internal/lab"
	"github.com/wiemu/wiemu/internal/managedidentity"
	"github.com/wiemu/wiemu/internal/serviceconnection"
	"github.com/wiemu/wiemu/internal/workload"
)

// MachineAccess says how a workload that uses a managed identity reaches the metadata
// service of its machine.
type MachineAccess struct {
	Kind    managedidentity.Kind `json:"kind"`
	Address string               `json:"address"` // host:port that stands for 169.254.169.254:80
	Header  string               `json:"header"`  // App Service's IDENTITY_HEADER
}

// IdentityBindingAccess says how a workload reaches its cluster's identity-binding proxy.
type IdentityBindingAccess struct {
	URL     string `json:"url"`
	SNIName string `json:"sniName"`
	CAFile  string `json:"caFile,omitempty"`
	CAData  string `json:"caData,omitempty"` // PEM, instead of the file
}

// environ returns the variables of a machine. A real virtual machine has none: the first
// one here, which the SDKs read for pod identity, tells programs apart that share one
// 169.254.169.254. The last is App Service's.
// MSAL Go: apps/managedidentity/managedidentity.go
func (m *MachineAccess) environ() []string {
	switch {
	case m == nil:
		return nil
	case m.Kind == managedidentity.AppService:
		return []string{"IDENTITY_ENDPOINT=http://" + m.Address + managedidentity.AppServicePath, "IDENTITY_HEADER=" + m.Header}
	default:
		return []string{"AZURE_POD_IDENTITY_AUTHORITY_HOST=http://" + m.Address}
	}
}

func (m *MachineAccess) replacesTokenFile() bool {
	return m != nil && m.Kind != managedidentity.Sidecar
}

// environ returns the variables that AKS's webhook injects for identity bindings.
// azure-workload-identity: pkg/webhook/consts.go
func (p *IdentityBindingAccess) environ() []string {
	if p == nil {
		return nil
	}
	env := []string{"AZURE_KUBERNETES_TOKEN_PROXY=" + p.URL, "AZURE_KUBERNETES_SNI_NAME=" + p.SNIName}
	if p.CAData != "" {
		return append(env, "AZURE_KUBERNETES_CA_DATA="+p.CAData)
	}
	return append(env, "AZURE_KUBERNETES_CA_FILE="+p.CAFile)
}

// Where a workload in a network of its own finds what Relays lead to: Azure's
// metadata service, and the API server of a cluster, through which AKS serves the
// proxy (azure-aks-docs: identity-bindings.md).
const (
	metadataAddress   = "169.254.169.254"
	clusterAPIAddress = "10.0.0.1"
)

// Inside returns the environment of a program in namespaces of its own (see package
// isolation): loopback addresses of this machine are not reachable there, and the emulated
// hosts are reached without a proxy. tokenFile is the path of the token file there.
func (e PodEnv) Inside(tokenFile string) PodEnv {
	e.TokenFile, e.ProxyURL = tokenFile, ""
	if e.Machine != nil {
		inside := *e.Machine
		inside.Address = metadataAddress
		e.Machine = &inside
	}
	if e.IdentityBinding != nil {
		inside := *e.IdentityBinding
		inside.URL = "https://" + clusterAPIAddress
		e.IdentityBinding = &inside
	}
	return e
}

// Relays returns what to relay out of such a network: the address on this machine by the
// address inside, both host:port. They take precedence over relaying by server name.
func (e PodEnv) Relays() map[string]string {
	relays := map[string]string{}
	if e.Machine != nil {
		relays[metadataAddress+":80"] = e.Machine.Address
	}
	if e.IdentityBinding != nil {
		relays[clusterAPIAddress+":443"] = strings.TrimPrefix(e.IdentityBinding.URL, "https://")
	}
	return relays
}

// Variables returns the names of all variables that Environ may set, sorted.
func Variables() []string {
	var names []string
	for _, e := range []PodEnv{
		{ClientID: "set", ProxyURL: "http://set", ConfigDir: "set", Bundle: ca.BundleIn("set", ca.BundleOptions{}), IdentityBinding: &IdentityBindingAccess{CAFile: "set"}, Machine: &MachineAccess{Kind: managedidentity.Sidecar}},
		{ClientID: "set", GitHubJob: &JobAccess{Subscription: "set"}},
		{ClientID: "set", Task: &TaskAccess{Access: serviceconnection.Access{URL: "https://a/b/c/d/e/f/g/h/i/j/k/l"}, Subscription: "set"}},
		{ClientID: "set", Credential: &Credential{Secret: "set", CertificateFile: "set", Password: "set"}},
		{ClientID: "set", ProxyURL: "http://set", ConfigDir: "set", Bundle: ca.BundleIn("set", ca.BundleOptions{}), IdentityBinding: &IdentityBindingAccess{CAData: "set"}, Machine: &MachineAccess{Kind: managedidentity.AppService}},
	} {
		for _, v := range e.Environ(nil) {
			name, _, _ := strings.Cut(v, "=")
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// refuseField returns the error for a field of a request for a workload.
func refuseField(field, format string, args ...any) error {
	return &control.StatusError{Status: http.StatusBadRequest, Field: field, Err: fmt.Errorf(format, args...)}
}

// checkAccess checks how an identity is used.
func checkAccess(id workload.TokenOptions, clientID string) error {
	if kinds := config.CredentialKinds(); id.Credential != "" && !slices.Contains(kinds, id.Credential) {
		return refuseField("credential", "credential %q: expected one of %s", id.Credential, strings.Join(kinds, ", "))
	}
	if kinds := managedidentity.Kinds(); id.ManagedIdentity != "" && !slices.Contains(kinds, id.ManagedIdentity) {
		return refuseField("managed-identity", "managed identity %q: expected one of %s", id.ManagedIdentity, strings.Join(kinds, ", "))
	}
	if forms := config.IdentityBindingForms(); id.IdentityBinding != "" && !slices.Contains(forms, id.IdentityBinding) {
		return refuseField("identity-binding", "identity binding %q: expected one of %s", id.IdentityBinding, strings.Join(forms, ", "))
	}
	own := config.OfApplication(id.Credential)
	switch {
	case own && (id.ManagedIdentity != "" || id.IdentityBinding != ""):
		return fmt.Errorf("credential %s, and a managed identity or an identity binding: expected one of the two; a managed identity has neither secrets nor certificates", id.Credential)
	case own && clientID == "":
		return fmt.Errorf("credential %s: expected a client id, of the application that it belongs to", id.Credential)
	case id.ManagedIdentity != "" && id.IdentityBinding != "":
		return errors.New("managed identity and identity binding: expected one of the two; with an identity binding an application uses its token file, through another proxy than a sidecar's")
	case clientID == "" && id.IdentityBinding != "":
		return errors.New("identity binding: expected a client id, which is what a service account is bound to")
	}
	return nil
}

// access sets an admitted workload's machine and identity-binding proxy.
func (l *Session) access(w *Workload, id workload.TokenOptions) error {
	if id.ManagedIdentity != "" {
		kind := managedidentity.Kind(id.ManagedIdentity)
		machine, err := l.emulator.AddMachine(lab.Machine{
			Kind: kind, Name: w.Namespace + "/" + w.ServiceAccount, Tenant: w.Env.TenantID,
			ClientID: w.ClientID, TokenFile: w.Env.TokenFile,
		})
		if err != nil {
			return err
		}
		w.Env.Machine = &MachineAccess{Kind: kind, Address: machine.Address, Header: machine.Header}
	}
	if id.IdentityBinding == "" {
		return nil
	}
	proxy, err := l.emulator.TokenProxy(id.Issuer)
	if err != nil {
		return err
	}
	w.Env.IdentityBinding = &IdentityBindingAccess{URL: proxy.URL, SNIName: proxy.SNIName}
	if id.IdentityBinding == config.CAData {
		w.Env.IdentityBinding.CAData = string(proxy.CA)
		return nil
	}
	file := filepath.Join(l.path("trust"), "cluster-ca.crt")
	w.Env.IdentityBinding.CAFile = file
	if err := os.WriteFile(file, proxy.CA, 0o600); err != nil {
		return fmt.Errorf("write the CA of the identity-binding proxy: %w", err)
	}
	return nil
}
