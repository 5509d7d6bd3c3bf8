package recording

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/wiemu/wiemu/internal/hostname"
	"github.com/wiemu/wiemu/internal/server"
)

// observe wraps the handler of a listener and records the requests that it gets.
func (r *Recorder) observe(endpoint string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if endpoint == server.ControlEndpoint && !changesLab(q) {
			next.ServeHTTP(w, q)
			return
		}
		in := r.record(endpoint, q)
		if in == nil {
			next.ServeHTTP(w, q)
			return
		}
		seen := &seen{ResponseWriter: w}
		if in.content != nil {
			seen.content = newContent(false)
		}
		cut := true
		defer func() { r.answered(in, q, seen, cut) }() // also when the handler cuts the connection
		next.ServeHTTP(seen, q)
		cut = false
	})
}

// changesLab reports whether a request to the control API changes the lab in another
// way than by its time, which every input has.
func changesLab(q *http.Request) bool {
	if q.Method == http.MethodGet || q.Method == http.MethodHead || slices.Contains(questions, q.URL.Path) || strings.HasPrefix(q.URL.Path, "/v1/scenarios/") {
		return false
	}
	clock, isClock := strings.CutPrefix(q.URL.Path, "/v1/clock/")
	return !isClock || clock == "skew"
}

// questions are what is asked of the control API by POST and changes nothing. A scenario is run in
// a lab of its own.
var questions = []string{"/v1/examine", "/v1/tokens/inspect", "/v1/console/link", "/v1/resources/secret"}

// record adds a request to the inputs; nil if it is not recorded.
func (r *Recorder) record(endpoint string, q *http.Request) *Input {
	r.mu.Lock()
	streams, full := r.begun && endpoint == server.GatewayEndpoint && r.streams(q.Host), r.full
	r.mu.Unlock()
	if full {
		return nil
	}
	var body []byte
	var err error
	if !streams {
		body, err = io.ReadAll(q.Body) // the gateway has read it all; the other endpoints' servers limit it
		q.Body = io.NopCloser(bytes.NewReader(body))
	}
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.begun || r.full || err != nil {
		return nil
	}
	if len(r.inputs) >= r.opts.Most {
		r.giveUp()
		return nil
	}
	r.last++
	at := now.Sub(r.start)
	if len(r.inputs) > 0 {
		at = max(at, time.Duration(r.inputs[len(r.inputs)-1].At))
	}
	in := &Input{ID: r.last, At: Since(at), Endpoint: endpoint, Method: q.Method, Host: q.Host}
	switch {
	case endpoint == server.BindingsEndpoint && q.TLS != nil:
		in.Host = q.TLS.ServerName
	case strings.HasPrefix(endpoint, server.MachineEndpoint) && isName(q.Host): // which is refused
	case endpoint != server.GatewayEndpoint:
		in.Host = ""
	}
	target := q.RequestURI
	if target == "" || strings.Contains(target, "://") {
		target = q.URL.RequestURI()
	}
	in.Method, in.Host = r.plain(in.ID, in.Method), r.plain(in.ID, in.Host)
	if streams {
		in.content, in.target, in.source = listen(q), target, q.Header.Get("X-Ms-Copy-Source")
		target = withoutSignatures(target)
	}
	r.read(in, q, target, body)
	r.inputs = append(r.inputs, in)
	r.open++
	r.grow(inputBytes + len(target) + len(body))
	return in
}

// inputBytes is about what a request takes with its answer, beside their bodies.
const inputBytes = 4 << 10

// isName reports whether a host is neither an address nor this machine's.
func isName(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err != nil && !strings.EqualFold(host, "localhost")
}

// now is lab time, the zero time before the lab is open.
func (r *Recorder) now() time.Time {
	r.mu.Lock()
	lab := r.lab
	r.mu.Unlock()
	if lab == nil {
		return time.Time{}
	}
	return lab.Clock().Now()
}

