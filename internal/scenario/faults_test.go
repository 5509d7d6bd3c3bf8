package scenario

import (
	"errors"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/internal/scenario/report"
	"github.com/wiemu/wiemu/internal/yamlfile"
)

// The names that a scenario has for workloads serve in faults, too.
func TestFaultsHitWhomTheyName(t *testing.T) {
	program := client(t)
	temporary(t)
	o := play(t, t.Context(), `
faults:
  - {name: intermittent-700213, for: {workload: web}, when: {count: 1}}
  - {name: expired-token, for: {client: web}, when: {nth: 2, count: 1}}
`, `
  - {name: refused, run: {workload: web, command: [wiemu-workload, token, --scope, https://vault.azure.net/.default]}}
  - {name: good, run: {workload: web, command: [wiemu-workload, secret, get, mykeyvault, mysecret]}}
  - {name: expired, run: {workload: web, command: [wiemu-workload, secret, get, mykeyvault, mysecret]}}
  - {name: stale, fault: {name: stale-jwks, parameters: {lifetime: 24h}, for: {issuer: local}}}
  - {name: lost, fault: {name: server-error, parameters: {status: 500}, for: {resource: arm}}}
  - advance: 2h
  - {name: rotated, rotate: {}}
  - {name: unknown, run: {workload: web, command: [wiemu-workload, secret, get, mykeyvault, mysecret]}}
  - advance: 1h
  - {name: new, run: {workload: web, command: [wiemu-workload, secret, get, mykeyvault, mysecret]}}
  - clearFault: stale
  - clearFault: server-error
  - clearFault: expired-token
  - advance: 1h
  - {name: again, run: {workload: web, command: [wiemu-workload, secret, get, mykeyvault, mysecret]}}
  - expect:
      - results.refused.json.code == 700213
      - results.good.exitCode == 0
      - results.expired.exitCode == 1
      - results.expired.events.exists(e, e.kind == 'fault' && e.detail.name == 'expired-token')
      - results.expired.events.exists(e, e.kind == 'exchange' && e.detail.fault == 'f2')
      - results.stale.fault == 'f3'
      - results.unknown.exitCode == 0
      - results.new.json.code == 7000272
      - results.new.events.exists(e, e.kind == 'exchange' && e.detail.fault == results.stale.fault)
      - results.again.exitCode == 0
      - journal.filter(e, e.kind == 'fault' && e.detail.action == 'cleared').size() == 3
`, Options{Program: program})
	if want := "fault f4 hit nothing: server-error status=500 --for resource=arm; there was no call that it is for"; len(o.Notes) != 1 || o.Notes[0] != want {
		t.Errorf("notes %q, want %q", o.Notes, want)
	}
	if o.Outcome != report.Passed {
		for _, f := range o.Failures {
			t.Error(f.Text())
		}
	}
}

