package harness

import (
	"os"
	"os/exec"

	"github.com/wiemu/wiemu/internal/lead"
)

// Lead prepares a command that the test starts: its connections are led to the lab, whether
// or not it heeds a proxy, and its environment is the pod's, on top of cmd.Env, which
// defaults to the test's own. Call it when everything else of the command is set, and start
// the command once. Where programs cannot be led (wiemu doctor says why), or the lab is in
// memory, it fails the test; see [Pod.Environ] for programs that heed a proxy.
func (p *Pod) Lead(cmd *exec.Cmd) {
	p.lab.t.Helper()
	env := p.workload.Injected()
	if env.Leading == nil {
		p.lab.t.Fatalf("lead a program of %s/%s: the lab is in memory, or this system has no seccomp; make it with harness.New(t, harness.WithListeners()), on Linux", p.Namespace, p.ServiceAccount)
	}
	way, err := lead.Probe(p.lab.t.Context())
	if err == nil {
		err = lead.Suits(cmd.Path)
	}
	if err != nil {
		p.lab.t.Fatalf("lead a program of %s/%s: %v", p.Namespace, p.ServiceAccount, err)
	}
	literals, err := env.Literals()
	if err != nil {
		p.lab.t.Fatalf("lead a program of %s/%s: %v", p.Namespace, p.ServiceAccount, err)
	}
	l, err := lead.Start(lead.Options{Names: env.Leading.Hosts, Literals: literals, Handover: env.Leading.Handover})
	if err != nil {
		p.lab.t.Fatalf("lead a program of %s/%s: %v", p.Namespace, p.ServiceAccount, err)
	}
	t := p.lab.t
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("lead a program of %s/%s: %v", p.Namespace, p.ServiceAccount, err)
		}
		for _, u := range l.Report().Unled {
			t.Logf("%v", u)
		}
	})
	base := cmd.Env
	if base == nil {
		base = os.Environ()
	}
	cmd.Env = env.Led(way == lead.Rewrite).Environ(base) // then what has a resolver of its own may heed the proxy
	if err := l.Prepare(cmd); err != nil {
		t.Fatalf("lead a program of %s/%s: %v", p.Namespace, p.ServiceAccount, err)
	}
}
