package recording

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/wiemu/wiemu/emulator"
	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/gateway/httppath"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/emulator/keyring"
	"github.com/wiemu/wiemu/emulator/resource"
	"github.com/wiemu/wiemu/harness"
)

// Options say what a recording holds.
type Options struct {
	// Keys has the file carry private keys and the secrets of the configuration.
	Keys bool
	// Most is the number of inputs after which no more are taken; 0: 20,000.
	Most int
}

// Recorder looks on at a lab.
type Recorder struct {
	opts   Options
	config config.Config
	file   string        // of the configuration
	pool   *keyring.Pool // that the rings take from
	lab    *harness.Lab
	names  *names
	tokens *tokens
	keys   *keys

	mu       sync.Mutex
	begun    bool
	start    time.Time
	state    State
	last     int // input
	inputs   []*Input
	dropped  int
	open     int             // requests being answered
	told     []journal.Event // exchanges and accesses that no input has claimed
	events   []Event
	most     int             // of them, after which stop is called; 0: any number
	stop     func(time.Time) // is told lab time
	outside  []Fetched
	minted   map[string]int    // by issuer
	made     int               // credentials of applications that have names
	workload map[string]string // of access tokens that were given out
	journal  map[int]string    // ids of the inputs' events
}

// Start opens a lab with somebody who looks on from the beginning, and declares
// the workloads. Close the lab as any other; take the [Recording] before that.
func Start(ctx context.Context, opts harness.Options, declared []harness.Declared, o Options) (*harness.Lab, *Recorder, error) {
	if o.Most == 0 {
		o.Most = 20_000
	}
	if o.Keys && opts.Emulator.Keys == nil {
		return nil, nil, errors.New("record a lab with its keys: expected a pool that they come from, found none")
	}
	n := newNames()
	k := newKeys(n)
	r := &Recorder{
		opts: o, config: opts.Emulator.Config, file: opts.Emulator.ConfigFile, pool: opts.Emulator.Keys, names: n, keys: k, tokens: newTokens(n, k),
		minted: map[string]int{}, workload: map[string]string{}, journal: map[int]string{},
	}
	opts.Emulator.Observe, opts.Emulator.ObserveOutside = r.observe, r.observeOutside
	lab, err := harness.Start(ctx, opts)
	if err != nil {
		return nil, nil, err
	}
	if err := lab.Declare(declared); err != nil {
		return nil, nil, errors.Join(err, lab.Close(context.WithoutCancel(ctx)))
	}
	if err := r.begin(lab, declared); err != nil {
		return nil, nil, errors.Join(err, lab.Close(context.WithoutCancel(ctx)))
	}
	return lab, r, nil
}

// begin writes down what is there, and looks on from now.
func (r *Recorder) begin(lab *harness.Lab, declared []harness.Declared) error {
	e := lab.Emulator()
	start := lab.Clock().Now()
	r.mu.Lock()
	r.lab, r.start = lab, start
	r.mu.Unlock()
	rings := []string{config.EntraRing}
	for _, i := range e.Issuers() {
		rings = append(rings, i.Name())
		r.tokens.issuers[i.URL()] = i.Name()
	}
	for _, name := range rings {
		ring, err := e.KeyRing(name)
		if err != nil {
			return err
		}
		r.keys.look(name, ring.Keys())
	}
	r.names.put("lab token", e.Token())
	world, err := r.world()
	if err != nil {
		return err
	}
	certificates, err := readCertificates(&world, filepath.Dir(r.file))
	if err != nil {
		return err
	}
	r.state = State{Config: world, Declared: declared, Names: namesOfWorkloads, Seed: e.Faults().Seed(), Certificates: certificates}
	for _, f := range e.Faults().Active() {
		r.state.Faults = append(r.state.Faults, f.Fault)
	}
	if err := r.nameCertificates(); err != nil {
		return err
	}
	completed, err := r.config.Complete(r.file)
	if err != nil {
		return err
	}
	fixed, err := json.Marshal([]any{completed, declared})
	if err != nil {
		return err
	}
	r.names.keep(string(fixed))
	r.mu.Lock()
	r.begun = true
	r.mu.Unlock()
	e.Journal().Watch(r.tell)
	return nil
}

