package scenario

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wiemu/wiemu/internal/keyring"
	"github.com/wiemu/wiemu/internal/scenario/condition"
	"github.com/wiemu/wiemu/internal/scenario/report"
)

var built struct {
	once sync.Once
	dir  string
	err  error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if built.dir != "" {
		_ = os.RemoveAll(built.dir) // nobody is left to tell
	}
	os.Exit(code)
}

// client builds wiemu-workload once for all tests.
func client(t testing.TB) string {
	t.Helper()
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "wiemu-client-"); built.err != nil {
			return
		}
		build := exec.Command("go", "build", "-o", filepath.Join(built.dir, Program), "../../cmd/wiemu-workload")
		if out, err := build.CombinedOutput(); err != nil {
			built.err = fmt.Errorf("build wiemu-workload: %w\n%s", err, out)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return filepath.Join(built.dir, Program)
}

// temporary makes a directory the one for all temporary files, and checks at the
// end of the test that nothing is left in it.
func temporary(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	t.Setenv("XDG_RUNTIME_DIR", dir)
	t.Cleanup(func() {
		left, err := os.ReadDir(dir)
		if err != nil || len(left) > 0 {
			t.Errorf("left behind: %v (%v)", left, err)
		}
	})
}

// play runs one scenario whose steps are given.
func play(t *testing.T, ctx context.Context, head, steps string, opts Options) report.Outcome {
	t.Helper()
	s, err := Parse("test.yaml", []byte(minimal[:strings.Index(minimal, "steps:")]+head+"steps:\n"+steps))
	if err != nil {
		t.Fatal(err)
	}
	ran := Run(ctx, []Scenario{s}, opts)
	if len(ran.Scenarios) != 1 || ran.Passed+ran.Failed+ran.Interrupted != 1 {
		t.Fatalf("expected one outcome, got %+v", ran)
	}
	return ran.Scenarios[0]
}

// The library is green, and two runs record the same, but for ids and machine times.
func TestLibrary(t *testing.T) {
	program := client(t)
	temporary(t)
	list, err := LoadFS(library)
	if err != nil {
		t.Fatal(err)
	}
	twice, err := Selection{Count: 2}.Of(list)
	if err != nil {
		t.Fatal(err)
	}
	var table bytes.Buffer
	ran := Run(t.Context(), twice, Options{Program: program, Out: &table})
	if err := ran.WriteEnd(&table); err != nil {
		t.Fatal(err)
	}
	if ran.ExitCode() != 0 {
		t.Errorf("the library is not green:\n%s", &table)
	}
	t.Logf("\n%s", &table)
	var simulated time.Duration
	for i, o := range ran.Scenarios {
		if o.Name != twice[i].Metadata.Name {
			t.Errorf("outcome %d is of %s, not of %s", i, o.Name, twice[i].Metadata.Name)
		}
		simulated += time.Duration(o.Simulated)
	}
	if simulated < 24*time.Hour {
		t.Errorf("only %v of lab time went by", simulated)
	}
	for i, first := range ran.Scenarios[:len(list)] {
		second := ran.Scenarios[len(list)+i]
		if first.JournalHash == second.JournalHash && first.JournalHash != "" {
			continue
		}
		var journals [2]strings.Builder
		if err := errors.Join(first.WriteJournal(&journals[0]), second.WriteJournal(&journals[1])); err != nil {
			t.Fatal(err)
		}
		t.Errorf("%s differs from run to run:\n%s", first.Name, cmp.Diff(journals[0].String(), journals[1].String()))
	}
	for _, f := range ran.Flaky() {
		t.Errorf("%s is flaky: %s", f.Name, f)
	}
}

// failing is a step that expects what does not hold.
func failing(t *testing.T, source string) Step {
	t.Helper()
	language, err := condition.NewLanguage()
	if err != nil {
		t.Fatal(err)
	}
	p, errs := language.Compile(source, nil, nil)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return Step{Expect: []Expression{{Source: source, program: p}}}
}

