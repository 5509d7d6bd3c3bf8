package scenario

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/internal/backend"
	programs "github.com/wiemu/wiemu/internal/run"
	"github.com/wiemu/wiemu/internal/scenario/report"
)

// Whatever a scenario of the library has that a place has not, it says itself why
// it makes no sense there.
func TestLibraryDeclaresWhereItMakesSense(t *testing.T) {
	list, err := LoadFS(library)
	if err != nil {
		t.Fatal(err)
	}
	runs := map[string]int{}
	for _, s := range list {
		for _, place := range Backends() {
			if why := s.Undeclared().reason(place); why != "" {
				t.Errorf("%s: expected notOn.%s: %s", s.file, place, why)
			}
			declared := s.NotOn.reason(place)
			if declared == "" {
				runs[place]++
			} else if s.limitation(place) == "" || len(declared) < 30 {
				t.Errorf("%s: notOn.%s: %q: expected a reason that follows from the file", s.file, place, declared)
			}
		}
	}
	t.Logf("%d scenarios: %v", len(list), runs)
	if runs[OnProcess] != len(list) || runs[OnCompose] < 50 || runs[OnKind] < 20 {
		t.Errorf("of %d scenarios too few run in the places: %v", len(list), runs)
	}
}

// What a place has not is told of a user's file without a word about places.
func TestWhatAPlaceHasNot(t *testing.T) {
	for name, row := range map[string]struct{ head, steps, compose, kind string }{
		"nothing of the kind": {"", "", "", ""},
		"lockstep":            {"clock: {mode: lockstep}\n", "", "clock.mode: lockstep", "clock.mode: lockstep"},
		"isolation":           {"isolate: true\n", "", "isolate: true", "isolate: true"},
		"leading":             {"network: transparent\n", "", "", ""},
		"a PostgreSQL":        {"config: {postgresServers: [{name: orders}]}\n", "", "PostgreSQL: config.postgresServers[0].url", "PostgreSQL: config.postgresServers[0].url"},
		"one that runs":       {"config: {postgresServers: [{name: orders, url: 'postgres://u:p@db/postgres'}]}\n", "", "", ""},
		"an Azurite":          {"config: {storage: {backend: azurite}}\n", "", "Azurite: config.storage.backend", "Azurite: config.storage.backend"},
		"leading, if it can":  {"network: auto\n", "", "", ""},
		"time":                {"", "  - advance: 1h\n", "", "moves it (steps[0].advance)"},
		"a moment":            {"", "  - publish: {}\n  - setClock: 2026-01-06T00:00:00Z\n", "", "moves it (steps[1].setClock)"},
		"speed":               {"", "  - speed: 2\n", "", "moves it (steps[0].speed)"},
		"standing time":       {"", "  - freeze: true\n", "", "moves it (steps[0].freeze)"},
		"a wrong clock":       {"", "  - skew: {part: local, by: 1m}\n", "", "go wrong (steps[0].skew)"},
		"Azure's wrong clock": {"", "  - skew: {part: entra, by: 1m}\n", "", ""},
		"a fault of claims":   {"faults: [{name: expired-service-account-token}]\n", "", "", "faults[0]: expired-service-account-token"},
		"an issuer":           {"config: {issuers: [{name: mine}]}\n", "", "", "a cluster has one issuer, and this scenario has issuers of its own (config.issuers[0])"},
		"the default issuer":  {"config: {issuers: [{name: local, cacheLifetime: 24h}]}\n", "", "", ""},
		"a second one":        {"config: {issuers: [{name: local}, {name: other}]}\n", "", "", "config.issuers[1]"},
		"a move":              {"", "  - moveWorkload: {workload: web, issuer: local}\n", "", "steps[0].moveWorkload"},
		"a fault of files":    {"faults: [{name: token-file-missing}]\n", "", "", "faults[0]: token-file-missing"},
		"a later one":         {"", "  - fault: {name: token-not-rotated}\n", "", "steps[0].fault"},
		"another fault":       {"faults: [{name: connection-reset}]\n", "", "", ""},
		"declared":            {"notOn: {kind: because it rains}\n", "  - advance: 1h\n", "", "because it rains"},
		"a machine": {
			"config: {workloads: [{name: vm, namespace: a, serviceAccount: b, clientId: 7c2b7e47-9a0c-4f4c-8f0e-2c3a4b5d6e7f, managedIdentity: imds}]}\n", "",
			"workload vm: managedIdentity", "workload vm: managedIdentity",
		},
		"a mounted vault": {
			"radixconfig: {apiVersion: radix.equinor.com/v1, kind: RadixApplication, metadata: {name: shop}, spec: {environments: [{name: dev}], components: [{name: api, identity: {azure: {clientId: 7c2b7e47-9a0c-4f4c-8f0e-2c3a4b5d6e7f}}, " +
				"secretRefs: {azureKeyVaults: [{name: shop-vault, useAzureIdentity: true, items: [{name: a, envVar: A}]}]}}]}}\n", "",
			"", "workload api-dev: secretRefs",
		},
		"a short life": {
			"config: {workloads: [{name: ci, namespace: a, serviceAccount: b, clientId: 7c2b7e47-9a0c-4f4c-8f0e-2c3a4b5d6e7f, tokenLifetime: 10m}]}\n", "",
			"", "workload ci: tokenLifetime",
		},
		"an audience": {
			"config: {workloads: [{name: api, namespace: a, serviceAccount: b, clientId: 7c2b7e47-9a0c-4f4c-8f0e-2c3a4b5d6e7f, audience: me}]}\n", "",
			"", "workload api: audience",
		},
	} {
		s, err := Parse("test.yaml", []byte(minimal[:strings.Index(minimal, "steps:")]+row.head+"steps:\n"+row.steps+"  - expect: [journal.size() > 0]\n"))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for place, want := range map[string]string{OnProcess: "", OnCompose: row.compose, OnKind: row.kind} {
			if got := s.UnsupportedReason(place); (got == "") != (want == "") || !strings.Contains(got, want) {
				t.Errorf("%s: not on %s: %q, expected %q", name, place, got, want)
			}
		}
	}
}