// world is the configuration without what is of this machine alone, and without
// its secrets.
func (r *Recorder) world() (config.Config, error) {
	c := r.config
	withoutThisMachine(&c)
	c.Faults, c.Chaos = nil, 0 // the faults are told as they were then
	completed, err := c.Complete(r.file)
	if err != nil {
		return config.Config{}, err
	}
	hide := func(value string) string {
		name := r.names.secret(value)
		if r.opts.Keys {
			return value
		}
		return name
	}
	if c.Vaults == nil {
		c.Vaults = config.DefaultVaults()
	} else {
		c.Vaults = slices.Clone(c.Vaults)
	}
	for i := range c.Vaults {
		secrets := map[string]string{}
		for _, name := range slices.Sorted(maps.Keys(completed.Vaults[i].Secrets)) {
			secrets[name] = hide(completed.Vaults[i].Secrets[name])
		}
		c.Vaults[i].Secrets = secrets
	}
	c.Applications = slices.Clone(c.Applications)
	for i := range c.Applications {
		a := &c.Applications[i]
		a.Secrets = slices.Clone(a.Secrets)
		for n := range a.Secrets {
			a.Secrets[n].Value = hide(a.Secrets[n].Value)
		}
	}
	return c, nil
}

// withoutThisMachine takes out of a configuration what names addresses and files of
// one machine. A replay, whatever its file says, listens on free ports, reads no
// file and reaches nobody.
func withoutThisMachine(c *config.Config) {
	c.Listen, c.AllowHosts = config.Listen{}, nil
	c.Issuers = slices.Clone(c.Issuers)
	for i := range c.Issuers {
		c.Issuers[i].CA, c.Issuers[i].BearerTokenFile, c.Issuers[i].Server = "", "", ""
	}
}

// readCertificates reads the files that the configuration names, and gives them
// names that any folder can have.
func readCertificates(c *config.Config, dir string) (map[string]string, error) {
	var files map[string]string
	renamed := map[string]string{}
	for i, file := range certificateFiles(*c) {
		data, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			return nil, fmt.Errorf("read a certificate for the recording: %w", err)
		}
		block, _ := pem.Decode(data) // the first, as config reads it; what else is there may be a key
		if block == nil {
			return nil, fmt.Errorf("%s: expected a PEM block CERTIFICATE first, found none", file)
		}
		if files == nil {
			files = map[string]string{}
		}
		renamed[file] = fmt.Sprintf("certificate-%d.pem", i+1)
		files[renamed[file]] = string(pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: block.Bytes}))
	}
	for i := range c.Applications {
		own := slices.Clone(c.Applications[i].Certificates)
		for n := range own {
			own[n].File = renamed[own[n].File]
		}
		c.Applications[i].Certificates = own
	}
	return files, nil
}

// observe stands before a door.
func (r *Recorder) observe(door string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if door == emulator.ControlDoor && !steers(q) {
			next.ServeHTTP(w, q)
			return
		}
		in := r.came(door, q)
		if in == nil {
			next.ServeHTTP(w, q)
			return
		}
		seen := &seen{ResponseWriter: w}
		cut := true
		defer func() { r.answered(in, q, seen, cut) }() // also when the handler cuts the connection
		next.ServeHTTP(seen, q)
		cut = false
	})
}

// steers reports whether a request at the control door changes the lab in another
// way than by its time, which every input has.
func steers(q *http.Request) bool {
	if q.Method == http.MethodGet || q.Method == http.MethodHead || q.URL.Path == "/v1/examine" {
		return false
	}
	clock, isClock := strings.CutPrefix(q.URL.Path, "/v1/clock/")
	return !isClock || clock == "skew"
}

