package harness

import (
	"slices"

	"github.com/wiemu/wiemu/emulator/fault"
)

// Faults are what goes wrong on purpose in the lab.
func (l *TestLab) Faults() *Faults { return &Faults{l.t, l.lab.emulator.Faults()} }

// Faults lets things go wrong. docs/faults.md lists what there is.
type Faults struct {
	t   TB
	set *fault.Set
}

// Inject lets something go wrong until the test ends, or Clear is called. It is
// told in one word, as to wiemu run --fault:
//
//	throttled,retry-after=3s,for.resource=keyvault,when.count=2
func (f *Faults) Inject(word string) *Fault {
	f.t.Helper()
	parsed, err := fault.Parse(word)
	if err != nil {
		f.t.Fatalf("%v", err)
	}
	id, err := f.set.Inject(parsed)
	if err != nil {
		f.t.Fatalf("%v", err)
	}
	injected := &Fault{f.set, id}
	f.t.Cleanup(injected.Clear) // of a subtest's fault the lab lives on
	f.t.Cleanup(func() {        // before that: in a test that fails it may be the reason
		for _, missed := range f.set.Missed() {
			if missed.ID == id {
				f.t.Logf("%s", missed.Miss())
			}
		}
	})
	return injected
}

// Clear ends all faults, those of the configuration, too.
func (f *Faults) Clear() { f.set.ClearAll() }

// Fault is one that was injected.
type Fault struct {
	set *fault.Set
	id  string
}

// Clear ends the fault. It may have ended already.
func (f *Fault) Clear() {
	if f.index() >= 0 {
		_ = f.set.Clear(f.id) // somebody else may have been faster
	}
}

// Hits is how many calls have gone wrong so far; 0 of one that has ended.
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