func TestASensibleScenarioMakesSenseSomewhere(t *testing.T) {
	_, err := Parse("test.yaml", []byte(strings.Replace(minimal, "steps:", "notOn: {process: a, compose: b, kind: c}\nsteps:", 1)))
	if err == nil || !strings.Contains(err.Error(), "notOn: expected one of process, compose, kind to be left out") {
		t.Error(err)
	}
	_, err = Parse("test.yaml", []byte(strings.Replace(minimal, "steps:", "notOn: {knid: c}\nsteps:", 1)))
	if err == nil || !strings.Contains(err.Error(), "did you mean kind?") {
		t.Error(err)
	}
}

// elsewhere is a place that opens nothing.
type elsewhere struct{ name string }

func (e elsewhere) Name() string { return e.name }

func (e elsewhere) Open(context.Context, backend.Spec) (backend.Session, error) {
	return nil, errors.New("nobody is at home")
}

// One scenario runs in every place that is asked for, and says where.
func TestScenariosRunInPlaces(t *testing.T) {
	s, err := Parse("test.yaml", []byte(strings.Replace(minimal, "steps:", "notOn: {kind: it has no time}\nsteps:", 1)))
	if err != nil {
		t.Fatal(err)
	}
	places := []backend.Backend{elsewhere{OnKind}, elsewhere{OnCompose}, programs.Processes{Program: client(t)}}
	var out strings.Builder
	ran := Run(t.Context(), []Scenario{s}, Options{Backends: places, Out: &out})
	if ran.Passed != 1 || ran.Failed != 1 || ran.Unsupported != 1 || len(ran.Scenarios) != 3 {
		t.Fatalf("%+v", ran)
	}
	for i, want := range []report.Outcome{
		{Backend: OnKind, Outcome: report.Unsupported, Reason: "it has no time"}, {Backend: OnCompose, Outcome: report.Failed}, {Backend: OnProcess, Outcome: report.Passed},
	} {
		if o := ran.Scenarios[i]; o.Backend != want.Backend || o.Outcome != want.Outcome || o.Reason != want.Reason {
			t.Errorf("%+v, want %+v", o, want)
		}
	}
	if f := ran.Scenarios[1].Failures; len(f) != 1 || !strings.Contains(f[0].Message, "nobody is at home") {
		t.Errorf("%+v", f)
	}
	for _, line := range []string{"minimal@kind ", "minimal@compose ", "minimal  "} {
		if !strings.Contains(out.String(), line) {
			t.Errorf("expected %q in\n%s", line, &out)
		}
	}
}

// An emulator that is told of a scenario by a file is told the same as one that is
// in this program.
func TestWorldsOfTheLibraryAreFiles(t *testing.T) {
	list, err := LoadFS(library)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range list {
		text, err := s.lab.YAML()
		if err != nil {
			t.Fatal(err)
		}
		read, err := config.Parse(s.file, text)
		if err == nil {
			read, err = read.Complete(s.file)
		}
		if err != nil {
			t.Fatalf("%s: %v\n%s", s.file, err, text)
		}
		if diff := cmp.Diff(s.lab, read, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: %s", s.file, diff)
		}
	}
}

// denied is a machine that cannot isolate programs.
type denied struct{}

func (denied) Name() string { return OnProcess }

func (denied) Open(_ context.Context, s backend.Spec) (backend.Session, error) {
	if !s.Isolate {
		return nil, errors.New("expected a scenario that isolates its programs")
	}
	return nil, &backend.Unsupported{Reason: errors.New("user namespaces are turned off")}
}

// A scenario that this machine cannot isolate is unsupported, with the reason.
func TestIsolationThatIsDenied(t *testing.T) {
	s, err := Parse("test.yaml", []byte(strings.Replace(minimal, "steps:", "isolate: true\nsteps:", 1)))
	if err != nil {
		t.Fatal(err)
	}
	ran := Run(t.Context(), []Scenario{s}, Options{Backends: []backend.Backend{denied{}}})
	if o := ran.Scenarios[0]; ran.Unsupported != 1 || o.Outcome != report.Unsupported || o.Reason != "user namespaces are turned off" {
		t.Errorf("%+v", ran)
	}
	ran = Run(t.Context(), []Scenario{s}, Options{Backends: []backend.Backend{denied{}}, FailOnMissing: true})
	if o := ran.Scenarios[0]; ran.Failed != 1 || o.Outcome != report.Failed || !strings.Contains(o.Failures[0].Message, "user namespaces are turned off") {
		t.Errorf("with FailOnMissing: %+v", ran)
	}
}