// came writes down a request; nil when it is not recorded.
func (r *Recorder) came(door string, q *http.Request) *Input {
	body, err := io.ReadAll(q.Body) // the gateway has read it all; the other doors' servers limit it
	q.Body = io.NopCloser(bytes.NewReader(body))
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.begun || err != nil {
		return nil
	}
	if len(r.inputs) >= r.opts.Most {
		r.dropped++
		return nil
	}
	r.last++
	at := now.Sub(r.start)
	if len(r.inputs) > 0 {
		at = max(at, time.Duration(r.inputs[len(r.inputs)-1].At))
	}
	in := &Input{ID: r.last, At: Since(at), Door: door, Method: q.Method, Host: q.Host}
	switch {
	case door == emulator.BindingsDoor && q.TLS != nil:
		in.Host = q.TLS.ServerName
	case strings.HasPrefix(door, emulator.MachineDoors) && isName(q.Host): // which is refused
	case door != emulator.GatewayDoor:
		in.Host = ""
	}
	target := q.RequestURI
	if target == "" || strings.Contains(target, "://") {
		target = q.URL.RequestURI()
	}
	in.Method, in.Host = r.plain(in.ID, in.Method), r.plain(in.ID, in.Host)
	r.read(in, q, target, body)
	r.inputs = append(r.inputs, in)
	r.open++
	return in
}

// isName reports whether a host is neither an address nor this machine's.
func isName(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err != nil && !strings.EqualFold(host, "localhost")
}

// now is lab time; the zero time before the lab is there.
func (r *Recorder) now() time.Time {
	r.mu.Lock()
	lab := r.lab
	r.mu.Unlock()
	if lab == nil {
		return time.Time{}
	}
	return lab.Clock().Now()
}

// heeded are the headers of requests that answers or the journal depend on.
var heeded = []string{
	"Accept", "Authorization", "Client-Request-Id", "Consistencylevel", "Content-Type", "Metadata", "Origin", "Prefer", "Return-Client-Request-Id",
	"User-Agent", "X-Client-Sku", "X-Client-Ver", "X-Identity-Header", "X-Ms-Client-Request-Id", "X-Ms-Version",
}

// read fills in what was asked, without anything that could be used elsewhere.
func (r *Recorder) read(in *Input, q *http.Request, target string, body []byte) {
	id := in.ID
	for _, name := range heeded {
		if name == "Authorization" && in.Door == emulator.ControlDoor {
			continue // a replay has the token of its own lab
		}
		for _, value := range q.Header[name] {
			if in.Header == nil {
				in.Header = map[string][]string{}
			}
			in.Header[name] = append(in.Header[name], r.header(id, name, value))
		}
	}
	text := string(body)
	switch kind := q.Header.Get("Content-Type"); {
	case strings.HasPrefix(kind, "application/x-www-form-urlencoded"):
		text = r.tokens.form(id, text)
	case strings.HasPrefix(kind, multipartForm):
		text = r.tokens.multipart(id, text, kind)
	case json.Valid(body) && strings.HasSuffix(q.Host, r.lab.Emulator().Cloud().Vault):
		text = r.secretValue(text)
	}
	in.Body = r.plain(id, text)
	in.Path = r.plain(id, target)
	r.names.keep(in.Path + " " + in.Body + fmt.Sprint(in.Header))
	in.Workload = r.presenter(in)
}

// plain is a text of a request with names for what has one.
func (r *Recorder) plain(input int, text string) string {
	return r.names.known(r.names.secretsIn(r.tokens.in(input, text)))
}

