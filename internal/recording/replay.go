package recording

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/keyring"
	"github.com/wiemu/wiemu/internal/server"
	"github.com/wiemu/wiemu/internal/session"
)

// Replay plays a recording in a lab of its own and compares. Where the lab is kept is said by opts;
// what is in it, and when, by the recording. The zero value of opts is a temporary directory.
func Replay(ctx context.Context, recorded *Recording, opts session.Options) (_ *Result, err error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	p := &player{recorded: recorded, tokens: map[string]Token{}, signed: map[string]string{}, own: map[string]crypto.Signer{}}
	for _, t := range recorded.Tokens {
		p.tokens[t.ID] = t
	}
	defer func() { err = errors.Join(err, p.close(ctx)) }()
	if err := p.open(ctx, opts); err != nil {
		return nil, fmt.Errorf("open a lab for the replay: %w", err)
	}
	p.recorder.stopAfter(2*len(recorded.Events)+10*maxUnrecorded, func(at time.Time) {
		stop(fmt.Errorf("%s: length: by %s the replay had more than twice the %d recorded events; expected a length that fits the recorded rotations, renewals and faults", recorded.file, at.Format(time.RFC3339), len(recorded.Events)))
	})
	defer func() {
		if cause := context.Cause(ctx); err != nil && cause != nil {
			err = cause
		}
	}()
	for i := range recorded.Inputs {
		if err := p.play(ctx, &recorded.Inputs[i]); err != nil {
			return nil, fmt.Errorf("replay input %d: %w", recorded.Inputs[i].ID, err)
		}
	}
	if err := p.goTo(ctx, recorded.Length); err != nil {
		return nil, err
	}
	again, err := p.recorder.Recording(ctx)
	if err != nil {
		return nil, err
	}
	return compare(recorded, again, p.why), nil
}

type player struct {
	mu       sync.Mutex // guards own while the lab fetches
	recorded *Recording
	lab      *session.Session
	recorder *Recorder
	pool     *keyring.Pool
	dir      string           // for the certificates' files
	tokens   map[string]Token // of the recording, by ordinal
	signed   map[string]string
	own      map[string]crypto.Signer // in the place of keys that others had: by ring and ordinal
}

func (p *player) open(ctx context.Context, opts session.Options) (err error) {
	state := p.recorded.State
	if p.dir, err = os.MkdirTemp("", "wiemu-replay-"); err != nil {
		return err
	}
	if err := errors.Join(p.makeCertificates(), p.writeVaultFiles()); err != nil {
		return err
	}
	if p.pool, err = p.keys(opts.Emulator.Keys); err != nil {
		return err
	}
	o := opts.Emulator
	o.Config, o.ConfigFile = state.Config, filepath.Join(p.dir, "wiemu.yaml")
	o.AccountNames = state.Names == ""
	withoutThisMachine(&o.Config)
	o.Clock, o.Keys, o.Faults, o.Seed = clock.Stopped(p.recorded.Start), p.pool, state.Faults, state.Seed
	o.Outside = &played{player: p, next: map[string]int{}}
	o.KeepEvents = max(o.KeepEvents, 100_000)
	opts.Emulator = o
	p.lab, p.recorder, err = Start(ctx, opts, state.Declared, Options{Most: len(p.recorded.Inputs) + 1})
	return err
}

// keys are those of the recording; without any, those of the pool from its first on.
func (p *player) keys(from *keyring.Pool) (*keyring.Pool, error) {
	var first []*rsa.PrivateKey
	for i, text := range p.recorded.State.Keys {
		block, _ := pem.Decode([]byte(text))
		if block == nil {
			return nil, fmt.Errorf("%s: state.keys[%d]: expected a PEM block PRIVATE KEY, found none", p.recorded.file, i)
		}
		parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		key, ok := parsed.(*rsa.PrivateKey)
		if err != nil || !ok || key.N.BitLen() != 2048 {
			return nil, fmt.Errorf("%s: state.keys[%d]: expected an RSA key of 2048 bits in PKCS#8", p.recorded.file, i)
		}
		first = append(first, key)
	}
	if from != nil && len(first) == 0 {
		return from.Lease(), nil
	}
	return keyring.OpenPool("", keyring.PoolOptions{First: first})
}

