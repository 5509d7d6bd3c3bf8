package scenarios

import (
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/cloud"
	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/fault"
)

// The places that a scenario can run in, by the names that harness.Place has.
const (
	OnProcess = "process" // processes of this machine
	OnCompose = "compose" // containers
	OnKind    = "kind"    // pods of a cluster
)

// Places are the names of the places that a scenario can run in.
func Places() []string { return []string{OnProcess, OnCompose, OnKind} }

// NotOn says where a scenario makes no sense, and why.
type NotOn struct {
	// Process is why it makes no sense with processes of one machine. Left out: it does.
	Process string `yaml:"process,omitempty" json:"process,omitempty"`
	// Compose is why it makes no sense in containers. Left out: it does.
	Compose string `yaml:"compose,omitempty" json:"compose,omitempty"`
	// Kind is why it makes no sense in a cluster. Left out: it does.
	Kind string `yaml:"kind,omitempty" json:"kind,omitempty"`
}

// All goes through the places, each with the reason.
func (n NotOn) All() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, place := range Places() {
			if why := n.in(place); why != "" && !yield(place, why) {
				return
			}
		}
	}
}

// in is what is said about a place.
func (n NotOn) in(place string) string {
	return map[string]string{OnProcess: n.Process, OnCompose: n.Compose, OnKind: n.Kind}[place]
}

// WhyNotOn says why the scenario makes no sense in a place, "" if it does: what the
// file declares with notOn, or else what follows from what the file has.
func (s Scenario) WhyNotOn(place string) string {
	if declared := s.NotOn.in(place); declared != "" {
		return declared
	}
	return s.impossible(place)
}

// Undeclared returns the places that the scenario cannot run in without saying so,
// each with the reason.
func (s Scenario) Undeclared() NotOn {
	undeclared := func(place string) string {
		if s.NotOn.in(place) != "" {
			return ""
		}
		return s.impossible(place)
	}
	return NotOn{Process: undeclared(OnProcess), Compose: undeclared(OnCompose), Kind: undeclared(OnKind)}
}

// impossible says why the scenario cannot run in a place, "" if it can.
func (s Scenario) impossible(place string) string {
	for _, o := range obstacles {
		if what := o.in(&s); what != "" && slices.Contains(o.places, place) {
			return strings.ReplaceAll(o.because, "%", what)
		}
	}
	return ""
}

// obstacles are what a scenario can have that a place has not.
var obstacles = []struct {
	places  []string
	in      func(*Scenario) string // what of it the scenario has, "" if nothing
	because string                 // % is that
}{
	{[]string{OnKind}, lockstepMode, "time in a cluster is real, and the programs of this scenario live on lab time (%)"},
	{[]string{OnKind}, timeStep, "time in a cluster is real, and this scenario moves it (%)"},
	{[]string{OnKind}, skewStep, "the clock of a cluster is its node's, and this scenario lets it go wrong (%)"},
	{[]string{OnKind}, ownIssuer, "a cluster has one issuer, and this scenario has issuers of its own (%)"},
	{[]string{OnKind}, movedWorkload, "a cluster has one issuer, and this scenario moves a workload to another (%)"},
	{[]string{OnKind, OnCompose}, machine, "there is no machine with a managed identity, which this scenario needs (%)"},
	{[]string{OnKind, OnCompose}, ownCredential, "the secrets and certificates of applications are handed out to processes alone, and this scenario needs one (%)"},
	{[]string{OnKind, OnCompose}, identityBinding, "there is no identity-binding proxy, which is a part of AKS (%)"},
	{[]string{OnKind}, ownAudience, "the webhook asks for tokens of one audience for all pods, and this scenario has another (%)"},
	{[]string{OnKind}, shortToken, "the webhook lets token files live for an hour to a day, and this scenario's do not (%)"},
	{[]string{OnKind}, claimsFault, "the API server decides what is in a cluster's tokens, and this scenario breaks that (%)"},
	{[]string{OnKind}, tokenFileFault, "the kubelet writes the token files of a cluster, and this scenario breaks them (%)"},
	{[]string{OnCompose}, lockstepMode, "programs in these containers live on the machine's clock, and those of this scenario on lab time (%)"},
}

