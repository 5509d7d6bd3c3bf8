package recording

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/emulator"
	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/journal"
)

// seen is an answer on its way to the client.
type seen struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

// maxKept is how much of an answer is written down, in bytes.
const maxKept = 1 << 20

// WriteHeader notes the status.
func (s *seen) WriteHeader(status int) {
	if s.status == 0 && status >= 200 {
		s.status = status
	}
	s.ResponseWriter.WriteHeader(status)
}

// Write keeps what is written.
func (s *seen) Write(p []byte) (int, error) {
	if s.status == 0 {
		s.status = http.StatusOK
	}
	s.body.Write(p[:min(len(p), max(0, maxKept-s.body.Len()))])
	return s.ResponseWriter.Write(p)
}

// Flush implements http.Flusher.
func (s *seen) Flush() {
	_ = http.NewResponseController(s.ResponseWriter).Flush() // a writer that cannot flush does not have to
}

// Unwrap is for http.ResponseController.
func (s *seen) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// actedOn are the headers of answers that clients act on.
var actedOn = []string{"Content-Type", "Location", "Retry-After", "Www-Authenticate"}

// outcome is an answer and its event with names for what is different in every
// run. r.mu is held.
func (r *Recorder) outcome(in *Input, seen *seen, event journal.Event, found bool) Outcome {
	out := Outcome{Status: cmp.Or(seen.status, http.StatusOK), Code: event.Code, Error: event.Error}
	a := &answering{recorder: r, input: in.ID, host: in.Host, workload: event.Workload, out: &out}
	for _, name := range actedOn {
		if value := seen.Header().Get(name); value != "" {
			if out.Header == nil {
				out.Header = map[string]string{}
			}
			out.Header[name] = fmt.Sprint(a.plain("", value))
		}
	}
	a.body(seen.body.Bytes())
	if in.Door == emulator.ControlDoor {
		out.Header = nil
		if out.Status < 400 { // addresses and files of this lab
			out.Body = nil
		}
	}
	if found {
		out.Event = r.event(in.ID, event)
	}
	return out
}

// answering is an answer that is being written down.
type answering struct {
	recorder *Recorder
	input    int
	host     string
	workload string
	out      *Outcome
}

func (a *answering) body(text []byte) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var value any
	if decoder.Decode(&value) != nil || decoder.More() {
		if len(text) > 0 {
			a.out.Body = partOfToken.ReplaceAllString(fmt.Sprint(a.plain("", string(text))), cutName)
		}
		return
	}
	if m, ok := value.(map[string]any); ok {
		a.readMachine(m)
	}
	a.out.Body = walk(value, a.plain)
	if m, ok := a.out.Body.(map[string]any); ok {
		a.readError(m)
	}
}

// partOfToken is what is left of a token where an answer breaks off.
var partOfToken = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{16,}(?:\.[A-Za-z0-9_-]*)*`)

// readError takes the codes of an error that no event tells.
func (a *answering) readError(body map[string]any) {
	if codes, ok := body["error_codes"].([]any); ok && len(codes) > 0 && a.out.Code == 0 {
		_, _ = fmt.Sscan(fmt.Sprint(codes[0]), &a.out.Code) // what is no number is no code
	}
	if a.out.Error != "" {
		return
	}
	switch e := body["error"].(type) {
	case string:
		a.out.Error = e
	case map[string]any:
		a.out.Error, _ = e["code"].(string)
	}
}

// readMachine names the secret of a machine that a workload was admitted to.
func (a *answering) readMachine(environment map[string]any) {
	if machine, ok := environment["machine"].(map[string]any); ok {
		if header, ok := machine["header"].(string); ok {
			a.recorder.names.next("machine", fmt.Sprintf("%d.", a.input), header)
		}
	}
}

// plain is a text of an answer with names for what has one; name is the member
// that it is of.
func (a *answering) plain(name, text string) any {
	r := a.recorder
	switch {
	case text == "":
		return text
	case compact.FindString(text) == text:
		return a.token(text)
	case name == "value" && !r.named(text) && strings.HasSuffix(a.host, r.lab.Emulator().Cloud().Vault):
		return r.names.secret(text)
	case name == "x5c":
		return "{{certificate}}"
	}
	return r.names.all(a.input, r.names.secretsIn(r.tokens.in(a.input, text)))
}

// opaque are claims that are random in every token.
var opaque = map[string]bool{"aio": true, "uti": true, "xms_ftd": true}

// token writes down what a token says that was given out.
func (a *answering) token(raw string) string {
	r := a.recorder
	name := r.tokens.name(a.input, raw, true)
	if r.workload[raw] == "" {
		r.workload[raw] = a.workload
	}
	parts := strings.Split(raw, ".")
	given := Token{ID: strings.Trim(strings.TrimPrefix(name, "{{token "), "}")}
	if !object(parts[0], &given.Header) || !object(parts[1], &given.Claims) {
		given.Text = withoutSignature(raw) // such as a fault makes
	} else {
		given.SignedBy, _ = r.keys.signerOf(raw, r.keys.first(config.EntraRing))
		text := func(name, text string) any {
			if opaque[name] {
				return "{{" + r.names.next("id", fmt.Sprintf("%d.", a.input), text) + "}}"
			}
			return r.names.all(a.input, text)
		}
		given.Header, given.Claims = walk(given.Header, text).(map[string]any), walk(given.Claims, text).(map[string]any)
	}
	a.out.Tokens = append(a.out.Tokens, given)
	return name
}

// unsaid are the fields of an event that are said elsewhere, or are different in
// every run and say nothing.
var unsaid = []string{
	"id", "time", "wall", "traceId", "correlationId", "host", "method", "path", "status", "code", "error", "message", "meaning", "remedy",
}

// event is what the journal says of an input, with the checks that failed.
func (r *Recorder) event(input int, e journal.Event) map[string]any {
	e.Checks = slices.DeleteFunc(slices.Clone(e.Checks), func(c journal.Check) bool { return c.Outcome != journal.Failed })
	text, err := json.Marshal(e)
	if err != nil {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var said map[string]any
	if decoder.Decode(&said) != nil {
		return nil
	}
	for _, name := range unsaid {
		delete(said, name)
	}
	return walk(said, func(name, text string) any {
		if opaque[name] && text != "" { // of a token that did not arrive whole, too
			return "{{" + r.names.next("id", fmt.Sprintf("%d.", input), text) + "}}"
		}
		return r.names.all(input, r.said(text))
	}).(map[string]any)
}
