package faults

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/emulator/journal"
)

// Subject is what is known about a call at the point where it may be hit; selectors are
// compared with it.
type Subject struct {
	Client     string // client id
	Issuer     string // URL
	IssuerName string // as wiemu.yaml calls it, where that is known
	Kid        string
	Component  string // that answers: Entra ID, a resource, or imds
	Host       string // that was asked
	Resource   string // that a token is for
	Workload   string // namespace/service account
}

// Hit is one call that goes wrong.
type Hit struct {
	ID   string // of the fault
	Kind fault.Kind

	parameters map[string]string
}

// Name is that of the fault's kind.
func (h Hit) Name() string { return h.Kind.Name }

// Text is the value of a parameter, which is its default unless the fault sets it. It
// panics if the kind has no such parameter.
func (h Hit) Text(parameter string) string {
	i := slices.IndexFunc(h.Kind.Parameters, func(p fault.Parameter) bool { return p.Name == parameter })
	if i < 0 {
		panic("fault: " + h.Kind.Name + " has no parameter " + parameter)
	}
	if v, ok := h.parameters[parameter]; ok {
		return v
	}
	return h.Kind.Parameters[i].Default
}

// Duration is the value of a parameter of type duration.
func (h Hit) Duration(parameter string) time.Duration {
	d, _ := time.ParseDuration(h.Text(parameter)) // checked when it was injected
	return d
}

// Int is the value of a parameter of type number.
func (h Hit) Int(parameter string) int {
	n, _ := strconv.Atoi(h.Text(parameter)) // checked when it was injected
	return n
}

// Note marks the event of a call as one that was hit.
func (h Hit) Note(e *journal.Event) {
	if h.ID == "" {
		return
	}
	e.Detail = maps.Clone(e.Detail)
	if e.Detail == nil {
		e.Detail = map[string]string{}
	}
	add := func(name, separator, text string) {
		if before := e.Detail[name]; before != "" {
			text = before + separator + text
		}
		e.Detail[name] = text
	}
	add(journal.DetailFault, " ", h.ID)
	add(journal.DetailRemark, "; ", h.String())
	e.Summary += fmt.Sprintf(" (fault %s: %s)", h.ID, h.Name())
}

// String names the fault with its parameters.
func (h Hit) String() string {
	settings := ""
	for _, p := range h.Kind.Parameters {
		if v := h.Text(p.Name); v != "" {
			settings += " " + p.Name + "=" + v
		}
	}
	return fmt.Sprintf("fault %s was injected, %s%s: %s", h.ID, h.Name(), settings, h.Kind.Summary)
}

func (a *injected) event(action string) journal.Event {
	return journal.Event{
		Kind: journal.Fault, Outcome: journal.OK, Summary: fmt.Sprintf("fault %s %s: %s", a.ID, action, a.Fault),
		Detail: map[string]string{journal.DetailFault: a.ID, "name": a.Name, "action": action},
	}
}

func (a *injected) hitEvent(about Subject, names Names) journal.Event {
	e := a.event("hit")
	e.ClientID, e.Issuer, e.Kid, e.Workload = about.Client, about.Issuer, about.Kid, about.Workload
	e.Component, e.Host, e.Resource = about.Component, about.Host, about.Resource
	e.Detail["call"] = strconv.Itoa(a.Calls)
	if name := names.Client.Aliases; about.Client != "" && name != nil {
		if known := name(about.Client); len(known) > 0 {
			e.Identity = known[0]
			about.Client = fmt.Sprintf("%s (%s)", known[0], about.Client)
		}
	}
	e.Summary = fmt.Sprintf("fault %s hit %s: %s", a.ID, about, a.kind.Summary)
	return e
}

// String describes the call in a few words.
func (s Subject) String() string {
	words := []string{"a call"}
	add := func(by, what string) {
		if what != "" {
			words = append(words, by, what)
		}
	}
	add("of", cmp.Or(s.Workload, s.Client))
	if s.Workload == "" && s.Client == "" {
		add("about", s.Issuer)
	}
	add("to", cmp.Or(s.Host, s.Component))
	return strings.Join(words, " ")
}
