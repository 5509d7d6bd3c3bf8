package harness

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/emulator"
	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/issuer"
	"github.com/wiemu/wiemu/emulator/managedidentity"
	"github.com/wiemu/wiemu/emulator/trust"
)

// MachineAccess is how a workload that uses a managed identity finds its
// machine.
type MachineAccess struct {
	Kind    managedidentity.Kind `json:"kind"`
	Address string               `json:"address"` // host:port of what 169.254.169.254:80 is there
	Header  string               `json:"header"`  // App Service's IDENTITY_HEADER
}

// TokenProxyAccess is how a workload finds its cluster's identity-binding proxy.
type TokenProxyAccess struct {
	URL     string `json:"url"`
	SNIName string `json:"sniName"`
	CAFile  string `json:"caFile,omitempty"`
	CAData  string `json:"caData,omitempty"` // PEM, instead of the file
}

// environ are the variables of a machine. On a virtual machine there are none;
// this one, which the SDKs read for pod identity's sake, tells programs apart
// that share one 169.254.169.254. The last is App Service's.
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

// replacesTokenFile reports whether a workload has no token file of its own.
func (m *MachineAccess) replacesTokenFile() bool {
	return m != nil && m.Kind != managedidentity.Sidecar
}

// environ are the variables that AKS's webhook injects for identity bindings.
// azure-workload-identity: pkg/webhook/consts.go
func (p *TokenProxyAccess) environ() []string {
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

// Inside is the environment as it reads in namespaces of its own (see package
// isolation), which loopback addresses of this machine do not lead out of and in
// which the emulated hosts are reached without a proxy. tokenFile is where the
// token file is there.
func (e Environment) Inside(tokenFile string) Environment {
	e.TokenFile, e.ProxyURL = tokenFile, ""
	if e.Machine != nil {
		inside := *e.Machine
		inside.Address = metadataAddress
		e.Machine = &inside
	}
	if e.TokenProxy != nil {
		inside := *e.TokenProxy
		inside.URL = "https://" + clusterAPIAddress
		e.TokenProxy = &inside
	}
	return e
}

// Relays are the addresses of such a network at which something of this machine
// has to answer, and where that is; both are host:port. They come before what is
// relayed by server name.
func (e Environment) Relays() map[string]string {
	relays := map[string]string{}
	if e.Machine != nil {
		relays[metadataAddress+":80"] = e.Machine.Address
	}
	if e.TokenProxy != nil {
		relays[clusterAPIAddress+":443"] = strings.TrimPrefix(e.TokenProxy.URL, "https://")
	}
	return relays
}

// Variables are the names of everything that Environ may set, sorted.
func Variables() []string {
	var names []string
	for _, e := range []Environment{
		{ClientID: "set", ProxyURL: "http://set", ConfigDir: "set", Bundle: trust.BundleIn("set", trust.BundleOptions{}), TokenProxy: &TokenProxyAccess{CAFile: "set"}, Machine: &MachineAccess{Kind: managedidentity.Sidecar}},
		{ClientID: "set", Credential: &Credential{Secret: "set", CertificateFile: "set", Password: "set"}},
		{ClientID: "set", ProxyURL: "http://set", ConfigDir: "set", Bundle: trust.BundleIn("set", trust.BundleOptions{}), TokenProxy: &TokenProxyAccess{CAData: "set"}, Machine: &MachineAccess{Kind: managedidentity.AppService}},
	} {
		for _, v := range e.Environ(nil) {
			name, _, _ := strings.Cut(v, "=")
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// refuseField refuses a value of what a workload is asked for with.
func refuseField(field, format string, args ...any) error {
	return &control.StatusError{Status: http.StatusBadRequest, Field: field, Err: fmt.Errorf(format, args...)}
}

// checkAccess says what is wrong with how an identity is used.
func (id Identity) checkAccess(clientID string) error {
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

// access gives an admitted workload its machine and its identity-binding proxy.
func (l *Lab) access(w *Workload, id Identity) error {
	if id.ManagedIdentity != "" {
		kind := managedidentity.Kind(id.ManagedIdentity)
		door, err := l.emulator.AddMachine(emulator.Machine{
			Kind: kind, Name: w.Namespace + "/" + w.ServiceAccount, Tenant: w.Environment.TenantID,
			ClientID: w.ClientID, TokenFile: w.Environment.TokenFile,
		})
		if err != nil {
			return err
		}
		w.Environment.Machine = &MachineAccess{Kind: kind, Address: door.Address, Header: door.Header}
	}
	if id.IdentityBinding == "" {
		return nil
	}
	proxy, err := l.emulator.TokenProxy(id.Issuer)
	if err != nil {
		return err
	}
	w.Environment.TokenProxy = &TokenProxyAccess{URL: proxy.URL, SNIName: proxy.SNIName}
	if id.IdentityBinding == config.CAData {
		w.Environment.TokenProxy.CAData = string(proxy.CA)
		return nil
	}
	file := filepath.Join(l.path("trust"), "cluster-ca.crt")
	w.Environment.TokenProxy.CAFile = file
	if err := os.WriteFile(file, proxy.CA, 0o600); err != nil {
		return fmt.Errorf("write the CA of the identity-binding proxy: %w", err)
	}
	return nil
}

// bind lets a service account use its identity by an identity binding. Whom an
// identity lets in that is there already was decided by its owners.
func (l *Lab) bind(ctx context.Context, d Declared, tenant string, from *issuer.Issuer) error {
	_, owned := l.emulator.Directory().Principal(tenant, d.Workload.ClientID)
	if owned && !slices.ContainsFunc(l.declared, d.same) {
		if err := config.CheckNames(d.Workload.Namespace, d.Workload.ServiceAccount); err != nil {
			return err
		}
		from.PutServiceAccount(d.Workload.Namespace, d.Workload.ServiceAccount, nil)
		return nil
	}
	return l.emulator.BindIdentity(ctx, d.trusted())
}
