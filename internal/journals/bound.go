package journals

import (
	"fmt"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/redact"
)

// The sizes, in bytes, to which the texts of an event are cut. Many of them hold what
// clients sent, so these bound what a request costs.
const (
	mostID       = 256  // an id, a name or a host
	mostPath     = 512  // a path, an issuer, a subject
	mostSentence = 768  // a summary, what was presented, a note, a detail
	mostText     = 2048 // a message, what was expected, a meaning, a remedy

	mostList = 64 // elements of a list

	mostLooked = 64 << 10 // of a text that is searched for tokens and secrets
)

// Bound returns the event as the journal records it: without tokens and known secrets,
// and with its texts and lists cut, so that its size does not depend on what clients sent.
// It shares no memory with e.
func (j *Journal) Bound(e journal.Event) journal.Event { return j.bound(e).Event }

// bounded is an event with the memory that it takes, about, in bytes.
type bounded struct {
	journal.Event
	size int
}

func (j *Journal) bound(e journal.Event) bounded {
	b := bounds{secrets: j.Secrets(), size: 1024} // the struct with its times
	b.texts(mostID, &e.ID, &e.Component, &e.Workload, &e.Kid, &e.JTI, &e.Tenant, &e.ClientID, &e.ObjectID, &e.Identity,
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
		if c.Outcome == journal.Passed && c.Expected == c.Presented {
			c.Expected = ""
		}
	}
	b.size += 16*len(e.Audience) + 80*len(e.Checks) + 64*len(e.Detail)
	e.Nearest = b.nearest(e.Nearest)
	if e.Program != nil {
		program := *e.Program
		b.texts(mostPath, &program.Executable, &program.Name)
		b.size += 48
		e.Program = &program
	}
	if len(e.Detail) > 0 {
		detail := make(map[string]string, len(e.Detail))
		for name, value := range e.Detail {
			b.texts(mostID, &name)
			b.texts(mostSentence, &value)
			detail[name] = value
		}
		e.Detail = detail
	}
	return bounded{e, b.size}
}

type bounds struct {
	secrets *redact.Secrets
	size    int
}

func (b *bounds) nearest(n *journal.Nearest) *journal.Nearest {
	if n == nil {
		return nil
	}
	bounded := journal.Nearest{Credential: n.Credential, Differences: slices.Clone(n.Differences[:min(len(n.Differences), mostList)])}
	b.texts(mostID, &bounded.Credential)
	b.size += 80 * len(bounded.Differences)
	for i := range bounded.Differences {
		d := &bounded.Differences[i]
		b.texts(mostID, &d.Field, &d.Kind)
		b.texts(mostSentence, &d.Presented, &d.Fix)
		b.texts(mostText, &d.Expected)
	}
	return &bounded
}

// texts redacts tokens and secrets in texts, then cuts them.
func (b *bounds) texts(most int, texts ...*string) {
	for _, s := range texts {
		if *s == "" {
			continue
		}
		size := len(*s)
		text := b.secrets.Redact((*s)[:min(size, mostLooked)])
		if len(text) > most {
			text = strings.ToValidUTF8(text[:most], "") + fmt.Sprintf("… (%d bytes)", size)
		}
		b.size += len(text)
		*s = strings.Clone(text) // a substring would keep all that was sent in memory
	}
}
