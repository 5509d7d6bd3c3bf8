package explain

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/azwi"
	"github.com/wiemu/wiemu/internal/truncate"
)

// Diagnosis returns one sentence that says why an event was refused or failed: what is
// different from what was expected. All are the events of its run. For any other event it
// returns "".
func Diagnosis(e journal.Event, all []journal.Event) string {
	if e.Outcome != journal.Denied && e.Outcome != journal.Failed {
		return ""
	}
	if remark := e.Detail[journal.DetailRemark]; remark != "" {
		return "On purpose: " + remark
	}
	for _, find := range []func(journal.Event, []journal.Event) string{otherToken, difference, meaning, failedCheck} {
		if text := find(e, all); text != "" {
			return text
		}
	}
	return ""
}

// ageChecks are those that a token which was replaced in its file fails.
var ageChecks = []string{"valid now", "key named", "signing key", "signing key published", "signature"}

// otherToken is for a program that did not send the current token of its file, because it
// does not read the file again or the file is not renewed.
func otherToken(e journal.Event, all []journal.Event) string {
	failed, ok := firstFailed(e)
	if e.Kind != journal.Exchange || e.JTI == "" || !ok || !slices.Contains(ageChecks, failed.Name) {
		return ""
	}
	written := tokensInFile(e, all)
	if len(written) == 0 {
		return ""
	}
	expired := ""
	if e.ExpiresAt == nil {
		e.ExpiresAt = expiryOf(e.JTI, all)
	}
	if e.ExpiresAt != nil && e.ExpiresAt.Before(e.Time) {
		expired = ", which expired at " + moment(*e.ExpiresAt, e.Time)
	}
	newest := written[len(written)-1]
	switch sent := slices.IndexFunc(written, func(w journal.Event) bool { return w.JTI == e.JTI }) + 1; {
	case sent == 0:
		return fmt.Sprintf("You sent a token that was never in the file%s; the file has held token %d since %s", expired, len(written), moment(newest.Time, e.Time))
	case sent < len(written):
		return fmt.Sprintf("The file has held token %d since %s; you sent token %d%s", len(written), moment(newest.Time, e.Time), sent, expired)
	case expired != "":
		return fmt.Sprintf("The file was not renewed: it still holds token %d, of %s%s", sent, moment(newest.Time, e.Time), expired)
	}
	return ""
}

// tokensInFile are the events that wrote tokens to the file that held the event's token, or
// else to the workload's file, one for each token.
func tokensInFile(e journal.Event, all []journal.Event) (written []journal.Event) {
	file := ""
	for _, o := range all {
		if o.ID == e.ID && e.ID != "" {
			break
		}
		if o.Kind != journal.Projection || o.JTI == "" || o.Workload != e.Workload || o.Outcome != journal.OK {
			continue
		}
		if o.JTI == e.JTI {
			file = o.Detail["file"]
		}
		written = append(written, o)
	}
	if file == "" && len(written) > 0 {
		file = written[len(written)-1].Detail["file"]
	}
	seen := map[string]bool{}
	return slices.DeleteFunc(written, func(o journal.Event) bool {
		again := seen[o.JTI]
		seen[o.JTI] = true
		return again || o.Detail["file"] != file
	})
}

// expiryOf is the expiry of a token according to the event that minted or wrote it.
func expiryOf(jti string, all []journal.Event) *time.Time {
	for _, o := range all {
		if o.JTI == jti && (o.Kind == journal.Mint || o.Kind == journal.Projection) && o.ExpiresAt != nil {
			return o.ExpiresAt
		}
	}
	return nil
}

// moment formats a time, without its date if that is the date of at.
func moment(t, at time.Time) string {
	t, at = t.UTC(), at.UTC()
	if t.Format(time.DateOnly) == at.Format(time.DateOnly) {
		return t.Format("15:04")
	}
	return t.Format("2006-01-02 15:04")
}