// closing is how long the lab may take to end: wall time.
const closing = 5 * time.Second

func (p *player) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closing)
	defer cancel()
	var errs []error
	if p.lab != nil {
		errs = append(errs, p.lab.Close(ctx))
	}
	if p.pool != nil {
		errs = append(errs, p.pool.Close())
	}
	if p.dir != "" {
		errs = append(errs, os.RemoveAll(p.dir))
	}
	return errors.Join(errs...)
}

// goTo moves lab time, through every timer that is due on the way.
func (p *player) goTo(ctx context.Context, at Since) error {
	then := p.recorded.Start.Add(time.Duration(at))
	if !then.After(p.lab.Clock().Now()) {
		return ctx.Err()
	}
	return p.lab.Clock().AdvanceTo(ctx, then)
}

func (p *player) play(ctx context.Context, in *Input) error {
	if err := p.goTo(ctx, in.At); err != nil {
		return err
	}
	request, err := p.request(ctx, in)
	if err != nil {
		return err
	}
	p.recorder.expect(in.ID)
	w := discard{http.Header{}}
	defer func() {
		v := recover()
		if cut, ok := v.(error); ok && errors.Is(cut, http.ErrAbortHandler) {
			return // the recorder has seen it
		}
		if v != nil {
			panic(v)
		}
	}()
	if !p.lab.Emulator().Answer(in.Endpoint, w, request) {
		p.recorder.missed(in)
	}
	return p.lab.Clock().Advance(ctx, 0) // what is still written down when the answer is there
}

// request is an input as the server of its endpoint would have it.
func (p *player) request(ctx context.Context, in *Input) (*http.Request, error) {
	target := p.fill(in.Path, escape)
	u, err := url.ParseRequestURI(target)
	if err != nil {
		return nil, fmt.Errorf("path: %w", err)
	}
	header := http.Header{}
	for name, values := range in.Header {
		for _, v := range values {
			header.Add(name, p.header(name, v))
		}
	}
	inBody := escape
	if json.Valid([]byte(in.Body)) {
		inBody = func(text string) string {
			quoted, _ := json.Marshal(text) // a string always marshals
			return strings.Trim(string(quoted), `"`)
		}
	}
	asItIs := func(text string) string { return text }
	if strings.HasPrefix(header.Get("Content-Type"), multipartForm) {
		inBody = asItIs
	}
	body := p.fill(in.Body, inBody)
	if in.BodyLength > 0 {
		body = standInBody(in)
	}
	method, host := p.fill(in.Method, asItIs), p.fill(in.Host, asItIs)
	if host == "" && strings.HasPrefix(in.Endpoint, server.MachineEndpoint) {
		host = "localhost" // the address that it was asked at is that lab's own
	}
	if in.Endpoint == server.ControlEndpoint {
		header.Set("Authorization", "Bearer "+p.lab.Emulator().Token())
	}
	r := &http.Request{
		Method: method, URL: u, RequestURI: target, Host: host, Header: header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, RemoteAddr: "127.0.0.1:0",
		Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
		TLS: &tls.ConnectionState{Version: tls.VersionTLS13, HandshakeComplete: true, ServerName: host},
	}
	if body == "" {
		r.Body = http.NoBody
	}
	return r.WithContext(ctx), nil
}

// escape is percent-encoding that paths, queries and forms understand.
func escape(text string) string { return strings.ReplaceAll(url.QueryEscape(text), "+", "%20") }

func (p *player) header(name, value string) string {
	filled := p.fill(value, func(text string) string { return text })
	if scheme, credential, ok := strings.Cut(filled, " "); ok && name == "Authorization" && strings.EqualFold(scheme, "basic") && strings.Contains(credential, ":") {
		return scheme + " " + base64.StdEncoding.EncodeToString([]byte(credential))
	}
	return filled
}