func TestAFailingExpectationFails(t *testing.T) {
	program := client(t) // built outside of what is checked for leftovers
	temporary(t)
	o := play(t, t.Context(), "", `
  - name: read
    run: {workload: web, shell: "echo '{\"n\": 7}'; echo oops >&2; exit 3"}
  - expect:
      - results.read.exitCode == 3
      - results.read.exitCode == 0
      - results.read.json.n == 8 || results.read.stderr == ''
  - name: never
    run: {workload: web, shell: exit 0}
  - expect: [results.never.exitCode == 0]
`, Options{Program: program})
	if o.Outcome != report.Failed || len(o.Failures) != 2 || o.Expectations != 3 {
		t.Fatalf("expected two failures of three expectations, got %+v", o)
	}
	f := o.Failures[1]
	text := f.Text()
	for _, want := range []string{
		"test.yaml:13: expectation failed", "results.read.json.n == 8 || results.read.stderr == ''",
		"results.read.json.n = 7", `results.read.stderr = "oops\n"`,
		"step read ended with exit code 3", "{\"n\": 7}", "oops", "the journal's last events",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("expected %q in:\n%s", want, text)
		}
	}
}

func TestAFailureIsExplained(t *testing.T) {
	temporary(t)
	o := play(t, t.Context(), "", `
  - set: {identity: web, federatedCredential: {subject: "system:serviceaccount:shop:Web-sa"}}
  - name: read
    run: {workload: web, command: [wiemu-workload, token, --scope, https://vault.azure.net/.default]}
  - expect: [results.read.json.ok]
`, Options{Program: client(t)})
	if len(o.Failures) != 1 {
		t.Fatalf("expected one failure, got %+v", o)
	}
	text := o.Failures[0].Text()
	for _, want := range []string{
		"results.read.json.ok = false", "7002138", "system:serviceaccount:shop:Web-sa", "Nearest federated credential",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("expected %q in:\n%s", want, text)
		}
	}
}

func TestEveryChangeOfTheDirectoryHasItsEffect(t *testing.T) {
	temporary(t)
	ask := func(name string) string {
		return "  - {name: " + name + ", run: {workload: web, command: [wiemu-workload, token, --scope, https://vault.azure.net/.default]}}\n"
	}
	o := play(t, t.Context(), "", ""+
		"  - set: {identity: web, disabled: true}\n"+ask("disabled")+
		"  - set: {identity: b96d264b-7053-4465-a4a7-32be5b0fec49, disabled: false}\n"+ask("enabled")+
		"  - set: {identity: web, federatedCredential: {audience: api://other}}\n"+ask("audience")+
		"  - set: {identity: web, addFederatedCredential: {name: second, subject: 'system:serviceaccount:shop:second-sa'}}\n"+
		"  - set: {identity: web, federatedCredential: {name: second, subject: 'system:serviceaccount:shop:third-sa'}}\n"+
		"  - set: {identity: web, federatedCredential: {name: second, issuer: 'https://elsewhere.example'}}\n"+
		"  - set: {identity: web, removeFederatedCredential: second}\n"+
		"  - set: {identity: web, federatedCredential: {audience: 'api://AzureADTokenExchange'}}\n"+ask("again")+
		"  - set: {identity: web, deleted: true}\n"+ask("deleted")+
		`  - expect:
      - results.disabled.json.code == 7000112
      - results.enabled.json.ok
      - results.audience.json.code == 700212
      - results.again.json.ok
      - results.deleted.json.code == 700016
      - journal.filter(e, e.kind == 'directory').size() >= 8
`, Options{Program: client(t)})
	if o.Outcome != report.Passed {
		t.Errorf("%s", o.Failures[0].Text())
	}
}

