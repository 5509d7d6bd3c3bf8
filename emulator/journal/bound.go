package journal

import (
	"fmt"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/emulator/journal/redact"
)

// The sizes to which the texts of an event are cut, in bytes. What clients sent is in
// many of them, so that together they bound what a request costs.
const (
	mostID       = 256  // an id, a name or a host
	mostPath     = 512  // a path, an issuer, a subject
	mostSentence = 768  // a summary, what was presented, a note, a detail
	mostText     = 2048 // a message, what was expected, a meaning, a remedy

	mostList = 64 // elements of a list

	mostLooked = 64 << 10 // of a text in which tokens and secrets are looked for
)

// Bound returns the event as the journal records it: without tokens, without the
// secrets that the journal knows, and cut to a size that is independent of what
// clients sent. What it returns shares no memory with what was sent.
func (j *Journal) Bound(e Event) Event {
	b := bounds{secrets: j.Secrets()}
	b.texts(mostID, &e.ID, &e.Part, &e.Workload, &e.Kid, &e.JTI, &e.Tenant, &e.ClientID, &e.ObjectID, &e.Identity,
		&e.TraceID, &e.CorrelationID, &e.UTI, &e.Host, &e.Method, &e.Error, (*string)(&e.Kind), (*string)(&e.Outcome))
	b.texts(mostPath, &e.Issuer, &e.Subject, &e.Resource, &e.Path)
	b.texts(mostSentence, &e.Summary)
	b.texts(mostText, &e.Message, &e.Meaning, &e.Remedy)
	e.Audience = slices.Clone(e.Audience[:min(len(e.Audience), mostList)])
	for i := range e.Audience {
		b.texts(mostID, &e.Audience[i])
	}
	e.Checks = slices.Clone(e.Checks[:min(len(e.Checks), mostList)])
	for i := range e.Checks {
		c := &e.Checks[i]
		b.texts(mostID, &c.Name, (*string)(&c.Outcome))
		b.texts(mostSentence, &c.Presented, &c.Note)
		b.texts(mostText, &c.Expected)
		if c.Outcome == Passed && c.Expected == c.Presented {
			c.Expected = ""
		}
	}
	e.Nearest = b.nearest(e.Nearest)
	if len(e.Detail) > 0 {
		detail := make(map[string]string, len(e.Detail))
		for name, value := range e.Detail {
			b.texts(mostID, &name)
			b.texts(mostSentence, &value)
			detail[name] = value
		}
		e.Detail = detail
	}
	return e
}

type bounds struct{ secrets *redact.Secrets }

func (b bounds) nearest(n *Nearest) *Nearest {
	if n == nil {
		return nil
	}
	bounded := Nearest{Credential: n.Credential, Differences: slices.Clone(n.Differences[:min(len(n.Differences), mostList)])}
	b.texts(mostID, &bounded.Credential)
	for i := range bounded.Differences {
		d := &bounded.Differences[i]
		b.texts(mostID, &d.Field, &d.Kind)
		b.texts(mostSentence, &d.Presented, &d.Fix)
		b.texts(mostText, &d.Expected)
	}
	return &bounded
}

// texts bounds texts: first tokens and secrets go, then what is too much.
func (b bounds) texts(most int, texts ...*string) {
	for _, s := range texts {
		if *s == "" {
			continue
		}
		size := len(*s)
		text := b.secrets.Redact((*s)[:min(size, mostLooked)])
		if len(text) > most {
			text = strings.ToValidUTF8(text[:most], "") + fmt.Sprintf("… (%d bytes)", size)
		}
		*s = strings.Clone(text) // what was sent may be much more, and would stay in memory
	}
}

// size is about how much memory an event takes, in bytes.
func (e *Event) size() int {
	n := 1024 // the struct with its times
	for _, s := range []string{
		e.Part, e.Workload, e.Kid, e.JTI, e.Tenant, e.ClientID, e.ObjectID, e.Identity, e.TraceID, e.CorrelationID, e.UTI, e.Host, e.Method, e.Error,
		e.Issuer, e.Subject, e.Resource, e.Path, e.Summary, e.Message, e.Meaning, e.Remedy,
	} {
		n += len(s)
	}
	for _, s := range e.Audience {
		n += 16 + len(s)
	}
	for _, c := range e.Checks {
		n += 80 + len(c.Name) + len(c.Expected) + len(c.Presented) + len(c.Note)
	}
	for name, value := range e.Detail {
		n += 64 + len(name) + len(value)
	}
	if e.Nearest != nil {
		n += len(e.Nearest.Credential)
		for _, d := range e.Nearest.Differences {
			n += 80 + len(d.Field) + len(d.Expected) + len(d.Presented) + len(d.Kind) + len(d.Fix)
		}
	}
	return n
}