// fill puts this lab's own in the place of names. Those that the lab has nothing
// for stay: they say no more than any other text.
func (p *player) fill(text string, escape func(string) string) string {
	return placeholder().ReplaceAllStringFunc(text, func(found string) string {
		name := found[2 : len(found)-2]
		if id, ok := strings.CutPrefix(name, "token "); ok {
			return escape(p.token(id))
		}
		if n, ok := strings.CutPrefix(name, "secret "); ok {
			if value, ok := p.recorder.names.secretAt(n); ok {
				return escape(value)
			}
			return found
		}
		if own, ok := p.recorder.names.text(name); ok {
			return escape(own)
		}
		return found
	})
}

// token is a token of this lab in the place of the recorded one.
func (p *player) token(id string) string {
	if own, ok := p.recorder.names.text("token " + id); ok {
		return own
	}
	if own, ok := p.signed[id]; ok {
		return own
	}
	own := p.sign(p.tokens[id])
	if len(own) > maxToken {
		own = "longer-than-a-token-can-be"
	}
	p.signed[id] = own
	return own
}

// maxToken is longer than any token that a gateway takes: headers end at a mebibyte.
const maxToken = 1 << 20

// sign makes a token anew. One that was given out then and was not now is not
// made: no program would have it.
func (p *player) sign(t Token) string {
	switch {
	case t.Text != "":
		return t.Text
	case t.Answered:
		return "not-given-out"
	}
	fill := func(_, text string) any { return p.fill(text, func(s string) string { return s }) }
	header, err := json.Marshal(walk(t.Header, fill))
	if err != nil {
		return "not-json"
	}
	claims, err := json.Marshal(walk(t.Claims, fill))
	if err != nil {
		return "not-json"
	}
	key, ok := p.recorder.keys.key(t.SignedBy)
	p.mu.Lock()
	private := p.own[t.SignedBy]
	if ring, _, _ := cutLast(t.SignedBy, " "); ring == ringOutside {
		if private, err = p.ownKey(t.SignedBy, t.Header["alg"] == keyring.ES256); err != nil {
			private = nil // there is no randomness: the signature will not fit
		}
	}
	p.mu.Unlock()
	if private != nil {
		key, ok = keyring.Key{ID: t.SignedBy, Private: private}, true
	}
	if ok {
		sign := key.Sign
		if t.Header["alg"] == keyring.PS256 {
			sign = key.SignPSS
		}
		if own, err := sign(string(header), claims); err == nil {
			return own
		}
	}
	encode := base64.RawURLEncoding.EncodeToString
	size := t.Signature
	if t.SignedBy != "" { // by a key that this lab has not had
		size = base64.RawURLEncoding.EncodedLen(256)
	}
	signature := strings.Repeat("A", size) // Parse has bounded it
	if t.Malformed && size > 0 {
		signature = signature[:len(signature)-1] + "B" // bits that belong to no byte
	}
	return encode(header) + "." + encode(claims) + "." + signature
}

// why is the journal's event of an input, with all others.
func (p *player) why(input int) (journal.Event, []journal.Event, bool) {
	all := p.lab.Journal().Events()
	id := p.recorder.eventOf(input)
	for _, e := range all {
		if id != "" && e.ID == id {
			return e, all, true
		}
	}
	return journal.Event{}, nil, false
}

// discard is a ResponseWriter that discards answers; the recorder has seen them.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}

// stopAfter has stop called when so many things have happened by themselves.
func (r *Recorder) stopAfter(most int, stop func(at time.Time)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.most, r.stop = most, stop
}

// expect says which ordinal the next input has.
func (r *Recorder) expect(id int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = id - 1
}

// missed writes down an input whose endpoint is not there.
func (r *Recorder) missed(in *Input) {
	r.mu.Lock()
	defer r.mu.Unlock()
	missed := *in
	missed.Outcome, missed.done = Outcome{Error: "this lab has no endpoint " + in.Endpoint}, true
	r.inputs = append(r.inputs, &missed)
}

func (r *Recorder) eventOf(input int) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.journal[input]
}

func (n *names) secretAt(ordinal string) (string, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	i, err := strconv.Atoi(ordinal)
	if err != nil || i < 1 || i > len(n.secrets) {
		return "", false
	}
	return n.secrets[i-1], true
}
