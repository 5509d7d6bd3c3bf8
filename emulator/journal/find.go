package journal

import "slices"

// Last returns the event that people mean by "the last one": the newest refusal
// or failure, whatever its kind; else the newest exchange or access.
func Last(all []Event) (Event, bool) {
	for i := len(all) - 1; i >= 0; i-- {
		switch e := all[i]; {
		case e.Outcome != Denied && e.Outcome != Failed:
		case e.Detail["challenge"] != "": // what every Key Vault client asks for first
		default:
			return e, true
		}
	}
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].Kind == Exchange || all[i].Kind == Access {
			return all[i], true
		}
	}
	return Event{}, false
}

// Find returns the newest event with an id (see Event.Matches). For "" it returns
// the Last event since the newest program was started, or that start, with Meaning
// and Remedy set, if the program has made no request.
func Find(all []Event, id string) (Event, bool) {
	if id == "" {
		return lastOfNewestProgram(all)
	}
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].Matches(id) {
			return all[i], true
		}
	}
	return Event{}, false
}

func lastOfNewestProgram(all []Event) (Event, bool) {
	for i := len(all) - 1; i >= 0; i-- {
		if !all[i].startsProgram() {
			continue
		}
		from := i // how the program was prepared counts: what it was not given, it did not get
		for from > 0 && all[from-1].Workload == all[i].Workload && slices.Contains(preparations, all[from-1].Kind) && all[from-1].Detail["exitCode"] == "" && !all[from-1].startsProgram() {
			from--
		}
		if e, found := Last(all[from:]); found {
			return e, true
		}
		e := all[i]
		e.Meaning, e.Remedy = NoRequest, NoRequestRemedy
		return e, true
	}
	return Last(all)
}

// preparations are the kinds of event that come before a program's start.
var preparations = []Kind{Admission, Run, Mint, Projection}

// What is said of a program that has made no request.
const (
	NoRequest       = "this run made no request to the lab"
	NoRequestRemedy = "if a request was expected: does the program honour HTTPS_PROXY? Try wiemu run --isolate"
)

// startsProgram reports whether the event says that a program was started.
func (e Event) startsProgram() bool {
	return e.Kind == Run && e.Outcome == OK && e.Detail["exitCode"] == ""
}
