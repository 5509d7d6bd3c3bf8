// Package control is the client of a lab's control API, by which a running lab is
// changed and asked: its clock, its keys, its faults, its directory and its journal.
package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/wiemu/wiemu/emulator/journal"
)

// Client is a client of a lab's control API.
type Client struct {
	URL   string // of the control listener
	Token string // its bearer token

	// Transport reaches the listener. If nil, the network, without a proxy.
	Transport http.RoundTripper `json:"-"`
}

// Status asks how the lab is.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return ask[Status](ctx, c, http.MethodGet, "/v1/status", nil)
}

// Events returns the events after the one with the id, oldest first; "" returns
// all that the lab keeps.
func (c *Client) Events(ctx context.Context, after string) ([]journal.Event, error) {
	return ask[[]journal.Event](ctx, c, http.MethodGet, "/v1/events?after="+url.QueryEscape(after), nil)
}

// Record writes down an event of the kind run: what a program did that runs outside.
func (c *Client) Record(ctx context.Context, e journal.Event) (journal.Event, error) {
	return ask[journal.Event](ctx, c, http.MethodPost, "/v1/events", e)
}

// Rotate lets the next key of a ring sign: an issuer's by name, or entra's.
func (c *Client) Rotate(ctx context.Context, ring string) (KeyStatus, error) {
	return ask[KeyStatus](ctx, c, http.MethodPost, "/v1/keys/"+url.PathEscape(ring)+"/rotate", nil)
}

// Publish puts a new key into a ring's JWKS that does not sign yet.
func (c *Client) Publish(ctx context.Context, ring string) (KeyStatus, error) {
	return ask[KeyStatus](ctx, c, http.MethodPost, "/v1/keys/"+url.PathEscape(ring)+"/publish", nil)
}

// RemoveKey takes a key out of a ring's JWKS: one with an id, or the oldest that is
// retired, published or signing.
func (c *Client) RemoveKey(ctx context.Context, ring, which string) (KeyStatus, error) {
	return ask[KeyStatus](ctx, c, http.MethodPost, "/v1/keys/"+url.PathEscape(ring)+"/remove", map[string]string{"key": which})
}

// Mint asks for a service-account token.
func (c *Client) Mint(ctx context.Context, req MintRequest) (Minted, error) {
	return ask[Minted](ctx, c, http.MethodPost, "/v1/tokens", req)
}

// Examine asks what Entra ID would say to an assertion.
func (c *Client) Examine(ctx context.Context, req ExamineRequest) (journal.Event, error) {
	return ask[journal.Event](ctx, c, http.MethodPost, "/v1/examine", req)
}

// Do sends in as JSON, unless it is nil, and decodes the answer into out. What
// the lab refuses is a *StatusError.
func (c *Client) Do(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.URL+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+c.Token)
	direct := c.Transport
	if direct == nil {
		direct = &http.Transport{DisableKeepAlives: true} // no proxy: the listener is on loopback
	}
	resp, err := direct.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("ask the lab at %s: %w", c.URL, err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return fmt.Errorf("ask the lab at %s: %w", c.URL, err)
	}
	if resp.StatusCode != http.StatusOK {
		var p problem
		if json.Unmarshal(data, &p) != nil || p.Error == "" {
			p.Error = string(data)
		}
		return &StatusError{resp.StatusCode, errors.New(p.Error), p.Field}
	}
	return json.Unmarshal(data, out)
}

// ask is Do with the answer as its result.
func ask[T any](ctx context.Context, c *Client, method, path string, in any) (T, error) {
	var out T
	err := c.Do(ctx, method, path, in, &out)
	return out, err
}

// StatusError is an error with the HTTP status to answer.
type StatusError struct {
	Status int
	Err    error
	Field  string // what of the request is wrong, as the command line's flag calls it; "": not told
}

func (e *StatusError) Error() string { return e.Err.Error() }

// Unwrap returns the error without its status.
func (e *StatusError) Unwrap() error { return e.Err }

type problem struct {
	Error string `json:"error"`
	Field string `json:"field,omitempty"`
}

// MintRequest asks for a service-account token.
type MintRequest struct {
	Issuer            string   `json:"issuer"` // name; "": the first
	Namespace         string   `json:"namespace"`
	ServiceAccount    string   `json:"serviceAccount"`
	Audiences         []string `json:"audiences"`
	ExpirationSeconds int64    `json:"expirationSeconds"` // 0: 3600
}

// Minted is a service-account token.
type Minted struct {
	Token     string    `json:"token"`
	ExpiresAt time.Time `json:"expiresAt"`
}

// ExamineRequest asks what Entra ID would say to an assertion.
type ExamineRequest struct {
	Tenant    string `json:"tenant"`
	ClientID  string `json:"clientId"`
	Assertion string `json:"assertion"`
}

// Advance moves lab time forward by a Go duration, such as 25h.
func (c *Client) Advance(ctx context.Context, by string) (Status, error) {
	return c.clock(ctx, "advance", map[string]string{"by": by})
}

// Set moves lab time forward to a moment in RFC 3339, such as 2026-01-05T09:00:00Z.
func (c *Client) Set(ctx context.Context, to string) (Status, error) {
	return c.clock(ctx, "set", map[string]string{"to": to})
}

// Freeze lets lab time stand still.
func (c *Client) Freeze(ctx context.Context) (Status, error) {
	return c.clock(ctx, "freeze", struct{}{})
}

// SetSpeed lets lab time run, so many times as fast as the machine's clock.
func (c *Client) SetSpeed(ctx context.Context, speed float64) (Status, error) {
	return c.clock(ctx, "speed", map[string]float64{"speed": speed})
}

// Settle waits until the answers under way were given, and until everything that
// is due by now has happened. Lab time stays as it is.
func (c *Client) Settle(ctx context.Context) (Status, error) {
	return c.clock(ctx, "settle", struct{}{})
}

// Skew lets the clock of a component go ahead of lab time by a Go duration, or behind
// it if that is negative; 0s puts it right.
func (c *Client) Skew(ctx context.Context, component, by string) (Status, error) {
	return c.clock(ctx, "skew", map[string]string{"part": component, "by": by})
}

func (c *Client) clock(ctx context.Context, how string, req any) (Status, error) {
	return ask[Status](ctx, c, http.MethodPost, "/v1/clock/"+how, req)
}
