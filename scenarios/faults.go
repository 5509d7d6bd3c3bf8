package scenarios

// faultSeed decides about faults with a probability that name no seed. It is
// fixed, so that two runs are the same.
const faultSeed = 1

// inject lets something go wrong.
func (st *stage) inject(s *Step, result *Result) (err error) {
	if result.Fault, err = st.lab.Emulator().Faults().Inject(*s.Fault); err == nil && s.Name != "" {
		st.faults[s.Name] = result.Fault
	}
	return err
}

// clearFault ends the fault of a step, those of a kind, or all.
func (st *stage) clearFault(which string) {
	set := st.lab.Emulator().Faults()
	id, named := st.faults[which]
	for _, a := range set.Active() {
		if which == all || named && a.ID == id || !named && a.Name == which {
			_ = set.Clear(a.ID) // nobody else clears
		}
	}
}
