package fault_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/internal/faultkind"
)

func TestAFaultInOneWord(t *testing.T) {
	got, err := fault.Parse("throttled,retry-after=3s, for.resource=entra,for.client=c,when.nth=2,when.every=3,when.count=4,when.after=1m,when.until=1h,when.probability=0.5,when.seed=7")
	want := fault.Fault{
		Name: faultkind.Throttled, Parameters: fault.Settings{"retry-after": "3s"}, For: fault.Selector{Client: "c", Resource: "entra"},
		When: fault.Limits{Nth: 2, Every: 3, Count: 4, After: fault.Duration(time.Minute), Until: fault.Duration(time.Hour), Probability: 0.5, Seed: 7},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestWordsThatAreNoFault(t *testing.T) {
	for text, want := range map[string]string{
		"":                            "name: expected the name of a fault",
		"throtled":                    "did you mean throttled?",
		"throttled,3s":                "throttled: expected NAME=VALUE, found 3s",
		"throttled,for.clint=c":       "for: expected one of client, issuer, kid, resource, workload, found clint; did you mean client?",
		"throttled,when.nht=2":        "did you mean nth?",
		"throttled,when.nth=two":      `when.nth: expected a whole number, found "two"`,
		"throttled,when.after=soon":   `when.after: expected a duration such as 90s, 10m or 25h, found "soon"`,
		"throttled,when.seed=-1":      `when.seed: expected a whole number, found "-1"`,
		"throttled,when.probability=": "when.probability: expected a share above 0 up to 1",
	} {
		if _, err := fault.Parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("throttled,retry-after=3s,for.client=c,when.nth=2")
	f.Add("slow,=,,when.=")
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := fault.Parse(text)
		if err == nil {
			parsed.Check(nil) // says what is wrong and does not fall over
		}
	})
}
