package harness

import (
	"slices"

	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/internal/faults"
)

// Inject makes requests, tokens or files go wrong until the test ends or [Fault.Clear] is
// called. The fault is written as for wiemu run --fault; docs/faults.md lists the kinds:
//
//	throttled,retry-after=3s,for.resource=keyvault,when.count=2
func (l *Lab) Inject(text string) *Fault {
	l.t.Helper()
	set := l.session.Emulator().Faults()
	parsed, err := fault.Parse(text)
	must(l.t, err)
	id, err := set.Inject(parsed)
	must(l.t, err)
	injected := &Fault{set, id}
	l.t.Cleanup(injected.Clear) // the lab of a subtest outlives it
	l.t.Cleanup(func() {        // runs before that: a fault that never took effect may be why the test fails
		for _, missed := range set.Missed() {
			if missed.ID == id {
				l.t.Logf("%s", missed.MissReason())
			}
		}
	})
	return injected
}

// Fault is an injected fault.
type Fault struct {
	set *faults.Set
	id  string
}

// Clear ends the fault, if it has not ended.
func (f *Fault) Clear() {
	if f.index() >= 0 {
		_ = f.set.Clear(f.id) // it may have ended meanwhile
	}
}

// Hits returns how many requests have gone wrong so far, or 0 if the fault has ended.
func (f *Fault) Hits() int {
	active := f.set.Active()
	if i := f.index(); i >= 0 {
		return active[i].Hits
	}
	return 0
}

func (f *Fault) index() int {
	return slices.IndexFunc(f.set.Active(), func(a fault.Active) bool { return a.ID == f.id })
}
