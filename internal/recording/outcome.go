package recording

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/httppath"
	"github.com/wiemu/wiemu/internal/lazyregexp"
	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/server"
	"github.com/wiemu/wiemu/internal/unverified"
)

type seen struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer

	content *content // takes the place of body; nil if it is read
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
	s.status = cmp.Or(s.status, http.StatusOK)
	if s.content != nil {
		_, _ = s.content.Write(p) // into memory
		return s.ResponseWriter.Write(p)
	}
	s.body.Write(p[:min(len(p), max(0, maxKept-s.body.Len()))])
	return s.ResponseWriter.Write(p)
}

func (s *seen) Flush() {
	_ = http.NewResponseController(s.ResponseWriter).Flush() // a writer that cannot flush does not have to
}

// Unwrap is for http.ResponseController.
func (s *seen) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// actedOn are the headers of answers that clients act on.
var actedOn = []string{"Content-Type", "Location", "Retry-After", "Www-Authenticate"}

// outcome is an answer and its event with names for what is different in every run. r.mu is held.
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
	if in.Endpoint == server.ControlEndpoint {
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

type answering struct {
	recorder *Recorder
	input    int
	host     string
	workload string
	out      *Outcome
}

func (a *answering) body(text []byte) {
	var value any
	if decode(text, &value) != nil {
		if len(text) > 0 {
			a.out.Body = partOfToken().ReplaceAllString(fmt.Sprint(a.plain("", string(text))), cutName)
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
var partOfToken = lazyregexp.New(`eyJ[A-Za-z0-9_-]{16,}(?:\.[A-Za-z0-9_-]*)*`)

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

// readMachine names the secret of the machine, of the job of GitHub Actions, or of the task of Azure
// Pipelines, that a workload was admitted to.
func (a *answering) readMachine(environment map[string]any) {
	for of, name := range map[string]string{"machine": "header", "githubJob": "token", "task": "token"} { // it has one of them
		if with, ok := environment[of].(map[string]any); ok {
			if secret, ok := with[name].(string); ok {
				a.recorder.names.next("machine", fmt.Sprintf("%d.", a.input), secret)
			}
		}
	}
}

// plain is a text of an answer with names for what has one; name is the member that it is of.
func (a *answering) plain(name, text string) any {
	r := a.recorder
	switch {
	case text == "":
		return text
	case compact().FindString(text) == text:
		return a.token(text)
	case name == "value" && !r.named(text) && strings.HasSuffix(a.host, r.lab.Emulator().Cloud().Vault):
		return r.names.secret(text)
	case madeByVault[name] && strings.HasSuffix(a.host, r.lab.Emulator().Cloud().Vault):
		return "{{" + r.names.next("id", fmt.Sprintf("%d.", a.input), text) + "}}"
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
	r.workload[raw] = cmp.Or(r.workload[raw], a.workload)
	parts, err := unverified.Parse(raw)
	given := Token{ID: strings.Trim(strings.TrimPrefix(name, "{{token "), "}")}
	if err != nil || !object(parts.Header, &given.Header) || !object(parts.Claims, &given.Claims) {
		given.Text = withoutSignature(raw) // such as a fault makes
	} else {
		given.SignedBy, _ = r.keys.signerOf(raw, r.keys.first(clock.Entra))
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
	"id", "time", "wall", "shared", "program", "traceId", "correlationId", "host", "method", "path", "status", "code", "error", "message", "meaning", "remedy",
}

// event is what the journal says of an input, with the checks that failed.
func (r *Recorder) event(input int, e journal.Event) map[string]any {
	e.Checks = slices.DeleteFunc(slices.Clone(e.Checks), func(c journal.Check) bool { return c.Outcome != journal.Failed })
	e.Detail = maps.Clone(e.Detail)
	delete(e.Detail, journal.DetailNote) // said once, of whichever request came first
	text, err := json.Marshal(e)
	if err != nil {
		return nil
	}
	var said map[string]any
	if decode(text, &said) != nil {
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

// watch receives every event of the journal, which it must not call.
func (r *Recorder) watch(e journal.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.full {
		return // it is not recorded any more
	}
	switch e.Kind {
	case journal.Exchange, journal.Access, journal.TokenReview:
		if r.open > 0 {
			r.unclaimed = append(r.unclaimed, e)
		}
		return
	case journal.KeyRotation:
		if ring, err := r.lab.Emulator().KeyRing(e.Component); err == nil {
			r.keys.look(e.Component, ring.Keys())
		}
	case journal.Mint:
		if e.JTI != "" {
			r.minted[e.Component]++
			r.names.put(fmt.Sprintf("jti %s %d", e.Component, r.minted[e.Component]), e.JTI)
		}
	case journal.Projection:
	case journal.Directory:
		r.nameMade()
		return
	default:
		return
	}
	if r.most > 0 && len(r.events) >= r.most {
		r.stop(e.Time)
		return
	}
	r.events = append(r.events, Event{
		At: Since(max(0, e.Time.Sub(r.start))), Kind: string(e.Kind), Outcome: string(e.Outcome), Part: e.Component, Workload: r.said(e.Workload),
		Summary: r.names.known(r.said(e.Summary)), Kid: r.names.known(e.Kid), JTI: r.names.known(e.JTI),
	})
	r.grow(eventBytes + len(e.Summary))
}

// eventBytes is about what an event takes, beside its summary.
const eventBytes = 256

// said is a text of the journal with names for what it has redacted.
func (r *Recorder) said(text string) string {
	return r.names.secretsIn(r.names.hints(text, r.lab.Journal().Secrets().Redact))
}

func (r *Recorder) answered(in *Input, q *http.Request, seen *seen, cut bool) {
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.full {
		r.open--
		return
	}
	event, found := r.claim(in, q, seen.Header().Get("X-Ms-Request-Id"))
	if found && event.Workload != "" {
		in.Workload = event.Workload
	}
	r.journal[in.ID] = event.ID
	in.Outcome = r.outcome(in, seen, event, found)
	r.contentOf(in, seen, event)
	if cut {
		in.Outcome = Outcome{Event: in.Outcome.Event}
	}
	if took := now.Sub(r.start) - time.Duration(in.At); took >= time.Second {
		in.Took = Since(took.Round(time.Millisecond))
	}
	in.done = in.Endpoint != server.ControlEndpoint || in.Outcome.Status != http.StatusUnauthorized // a stranger has changed nothing
	if r.open--; r.open == 0 {
		r.unclaimed = nil
	}
	r.grow(seen.body.Len())
}

// claim finds the event of the journal that is about a request: by the trace id
// of its answer, else the first of the same host, method, path and access token.
func (r *Recorder) claim(in *Input, q *http.Request, traceID string) (journal.Event, bool) {
	sent := r.lab.Journal().Bound(journal.Event{Method: q.Method, Host: q.Host, Path: strings.TrimRight(httppath.Original(q), "/")}) // which vaults take off
	uti := utiOf(resource.Bearer(q))
	for _, fits := range []func(journal.Event) bool{
		func(e journal.Event) bool { return traceID != "" && e.TraceID == traceID },
		func(e journal.Event) bool {
			return e.TraceID == "" && e.Method == sent.Method && strings.TrimRight(e.Path, "/") == sent.Path && strings.EqualFold(e.Host, sent.Host) && (e.UTI == "" || e.UTI == uti)
		},
		func(e journal.Event) bool { return in.Endpoint != server.GatewayEndpoint },
	} {
		if i := slices.IndexFunc(r.unclaimed, fits); i >= 0 {
			e := r.unclaimed[i]
			r.unclaimed = slices.Delete(r.unclaimed, i, i+1)
			return e, true
		}
	}
	return journal.Event{}, false
}

// utiOf is the id by which the journal knows an access token.
func utiOf(raw string) string {
	var claims struct {
		UTI string `json:"uti"`
	}
	if token, err := unverified.Parse(raw); err == nil {
		_ = token.Claims.Decode(&claims) // what is no access token has none
	}
	return claims.UTI
}
