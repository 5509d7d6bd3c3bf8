package harness

import (
	"os"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/internal/session"
	"github.com/wiemu/wiemu/internal/tenants"
	"github.com/wiemu/wiemu/internal/workload"
)

// As makes a workload use a client id that another workload has already, or that the
// directory knows. Only the owners of that identity decide whom it trusts.
func As(clientID string) func(*config.Workload) {
	return func(w *config.Workload) { w.ClientID = clientID }
}

// Workload starts a pod under a service account, NAMESPACE/NAME, and keeps its token file
// fresh. If [WithFiles] or [WithConfig] describe the workload, it is that one; any other
// has a managed identity of its own, which trusts it and nothing else. Further arguments
// change the workload, such as [As], or
//
//	func(w *config.Workload) { w.TokenLifetime = 10 * time.Minute }
//
// The same workload asked for again is the same pod.
func (l *Lab) Workload(account string, change ...func(*config.Workload)) *Pod {
	l.t.Helper()
	namespace, name, ok := strings.Cut(account, "/")
	if !ok {
		l.t.Fatalf("workload %q: expected NAMESPACE/SERVICE-ACCOUNT, such as shop/web-sa", account)
	}
	spec := workload.Spec{Workload: workload.Workload{Namespace: namespace, ServiceAccount: name, ClientID: tenants.StableID("workload", namespace, name)}}
	if i := slices.IndexFunc(l.declared, func(d workload.Spec) bool { return d.Namespace == namespace && d.ServiceAccount == name }); i >= 0 {
		spec = l.declared[i]
	}
	asked := spec.Entry()
	for _, f := range change {
		f(&asked)
	}
	spec.ClientID, spec.TokenOptions = asked.ClientID, workload.Declared(asked).TokenOptions
	w, err := l.session.Workload(l.t.Context(), spec)
	if err != nil {
		l.t.Fatalf("workload %s: %v", account, err)
	}
	return &Pod{
		Name: spec.Component, Namespace: namespace, ServiceAccount: name, ClientID: w.ClientID,
		TenantID: w.Env.TenantID, TokenFile: w.Env.TokenFile, AuthorityHost: w.Env.AuthorityHost, lab: l, workload: w,
	}
}

// Pod is a workload of a test. ClientID, TenantID, TokenFile and AuthorityHost are what
// azure-workload-identity tells a pod in its AZURE_ variables.
type Pod struct {
	Name           string // of the component or workload in the file that describes it; else empty
	Namespace      string
	ServiceAccount string
	ClientID       string
	TenantID       string
	TokenFile      string // path of the projected service-account token
	AuthorityHost  string // URL of Entra ID, with a slash at the end

	lab      *Lab
	workload *session.Workload
}

// Token returns what the token file holds now.
func (p *Pod) Token() string {
	p.lab.t.Helper()
	data, err := os.ReadFile(p.TokenFile)
	if err != nil {
		p.lab.t.Fatalf("read the token of %s/%s: %v", p.Namespace, p.ServiceAccount, err)
	}
	return string(data)
}

// Refresh writes a new token to the token file, whatever the age of the old one.
func (p *Pod) Refresh() {
	p.lab.t.Helper()
	if err := p.workload.Refresh(p.lab.t.Context()); err != nil {
		p.lab.t.Fatalf("renew the token of %s/%s: %v", p.Namespace, p.ServiceAccount, err)
	}
}

// Environ returns the environment for a program that the test starts: base, without
// variables that name another identity, and with those of the pod. The lab needs
// [WithListeners].
func (p *Pod) Environ(base []string) []string {
	p.lab.t.Helper()
	if p.lab.session.Emulator().ProxyURL() == "" {
		p.lab.t.Fatalf("environment of a program of %s/%s: the lab is in memory, where no program finds it; make it with harness.New(t, harness.WithListeners())", p.Namespace, p.ServiceAccount)
	}
	return p.workload.Environ(base)
}

// Setenv sets the pod's AZURE_ variables in the test's own process until the test ends,
// for code that reads them, such as azidentity.NewWorkloadIdentityCredential, and unsets
// those of a developer's login. Such code reaches the lab by [Lab.HTTPClient] still. Like
// [testing.T.Setenv], it cannot be used in parallel tests.
func (p *Pod) Setenv() {
	p.lab.t.Helper()
	set, unset := p.workload.Injected().Changes(os.Environ())
	for _, v := range set {
		if name, value, _ := strings.Cut(v, "="); strings.HasPrefix(name, "AZURE_") {
			p.lab.t.Setenv(name, value)
		}
	}
	for _, name := range unset {
		p.lab.t.Setenv(name, "")
	}
}
