package keyvault

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/wiemu/wiemu/emulator/journal"
)

// maxBody is the longest request body that is read, in bytes: a value of 25 KiB and
// what goes with it.
const maxBody = 32 << 10

// MaxBody returns how many bytes the body of a request may have: of a vault that
// there is, the operations on secrets have one.
func (s *Service) MaxBody(r *http.Request) int64 {
	_, v := s.find(r.Host)
	switch path := r.URL.Path; {
	case v == nil || r.Method == http.MethodGet || r.Method == http.MethodHead:
		return 0
	case strings.HasPrefix(path, "/secrets/"), strings.HasPrefix(path, "/deletedsecrets/"):
		return maxBody
	default:
		return 0
	}
}

// Unreadable answers requests whose body is longer than MaxBody or breaks off.
func (s *Service) Unreadable() http.Handler {
	op := operation{verb: "do something with a body that cannot be read", serve: func(*call) (int, any, *failure) {
		return 0, nil, badParameter("The request body is longer than %d bytes, or breaks off.", maxBody)
	}}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.handle(w, r, op) })
}

// attributes as a client may send them. Nil is left out.
type attributes struct {
	Enabled   *bool  `json:"enabled"`
	NotBefore *int64 `json:"nbf"`
	Expires   *int64 `json:"exp"`
}

// parameters is the body of set and update.
type parameters struct {
	Value       *string           `json:"value"`
	ContentType *string           `json:"contentType"`
	Attributes  attributes        `json:"attributes"`
	Tags        map[string]string `json:"tags"`
}

// set makes a new version.
func (c *call) set() (int, any, *failure) {
	p, failed := c.read()
	switch {
	case failed != nil:
		return 0, nil, failed
	case p.Value == nil:
		return 0, nil, badParameter("The request body has no 'value' property.")
	case len(*p.Value) > maxValue:
		return 0, nil, badParameter("The 'value' property has %d bytes; a secret holds at most %d.", len(*p.Value), maxValue)
	}
	v := c.vault
	v.mu.Lock()
	defer v.mu.Unlock()
	if s, ok := v.binned(c.name, c.now); ok {
		return 0, nil, inBin(s.name)
	}
	delete(v.deleted, strings.ToLower(c.name)) // its time has come
	n := &version{value: *p.Value, enabled: true, created: c.now}
	n.change(p, c.now)
	s, n := v.add(c.name, n)
	return http.StatusOK, c.bundle(s, n, true), nil
}

// get returns a value. Key Vault hands out expired and not yet valid secrets
// ("about secrets", date-time controlled operations); that the application
// should mind goes to the journal.
func (c *call) get() (int, any, *failure) {
	v := c.vault
	v.mu.RLock()
	defer v.mu.RUnlock()
	s, n, ok := v.find(c.name, c.id)
	c.check("secret", "a secret of the vault", c.target(), ok)
	if !ok {
		return 0, nil, notFound(c.target(), v.nearest(c.name))
	}
	c.check("enabled", "enabled", map[bool]string{true: "enabled", false: "disabled"}[n.enabled], n.enabled)
	if !n.enabled {
		return 0, nil, disabled()
	}
	c.noteDates(n)
	return http.StatusOK, c.bundle(s, n, true), nil
}

// noteDates writes down that a secret is used outside the time that it is meant
// for. It refuses nothing.
func (c *call) noteDates(n *version) {
	const note = "Key Vault returns the value all the same; the application has to look at nbf and exp."
	now := c.now.Format(time.RFC3339)
	if n.notBefore != nil && c.now.Unix() < *n.notBefore {
		c.checks = append(c.checks, journal.Check{Name: "secret valid from", Expected: "not before " + unix(*n.notBefore), Presented: now, Outcome: journal.Skipped, Note: note})
	}
	if n.expires != nil && c.now.Unix() >= *n.expires {
		c.checks = append(c.checks, journal.Check{Name: "secret valid until", Expected: "before " + unix(*n.expires), Presented: now, Outcome: journal.Skipped, Note: note})
	}
}

func unix(seconds int64) string { return time.Unix(seconds, 0).UTC().Format(time.RFC3339) }

// update changes a version's attributes, not its value.
func (c *call) update() (int, any, *failure) {
	p, failed := c.read()
	if failed != nil {
		return 0, nil, failed
	}
	v := c.vault
	v.mu.Lock()
	defer v.mu.Unlock()
	s, n, ok := v.find(c.name, c.id)
	c.check("secret", "a secret of the vault", c.target(), ok)
	if !ok {
		return 0, nil, notFound(c.target(), v.nearest(c.name))
	}
	n.change(p, c.now)
	return http.StatusOK, c.bundle(s, n, false), nil
}

// change takes over what p has.
func (n *version) change(p parameters, now time.Time) {
	n.updated = now
	if p.ContentType != nil {
		n.contentType = *p.ContentType
	}
	if p.Tags != nil {
		n.tags = maps.Clone(p.Tags)
	}
	if p.Attributes.Enabled != nil {
		n.enabled = *p.Attributes.Enabled
	}
	if p.Attributes.NotBefore != nil {
		n.notBefore = p.Attributes.NotBefore
	}
	if p.Attributes.Expires != nil {
		n.expires = p.Attributes.Expires
	}
}

// target names what was asked for: the secret, or a version of it.
func (c *call) target() string {
	if c.id == "" {
		return c.name
	}
	return c.name + "/" + c.id
}

// read decodes the request's body.
func (c *call) read() (parameters, *failure) {
	var p parameters
	data, err := io.ReadAll(io.LimitReader(c.r.Body, maxBody+1))
	switch {
	case err != nil:
		return p, badParameter("The request body could not be read: %v", err)
	case len(data) > maxBody:
		return p, badParameter("The request body is longer than %d bytes.", maxBody)
	}
	if err := json.Unmarshal(data, &p); err != nil {
		var field *json.UnmarshalTypeError
		if errors.As(err, &field) && field.Field != "" {
			return p, badParameter("The property '%s' of the request body is not valid: %v", field.Field, err)
		}
		return p, badParameter("The request body is not valid JSON: %v", err)
	}
	if len(p.Tags) > maxTags {
		return p, badParameter("The request body has %d tags; a secret has at most %d.", len(p.Tags), maxTags)
	}
	return p, nil
}
