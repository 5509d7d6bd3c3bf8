package scenario

import (
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/internal/azwi"
	"github.com/wiemu/wiemu/internal/cloud"
	"github.com/wiemu/wiemu/internal/faultkind"
	"github.com/wiemu/wiemu/internal/githubjob"
	"github.com/wiemu/wiemu/internal/lab"
	"github.com/wiemu/wiemu/internal/serviceconnection"
)

// The names of the backends that scenarios run on.
const (
	OnProcess = "process" // processes of this machine
	OnCompose = "compose" // containers
	OnKind    = "kind"    // pods of a cluster
)

// Backends returns the names of the backends that scenarios run on.
func Backends() []string { return []string{OnProcess, OnCompose, OnKind} }

// NotOn says where a scenario makes no sense, and why.
type NotOn struct {
	// Process is why it makes no sense with processes of one machine. If empty, it does.
	Process string `yaml:"process,omitempty" json:"process,omitempty"`
	// Compose is why it makes no sense in containers. If empty, it does.
	Compose string `yaml:"compose,omitempty" json:"compose,omitempty"`
	// Kind is why it makes no sense in a cluster. If empty, it does.
	Kind string `yaml:"kind,omitempty" json:"kind,omitempty"`
}

// All yields the backends that are named, each with the reason.
func (n NotOn) All() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, backend := range Backends() {
			if reason := n.reason(backend); reason != "" && !yield(backend, reason) {
				return
			}
		}
	}
}

func (n NotOn) reason(backend string) string {
	return map[string]string{OnProcess: n.Process, OnCompose: n.Compose, OnKind: n.Kind}[backend]
}

// UnsupportedReason returns why the scenario makes no sense on a backend, "" if it does:
// what the file declares with notOn, or else what the backend cannot do.
func (s Scenario) UnsupportedReason(backend string) string {
	if declared := s.NotOn.reason(backend); declared != "" {
		return declared
	}
	return s.limitation(backend)
}

// Undeclared returns the backends that cannot run the scenario although its notOn does
// not say so, each with the reason.
func (s Scenario) Undeclared() NotOn {
	undeclared := func(backend string) string {
		if s.NotOn.reason(backend) != "" {
			return ""
		}
		return s.limitation(backend)
	}
	return NotOn{Process: undeclared(OnProcess), Compose: undeclared(OnCompose), Kind: undeclared(OnKind)}
}

// limitation returns why a backend cannot run the scenario, "" if it can.
func (s *Scenario) limitation(backend string) string {
	for _, l := range limitations {
		if part := l.part(s); part != "" && slices.Contains(l.backends, backend) {
			return withPart(l.reason, part)
		}
	}
	for _, v := range verbs() {
		for _, l := range v.limitations {
			for i := range s.Steps {
				step := &s.Steps[i]
				if l.backend == backend && v.given(step) && (l.applies == nil || l.applies(step)) {
					return withPart(l.reason, fmt.Sprintf("steps[%d].%s", i, v.name))
				}
			}
		}
	}
	return ""
}

func withPart(reason, part string) string { return strings.ReplaceAll(reason, "%", part) }

// The reasons that faults from the start and fault steps share.
const (
	breaksClaims     = "the API server decides what is in a cluster's tokens, and this scenario breaks that (%)"
	breaksTokenFiles = "the kubelet writes the token files of a cluster, and this scenario breaks them (%)"
)

