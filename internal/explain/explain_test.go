package explain_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/explain"
	"github.com/wiemu/wiemu/internal/journals"
)

var update = flag.Bool("update", false, "write the golden files")

var start = time.Date(2026, 1, 15, 8, 0, 0, 0, time.UTC)

// history is a run in which the token of prod was sent for dev.
func history(t *testing.T) []journal.Event {
	j, err := journals.New(clock.Stopped(start), journals.Options{})
	if err != nil {
		t.Fatal(err)
	}
	j.Record(journal.Event{Kind: journal.KeyRotation, Outcome: journal.OK, Kid: "k1", Summary: "key k1 signs"})
	j.Record(journal.Event{Kind: journal.KeyRotation, Outcome: journal.OK, Kid: "k2", Summary: "key k2 is another issuer's"})
	j.Record(journal.Event{Kind: journal.Mint, Outcome: journal.OK, Kid: "k1", JTI: "j1", Summary: "minted for my-radix-app-prod/web-sa"})
	j.Record(journal.Event{
		Kind: journal.Exchange, Outcome: journal.Denied, Kid: "k1", JTI: "j1", Status: 401, Code: 700213, Error: "invalid_client",
		Workload: "my-radix-app-prod/web-sa", Identity: "my-radix-app_dev_web", ClientID: "b96d264b-7053-4465-a4a7-32be5b0fec49",
		TraceID: "0bcd5b76-1e33-47da-951b-c4cfcb641500", CorrelationID: "7af0c04c-0aab-4cbe-8a43-5d0a6a6f4a4e",
		Summary: "AADSTS700213: no federated credential for the subject system:serviceaccount:my-radix-app-prod:web-sa",
		Checks: []journal.Check{
			{Name: "tenant", Expected: "a known tenant", Presented: "3aa4a235-b6e2-48d5-9195-7fcf05b459b0", Outcome: journal.Passed},
			{Name: "issuer", Expected: "https://a/", Presented: "https://a/", Outcome: journal.Passed},
			{Name: "subject", Expected: "system:serviceaccount:my-radix-app-dev:web-sa", Presented: "system:serviceaccount:my-radix-app-prod:web-sa", Outcome: journal.Failed},
			{Name: "audience", Outcome: journal.Skipped, Note: "not looked at"},
		},
		Nearest: &journal.Nearest{Credential: "my-radix-app_dev_web", Differences: []journal.Difference{{
			Field: "subject", Expected: "system:serviceaccount:my-radix-app-dev:web-sa", Presented: "system:serviceaccount:my-radix-app-prod:web-sa",
			Kind: "namespace", Fix: "send the token of my-radix-app-dev",
		}}},
		Meaning: "The assertion's subject is not trusted.", Remedy: "Add a federated credential for it, or use the right token.",
	})
	j.Record(journal.Event{Kind: journal.Access, Outcome: journal.Denied, Status: 401, Summary: "challenge", Detail: map[string]string{"challenge": "true"}})
	return j.Events()
}

func TestExplainIsAPageForAPerson(t *testing.T) {
	all := history(t)
	last, ok := explain.Last(all)
	if !ok || last.Code != 700213 {
		t.Fatalf("the last refusal is %+v, want the exchange: a challenge is none", last)
	}
	var got bytes.Buffer
	if err := explain.Write(&got, last, all); err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "explain.txt")
	if *update {
		if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("explanation (-want +got), go test -update accepts it:\n%s", diff)
	}
}

func TestExplainSaysThatTheClientsClockDidNotMove(t *testing.T) {
	for ahead, want := range map[time.Duration]string{
		25 * time.Hour: "25h0m0s ahead of the machine's: the client's clock did not move",
		-time.Hour:     "1h0m0s behind the machine's",
		0:              "",
	} {
		e := journal.Event{ID: "1", Kind: journal.Access, Outcome: journal.Denied, Time: start.Add(ahead), Wall: start}
		var got bytes.Buffer
		if err := explain.Write(&got, e, nil); err != nil {
			t.Fatal(err)
		}
		if said := strings.Contains(got.String(), "lab time is"); said != (want != "") || !strings.Contains(got.String(), want) {
			t.Errorf("%v ahead: %s", ahead, got.String())
		}
	}
}

func TestAnEventIsFoundByEachOfItsIDs(t *testing.T) {
	e := journal.Event{ID: "4", TraceID: "t", CorrelationID: "c", JTI: "j", UTI: "u"}
	for _, id := range []string{"4", "t", "c", "j", "u"} {
		if !e.Matches(id) {
			t.Errorf("not found by %q", id)
		}
	}
	if e.Matches("") || e.Matches("x") || (journal.Event{}).Matches("") {
		t.Error("found by an id that is not its own")
	}
}

func TestChainLeadsFromAnAccessBackToTheKey(t *testing.T) {
	all := []journal.Event{
		{ID: "1", Kind: journal.KeyRotation, Kid: "k1"},
		{ID: "2", Kind: journal.Mint, Kid: "k1", JTI: "j1"},
		{ID: "3", Kind: journal.Mint, Kid: "k1", JTI: "j2"},
		{ID: "4", Kind: journal.Exchange, Kid: "k1", JTI: "j1", UTI: "u1"},
		{ID: "5", Kind: journal.Access, UTI: "u1"},
		{ID: "6", Kind: journal.Access, UTI: "u2"},
	}
	var ids []string
	for _, e := range explain.Chain(all[4], all) {
		ids = append(ids, e.ID)
	}
	if diff := cmp.Diff([]string{"1", "2", "4", "5"}, ids); diff != "" {
		t.Errorf("chain (-want +got):\n%s", diff)
	}
}

func ExampleWrite() {
	j, _ := journals.New(clock.Stopped(start), journals.Options{})
	e := j.Record(journal.Event{
		Kind: journal.Exchange, Outcome: journal.Denied, Code: 700212, Summary: "AADSTS700212: no federated credential for the audience https://wrong",
		Checks: []journal.Check{{Name: "audience", Expected: "api://AzureADTokenExchange", Presented: "https://wrong", Outcome: journal.Failed}},
	})
	_ = explain.Write(os.Stdout, e, j.Events())
	// Output:
	// audience: expected api://AzureADTokenExchange, presented https://wrong.
	//
	// ✗ exchange denied: AADSTS700212: no federated credential for the audience https://wrong
	//   event 1 at 2026-01-15T08:00:00Z (lab time)
	//
	// Checks, in the order they were made:
	//   ✗ audience
	//       expected  api://AzureADTokenExchange
	//       presented https://wrong
}

func TestTheProgramThatAskedIsNamed(t *testing.T) {
	e := journal.Event{ID: "1", Kind: journal.Escape, Outcome: journal.Denied, Summary: "CONNECT to example.com:443 refused", Program: &journal.Program{PID: 4711, Executable: "/usr/bin/node", Name: "node"}}
	var b strings.Builder
	if err := explain.Write(&b, e, []journal.Event{e}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "  program         node (process 4711, /usr/bin/node)\n") {
		t.Errorf("expected the program, found %s", b.String())
	}
}
