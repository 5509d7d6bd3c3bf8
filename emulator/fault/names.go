package fault

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/emulator/yamlfile"
)

// Names say what selectors can name in a lab, field by field. The zero value knows
// nothing, so that everything is taken as it is.
type Names struct {
	Client   Naming // ids are client ids
	Issuer   Naming // ids are URLs; which names they have Know tells
	Resource Naming // ids are hosts and identifiers of what tokens are for
	Workload Naming // ids are NAMESPACE/SERVICE-ACCOUNT
}

// Naming is what one field of a selector can name. Names need not be unique: a
// selector is for all that have the name.
type Naming struct {
	// Aliases returns the names, besides its id, of what has an id, the best first. It is asked for
	// every call that a selector may be for, and must not ask the set of faults.
	Aliases func(id string) []string
	// Has reports whether something has this id or name. If nil, anything may be named.
	Has func(value string) bool
	// Known lists names and ids, of which a mistake suggests the nearest.
	Known func() []string
}

func (n Names) of(field string) Naming {
	switch field {
	case selectClient:
		return n.Client
	case selectIssuer:
		return n.Issuer
	case selectResource:
		return n.Resource
	case selectWorkload:
		return n.Workload
	}
	return Naming{} // kid: a client may sign with a key of its own
}

// called reports whether wanted is an id or a name of one of what there is.
func (n Naming) called(wanted string, ids ...string) bool {
	if same(wanted, ids...) {
		return true
	}
	return n.Aliases != nil && slices.ContainsFunc(ids, func(id string) bool {
		return id != "" && slices.ContainsFunc(n.Aliases(id), func(name string) bool { return strings.EqualFold(name, wanted) })
	})
}

// what is the text of a Mistake by field.
var what = map[string]string{
	selectClient:   "the client id or name of an application or managed identity",
	selectIssuer:   "the URL or name of an issuer",
	selectResource: "entra, keyvault, graph, arm, imds, the name of a vault or an application, a host that is emulated, or what a token is for",
	selectWorkload: "NAMESPACE/SERVICE-ACCOUNT or the name of a component or workload",
}

// listed is how many of the known names a mistake lists that is near to none.
const listed = 8

// mistakes are the fields that name nothing.
func (n Names) mistakes(s Selector) (found []*Mistake) {
	for _, f := range s.fields() {
		naming := n.of(f.name)
		if f.value == "" || naming.Has == nil || naming.Has(f.value) {
			continue
		}
		m := &Mistake{Field: "for." + f.name, Expected: what[f.name], Found: f.value}
		if naming.Known != nil {
			m.Fix = nearest(f.value, naming.Known())
		}
		found = append(found, m)
	}
	return found
}

// nearest is the known name that is most likely meant, or those there are.
func nearest(value string, known []string) string {
	if fix := didYouMean(value, known); fix != "" {
		return fix
	}
	if _, name, ok := strings.Cut(value, "/"); ok { // the account of another namespace
		for _, k := range known {
			if _, other, ok := strings.Cut(k, "/"); ok && yamlfile.Nearest(name, []string{other}) != "" {
				return "did you mean " + k + "?"
			}
		}
	}
	switch {
	case len(known) == 0:
		return "there is none"
	case len(known) > listed:
		return fmt.Sprintf("there are %s and %d more", strings.Join(known[:listed], ", "), len(known)-listed)
	}
	return "there is " + strings.Join(known, ", ")
}

// Name tells the set what selectors can name. From then on Inject refuses a
// selector that names nothing.
func (s *Set) Name(n Names) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names = n
}

// CheckNames returns an error that joins a *Mistake for each selector of an
// injected fault that names nothing that there is: for faults that were injected
// before everything was there.
func (s *Set) CheckNames() error {
	s.mu.Lock()
	names := s.names
	s.mu.Unlock()
	var errs []error
	for _, a := range s.Active() {
		for _, m := range names.mistakes(a.For) {
			errs = append(errs, fmt.Errorf("fault %s: %w", a.Name, m))
		}
	}
	return errors.Join(errs...)
}

// InjectChaos injects the faults that follow from a seed, those of them that are
// possible. Nobody expects each of them to hit.
func (s *Set) InjectChaos(seed uint64) error {
	for _, f := range Chaos(seed) {
		if !s.Possible(f) {
			continue
		}
		if _, err := s.inject(f, true); err != nil {
			return err
		}
	}
	return nil
}

// Missed returns the injected faults that have hit nothing, apart from those of
// chaos.
func (s *Set) Missed() []Active { return Missed(s.Active()) }

// Missed returns those of some faults that have hit nothing, apart from those of chaos.
func Missed(all []Active) (missed []Active) {
	for _, a := range all {
		if a.Hits == 0 && !a.Chaos {
			missed = append(missed, a)
		}
	}
	return missed
}

// Miss says of a fault that has hit nothing why that is.
func (a Active) Miss() string {
	why := "there was no call that it is for"
	switch {
	case a.Calls == 1:
		why = "there was 1 call that it is for, which it let through"
	case a.Calls > 1:
		why = fmt.Sprintf("there were %d calls that it is for, all of which it let through", a.Calls)
	}
	return fmt.Sprintf("fault %s hit nothing: %s; %s", a.ID, a.Fault, why)
}