// difference says in what an assertion and the nearest federated credential differ.
func difference(e journal.Event, _ []journal.Event) string {
	if e.Nearest == nil || len(e.Nearest.Differences) == 0 {
		return ""
	}
	d := e.Nearest.Differences[0]
	presented, expected := d.Presented, d.Expected
	what := fmt.Sprintf("The %s is", d.Field)
	switch d.Kind {
	case "namespace", "service account":
		what = fmt.Sprintf("The %s's %s is", d.Field, d.Kind)
		presented, expected = accountPart(d.Kind, presented), accountPart(d.Kind, expected)
	case "case":
		what = fmt.Sprintf("The %s differs in upper and lower case alone: it is", d.Field)
	case "trailing slash":
		what = fmt.Sprintf("The %s differs in the slash at its end: it is", d.Field)
	}
	text := fmt.Sprintf("%s %s, the credential trusts %s", what, presented, expected)
	if more := len(e.Nearest.Differences) - 1; more > 0 {
		text += fmt.Sprintf("; %d more differ, see below", more)
	}
	return text
}

// accountPart is the namespace or the service account of a subject.
func accountPart(kind, subject string) string {
	parts := strings.SplitN(strings.TrimPrefix(subject, azwi.SubjectPrefix), ":", 2)
	if len(parts) < 2 {
		return subject
	}
	if kind == "namespace" {
		return parts[0]
	}
	return parts[1]
}

// meaning is the first sentence of what the refusal means, with what was presented.
func meaning(e journal.Event, _ []journal.Event) string {
	sentence, _, _ := strings.Cut(e.Meaning, ". ")
	sentence = strings.TrimSuffix(sentence, ".")
	if sentence == "" {
		return ""
	}
	if c, ok := firstFailed(e); ok && c.Presented != "" && c.Presented != "nothing" && len(c.Presented) <= longest && !strings.Contains(sentence, c.Presented) {
		return fmt.Sprintf("%s (%s: %s)", sentence, c.Name, c.Presented)
	}
	return sentence
}

const longest = 120

func failedCheck(e journal.Event, _ []journal.Event) string {
	c, ok := firstFailed(e)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%s: expected %s, presented %s", c.Name, shown(c.Expected), shown(c.Presented))
}

func shown(value string) string { return truncate.Bytes(value, longest) }

func firstFailed(e journal.Event) (journal.Check, bool) {
	i := slices.IndexFunc(e.Checks, func(c journal.Check) bool { return c.Outcome == journal.Failed })
	if i < 0 {
		return journal.Check{}, false
	}
	return e.Checks[i], true
}

// Alike reports whether two events were refused for the same reason: the same
// request by the same workload that failed in the same way, as when a program
// tries again and again.
func Alike(a, b journal.Event) bool {
	first, _ := firstFailed(a)
	second, _ := firstFailed(b)
	return a.Kind == b.Kind && a.Outcome == b.Outcome && a.Workload == b.Workload && a.ClientID == b.ClientID &&
		a.Code == b.Code && a.Error == b.Error && a.Status == b.Status && a.Resource == b.Resource && a.Detail["secret"] == b.Detail["secret"] &&
		(a.Status != http.StatusNotFound && a.Status != http.StatusNotImplemented || a.Path == b.Path) && // what was asked for is the reason
		first.Name == second.Name &&
		(a.Kind != journal.Access || a.Detail["operation"] == b.Detail["operation"] && a.Detail["action"] == b.Detail["action"] && a.Remedy == b.Remedy) // each operation may need a role of its own
}

// repeats are the events of a run that are like a refusal, itself included.
func repeats(e journal.Event, all []journal.Event) (like []journal.Event) {
	if e.Outcome != journal.Denied && e.Outcome != journal.Failed || e.ID == "" {
		return nil
	}
	for _, o := range all {
		if Alike(e, o) {
			like = append(like, o)
		}
	}
	return like
}
