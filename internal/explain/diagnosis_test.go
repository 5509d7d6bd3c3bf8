package explain_test

import (
	"bytes"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/explain"
)

// day is a workload whose token file is renewed every 48 minutes, and an exchange
// at the end with the token of an ordinal; 0 is one that was in no file.
func day(tokens, sent int, check string) (journal.Event, []journal.Event) {
	var all []journal.Event
	at := start
	add := func(e journal.Event) journal.Event {
		e.ID, e.Time = strconv.Itoa(len(all)+1), at
		all = append(all, e)
		return e
	}
	expiry := func(n int) *time.Time {
		t := start.Add(time.Duration(n-1)*48*time.Minute + time.Hour)
		return &t
	}
	for n := 1; n <= tokens; n++ {
		at = start.Add(time.Duration(n-1) * 48 * time.Minute)
		add(journal.Event{Kind: journal.Mint, Outcome: journal.OK, JTI: "j" + strconv.Itoa(n), ExpiresAt: expiry(n)})
		for _, file := range []string{"web/token", "again/token"} { // the same account once more, with tokens of its own
			e := journal.Event{Kind: journal.Projection, Outcome: journal.OK, Workload: "shop/web-sa", JTI: "j" + strconv.Itoa(n), ExpiresAt: expiry(n), Detail: map[string]string{"file": file}}
			if file != "web/token" {
				e.JTI += "-again"
			}
			add(e)
		}
	}
	at = at.Add(20 * time.Minute)
	e := journal.Event{
		Kind: journal.Exchange, Outcome: journal.Denied, Workload: "shop/web-sa", JTI: "j" + strconv.Itoa(sent), Code: 700024,
		Meaning: "The token has expired, or is not valid yet. More.", Checks: []journal.Check{{Name: check, Expected: "now", Presented: "then", Outcome: journal.Failed}},
	}
	return add(e), all
}

func TestADiagnosisIsWhatIsWrongInThisCase(t *testing.T) {
	old, oldRun := day(4, 1, "valid now")
	stale, staleRun := day(2, 1, "signing key published")
	kept, keptRun := day(1, 1, "valid now")
	keptAt := kept
	keptAt.Time = kept.Time.Add(26 * time.Hour)
	foreign, foreignRun := day(3, 0, "valid now")
	other, otherRun := day(4, 1, "audience")
	near := func(differences ...journal.Difference) journal.Event {
		return journal.Event{Kind: journal.Exchange, Outcome: journal.Denied, Nearest: &journal.Nearest{Credential: "web", Differences: differences}}
	}
	subject := func(account string) string { return "system:serviceaccount:" + account }
	for name, test := range map[string]struct {
		event journal.Event
		all   []journal.Event
		want  string
	}{
		"a token read once":                  {old, oldRun, "The file has held token 4 since 10:24; you sent token 1, which expired at 09:00"},
		"a token whose key is gone":          {stale, staleRun, "The file has held token 2 since 08:48; you sent token 1, which expired at 09:00"},
		"a file that is not renewed":         {keptAt, keptRun, "The file was not renewed: it still holds token 1, of 2026-01-15 08:00, which expired at 2026-01-15 09:00"},
		"a token of somewhere else":          {foreign, foreignRun, "You sent a token that was never in the file; the file has held token 3 since 09:36"},
		"a check that is not about age":      {other, otherRun, "The token has expired, or is not valid yet (audience: then)"},
		"another namespace":                  {near(journal.Difference{Field: "subject", Kind: "namespace", Expected: subject("dev:web-sa"), Presented: subject("test:web-sa")}), nil, "The subject's namespace is test, the credential trusts dev"},
		"another service account":            {near(journal.Difference{Field: "subject", Kind: "service account", Expected: subject("dev:web-sa"), Presented: subject("dev:api-sa")}), nil, "The subject's service account is api-sa, the credential trusts web-sa"},
		"a slash":                            {near(journal.Difference{Field: "issuer", Kind: "trailing slash", Expected: "https://a/", Presented: "https://a"}), nil, "The issuer differs in the slash at its end: it is https://a, the credential trusts https://a/"},
		"upper and lower case":               {near(journal.Difference{Field: "subject", Kind: "case", Expected: "A", Presented: "a"}), nil, "The subject differs in upper and lower case alone: it is a, the credential trusts A"},
		"two differences":                    {near(journal.Difference{Field: "issuer", Kind: "host", Expected: "https://a/", Presented: "https://b/"}, journal.Difference{Field: "audience"}), nil, "The issuer is https://b/, the credential trusts https://a/; 1 more differ, see below"},
		"a fault":                            {journal.Event{Outcome: journal.Denied, Meaning: "It failed.", Detail: map[string]string{"remark": "fault f1 was injected"}}, nil, "On purpose: fault f1 was injected"},
		"a resource's refusal":               {journal.Event{Kind: journal.Access, Outcome: journal.Denied, Meaning: "The token is good, but its owner may not get secrets in vault orders."}, nil, "The token is good, but its owner may not get secrets in vault orders"},
		"a check without a meaning":          {journal.Event{Outcome: journal.Denied, Checks: []journal.Check{{Name: "audience", Expected: "a", Presented: "b", Outcome: journal.Failed}}}, nil, "audience: expected a, presented b"},
		"nothing is wrong with what is good": {journal.Event{Outcome: journal.Granted, Meaning: "It is good."}, nil, ""},
	} {
		if got := explain.Diagnosis(test.event, test.all); got != test.want {
			t.Errorf("%s:\n%q, want\n%q", name, got, test.want)
		}
	}
}