func TestMistakesInFaultsAreTold(t *testing.T) {
	for _, test := range []struct{ top, step, want string }{
		{"faults: [{name: throtled}]", "", "s.yaml:3:17: faults[0].name: expected the name of a fault, which wiemu fault list shows, found throtled; did you mean throttled?"},
		{"", "{fault: {name: throttled, parameters: {retryafter: 3s}}}", "s.yaml:6:54: steps[0].fault.parameters.retryafter: expected a parameter of throttled: retry-after, found retryafter; did you mean retry-after?"},
		{"", "{fault: {name: throttled, for: {workload: wbe}}}", "s.yaml:6:45: steps[0].fault.for.workload: expected a workload of this scenario, or NAMESPACE/SERVICE-ACCOUNT: web, found wbe; did you mean web?"},
		{"", "{fault: {name: throttled, for: {client: wbe}}}", "steps[0].fault.for.client: expected a client id, or a workload or an identity of this scenario: web, found wbe; did you mean web?"},
		{"config: {storageAccounts: [{name: orders}]}", "{fault: {name: throttled, for: {resource: ordrs}}}", "found ordrs; did you mean orders?"},
		{"", "{fault: {name: throttled, for: {resource: keyvalt}}}", "steps[0].fault.for.resource: expected who answers, a vault or an application: entra, keyvault, graph, arm, storage, sql, redis, postgres, imds, mykeyvault, found keyvalt; did you mean keyvault?"},
		{"", "{fault: {name: stale-jwks, for: {issuer: loca}}}", "found loca; did you mean local?"},
		{"", "{fault: {name: stale-jwks, for: {client: web}}}", "steps[0].fault.for.client: expected one of issuer, found client; where stale-jwks hits, nothing else is known"},
		{"", "{fault: {name: throttled, when: {cuont: 3}}}", "steps[0].fault.when.cuont: expected one of after, count, every, nth, probability, seed, until, found an unknown field; did you mean count?"},
		{"", "{fault: {name: throttled, when: {probability: 2.2}}}", "steps[0].fault.when.probability: expected a share above 0 up to 1, such as 0.022, found 2.2"},
		{"", "{clearFault: throttled}", "steps[0].clearFault: expected a fault step before this one, a fault that was injected before, or all: all, found throttled"},
		{"config: {faults: [{name: throttled}]}", "", "config.faults: expected no faults, found some; write them as faults: at the top"},
	} {
		text := "apiVersion: wiemu.dev/v1\nkind: Scenario\n" + test.top + "\nworkloads: [{name: web, namespace: shop, serviceAccount: web-sa, clientId: b96d264b-7053-4465-a4a7-32be5b0fec49}]\nsteps:\n"
		if test.step != "" {
			text += "- " + test.step + "\n"
		}
		text += "- expect: [journal.size() > 0]\nmetadata: {name: s}\n"
		_, err := Parse("s.yaml", []byte(text))
		var found yamlfile.Problems
		if err == nil || !errors.As(err, &found) || len(found) != 1 || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s%s:\n%v\nwant\n%s", test.top, test.step, err, test.want)
		}
	}
}

// The program that scenarios start, azidentity with its default retries, lives
// through days of chaos, whatever the seed; each seed was one that met something.
func TestTheWorkloadSurvivesChaos(t *testing.T) {
	program := client(t)
	temporary(t)
	var list []Scenario
	for _, seed := range []string{"1", "2", "3"} {
		s, err := Parse("chaos-"+seed+".yaml", []byte(minimal[:strings.Index(minimal, "steps:")]+"clock: {mode: lockstep}\nchaos: "+seed+`
steps:
  - {name: first, run: {workload: web, command: [wiemu-workload, watch, --every, 1ms, --times, "2", secret, get, mykeyvault, mysecret]}}
  - advance: 26h
  - {name: second, run: {workload: web, command: [wiemu-workload, secret, get, mykeyvault, mysecret]}}
  - expect:
      - results.first.exitCode == 0 && results.second.exitCode == 0
      - journal.exists(e, e.kind == 'fault' && e.detail.action == 'hit' && e.detail.name in ['throttled', 'server-error', 'connection-reset'])
      - journal.exists(e, e.kind == 'fault' && e.detail.action == 'hit' && e.detail.name == 'issuer-key-rotated')
`))
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, s)
	}
	ran := Run(t.Context(), list, Options{Program: program})
	for _, o := range ran.Scenarios {
		for _, f := range o.Failures {
			t.Errorf("%s: %s", o.File, f.Text())
		}
	}
}

func TestChaosOfARunReplays(t *testing.T) {
	program := client(t)
	temporary(t)
	s, err := Parse("s.yaml", []byte(minimal))
	if err != nil {
		t.Fatal(err)
	}
	hashes := map[string]bool{}
	for _, seed := range []uint64{5, 5, 6} {
		o := Run(t.Context(), []Scenario{s}, Options{Program: program, Chaos: seed}).Scenarios[0]
		if o.Outcome != report.Passed {
			t.Errorf("seed %d: %v", seed, o.Failures)
		}
		hashes[o.JournalHash] = true
	}
	if len(hashes) != 2 {
		t.Errorf("three runs, two of them with the same seed, have %d different journals", len(hashes))
	}
}
