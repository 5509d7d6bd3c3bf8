package harness

import (
	"os"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/harness/workload"
)

// As lets a workload name the client id of somebody who is there already, whose
// owners decide whom it trusts, as in its service account's annotation.
func As(clientID string) func(*Declared) {
	return func(d *Declared) { d.Workload.ClientID = clientID }
}

// Workload is the workload of a service account, NAMESPACE/NAME: its pod runs and
// its token file is kept fresh. One that a file of [FromFiles] or the
// configuration describes is that one. Any other has a managed identity of its own,
// which trusts it and nobody else; what follows changes that, such as [As], or
//
//	func(d *harness.Declared) { d.Identity.TokenLifetime = 10 * time.Minute }
//
// The same workload asked for again is the same pod.
func (l *TestLab) Workload(account string, change ...func(*Declared)) *Pod {
	l.t.Helper()
	namespace, name, ok := strings.Cut(account, "/")
	if !ok {
		l.t.Fatalf("workload %q: expected NAMESPACE/SERVICE-ACCOUNT, such as shop/web-sa", account)
	}
	d := Declared{Workload: workload.Workload{Namespace: namespace, ServiceAccount: name, ClientID: config.StableID("workload", namespace, name)}}
	if i := slices.IndexFunc(l.declared, func(d Declared) bool { return d.Workload.Namespace == namespace && d.Workload.ServiceAccount == name }); i >= 0 {
		d = l.declared[i]
	}
	for _, f := range change {
		f(&d)
	}
	w, err := l.lab.Workload(l.t.Context(), d.Workload, d.Identity)
	if err != nil {
		l.t.Fatalf("workload %s: %v", account, err)
	}
	return &Pod{Workload: w, t: l.t, inMemory: l.lab.emulator.ProxyURL() == ""}
}

// Pod is a workload of a test.
type Pod struct {
	*Workload
	t        TB
	inMemory bool
}

// Token is what the token file holds now.
func (p *Pod) Token() string {
	p.t.Helper()
	data, err := os.ReadFile(p.Environment.TokenFile)
	if err != nil {
		p.t.Fatalf("read the token of %s/%s: %v", p.Namespace, p.ServiceAccount, err)
	}
	return string(data)
}

// Refresh renews the token file now, whatever its age.
func (p *Pod) Refresh() {
	p.t.Helper()
	if err := p.Workload.Refresh(p.t.Context()); err != nil {
		p.t.Fatalf("renew the token of %s/%s: %v", p.Namespace, p.ServiceAccount, err)
	}
}

// Environ is the environment of a program that the test starts: base without what
// would name another identity, and with the workload's own. The lab must be
// [Listening].
func (p *Pod) Environ(base []string) []string {
	p.t.Helper()
	if p.inMemory {
		p.t.Fatalf("environment of a program of %s/%s: the lab is in memory, where no program finds it; make it with harness.New(t, harness.Listening)", p.Namespace, p.ServiceAccount)
	}
	return p.Workload.Environ(base)
}

// Setenv puts the AZURE_ variables of the pod into the environment of the test's
// own process until the test ends, and takes those of the developer's login away:
// for code that reads them, such as azidentity.NewWorkloadIdentityCredential. It is
// not for parallel tests, as [testing.T.Setenv] is not; and the way to the lab is
// [TestLab.HTTPClient] still.
func (p *Pod) Setenv() {
	p.t.Helper()
	set, unset := p.Injected().Changes(os.Environ())
	for _, v := range set {
		if name, value, _ := strings.Cut(v, "="); strings.HasPrefix(name, "AZURE_") {
			p.t.Setenv(name, value)
		}
	}
	for _, name := range unset {
		p.t.Setenv(name, "")
	}
}