func TestKeysAreCalledByStageOrID(t *testing.T) {
	temporary(t)
	o := play(t, t.Context(), "", `
  - {name: first, copyToken: {workload: web}}
  - {name: second, publish: {}}
  - {name: third, publish: {issuer: local}}
  - {name: gone, removeKey: {key: published}}
  - expect:
      - results.first.token.kid != ''
      - results.gone.kid == results.second.kid
      - results.third.events.exists(e, e.kind == 'key-rotation' && e.kid == results.third.kid)
  - {name: rotated, rotate: {}}
  - {name: entra, rotate: {issuer: entra}}
  - expect:
      - results.rotated.kid == results.third.kid
      - results.entra.kid != results.third.kid
      - results.first.token.audience == ['api://AzureADTokenExchange']
      - workloads.web.token.subject == 'system:serviceaccount:shop:web-sa'
      - clock.elapsed == duration('0s') && clock.now == clock.start && clock.now == timestamp('2026-01-05T08:00:00Z')
  - {name: last, removeKey: {key: signing}}
`, Options{})
	if len(o.Failures) != 1 || !strings.Contains(o.Failures[0].Text(), "step last") || !strings.Contains(o.Failures[0].Message, "no other key is published") {
		t.Errorf("expected the removal of the signing key to be refused, got %+v", o.Failures)
	}
}

func TestTheClockIsSetSpedUpFrozenAndSkewed(t *testing.T) {
	temporary(t)
	o := play(t, t.Context(), "", `
  - {name: noon, setClock: '2026-01-05T12:00:00Z'}
  - expect:
      - clock.now == timestamp('2026-01-05T12:00:00Z') && clock.elapsed == duration('4h')
      - workloads.web.token.issuedAt > clock.start
  - {name: skewed, skew: {part: local, by: -3h}}
  - advance: 1h # the kubelet asks for a token of a cluster that is slow
  - expect:
      - workloads.web.token.issuedAt < timestamp('2026-01-05T10:00:00Z')
      - results.skewed.events.exists(e, e.kind == 'clock' && e.summary == 'the clock of local is 3h0m0s behind lab time')
  - speed: 36000 # ten hours in a second
  - {name: slept, run: {workload: web, shell: sleep 0.1}}
  - {name: frozen, freeze: true}
  - {name: again, run: {workload: web, shell: sleep 0.01}}
  - expect:
      - results.slept.finished - results.slept.started >= duration('1h')
      - results.again.finished == results.again.started && clock.now == results.frozen.finished
`, Options{})
	if len(o.Failures) != 0 {
		t.Errorf("%+v", o.Failures)
	}
}

func TestStepsThatCannotBeDone(t *testing.T) {
	temporary(t)
	t.Setenv("PATH", t.TempDir()) // go install may have put a wiemu-workload into the user's; the steps have their own
	for name, test := range map[string]struct{ step, says string }{
		"no such key":        {"{removeKey: {}}", "expected a key that is retired, found"},
		"no such credential": {"{set: {identity: web, removeFederatedCredential: other}}", "found \"other\""},
		"nobody any more":    {"{set: {identity: 00000000-1111-2222-3333-444444444444, disabled: true}}", "no tenant has an identity"},
		"back in time":       {"{setClock: '2026-01-05T08:00:00Z'}\n  - advance: 1h\n  - {setClock: '2026-01-05T08:30:00Z'}", "it is 2026-01-05T09:00:00Z already"},
		"too slow":           {"{run: {workload: web, shell: 'exec sleep 60', timeout: 20ms}}", "took longer than 20ms; if it is to go on running, as a server does, begin it with start: instead of run:"},
		"no program":         {"{run: {workload: web, command: [wiemu-workload]}}", "go build github.com/wiemu/wiemu/cmd/wiemu-workload"},
	} {
		o := play(t, t.Context(), "", "  - "+test.step+"\n  - expect: ['true']\n", Options{Environ: []string{"PATH=/usr/bin:/bin"}})
		if len(o.Failures) != 1 || !strings.Contains(o.Failures[0].Message, test.says) || o.Failures[0].Line == 0 {
			t.Errorf("%s: expected %q, got %+v", name, test.says, o.Failures)
		}
	}
}

func TestAnEscapeFailsUnlessItIsAllowed(t *testing.T) {
	temporary(t)
	const steps = `
  - name: out
    run: {workload: web, shell: curl --silent --show-error https://example.com/}
  - expect: [results.out.exitCode != 0]
`
	o := play(t, t.Context(), "", steps, Options{})
	if len(o.Failures) != 1 || !strings.Contains(o.Failures[0].Message, "tried to reach example.com") {
		t.Errorf("expected an escape to fail, got %+v", o)
	}
	if o := play(t, t.Context(), "allowEscapes: true\n", steps, Options{}); o.Outcome != report.Passed {
		t.Errorf("an escape that is allowed: %+v", o.Failures)
	}
}