// limitations are what backends cannot do for a whole scenario; for steps see verbs.
var limitations = []struct {
	backends []string
	part     func(*Scenario) string // what of the scenario it is about, "" if the scenario does not have it
	reason   string                 // % stands for the part
}{
	{[]string{OnKind}, with("clock.mode: "+lockstep, livesOnLabTime), "time in a cluster is real, and the programs of this scenario live on lab time (%)"},
	{[]string{OnKind, OnCompose}, with("isolate: true", func(s *Scenario) bool { return s.Isolate }), "programs are isolated only as processes of this machine, and this scenario isolates them (%)"},
	{[]string{OnKind, OnCompose}, program, "there is no program to start behind a resource there, and this scenario needs one of this machine (%)"},
	{[]string{OnKind}, ownIssuer, "a cluster has one issuer, and this scenario has issuers of its own (%)"},
	{[]string{OnKind, OnCompose}, workloadWith("managedIdentity", func(a namedSpec) bool { return a.ManagedIdentity != "" }), "there is no machine with a managed identity, which this scenario needs (%)"},
	{[]string{OnKind, OnCompose}, workloadWith("githubJob", func(a namedSpec) bool { return githubjob.Is(a.GitHubJob) }), "jobs of GitHub Actions are processes alone, and this scenario has one (%)"},
	{[]string{OnKind, OnCompose}, workloadWith("serviceConnection", func(a namedSpec) bool { return serviceconnection.Is(a.ServiceConnection) }), "tasks of Azure Pipelines are processes alone, and this scenario has one (%)"},
	{[]string{OnKind, OnCompose}, workloadWith("credential", func(a namedSpec) bool { return config.OfApplication(a.Credential) }), "the secrets and certificates of applications are handed out to processes alone, and this scenario needs one (%)"},
	{[]string{OnKind, OnCompose}, workloadWith("identityBinding", func(a namedSpec) bool { return a.IdentityBinding != "" }), "there is no identity-binding proxy, which is a part of AKS (%)"},
	{[]string{OnKind}, workloadWith("secretRefs", func(a namedSpec) bool { return len(a.KeyVaults) > 0 }), "no driver mounts key vaults in a cluster here, as files or as variables, and this scenario needs one that is mounted (%)"},
	{[]string{OnKind}, ownAudience, "the webhook asks for tokens of one audience for all pods, and this scenario has another (%)"},
	{[]string{OnKind}, workloadWith("tokenLifetime", shortToken), "the webhook lets token files live for an hour to a day, and this scenario's do not (%)"},
	{[]string{OnKind}, faultAt(faultkind.AtMint), breaksClaims},
	{[]string{OnKind}, faultAt(tokenFilePoints...), breaksTokenFiles},
	{[]string{OnCompose}, with("clock.mode: "+lockstep, livesOnLabTime), "programs in these containers live on the machine's clock, and those of this scenario on lab time (%)"},
}

func with(part string, is func(*Scenario) bool) func(*Scenario) string {
	return func(s *Scenario) string {
		if is(s) {
			return part
		}
		return ""
	}
}

func livesOnLabTime(s *Scenario) bool { return s.Clock.Mode == lockstep }

// program finds a resource that has a program of this machine behind it, such as PostgreSQL.
func program(s *Scenario) string {
	for _, e := range lab.Engines(s.lab) {
		if e.URL == "" {
			return e.Program + ": config." + e.Field
		}
	}
	return ""
}

// ownIssuer finds an issuer that is not the one that wiemu has by default, which a cluster gets.
func ownIssuer(s *Scenario) string {
	standard, err := config.Config{Tenants: s.Config.Tenants}.Complete("")
	for i, issuer := range s.Config.Issuers {
		if err != nil || i > 0 || issuer.Name != standard.Issuers[0].Name || s.lab.Issuers[0].URL != standard.Issuers[0].URL {
			return fmt.Sprintf("config.issuers[%d]", i)
		}
	}
	return ""
}

func workloadWith(field string, is func(namedSpec) bool) func(*Scenario) string {
	return func(s *Scenario) string {
		for _, a := range s.specs {
			if is(a) {
				return "workload " + a.name + ": " + field
			}
		}
		return ""
	}
}

func ownAudience(s *Scenario) string {
	in, _ := cloud.Named(s.lab.Cloud) // Complete refuses one that there is not
	return workloadWith("audience", func(a namedSpec) bool { return a.Audience != "" && a.Audience != in.TokenExchange })(s)
}

func shortToken(a namedSpec) bool {
	lifetime := a.TokenLifetime.Seconds()
	return lifetime != 0 && (lifetime < azwi.MinExpiration || lifetime > azwi.MaxExpiration)
}

// tokenFilePoints are where faults of a token file hit.
var tokenFilePoints = []string{faultkind.AtTokenFile, faultkind.AtRenewal, faultkind.AtEarlyRenewal}

// faultAt finds a fault from the start that hits at one of some points.
func faultAt(points ...string) func(*Scenario) string {
	return func(s *Scenario) string {
		for i := range s.Faults {
			if hitsAt(&s.Faults[i], points...) {
				return fmt.Sprintf("faults[%d]: %s", i, s.Faults[i].Name)
			}
		}
		return ""
	}
}

func hitsAt(f *fault.Fault, points ...string) bool {
	kind, err := fault.Named(f.Name)
	return err == nil && slices.Contains(points, kind.Point)
}
