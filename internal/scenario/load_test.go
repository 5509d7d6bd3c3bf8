package scenario

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/internal/yamlfile"
)

// minimal is a scenario in which nothing is wrong.
const minimal = `apiVersion: wiemu.dev/v1
kind: Scenario
metadata: {name: minimal}
workloads:
  - {name: web, namespace: shop, serviceAccount: web-sa, clientId: b96d264b-7053-4465-a4a7-32be5b0fec49}
steps:
  - name: read
    run: {workload: web, command: [wiemu-workload, secret, get, mykeyvault, mysecret]}
  - expect:
      - results.read.exitCode == 0
`

func TestWhatIsWrongInAFileIsSaid(t *testing.T) {
	for _, test := range []struct {
		name     string
		replace  string // in minimal
		by       string
		problems []string // each is part of an error; there are no others
	}{
		{name: "nothing", problems: nil},
		{
			name: "unknown field", replace: "steps:", by: "descriptoin: x\nsteps:",
			problems: []string{
				"minimal.yaml:6:1: descriptoin: expected one of ",
				", found an unknown field; did you mean description?",
			},
		},
		{
			name: "another kind of file", replace: "kind: Scenario", by: "kind: RadixApplication\nspec: {}",
			problems: []string{"minimal.yaml:2:7: expected kind Scenario, found RadixApplication"},
		},
		{
			name: "another version", replace: "wiemu.dev/v1", by: "wiemu.dev/v2",
			problems: []string{"minimal.yaml:1:13: apiVersion: expected wiemu.dev/v1, found wiemu.dev/v2"},
		},
		{
			name: "name that is none", replace: "name: minimal", by: "name: Minimal Scenario",
			problems: []string{"minimal.yaml:3:18: metadata.name: expected lower-case letters, digits and hyphens, such as wrong-subject, found Minimal Scenario"},
		},
		{
			name: "no name", replace: "metadata: {name: minimal}", by: "metadata: {}",
			problems: []string{"minimal.yaml:3:11: metadata.name: expected lower-case letters, digits and hyphens, such as wrong-subject, found nothing"},
		},
		{
			name: "clock mode", replace: "steps:", by: "clock: {mode: lockstp}\nsteps:",
			problems: []string{"minimal.yaml:6:15: clock.mode: expected server-only or lockstep, found lockstp; did you mean lockstep?"},
		},
		{
			name: "clock that is misspelt", replace: "steps:", by: "clock: {mode: serveronly}\nsteps:",
			problems: []string{"minimal.yaml:6:15: clock.mode: expected server-only or lockstep, found serveronly; did you mean server-only?"},
		},
		{
			name: "start that is no time", replace: "steps:", by: "clock: {start: tomorrow}\nsteps:",
			problems: []string{`minimal.yaml:6:16: clock.start: expected a time such as 2026-11-23T10:04:05Z, found text "tomorrow"; write it as RFC 3339, with Z or an offset, or as a date alone`},
		},
		{
			name: "nothing that can fail", replace: "  - expect:\n      - results.read.exitCode == 0\n", by: "",
			problems: []string{`minimal.yaml:7:3: steps: expected at least one expect step, found none; without one the scenario cannot fail; add for example - expect: ["results.read.exitCode == 0"]`},
		},
		{
			name: "no steps", replace: minimal[strings.Index(minimal, "steps:"):], by: "steps: []\n",
			problems: []string{`minimal.yaml:6:8: steps: expected at least one expect step, found none; without one the scenario cannot fail; add for example - expect: ["journal.exists(e, e.kind == 'exchange' && e.outcome == 'granted')"]`},
		},
		{
			name: "two things in a step", replace: "  - name: read\n", by: "  - name: read\n    advance: 5m\n",
			problems: []string{
				"minimal.yaml:7:5: steps[0]: expected exactly one of ",
				", found run and advance; make a step of each",
			},
		},
		{
			name: "nothing in a step", replace: "  - expect:", by: "  - name: idle\n  - expect:",
			problems: []string{
				"minimal.yaml:9:5: steps[1]: expected exactly one of ",
				", found nothing; make a step of each",
			},
		},
		{
			name: "step without content", replace: "  - expect:", by: "  -\n  - expect:",
			problems: []string{
				"minimal.yaml:9:4: steps[1]: expected exactly one of ",
				", found nothing; make a step of each",
			},
		},
		{
			name: "unknown kind of step", replace: "    run:", by: "    runn:",
			problems: []string{
				"minimal.yaml:8:5: steps[0].runn: expected one of ",
				", found an unknown field; did you mean run?",
			},
		},
		{
			name: "step name that an expression cannot say", replace: "name: read", by: "name: read-it",
			problems: []string{
				"minimal.yaml:7:11: steps[0].name: expected letters, digits and underscores, found read-it; expectations call the result results.NAME",
				"minimal.yaml:10:17: steps[1].expect[0]: expected a named step before this one: read-it, found results.read",
			},
		},
		{
			name: "name of two steps", replace: "  - expect:", by: "  - {name: read, advance: 5m}\n  - expect:",
			problems: []string{"minimal.yaml:9:12: steps[1].name: expected a name that no other step has, found read; rename one of them"},
		},
		{
			name: "unknown workload", replace: "workload: web", by: "workload: wbe",
			problems: []string{"minimal.yaml:8:21: steps[0].run.workload: expected a workload of this scenario: web, found wbe; did you mean web?"},
		},
		{
			name: "command and shell", replace: "workload: web,", by: "workload: web, shell: ls,",
			problems: []string{"minimal.yaml:8:33: steps[0].run.shell: expected a command or a shell text, found both; remove one"},
		},
		{
			name: "neither command nor shell", replace: ", command: [wiemu-workload, secret, get, mykeyvault, mysecret]", by: "",
			problems: []string{"minimal.yaml:8:10: steps[0].run: expected a command or a shell text, found nothing"},
		},
		{
			name: "token of nobody", replace: "workload: web,", by: "workload: web, token: old,",
			problems: []string{"minimal.yaml:8:33: steps[0].run.token: expected a workload, or a copyToken step before this one: web, found old"},
		},
		{
			name: "environment variable that is none", replace: "workload: web,", by: "workload: web, env: {'A=B': c},",
			problems: []string{`minimal.yaml:8:39: steps[0].run.env.A=B: expected the name of an environment variable, found "A=B"`},
		},
		{
			name: "copy without a name", replace: "  - expect:", by: "  - copyToken: {workload: web}\n  - expect:",
			problems: []string{"minimal.yaml:9:5: steps[1].name: expected a name for the copy, found nothing; run steps take the copy with token: NAME"},
		},
		{
			name: "advance without a unit", replace: "  - expect:", by: "  - advance: 55\n  - expect:",
			problems: []string{"minimal.yaml:9:14: steps[1].advance: expected a duration such as 90s, 10m or 1h30m, found number 55; give the unit: 55s"},
		},
		{
			name: "back in time", replace: "  - expect:", by: "  - advance: -5m\n  - expect:",
			problems: []string{"minimal.yaml:9:14: steps[1].advance: expected a duration above zero, such as 55m, found -5m0s; lab time never goes backwards"},
		},
		{
			name: "back before the start", replace: "  - expect:", by: "  - setClock: 2025-12-31T09:00:00Z\n  - expect:",
			problems: []string{"minimal.yaml:9:15: steps[1].setClock: expected a time after 2026-01-05T08:00:00Z, found 2025-12-31T09:00:00Z; lab time never goes backwards; clock.start says when the scenario starts"},
		},
		{
			name: "no speed", replace: "  - expect:", by: "  - speed: 0\n  - expect:",
			problems: []string{"minimal.yaml:9:12: steps[1].speed: expected a number greater than 0 and at most 100000, such as 600, found 0; freeze: true lets the clock stand still"},
		},
		{
			name: "skew of nobody", replace: "  - expect:", by: "  - skew: {part: entre, by: 5m}\n  - expect:",
			problems: []string{"minimal.yaml:9:18: steps[1].skew.part: expected a part of the lab that has a clock: entra, resources, workloads, local, found entre; did you mean entra?"},
		},
		{
			name: "unknown issuer", replace: "  - expect:", by: "  - rotate: {issuer: locl}\n  - expect:",
			problems: []string{"minimal.yaml:9:22: steps[1].rotate.issuer: expected an issuer that wiemu hosts: entra, local, found locl; did you mean local?"},
		},
		{
			name: "move to an issuer that there is not", replace: "  - expect:", by: "  - moveWorkload: {workload: web, issuer: loca}\n  - expect:",
			problems: []string{"steps[1].moveWorkload.issuer: expected an issuer that wiemu hosts: local, found loca; did you mean local?"},
		},
		{
			name: "move of a workload that there is not", replace: "  - expect:", by: "  - moveWorkload: {workload: api, issuer: local}\n  - expect:",
			problems: []string{"steps[1].moveWorkload.workload: expected a workload of this scenario: web, found api"},
		},
		{
			name: "a blob without a container", replace: "  - expect:", by: "  - blob: {account: orders, name: a, put: x, expect: x}\n  - expect:",
			problems: []string{"steps[1].blob.container: expected a name, found nothing", "steps[1].blob: expected put or expect, found both"},
		},
		{
			name: "unknown stage of a key", replace: "  - expect:", by: "  - removeKey: {key: retierd}\n  - expect:",
			problems: []string{"minimal.yaml:9:22: steps[1].removeKey.key: expected a key id or one of: retired, published, signing, found retierd; did you mean retired?"},
		},
		{
			name: "change of nobody", replace: "  - expect:", by: "  - set: {identity: wbe, disabled: true}\n  - expect:",
			problems: []string{"minimal.yaml:9:21: steps[1].set.identity: expected a workload, an application, a managed identity or a client id: web, found wbe; did you mean web?"},
		},
		{
			name: "change of nothing", replace: "  - expect:", by: "  - set: {identity: web}\n  - expect:",
			problems: []string{"minimal.yaml:9:10: steps[1].set: expected exactly one of federatedCredential, addFederatedCredential, removeFederatedCredential, disabled, deleted, found nothing; make a set step of each"},
		},
		{
			name: "change of two things", replace: "  - expect:", by: "  - set: {identity: web, disabled: true, deleted: true}\n  - expect:",
			problems: []string{"minimal.yaml:9:10: steps[1].set: expected exactly one of federatedCredential, addFederatedCredential, removeFederatedCredential, disabled, deleted, found deleted and disabled; make a set step of each"},
		},
		{
			name: "empty change", replace: "  - expect:", by: "  - set: {identity: web, federatedCredential: {}}\n  - expect:",
			problems: []string{"minimal.yaml:9:47: steps[1].set.federatedCredential: expected an issuer, a subject or an audience, found nothing"},
		},
		{
			name: "issuer that is no URL", replace: "  - expect:", by: "  - set: {identity: web, federatedCredential: {issuer: locall}}\n  - expect:",
			problems: []string{"minimal.yaml:9:56: steps[1].set.federatedCredential.issuer: expected an https URL or the name of an issuer: local, found locall; did you mean local?"},
		},
		{
			name: "workload without a client id", replace: ", clientId: b96d264b-7053-4465-a4a7-32be5b0fec49", by: "",
			problems: []string{"minimal.yaml:5:5: workloads[0].clientId: expected a GUID such as 3aa4a235-b6e2-48d5-9195-7fcf05b459b0, found nothing"},
		},
		{
			name: "workloads of one name", replace: "steps:", by: "  - {name: web, namespace: shop, serviceAccount: other-sa, clientId: b96d264b-7053-4465-a4a7-32be5b0fec49}\nsteps:",
			problems: []string{"minimal.yaml:6:12: workloads[1].name: expected a name that no other workload has, found web; give one of them another name"},
		},
		{
			name: "configuration that is wrong", replace: "steps:", by: "config:\n  issuers:\n    - {name: aks, url: 'http://example.com'}\nsteps:",
			problems: []string{"minimal.yaml:8:24: config.issuers[0].url: expected an https URL without user, query and fragment, found issuer URL must use https scheme, got: http://example.com; Kubernetes and Entra ID accept no other issuer"},
		},
		{
			name: "configuration with an unknown field", replace: "steps:", by: "config:\n  isuers: []\nsteps:",
			problems: []string{
				"minimal.yaml:7:3: config.isuers: expected one of ",
				", found an unknown field; did you mean issuers?",
			},
		},
		{
			name: "fixed ports", replace: "steps:", by: "config: {listen: {proxy: '127.0.0.1:3128'}}\nsteps:",
			problems: []string{"minimal.yaml:6:18: config.listen: expected no addresses, found some; remove it: scenarios run side by side, each on free ports"},
		},
		{
			name: "workload of the configuration", replace: "steps:", by: "config:\n  workloads:\n    - {namespace: a, serviceAccount: b, clientId: c}\nsteps:",
			problems: []string{"minimal.yaml:8:51: config.workloads[0].clientId: expected a GUID such as 3aa4a235-b6e2-48d5-9195-7fcf05b459b0, found c"},
		},
		{
			name: "expectation that does not parse", replace: "results.read.exitCode == 0", by: "results.read.exitCode = 0",
			problems: []string{"minimal.yaml:10:31: steps[1].expect[0]: expected an expression in CEL, found token recognition error at: '= '; write == to compare"},
		},
		{
			name: "expectation about an unknown step", replace: "results.read.exitCode", by: "results.raed.exitCode",
			problems: []string{"minimal.yaml:10:17: steps[1].expect[0]: expected a named step before this one: read, found results.raed; did you mean read?"},
		},
		{
			name: "expectation about a step where none has a name", replace: "name: read\n    run:", by: "run:",
			problems: []string{"minimal.yaml:9:17: steps[1].expect[0]: expected a named step before this one (there is none), found results.read; give the step whose result is meant a name"},
		},
		{
			name: "expectation about an unknown field", replace: "results.read.exitCode", by: "results.read.exitcode",
			problems: []string{"minimal.yaml:10:22: steps[1].expect[0]: expected an expression in CEL, found undefined field 'exitcode'; did you mean exitCode?"},
		},
		{
			name: "expectation about an unknown variable", replace: "results.read.exitCode == 0", by: "result.read.exitCode == 0",
			problems: []string{"minimal.yaml:10:9: steps[1].expect[0]: expected an expression in CEL, found undeclared reference to 'result'; did you mean results?"},
		},
		{
			name: "expectation about an unknown workload", replace: "results.read.exitCode == 0", by: "workloads['wbe'].clientId != ''",
			problems: []string{"minimal.yaml:10:18: steps[1].expect[0]: expected a workload of this scenario: web, found workloads.wbe; did you mean web?"},
		},
		{
			name: "expectation of another type", replace: "results.read.exitCode == 0", by: "results.read.exitCode == 'x'",
			problems: []string{"minimal.yaml:10:31: steps[1].expect[0]: expected values of types that go together, found int == string; write it without quotes"},
		},
		{
			name: "expectation that is no condition", replace: "results.read.exitCode == 0", by: "results.read.exitCode",
			problems: []string{"minimal.yaml:10:9: steps[1].expect[0]: expected an expression that is true or false, found one of type int; compare it with something"},
		},
		{
			name: "expectation of a kind that no event has", replace: "results.read.exitCode == 0", by: "journal.exists(e, e.kind == 'exchnage')",
			problems: []string{"minimal.yaml:10:37: steps[1].expect[0]: expected one of admission, run, key-rotation, mint, projection, discovery, token-review, exchange, access, escape, directory, clock, fault, found 'exchnage'; did you mean 'exchange'?"},
		},
		{
			name: "expectation over several lines", replace: "results.read.exitCode == 0", by: "|-\n        results.read.exitCode == 0\n          && results.read.exitcode == 0",
			problems: []string{"minimal.yaml:12:27: steps[1].expect[0]: expected an expression in CEL, found undefined field 'exitcode'; did you mean exitCode?"},
		},
		{
			name: "expectation in quotes", replace: "results.read.exitCode == 0", by: `"!results.read.exitcode"`,
			problems: []string{"minimal.yaml:10:24: steps[1].expect[0]: expected an expression in CEL, found undefined field 'exitcode'; did you mean exitCode?"},
		},
		{
			name: "expectation that is empty", replace: "results.read.exitCode == 0", by: "",
			problems: []string{"minimal.yaml:10:8: steps[1].expect[0]: expected a condition in CEL, found nothing"},
		},
		{
			name: "expectation in a folded text", replace: "results.read.exitCode == 0", by: ">-\n        results.read.exitcode\n        == 0",
			problems: []string{"minimal.yaml:11: steps[1].expect[0]: expected an expression in CEL, found undefined field 'exitcode'; did you mean exitCode?"},
		},
		{
			name: "radixconfig that is wrong", replace: "steps:", by: radixconfig("b96d264b") + "steps:",
			problems: []string{`minimal.yaml:14:38: radixconfig.spec.components[0].identity.azure.clientId: expected a client id (a UUID), found text "b96d264b"; the Azure portal shows it as Client ID of the managed identity or Application (client) ID of the app registration`},
		},
		{
			name: "workload of another name", replace: "name: web,", by: "name: web-dev,",
			problems: []string{"minimal.yaml:8:21: steps[0].run.workload: expected a workload of this scenario: web-dev, found web"},
		},
		{
			name: "expectation that YAML takes for a mapping", replace: "results.read.exitCode == 0", by: "results.read.stdout == 'a: b'",
			problems: []string{"minimal.yaml:10:9: steps[1].expect[0]: expected a condition in CEL, found a mapping; because of the colon in it, put it in quotes or below |-"},
		},
		{
			name: "expectation that YAML takes for a tag", replace: "results.read.exitCode == 0", by: "!results.read.json.ok",
			problems: []string{"minimal.yaml:10:9: steps[1].expect[0]: expected a condition in CEL, found the YAML tag !results.read.json.ok; because it begins with !, put it in quotes or below |-"},
		},
		{
			name: "several things at once", replace: minimal[strings.Index(minimal, "steps:"):], by: `steps:
  - name: first
    advance: 5 minutes
  - name: second
    runn: {workload: web, shell: ls}
  - run: {workload: webb, shell: ls}
  - rotate: {isuer: local}
  - expect:
      - results.second.exitCode = 0
      - results.first.elapsed == duration('5m')
      - clock.elapsed == '5m'
      - journal.all(e, e.code != 0)
`, problems: []string{
				`minimal.yaml:8:14: steps[0].advance: expected a duration such as 90s, 10m or 1h30m, found text "5 minutes"`,
				"minimal.yaml:10:5: steps[1].runn: expected one of ",
				", found an unknown field; did you mean run?",
				"minimal.yaml:11:21: steps[2].run.workload: expected a workload of this scenario: web, found webb; did you mean web?",
				"minimal.yaml:12:14: steps[3].rotate.isuer: expected one of issuer, found an unknown field; did you mean issuer?",
				"minimal.yaml:14:33: steps[4].expect[0]: expected an expression in CEL, found token recognition error at: '= '; write == to compare",
				"minimal.yaml:15:23: steps[4].expect[1]: expected an expression in CEL, found undefined field 'elapsed'; there are exitCode, running, stdout, stderr, json, ",
				"minimal.yaml:16:23: steps[4].expect[2]: expected values of types that go together, found duration == string; write duration('55m')",
			},
		},
		{
			name: "unknown field beside the steps, from which nothing else follows", replace: "workloads:", by: "worklods:", problems: []string{
				"minimal.yaml:4:1: worklods: expected one of ",
				", found an unknown field; did you mean workloads?",
			},
		},
		{
			name: "misspelt name of a step, from which nothing else follows", replace: "  - name: read", by: "  - nmae: read", problems: []string{
				"minimal.yaml:7:5: steps[0].nmae: expected one of ",
				", found an unknown field; did you mean name?",
			},
		},
		{
			name: "misspelt expectation, from which nothing else follows", replace: "  - expect:", by: "  - expct:", problems: []string{
				"minimal.yaml:9:5: steps[1].expct: expected one of ",
				", found an unknown field; did you mean expect?",
			},
		},
		{
			name: "configuration of another type", replace: "steps:", by: "config: {issuers: local}\nsteps:", problems: []string{`minimal.yaml:6:19: config.issuers: expected a list, found text "local"; put "- " in front, even of a single element`},
		},
		{
			name: "expectation with the words of another language", replace: "results.read.exitCode == 0", by: "results.read.exitCode == 0 and clock.now > clock.start", problems: []string{"minimal.yaml:10:36: steps[1].expect[0]: expected an expression in CEL, found mismatched input 'and'; write && for and"},
		},
		{
			name: "expectation that compares a time with a text", replace: "results.read.exitCode == 0", by: "\"'2026-01-05T09:00:00Z' < clock.now\"", problems: []string{"minimal.yaml:10:33: steps[1].expect[0]: expected values of types that go together, found string < timestamp; write timestamp('2026-01-05T08:00:00Z')"},
		},
		{
			name: "expectation that adds what cannot be added", replace: "results.read.exitCode == 0", by: "clock.now + 5 > clock.start", problems: []string{"minimal.yaml:10:19: steps[1].expect[0]: expected values of types that go together, found timestamp + int"},
		},
		{
			name: "expectation that ends early", replace: "results.read.exitCode == 0", by: "journal.exists(e, e.code == 700213", problems: []string{"minimal.yaml:10:43: steps[1].expect[0]: expected an expression in CEL, found missing ')' at '<EOF>'"},
		},
		{
			name: "expectation about an unknown field of an event", replace: "results.read.exitCode == 0", by: "journal.exists(e, e.kynd == 'exchange')", problems: []string{
				"minimal.yaml:10:29: steps[1].expect[0]: expected an expression in CEL, found undefined field 'kynd'; did you mean kind?",
			},
		},
		{
			name: "expectation that calls a variable as a field is called", replace: "results.read.exitCode == 0", by: "tokens.kid == ''", problems: []string{
				"minimal.yaml:10:9: steps[1].expect[0]: expected an expression in CEL, found undeclared reference to 'tokens'; an expression knows results, journal, workloads and clock",
			},
		},
		{
			name: "step by another word", replace: "  - expect:", by: "  - sleep: 5m\n  - expect:", problems: []string{
				"minimal.yaml:9:5: steps[1].sleep: expected one of ", ", found an unknown field; did you mean advance?",
			},
		},
		{
			name: "expectation with an unknown macro", replace: "results.read.exitCode == 0", by: "journal.exist(e, e.code == 700213)", problems: []string{
				"minimal.yaml:10:22: steps[1].expect[0]: expected an expression in CEL, found undeclared reference to 'exist'; did you mean exists?",
			},
		},
		{
			name: "expectation with an unknown function", replace: "results.read.exitCode == 0", by: "results.read.stdout.beginsWith('x')", problems: []string{
				"minimal.yaml:10:39: steps[1].expect[0]: expected an expression in CEL, found undeclared reference to 'beginsWith'; an expression knows results, journal, workloads and clock",
			},
		},
		{
			name: "expectation of an outcome that no event has", replace: "results.read.exitCode == 0", by: "journal.exists(e, e.outcome in ['granted', 'refused'])", problems: []string{"minimal.yaml:10:52: steps[1].expect[0]: expected one of ok, granted, denied, failed, passed, skipped, found 'refused'"},
		},
		{
			name: "expectation about what a step does not give", replace: "results.read.exitCode == 0", by: "results.read.kid == ''", problems: []string{"minimal.yaml:10:22: steps[1].expect[0]: expected a field that run steps have: exitCode, stdout, stderr, json, lines, events, started, finished, found results.read.kid; name the step that has it"},
		},
		{
			name: "expectation about a field that nothing has", replace: "results.read.exitCode == 0", by: "results.read.duration > duration('1s')", problems: []string{"minimal.yaml:10:22: steps[1].expect[0]: expected an expression in CEL, found undefined field 'duration'; there are exitCode, running, stdout, stderr, json, "},
		},
		{
			name: "nothing that can fail, and nothing that is named", replace: "  - name: read\n    run: {workload: web, command: [wiemu-workload, secret, get, mykeyvault, mysecret]}\n  - expect:\n      - results.read.exitCode == 0\n", by: "  - advance: 5m\n", problems: []string{`minimal.yaml:7:3: steps: expected at least one expect step, found none; without one the scenario cannot fail; add for example - expect: ["journal.exists(e, e.kind == 'exchange' && e.outcome == 'granted')"]`},
		},
		{
			name: "no YAML", replace: "metadata: {name: minimal}", by: "metadata: {name: minimal",
			problems: []string{"minimal.yaml:2: expected YAML, found a line without the expected ',' or '}'; check the indentation of this line and of those before it"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			if !strings.Contains(minimal, test.replace) {
				t.Fatalf("the minimal scenario has no %q", test.replace)
			}
			_, err := Parse("minimal.yaml", []byte(strings.Replace(minimal, test.replace, test.by, 1)))
			if len(test.problems) == 0 {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			var problems yamlfile.Problems
			if !errors.As(err, &problems) {
				t.Fatalf("expected problems, got %v", err)
			}
			for _, want := range test.problems {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("expected %q in:\n%v", want, err)
				}
			}
			for line := range strings.SplitSeq(err.Error(), "\n") {
				if !slices.ContainsFunc(test.problems, func(want string) bool { return strings.Contains(line, want) }) {
					t.Errorf("not expected: %s", line)
				}
			}
		})
	}
}