func TestTheEnvironmentIsTheWorkloads(t *testing.T) {
	temporary(t)
	o := play(t, t.Context(), "", `
  - {name: copy, copyToken: {workload: web}}
  - name: show
    run:
      workload: web
      token: copy
      env: {EXTRA: more}
      shell: |
        echo "$AZURE_CLIENT_ID/$AZURE_CLIENT_SECRET/$EXTRA/$HOME"
        cat "$AZURE_FEDERATED_TOKEN_FILE" | cut -d. -f1-2 | tr -d '\n' | wc -c
        pwd
  - expect:
      - results.show.stdout.startsWith('b96d264b-7053-4465-a4a7-32be5b0fec49//more/home\n')
      - results.show.exitCode == 0
`, Options{Environ: []string{"AZURE_CLIENT_SECRET=real", "HOME=home", "PATH=" + os.Getenv("PATH")}})
	if o.Outcome != report.Passed {
		t.Error(o.Failures[0].Text())
	}
}

func TestOutputIsReadAsJSONAndBounded(t *testing.T) {
	temporary(t)
	o := play(t, t.Context(), "", `
  - {name: list, run: {workload: web, shell: "echo '[1, 2.5, {\"a\": 1e400}]'"}}
  - {name: two, run: {workload: web, shell: "echo '{} {}'"}}
  - {name: text, run: {workload: web, shell: "echo 7"}}
  - {name: lines, run: {workload: web, shell: "echo '{\"n\": 1}'; echo '{\"n\": 2}'; printf '{\"n\"'"}}
  - {name: mixed, run: {workload: web, shell: "echo '{}'; echo text; echo '{}'"}}
  - {name: much, run: {workload: web, shell: "head -c 3000000 /dev/zero | tr '\\\\0' x"}}
  - expect:
      - results.list.json[0] == 1 && results.list.json[1] == 2.5 && results.list.json[2].a > 1e300
      - results.two.json == null && results.text.json == null
      - results.lines.json == null && results.lines.lines.map(l, l.n) == [1, 2]
      - results.list.lines == [results.list.json] && results.mixed.lines.size() == 0
      - results.much.stdout.size() == 1048576
`, Options{})
	if o.Outcome != report.Passed {
		t.Error(o.Failures[0].Text())
	}
}

func TestOrderIsThatOfTheFiles(t *testing.T) {
	temporary(t)
	keys, err := keyring.OpenPool("", keyring.PoolOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer keys.Close()
	var list []Scenario
	for _, name := range []string{"d", "b", "a", "c"} {
		s, err := Parse(name, []byte(strings.NewReplacer(
			"name: minimal", "name: "+name, "command: [wiemu-workload, secret, get, mykeyvault, mysecret]", "shell: 'true'",
		).Replace(minimal)))
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, s)
	}
	for _, parallel := range []int{1, 4} {
		var out bytes.Buffer
		ran := Run(t.Context(), list, Options{Parallel: parallel, Out: &out, Keys: keys})
		var names []string
		for line := range strings.Lines(out.String()) {
			names = append(names, strings.Fields(line)[1])
		}
		if got := strings.Join(names, ""); got != "dbac" || ran.Passed != 4 {
			t.Errorf("%d at a time: %d passed, printed in the order %s", parallel, ran.Passed, got)
		}
	}
}

func TestAProgramThatIsMissingIsSaidBeforeAnythingRuns(t *testing.T) {
	t.Setenv("PATH", "/usr/bin:/bin")
	needs, err := Parse("minimal.yaml", []byte(minimal))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := Parse("plain.yaml", []byte(strings.Replace(minimal, "command: [wiemu-workload, secret, get, mykeyvault, mysecret]", "shell: 'true'", 1)))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name     string
		scenario Scenario
		opts     Options
		says     string
	}{
		{"it is nowhere", needs, Options{}, "make build"},
		{"it is not where it is said to be", needs, Options{Program: "nowhere/wiemu-workload"}, "nowhere/wiemu-workload"},
		{"it is there", needs, Options{Program: client(t)}, ""},
		{"nobody needs it", plain, Options{}, ""},
	} {
		if err := test.opts.Check([]Scenario{test.scenario}); (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v, want %q", test.name, err, test.says)
		}
	}
}