func lockstepMode(s *Scenario) string {
	if s.Clock.Mode == lockstep {
		return "clock.mode: " + lockstep
	}
	return ""
}

// firstStep is where the scenario has a step of a kind first.
func (s *Scenario) firstStep(is func(*Step) bool) string {
	for i := range s.Steps {
		step := &s.Steps[i]
		for _, v := range verbs {
			if v.given(step) && is(step) {
				return fmt.Sprintf("steps[%d].%s", i, v.name)
			}
		}
	}
	return ""
}

func timeStep(s *Scenario) string {
	return s.firstStep(func(s *Step) bool { return s.Advance != nil || s.SetClock != nil || s.Speed != nil || s.Freeze })
}

// skewStep finds a clock that goes wrong other than those of Entra ID and of what
// access tokens open, which are the emulator's own everywhere.
func skewStep(s *Scenario) string {
	return s.firstStep(func(s *Step) bool {
		return s.Skew != nil && s.Skew.Part != clock.Entra && s.Skew.Part != clock.Resources
	})
}

func movedWorkload(s *Scenario) string {
	return s.firstStep(func(s *Step) bool { return s.MoveWorkload != nil })
}

// ownIssuer finds an issuer that is not the one that wiemu has by default, which a
// cluster gets.
func ownIssuer(s *Scenario) string {
	standard, err := config.Config{Tenants: s.Config.Tenants}.Complete("")
	for i, issuer := range s.Config.Issuers {
		if err != nil || i > 0 || issuer.Name != standard.Issuers[0].Name || s.world.Issuers[0].URL != standard.Issuers[0].URL {
			return fmt.Sprintf("config.issuers[%d]", i)
		}
	}
	return ""
}

// workload finds a workload that has something.
func (s *Scenario) workload(is func(actor) bool, field string) string {
	for _, a := range s.actors {
		if is(a) {
			return "workload " + a.name + ": " + field
		}
	}
	return ""
}

func machine(s *Scenario) string {
	return s.workload(func(a actor) bool { return a.Identity.ManagedIdentity != "" }, "managedIdentity")
}

func ownCredential(s *Scenario) string {
	return s.workload(func(a actor) bool { return config.OfApplication(a.Identity.Credential) }, "credential")
}

func identityBinding(s *Scenario) string {
	return s.workload(func(a actor) bool { return a.Identity.IdentityBinding != "" }, "identityBinding")
}

func ownAudience(s *Scenario) string {
	in, _ := cloud.Named(s.world.Cloud) // Complete refuses one that there is not
	return s.workload(func(a actor) bool { return a.Identity.Audience != "" && a.Identity.Audience != in.TokenExchange }, "audience")
}

// The bounds of azure.workload.identity/service-account-token-expiration.
// azure-workload-identity: pkg/webhook/consts.go
const (
	minExpirationSeconds = 3600
	maxExpirationSeconds = 86400
)

func shortToken(s *Scenario) string {
	return s.workload(func(a actor) bool {
		lifetime := a.Identity.TokenLifetime.Seconds()
		return lifetime != 0 && (lifetime < minExpirationSeconds || lifetime > maxExpirationSeconds)
	}, "tokenLifetime")
}

// tokenFileFault finds a fault of a token file.
func tokenFileFault(s *Scenario) string {
	return s.faultAt(fault.AtTokenFile, fault.AtRenewal, fault.AtEarlyRenewal)
}

// claimsFault finds a fault of what a cluster puts into tokens.
func claimsFault(s *Scenario) string { return s.faultAt(fault.AtMint) }

// faultAt finds a fault that hits at one of some points.
func (s *Scenario) faultAt(points ...string) string {
	is := func(f *fault.Fault) bool {
		kind, err := fault.Named(f.Name)
		return err == nil && slices.Contains(points, kind.Point)
	}
	for i := range s.Faults {
		if is(&s.Faults[i]) {
			return fmt.Sprintf("faults[%d]: %s", i, s.Faults[i].Name)
		}
	}
	return s.firstStep(func(s *Step) bool { return s.Fault != nil && is(s.Fault) })
}