// recordedHeaders are the headers of requests that answers or the journal depend on.
var recordedHeaders = []string{
	"Accept", "Authorization", "Client-Request-Id", "Consistencylevel", "Content-Type", "Metadata", "Origin", "Prefer", "Return-Client-Request-Id",
	"User-Agent", "X-Client-Sku", "X-Client-Ver", "X-Identity-Header", "X-Ms-Client-Request-Id", "X-Ms-Version",
}

// read fills in what was asked, without anything that could be used elsewhere.
func (r *Recorder) read(in *Input, q *http.Request, target string, body []byte) {
	id := in.ID
	for _, name := range slices.Sorted(maps.Keys(q.Header)) {
		if !slices.Contains(recordedHeaders, name) && (in.content == nil || !isStorageHeader(name)) {
			continue
		}
		if name == "Authorization" && in.Endpoint == server.ControlEndpoint {
			continue // a replay has the token of its own lab
		}
		for _, value := range q.Header[name] {
			if in.Header == nil {
				in.Header = map[string][]string{}
			}
			if in.content != nil {
				value = withoutSignatures(value)
			}
			if name == encryptionKey {
				value = "removed"
			}
			in.Header[name] = append(in.Header[name], r.header(id, name, value))
		}
	}
	text := string(body)
	switch kind := q.Header.Get("Content-Type"); {
	case json.Valid(body) && strings.HasSuffix(hostname.Of(q.Host), r.lab.Emulator().Cloud().Vault): // whatever the type
		text = r.vaultBody(q.Method, q.URL.Path, text)
	case strings.HasPrefix(kind, "application/x-www-form-urlencoded"):
		text = r.tokens.form(id, text)
	case strings.HasPrefix(kind, multipartForm):
		text = r.tokens.multipart(id, text, kind)
	}
	in.Body = r.plain(id, text)
	in.Path = r.plain(id, target)
	r.names.keep(in.Path + " " + in.Body + fmt.Sprint(in.Header))
	in.Workload = r.presenter(in)
}

func (r *Recorder) plain(input int, text string) string {
	return r.names.known(r.names.secretsIn(r.tokens.in(input, text)))
}

func (r *Recorder) header(input int, name, value string) string {
	if name != "Authorization" {
		return r.plain(input, value)
	}
	scheme, credential, ok := strings.Cut(value, " ")
	switch {
	case ok && strings.EqualFold(scheme, "basic"):
		return scheme + " " + r.basic(credential)
	case ok:
		if known := r.names.known(strings.TrimSpace(credential)); placeholder().MatchString(known) {
			return scheme + " " + known
		}
		return scheme + " " + r.tokens.credential(input, credential)
	}
	return r.tokens.credential(input, value)
}

// named reports whether a text has a name of another kind than that of a secret: it
// is a token, or a secret of the lab itself.
func (r *Recorder) named(text string) bool {
	_, known := r.names.of(text)
	return known || compact().FindString(text) == text
}

// secretValue replaces the value of a secret that a client sets; sent are the members.
func (r *Recorder) secretValue(text string, sent map[string]json.RawMessage) string {
	var value string
	if json.Unmarshal(sent["value"], &value) != nil || r.named(value) {
		return text
	}
	sent["value"], _ = json.Marshal(r.names.secret(value)) // a string always marshals
	return marshal(sent, "{}")
}

// presenter is the workload of the token that a request carries.
func (r *Recorder) presenter(in *Input) string {
	for _, id := range tokenNames(in.Path, in.Body, in.Header) {
		raw, _ := r.names.text("token " + id)
		if w := r.workload[raw]; w != "" {
			return w
		}
		if account := r.tokens.account(id); account != "" {
			return account
		}
	}
	return ""
}

// basic is what a client authenticates with in a header, decoded: the client id,
// and a name for the secret.
func (r *Recorder) basic(credential string) string {
	text, err := base64.StdEncoding.DecodeString(strings.TrimSpace(credential))
	id, secret, ok := strings.Cut(string(text), ":")
	if err != nil || !ok {
		return strings.Repeat("x", len(credential))
	}
	if decoded, err := url.QueryUnescape(secret); err == nil { // RFC 6749 §2.3.1
		secret = decoded
	}
	return id + ":" + r.names.secret(secret)
}
