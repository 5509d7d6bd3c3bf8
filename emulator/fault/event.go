package fault

import (
	"cmp"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"github.com/wiemu/wiemu/emulator/journal"
)

// The members of an event's Detail by which it says that it went wrong on
// purpose.
const (
	DetailFault  = "fault"  // the fault's id
	DetailRemark = "remark" // a sentence about it
)

// event says that the fault was injected, hit or cleared.
func (a *injected) event(action string) journal.Event {
	return journal.Event{
		Kind: journal.Fault, Outcome: journal.OK, Summary: fmt.Sprintf("fault %s %s: %s", a.ID, action, a.Fault),
		Detail: map[string]string{DetailFault: a.ID, "name": a.Name, "action": action},
	}
}

// hitEvent says which call was hit.
func (a *injected) hitEvent(about Subject, names Names) journal.Event {
	e := a.event("hit")
	e.ClientID, e.Issuer, e.Kid, e.Workload = about.Client, about.Issuer, about.Kid, about.Workload
	e.Part, e.Host, e.Resource = about.Part, about.Host, about.Resource
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

// String tells the call in a few words.
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
	add("to", cmp.Or(s.Host, s.Part))
	return strings.Join(words, " ")
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
	add(DetailFault, " ", h.ID)
	add(DetailRemark, "; ", h.String())
	e.Summary += fmt.Sprintf(" (fault %s: %s)", h.ID, h.Name())
}

// String says which fault it was.
func (h Hit) String() string {
	settings := ""
	for _, p := range h.Kind.Parameters {
		if v := h.Text(p.Name); v != "" {
			settings += " " + p.Name + "=" + v
		}
	}
	return fmt.Sprintf("fault %s was injected, %s%s: %s", h.ID, h.Name(), settings, h.Kind.Summary)
}