func TestARefusalThatComesAgainIsCounted(t *testing.T) {
	var all []journal.Event
	for n := range 79 {
		e := journal.Event{ID: strconv.Itoa(n + 1), Time: start.Add(time.Duration(n) * time.Minute), Kind: journal.Exchange, Outcome: journal.Denied, Code: 700024, JTI: "j1", Workload: "shop/web-sa", Summary: "refused"}
		if n == 40 {
			e.Code = 700213
		}
		all = append(all, e)
	}
	var short, whole bytes.Buffer
	if err := explain.Write(&short, all[78], all); err != nil {
		t.Fatal(err)
	}
	if err := explain.WriteAll(&whole, all[78], all); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"✗ exchange denied: refused (× 78)\n", "first like it   event 1 at 2026-01-15T08:00:00Z\n", "✗ refused (× 79)\n"} {
		if !strings.Contains(short.String(), want) {
			t.Errorf("expected %q in\n%s", want, short.String())
		}
	}
	if n := strings.Count(whole.String(), "✗ refused\n"); n != 79 {
		t.Errorf("all of it shows %d events of the token's way, want 79", n)
	}
}

func TestChecksThatPassedAreSummedUp(t *testing.T) {
	e := journal.Event{Kind: journal.Exchange, Outcome: journal.Denied}
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g"} {
		e.Checks = append(e.Checks, journal.Check{Name: name, Presented: "x", Outcome: journal.Passed})
	}
	e.Checks = append(e.Checks, journal.Check{Name: "h", Expected: "y", Presented: "z", Outcome: journal.Failed}, journal.Check{Name: "i", Outcome: journal.Skipped})
	var short, whole bytes.Buffer
	if err := explain.Write(&short, e, nil); err != nil {
		t.Fatal(err)
	}
	if err := explain.WriteAll(&whole, e, nil); err != nil {
		t.Fatal(err)
	}
	if want := "  ✓ 7 passed: a, b, …, e, f, g\n  ✗ h\n      expected  y\n      presented z\n  – not made: i\n"; !strings.HasPrefix(short.String(), "h: expected y, presented z.\n\n✗ exchange denied") || !strings.Contains(short.String(), want) {
		t.Errorf("expected %s in\n%s", want, short.String())
	}
	if !strings.Contains(whole.String(), "  ✓ d                            x\n") || strings.Contains(whole.String(), "7 passed") {
		t.Errorf("not everything is shown:\n%s", whole.String())
	}
}