func radixconfig(clientID string) string {
	return `radixconfig:
  apiVersion: radix.equinor.com/v1
  kind: RadixApplication
  metadata: {name: shop}
  spec:
    environments: [{name: dev}, {name: prod}]
    components:
      - name: web
        identity: {azure: {clientId: ` + clientID + `}}
`
}

func TestRadixComponentsAreWorkloads(t *testing.T) {
	const clientID = "1d0b3f2c-5a67-4d8e-9c41-7e2f60a8b915"
	s, err := Parse("radix.yaml", []byte(strings.Replace(minimal, "steps:", radixconfig(clientID)+"steps:", 1)))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, a := range s.specs {
		names = append(names, a.name+" "+a.Namespace+"/"+a.ServiceAccount)
	}
	if got := strings.Join(names, ", "); got != "web shop/web-sa, web-dev shop-dev/web-sa, web-prod shop-prod/web-sa" {
		t.Errorf("workloads: %s", got)
	}
	clash := strings.NewReplacer("name: web,", "name: web-dev,", "workload: web", "workload: web-dev", "steps:", radixconfig(clientID)+"steps:").Replace(minimal)
	if _, err := Parse("radix.yaml", []byte(clash)); err == nil || !strings.Contains(err.Error(), "expected a name that no other workload has, found web-dev") {
		t.Errorf("a workload in both places: %v", err)
	}
}

