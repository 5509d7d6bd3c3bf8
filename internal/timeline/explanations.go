package timeline

import (
	"strings"
	"time"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/explain"
)

// index finds events that share an id, so that explaining thousands stays fast.
type index struct {
	events              []journal.Event
	byJTI, byUTI, byKid map[string][]int
	written             map[string][]int // tokens into files, by workload
}

func newIndex(events []journal.Event) index {
	x := index{events: events, byJTI: map[string][]int{}, byUTI: map[string][]int{}, byKid: map[string][]int{}, written: map[string][]int{}}
	for i, e := range events {
		if e.JTI != "" {
			x.byJTI[e.JTI] = append(x.byJTI[e.JTI], i)
		}
		if e.UTI != "" {
			x.byUTI[e.UTI] = append(x.byUTI[e.UTI], i)
		}
		if e.Kind == journal.Projection {
			x.written[e.Workload] = append(x.written[e.Workload], i)
		}
		if e.Kid != "" && e.Kind == journal.KeyRotation {
			x.byKid[e.Kid] = append(x.byKid[e.Kid], i)
		}
	}
	return x
}

// maxChain is how many events of a token's way an explanation tells, of each kind of id.
const maxChain = 12

// explain is what wiemu explain says about an event.
func (x index) explain(i int) string {
	e := x.events[i]
	jti, kid := e.JTI, e.Kid
	related := map[int]bool{i: true}
	add := func(list []int) {
		for _, j := range list[max(0, len(list)-maxChain):] {
			related[j] = true
			if o := x.events[j]; jti == "" && o.Kind == journal.Exchange { // an access knows its exchange only by uti
				jti, kid = o.JTI, o.Kid
			}
		}
	}
	if e.UTI != "" {
		add(x.byUTI[e.UTI])
	}
	if jti != "" {
		add(x.byJTI[jti])
	}
	if kid != "" {
		add(x.byKid[kid])
	}
	if refused(e) && jti != "" { // which of the file's tokens it was
		for _, j := range x.written[e.Workload] {
			related[j] = true
		}
	}
	all := make([]journal.Event, 0, len(related))
	for j := range x.within(related) {
		all = append(all, x.events[j])
	}
	var b strings.Builder
	_ = explain.WriteAll(&b, e, all) // a strings.Builder does not fail
	return b.String()
}

// within yields the marked indices in order.
func (x index) within(marked map[int]bool) func(func(int) bool) {
	return func(yield func(int) bool) {
		first, last := len(x.events), -1
		for j := range marked {
			first, last = min(first, j), max(last, j)
		}
		for j := first; j <= last; j++ {
			if marked[j] && !yield(j) {
				return
			}
		}
	}
}

// Limits of what is explained, for the size of the file.
const (
	maxExplained = 1 << 20 // bytes of explanations of single events
	maxGroups    = 100     // different refusals listed below the picture
)

// explanations returns texts until they are too large: refusals, grants, then the rest.
func (p *picture) explanations() (texts []string, left int) {
	texts = make([]string, len(p.events))
	size := 0
	for _, wanted := range []func(journal.Event) bool{
		refused,
		func(e journal.Event) bool { return e.Kind == journal.Exchange || e.Kind == journal.Access },
		func(e journal.Event) bool { return e.Kind == journal.KeyRotation || e.Kind == journal.Projection },
		func(journal.Event) bool { return true },
	} {
		for i, e := range p.events {
			if texts[i] != "" || !wanted(e) {
				continue
			}
			if size > maxExplained {
				continue
			}
			texts[i] = p.index.explain(i)
			size += len(texts[i])
		}
	}
	for _, t := range texts {
		if t == "" {
			left++
		}
	}
	return texts, left
}

// A refusal is what was refused in the same way, once or often.
type refusal struct {
	Event   int // the last one: what is explained
	Events  []int
	Summary string
	First   time.Time
	Last    time.Time
}

// refusalsOf gathers refusals that say the same, in the order in which each came first.
func (p *picture) refusalsOf() []*refusal {
	var list []*refusal
	known := map[string]*refusal{}
	for i, e := range p.events {
		if !refused(e) {
			continue
		}
		r := known[string(e.Kind)+"\x00"+e.Summary]
		if r == nil {
			r = &refusal{Summary: e.Summary, First: e.Time}
			known[string(e.Kind)+"\x00"+e.Summary] = r
			list = append(list, r)
		}
		r.Event, r.Last = i, e.Time
		r.Events = append(r.Events, i)
	}
	return list
}

// A part of an explanation: checks that passed, to be folded, one that failed, or anything else.
type part struct {
	Class string // failed, or none
	Fold  int    // how many checks are folded; 0: none
	Text  string
}

// parts takes an explanation apart by the marks of its lines, as page.js does.
func parts(text string) []part {
	type run struct {
		kind  string
		lines []string
	}
	var runs []run
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		kind, before := "", ""
		if len(runs) > 0 {
			before = runs[len(runs)-1].kind
		}
		switch {
		case strings.HasPrefix(line, "  ✓ "):
			kind = "passed"
		case strings.HasPrefix(line, "  ✗ "), before == "failed" && strings.HasPrefix(line, "      "):
			kind = "failed"
		}
		if len(runs) == 0 || before != kind {
			runs = append(runs, run{kind: kind})
		}
		last := &runs[len(runs)-1]
		last.lines = append(last.lines, line)
	}
	list := make([]part, 0, len(runs))
	for _, r := range runs {
		p := part{Text: strings.Join(r.lines, "\n")}
		if r.kind == "failed" {
			p.Class = "failed"
		}
		if r.kind == "passed" && len(r.lines) > 3 {
			p.Fold = len(r.lines)
		}
		list = append(list, p)
	}
	return list
}