// header is the value of a header.
func (r *Recorder) header(input int, name, value string) string {
	if name != "Authorization" {
		return r.plain(input, value)
	}
	scheme, credential, ok := strings.Cut(value, " ")
	switch {
	case ok && strings.EqualFold(scheme, "basic"):
		return scheme + " " + r.basic(credential)
	case ok:
		if known := r.names.known(strings.TrimSpace(credential)); placeholder.MatchString(known) {
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
	return known || compact.FindString(text) == text
}

// secretValue replaces the value of a secret that a client sets.
func (r *Recorder) secretValue(text string) string {
	var sent map[string]any
	if json.Unmarshal([]byte(text), &sent) != nil {
		return text
	}
	value, ok := sent["value"].(string)
	if !ok || r.named(value) {
		return text
	}
	quoted, _ := json.Marshal(value) // a string always marshals
	if strings.Contains(text, string(quoted)) {
		return strings.Replace(text, string(quoted), `"`+r.names.secret(value)+`"`, 1)
	}
	sent["value"] = r.names.secret(value) // it was escaped in another way
	replaced, err := json.Marshal(sent)
	if err != nil {
		return text
	}
	return string(replaced)
}

// presenter is the workload whose token a request carries.
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

// tell is told every event of the journal. It must not call the journal.
func (r *Recorder) tell(e journal.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch e.Kind {
	case journal.Exchange, journal.Access, journal.TokenReview:
		if r.open > 0 {
			r.told = append(r.told, e)
		}
		return
	case journal.KeyRotation:
		if ring, err := r.lab.Emulator().KeyRing(e.Part); err == nil {
			r.keys.look(e.Part, ring.Keys())
		}
	case journal.Mint:
		if e.JTI != "" {
			r.minted[e.Part]++
			r.names.put(fmt.Sprintf("jti %s %d", e.Part, r.minted[e.Part]), e.JTI)
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
		At: Since(max(0, e.Time.Sub(r.start))), Kind: string(e.Kind), Outcome: string(e.Outcome), Part: e.Part, Workload: r.said(e.Workload),
		Summary: r.names.known(r.said(e.Summary)), Kid: r.names.known(e.Kid), JTI: r.names.known(e.JTI),
	})
}

// said is a text of the journal with names for what it has redacted.
func (r *Recorder) said(text string) string {
	return r.names.secretsIn(r.names.hints(text, r.lab.Journal().Secrets().Redact))
}

// answered writes down what came of a request.
func (r *Recorder) answered(in *Input, q *http.Request, seen *seen, cut bool) {
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	event, found := r.claim(in, q, seen.Header().Get("X-Ms-Request-Id"))
	if found && event.Workload != "" {
		in.Workload = event.Workload
	}
	r.journal[in.ID] = event.ID
	in.Outcome = r.outcome(in, seen, event, found)
	if cut {
		in.Outcome = Outcome{Event: in.Outcome.Event}
	}
	if took := now.Sub(r.start) - time.Duration(in.At); took >= time.Second {
		in.Took = Since(took.Round(time.Millisecond))
	}
	in.done = in.Door != emulator.ControlDoor || in.Outcome.Status != http.StatusUnauthorized // a stranger has steered nothing
	if r.open--; r.open == 0 {
		r.told = nil
	}
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
		func(e journal.Event) bool { return in.Door != emulator.GatewayDoor },
	} {
		if i := slices.IndexFunc(r.told, fits); i >= 0 {
			e := r.told[i]
			r.told = slices.Delete(r.told, i, i+1)
			return e, true
		}
	}
	return journal.Event{}, false
}

// utiOf is the id by which the journal knows an access token.
func utiOf(raw string) string {
	parts := strings.Split(raw, ".")
	var claims map[string]any
	if len(parts) != 3 || !object(parts[1], &claims) {
		return ""
	}
	uti, _ := claims["uti"].(string)
	return uti
}

// Recording is the session until now.
func (r *Recorder) Recording(ctx context.Context) (*Recording, error) {
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dropped > 0 {
		return nil, fmt.Errorf("the session has %d requests too many for a recording, which takes %d; record a shorter one", r.dropped, r.opts.Most)
	}
	recorded := &Recording{
		APIVersion: APIVersion, Kind: Kind, Start: r.start, State: r.state, Tokens: r.tokens.inTheEnd(), Outside: slices.Clone(r.outside), Events: slices.Clone(r.events),
		Length: Since(max(0, now.Sub(r.start))), Inputs: []Input{},
	}
	for _, in := range r.inputs {
		if in.done {
			recorded.Inputs = append(recorded.Inputs, *in)
		}
	}
	if r.opts.Keys {
		var err error
		if recorded.State.Keys, err = r.privateKeys(ctx); err != nil {
			return nil, err
		}
	}
	return recorded, nil
}

// privateKeys are the keys of the pool that are in use, in its order.
func (r *Recorder) privateKeys(ctx context.Context) ([]string, error) {
	again := r.pool.Lease()
	defer func() { _ = again.Close() }() // a lease writes nothing
	var all []string
	for range r.pool.Taken() {
		key, err := again.Take(ctx)
		if err != nil {
			return nil, fmt.Errorf("take the keys for the recording: %w", err)
		}
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return nil, fmt.Errorf("write a key into the recording: %w", err)
		}
		all = append(all, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
	}
	return all, nil
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