func TestProblemsOfAllFilesAreToldAtOnce(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a.yaml", strings.Replace(minimal, "read.exitCode", "raed.exitCode", 1))
	write(t, dir, "b.yaml", minimal)
	write(t, dir, "c.yaml", minimal)
	write(t, dir, "notes.txt", "not a scenario")
	_, err := Load(dir, filepath.Join(dir, "missing.yaml"))
	if err == nil {
		t.Fatal("expected an error")
	}
	for _, want := range []string{
		"a.yaml:10:17: steps[1].expect[0]",
		"c.yaml:3:18: metadata.name: expected a name of its own, found minimal, which " + filepath.Join(dir, "b.yaml") + " has too",
		"missing.yaml: expected a scenario file or a directory of them, found nothing of that name",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("expected %q in:\n%v", want, err)
		}
	}
	if lines := strings.Count(err.Error(), "\n") + 1; lines != 3 {
		t.Errorf("expected 3 problems, got %d:\n%v", lines, err)
	}
	if _, err := Load(t.TempDir()); err == nil || !strings.Contains(err.Error(), "NAME.yaml") {
		t.Errorf("an empty directory: %v", err)
	}
}

func TestScenariosKeepTheirOrder(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"b", "a", "c"} {
		write(t, dir, name+".yaml", strings.Replace(minimal, "name: minimal", "name: "+name, 1))
	}
	list, err := Load(filepath.Join(dir, "c.yaml"), filepath.Join(dir, "a.yaml"))
	if err != nil || len(list) != 2 || list[0].Metadata.Name != "c" || list[1].Metadata.Name != "a" {
		t.Errorf("files in the order given: %v, %v", list, err)
	}
	list, err = Load(dir)
	if err != nil || len(list) != 3 || list[0].Metadata.Name != "a" || list[2].Metadata.Name != "c" {
		t.Errorf("files of a directory by name: %v, %v", list, err)
	}
}

