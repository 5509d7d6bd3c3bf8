package recording

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// Fetched is what an external issuer answered when its documents were fetched.
type Fetched struct {
	// At is when it was asked.
	At Since `yaml:"at" json:"at" jsonschema:"type=string"`
	// URL is the document's.
	URL string `yaml:"url" json:"url" jsonschema:"format=uri"`
	// Status is the HTTP status.
	Status int `yaml:"status,omitempty" json:"status,omitempty"`
	// Body is the document: JSON, or text. A replay has keys of its own in it.
	Body any `yaml:"body,omitempty" json:"body,omitempty"`
	// Error says why there was no answer.
	Error string `yaml:"error,omitempty" json:"error,omitempty"`
}

// ringOutside is what the keys of all external issuers are called together.
const ringOutside = "outside"

// watched stands before what reaches external issuers.
type watched struct {
	recorder *Recorder
	next     http.RoundTripper
}

// RoundTrip writes down what is answered.
func (w watched) RoundTrip(q *http.Request) (*http.Response, error) {
	resp, err := w.next.RoundTrip(q)
	fetched := Fetched{URL: q.URL.String()}
	var body []byte
	if err == nil {
		fetched.Status = resp.StatusCode
		body, err = io.ReadAll(io.LimitReader(resp.Body, maxKept))
		_ = resp.Body.Close() // it has been read
		resp.Body = io.NopCloser(bytes.NewReader(body))
	}
	if err != nil {
		fetched = Fetched{URL: fetched.URL, Error: err.Error()}
	}
	w.recorder.fetched(fetched, body)
	return resp, err
}

func (r *Recorder) fetched(f Fetched, body []byte) {
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.full {
		return
	}
	f.At = Since(max(0, now.Sub(r.start)))
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	if decoder.Decode(&f.Body) != nil {
		f.Body = nil
		if len(body) > 0 {
			f.Body = string(body)
		}
	} else if set, ok := f.Body.(map[string]any); ok {
		keys, _ := set["keys"].([]any)
		for i := range keys {
			if member, ok := keys[i].(map[string]any); ok {
				r.replaceable(member)
			}
		}
		f.Body = walk(set, func(_, text string) any { return r.names.known(text) })
	}
	r.outside = append(r.outside, f)
	r.grow(eventBytes + len(body))
}

// replaceable puts ordinals in the place of a public key's numbers, if a replay can
// make another one of the kind.
func (r *Recorder) replaceable(member map[string]any) {
	text, err := json.Marshal(member)
	if err != nil {
		return
	}
	var parsed jose.JSONWebKey
	if parsed.UnmarshalJSON(text) != nil {
		return
	}
	switch public := parsed.Key.(type) {
	case *rsa.PublicKey:
	case *ecdsa.PublicKey:
		if public.Curve != elliptic.P256() {
			return
		}
	default:
		return
	}
	n := r.keys.others(ringOutside, parsed.KeyID, parsed.Key, nil)
	for part := range publicParts(parsed.Key) {
		member[part] = fmt.Sprintf("{{%s %s %d}}", part, ringOutside, n)
	}
	if member["e"] != nil {
		member["e"] = "AQAB" // as that of every key that is made here
	}
	delete(member, "x5c") // the certificate of the key that was
}

// played answers for the issuers outside as they answered then.
type played struct {
	player *player
	next   map[string]int // by URL: how often it was asked
}

// RoundTrip gives the answers of a URL in their order, and the last one again.
func (p *played) RoundTrip(q *http.Request) (*http.Response, error) {
	p.player.mu.Lock()
	defer p.player.mu.Unlock()
	at := q.URL.String()
	var found *Fetched
	seen := 0
	for i := range p.player.recorded.Outside {
		if f := &p.player.recorded.Outside[i]; f.URL == at {
			if found = f; seen == p.next[at] {
				break
			}
			seen++
		}
	}
	p.next[at]++
	switch {
	case found == nil:
		return nil, fmt.Errorf("the recording has no answer of %s", at)
	case found.Error != "":
		return nil, errors.New(found.Error)
	}
	body, err := p.player.document(found.Body)
	if err != nil {
		return nil, err
	}
	return &http.Response{
		StatusCode: found.Status, Status: fmt.Sprintf("%d %s", found.Status, http.StatusText(found.Status)), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)), Request: q,
	}, nil
}

// document is a recorded document with keys of the replay's own.
func (p *player) document(body any) ([]byte, error) {
	if text, ok := body.(string); ok {
		return []byte(text), nil
	}
	var failed error
	filled := walk(body, func(_, text string) any {
		name := placeholder().FindStringSubmatch(text)
		if name == nil {
			return text
		}
		part, id, _ := strings.Cut(name[1], " ")
		if ring, _, _ := cutLast(id, " "); ring != ringOutside {
			return p.fill(text, func(s string) string { return s })
		}
		private, err := p.ownKey(id, part != "n")
		if err != nil {
			failed = err
			return text
		}
		return publicParts(private.Public())[part]
	})
	if failed != nil {
		return nil, failed
	}
	return json.Marshal(filled)
}

// ownKey is the replay's key in the place of one that others had; p.mu is held.
func (p *player) ownKey(id string, curved bool) (crypto.Signer, error) {
	if own := p.own[id]; own != nil {
		return own, nil
	}
	var made crypto.Signer
	var err error
	if curved {
		made, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	} else {
		made, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		return nil, fmt.Errorf("make a key for the replay: %w", err)
	}
	p.own[id] = made
	return made, nil
}
