package scenario

import (
	"fmt"
	"github.com/wiemu/wiemu/internal/scenario/report"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// many are scenarios a, b, c, … of which each starts as many programs as its place says.
func many(n int) []Scenario {
	list := make([]Scenario, n)
	for i := range list {
		list[i] = Scenario{Metadata: Metadata{Name: string(rune('a' + i))}, Steps: slices.Repeat([]Step{{Run: &RunStep{}}}, i)}
	}
	return list
}

func names(list []Scenario) string {
	var names []string
	for _, s := range list {
		names = append(names, report.Outcome{Name: s.Metadata.Name, Run: s.run}.Title())
	}
	return strings.Join(names, " ")
}

func TestSelection(t *testing.T) {
	for _, test := range []struct {
		name      string
		selection Selection
		want      string
		fails     string
	}{
		{name: "everything, once", want: "a b c d"},
		{name: "by name", selection: Selection{Names: regexp.MustCompile("^[bd]$")}, want: "b d"},
		{name: "one of two parts: d and a weigh what c and b do", selection: Selection{Shard: Shard{1, 2}}, want: "a d"},
		{name: "the other", selection: Selection{Shard: Shard{2, 2}}, want: "b c"},
		{name: "several times", selection: Selection{Names: regexp.MustCompile("[bc]"), Count: 2}, want: "b#1 c#1 b#2 c#2"},
		{name: "a part several times", selection: Selection{Shard: Shard{1, 2}, Count: 2}, want: "a#1 d#1 a#2 d#2"},
		{name: "no such name", selection: Selection{Names: regexp.MustCompile("x+")}, fails: "no scenario's name matches x+; there are a, b, c, d"},
		{name: "nearly a name", selection: Selection{Names: regexp.MustCompile("aa")}, fails: "no scenario's name matches aa; did you mean a?"},
		{name: "more parts than scenarios", selection: Selection{Shard: Shard{5, 5}}, fails: "shard 5/5 is empty, as there are 4 scenarios; divide them into 4 parts at most"},
	} {
		got, err := test.selection.Of(many(4))
		if fmt.Sprint(err) != test.fails && (err != nil || test.fails != "") {
			t.Errorf("%s: %v, want %s", test.name, err, test.fails)
		}
		if names(got) != test.want {
			t.Errorf("%s: %s, want %s", test.name, names(got), test.want)
		}
	}
}

// Every scenario is in one shard, whatever the order in which they are given, and
// no shard has much more to do than another.
func TestShardsAreBalanced(t *testing.T) {
	list := many(23)
	for parts := 1; parts <= 7; parts++ {
		seen, least, most := map[string]int{}, 1<<30, 0
		for n := 1; n <= parts; n++ {
			shard, err := Selection{Shard: Shard{n, parts}}.Of(list)
			if err != nil {
				t.Fatal(err)
			}
			backwards := slices.Clone(list)
			slices.Reverse(backwards)
			again, err := Selection{Shard: Shard{n, parts}}.Of(backwards)
			slices.Reverse(again)
			if err != nil || names(again) != names(shard) {
				t.Errorf("%d/%d: %s, and in another order %s (%v)", n, parts, names(shard), names(again), err)
			}
			cost := 0
			for _, s := range shard {
				seen[s.Metadata.Name]++
				cost += s.cost()
			}
			least, most = min(least, cost), max(most, cost)
		}
		for _, s := range list {
			if seen[s.Metadata.Name] != 1 {
				t.Errorf("%d parts: %s is in %d of them", parts, s.Metadata.Name, seen[s.Metadata.Name])
			}
		}
		if most-least > least/5 {
			t.Errorf("%d parts: one takes %d, another %d", parts, least, most)
		}
	}
}

func TestParseShard(t *testing.T) {
	if s, err := ParseShard("2/5"); err != nil || s != (Shard{2, 5}) {
		t.Errorf("2/5 is %v, %v", s, err)
	}
	for _, text := range []string{"", "2", "2/", "/5", "0/5", "6/5", "-1/5", "1/x", "1/99999999999"} {
		if s, err := ParseShard(text); err == nil || !strings.Contains(err.Error(), "such as 2/5") {
			t.Errorf("%q is %v, %v", text, s, err)
		}
	}
}