func TestLibraryIsInOrder(t *testing.T) {
	list, err := LoadFS(library)
	if err != nil {
		t.Fatal(err)
	}
	if len(list) < 10 {
		t.Errorf("expected ten scenarios or more, got %d", len(list))
	}
	for _, s := range list {
		if s.file != s.Metadata.Name+".yaml" {
			t.Errorf("%s: its name is %s", s.file, s.Metadata.Name)
		}
		if s.Description == "" || s.Cause == "" || len(s.Links) == 0 {
			t.Errorf("%s: expected a description, a cause and links", s.file)
		}
	}
}

// FuzzScenario looks for files that make the reader panic or hang, and for
// scenarios that it takes although they cannot be run. CEL's parser learns as it
// goes, so that coverage varies: run it with -fuzzminimizetime=10x.
func FuzzScenario(f *testing.F) {
	f.Add([]byte(minimal))
	entries, err := os.ReadDir(libraryDir)
	if err != nil {
		f.Fatal(err)
	}
	for _, entry := range entries {
		if filepath.Ext(entry.Name()) == ".yaml" {
			data, err := os.ReadFile(filepath.Join(libraryDir, entry.Name()))
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Parse("fuzz.yaml", data)
		if err != nil {
			var problems yamlfile.Problems
			if !errors.As(err, &problems) || len(problems) == 0 {
				t.Fatalf("an error that is no list of problems: %v", err)
			}
			lines := len(lineBreak.FindAll(data, -1)) + 1
			for _, p := range problems {
				if p.File != "fuzz.yaml" || p.Expected == "" || p.Line < 0 || p.Line > lines+1 || p.Column < 0 || p.Line == 0 && p.Column > 0 {
					t.Errorf("a problem that is in no place of %d lines: %+v", lines, p)
				}
			}
			return
		}
		for _, step := range s.Steps {
			for _, e := range step.Expect {
				if e.program == nil || e.line == 0 {
					t.Errorf("%q was not compiled", e.Source)
				}
			}
		}
	})
}

// lineBreak is what YAML 1.1 takes for one.
var lineBreak = regexp.MustCompile("[\n\r\u0085\u2028\u2029]")

func write(t *testing.T, dir, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