// closed is an output that nobody reads.
type closed struct{ writes int }

func (c *closed) Write([]byte) (int, error) {
	c.writes++
	return 0, os.ErrClosed
}

func TestARunEndsWhenNobodyReads(t *testing.T) {
	temporary(t)
	s, err := Parse("test.yaml", []byte(strings.Replace(minimal, "command: [wiemu-workload, secret, get, mykeyvault, mysecret]", "shell: 'true'", 1)))
	if err != nil {
		t.Fatal(err)
	}
	out := &closed{}
	ran := Run(t.Context(), []Scenario{s, s, s}, Options{Parallel: 1, Out: out})
	if out.writes != 1 || ran.Interrupted != 2 || ran.ExitCode() != 1 || !strings.Contains(ran.Scenarios[1].Failures[0].Message, "not run") {
		t.Errorf("%d lines were written, and then %+v", out.writes, ran)
	}
}

func TestProgressIsTold(t *testing.T) {
	temporary(t)
	green, err := Parse("green.yaml", []byte(strings.Replace(minimal, "command: [wiemu-workload, secret, get, mykeyvault, mysecret]", "shell: 'true'", 1)))
	if err != nil {
		t.Fatal(err)
	}
	red := green
	red.Metadata.Name = "red"
	red.Steps = append(slices.Clone(green.Steps), failing(t, "journal == []"))
	var told []string
	ran := Run(t.Context(), []Scenario{green, red, green}, Options{Parallel: 1, FailFast: true, Progress: func(p Progress) {
		told = append(told, fmt.Sprintf("%d/%d %d %s", p.Done, p.Scenarios, p.Failed, strings.Join(p.Running, " ")))
	}})
	if got := strings.Join(told, "|"); got != "0/3 0 minimal|1/3 0 |1/3 0 red|2/3 1 |3/3 1 " {
		t.Errorf("told %s", got)
	}
	if ran.Passed != 1 || ran.Failed != 1 || ran.Skipped != 1 || ran.ExitCode() != 1 {
		t.Errorf("%+v", ran)
	}
}

// What did not come to its end did not fail, and nobody is told of each.
func TestAnInterruptionIsNoFailure(t *testing.T) {
	temporary(t)
	s, err := Parse("green.yaml", []byte(strings.Replace(minimal, "command: [wiemu-workload, secret, get, mykeyvault, mysecret]", "shell: 'true'", 1)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	told := 0
	ran := Run(ctx, []Scenario{s, s, s, s}, Options{Parallel: 1, Progress: func(p Progress) {
		if told++; p.Done == 1 && len(p.Running) == 1 {
			interrupt() // the second has begun
		}
	}})
	if got := ran.Counts(); got != "1 passed, 0 failed, 3 not run" || ran.ExitCode() != 1 {
		t.Errorf("%s, exit code %d", got, ran.ExitCode())
	}
	if told != 3 {
		t.Errorf("told %d times how far it has come, expected 3: the first began and ended, the second began", told)
	}
}

// Only the scenario tells that its time is over: no deadline is passed on that a
// client could meet first.
func TestTimeOutsAreToldByOneParty(t *testing.T) {
	cause := errors.New("over")
	ctx, cancel := limit(t.Context(), 0, cause)
	defer cancel()
	if _, visible := ctx.Deadline(); visible {
		t.Error("the deadline can be seen")
	}
	<-ctx.Done()
	if err := reason(ctx, os.ErrClosed); !errors.Is(err, cause) {
		t.Error(err)
	}
	o := play(t, t.Context(), "", "  - {run: {workload: web, shell: exec sleep 600, timeout: 10m}}\n  - expect: ['true']\n", Options{Timeout: time.Nanosecond})
	if len(o.Failures) != 1 || !strings.HasSuffix(o.Failures[0].Message, "the scenario took longer than 1ns") {
		t.Errorf("%+v", o.Failures)
	}
}
