package scenarios

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/wiemu/wiemu/emulator/yamlfile"
)

// Selection says which scenarios are run, and how often. The zero value is all of
// them, once.
type Selection struct {
	Names *regexp.Regexp // what a scenario's name matches, anywhere in it; nil: every name
	Shard Shard          // which part of them; the zero value: all
	Count int            // how often each is run; 0: once
}

// Shard is one of several parts that are all scenarios together. Each scenario is
// in one of them, and always in the same one as long as the scenarios are the same.
type Shard struct {
	Number int // from 1
	Of     int // how many parts there are; 0: the scenarios are not divided
}

// ParseShard reads a shard such as 2/5.
func ParseShard(text string) (Shard, error) {
	number, of, _ := strings.Cut(text, "/")
	n, err := strconv.ParseUint(number, 10, 16)
	m, err2 := strconv.ParseUint(of, 10, 16)
	if err != nil || err2 != nil || n < 1 || n > m {
		return Shard{}, fmt.Errorf("expected a part and how many there are, such as 2/5, found %q", text)
	}
	return Shard{Number: int(n), Of: int(m)}, nil
}

// Of returns the selected scenarios in the order of the list, and all of them
// again for each further run. A selection of nothing is an error.
func (s Selection) Of(list []Scenario) ([]Scenario, error) {
	named := list
	if s.Names != nil {
		named = slices.DeleteFunc(slices.Clone(list), func(sc Scenario) bool { return !s.Names.MatchString(sc.Metadata.Name) })
		if len(named) == 0 {
			return nil, s.matchesNone(list)
		}
	}
	chosen := s.Shard.of(named)
	if len(chosen) == 0 {
		return nil, fmt.Errorf("shard %d/%d is empty, as there are %d scenarios; divide them into %[3]d parts at most", s.Shard.Number, s.Shard.Of, len(named))
	}
	if s.Count < 2 {
		return chosen, nil
	}
	var repeated []Scenario
	for run := range s.Count {
		for _, sc := range chosen {
			sc.run = run + 1
			repeated = append(repeated, sc)
		}
	}
	return repeated, nil
}

// matchesNone says which names there are, or the one that was meant.
func (s Selection) matchesNone(list []Scenario) error {
	names := make([]string, len(list))
	for i, sc := range list {
		names[i] = sc.Metadata.Name
	}
	if meant := yamlfile.Nearest(s.Names.String(), names); meant != "" {
		return fmt.Errorf("no scenario's name matches %s; did you mean %s?", s.Names, meant)
	}
	slices.Sort(names)
	return fmt.Errorf("no scenario's name matches %s; there are %s", s.Names, strings.Join(names, ", "))
}

// of takes the shard's part: the dearest scenarios first, each goes to the part
// that has the least to do so far.
func (s Shard) of(list []Scenario) []Scenario {
	if s.Of < 2 {
		return list
	}
	order := slices.SortedFunc(slices.Values(list), func(a, b Scenario) int {
		return cmp.Or(cmp.Compare(b.cost(), a.cost()), strings.Compare(a.Metadata.Name, b.Metadata.Name))
	})
	load := make([]int, s.Of)
	mine := map[string]bool{}
	for _, sc := range order {
		least := slices.Index(load, slices.Min(load))
		load[least] += sc.cost()
		if least == s.Number-1 {
			mine[sc.Metadata.Name] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(list), func(sc Scenario) bool { return !mine[sc.Metadata.Name] })
}

// cost is what a scenario takes, roughly: a lab costs about as much as a program.
func (s Scenario) cost() int {
	cost := 1
	for _, step := range s.Steps {
		if step.program() != nil {
			cost++
		}
	}
	return cost
}
