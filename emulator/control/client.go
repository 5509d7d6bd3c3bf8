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

	"github.com/wiemu/wiemu/emulator/journal"
)

// Client steers a lab through its control door.
type Client struct {
	URL   string // of the control door
	Token string // its bearer token

	// Transport reaches the door. nil: the network, without a proxy.
	Transport http.RoundTripper `json:"-"`
}

// Status asks how the lab is.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var status Status
	return status, c.Do(ctx, http.MethodGet, "/v1/status", nil, &status)
}

// Events returns the events after the one with the id, oldest first; "" returns
// all that the lab keeps.
func (c *Client) Events(ctx context.Context, after string) ([]journal.Event, error) {
	var events []journal.Event
	return events, c.Do(ctx, http.MethodGet, "/v1/events?after="+url.QueryEscape(after), nil, &events)
}

// Record writes down an event of the kind run: what a program did that runs outside.
func (c *Client) Record(ctx context.Context, e journal.Event) (journal.Event, error) {
	var recorded journal.Event
	return recorded, c.Do(ctx, http.MethodPost, "/v1/events", e, &recorded)
}

// Rotate lets the next key of a ring sign: an issuer's by name, or entra's.
func (c *Client) Rotate(ctx context.Context, ring string) (KeyStatus, error) {
	var key KeyStatus
	return key, c.Do(ctx, http.MethodPost, "/v1/keys/"+url.PathEscape(ring)+"/rotate", nil, &key)
}

// Publish puts a new key into a ring's JWKS that does not sign yet.
func (c *Client) Publish(ctx context.Context, ring string) (KeyStatus, error) {
	var key KeyStatus
	return key, c.Do(ctx, http.MethodPost, "/v1/keys/"+url.PathEscape(ring)+"/publish", nil, &key)
}

// RemoveKey takes a key out of a ring's JWKS: one with an id, or the oldest that is
// retired, published or signing.
func (c *Client) RemoveKey(ctx context.Context, ring, which string) (KeyStatus, error) {
	var key KeyStatus
	return key, c.Do(ctx, http.MethodPost, "/v1/keys/"+url.PathEscape(ring)+"/remove", RemoveKeyRequest{Key: which}, &key)
}

// Mint asks for a service-account token.
func (c *Client) Mint(ctx context.Context, req MintRequest) (Minted, error) {
	var minted Minted
	return minted, c.Do(ctx, http.MethodPost, "/v1/tokens", req, &minted)
}

// Examine asks what Entra ID would say to an assertion.
func (c *Client) Examine(ctx context.Context, req ExamineRequest) (journal.Event, error) {
	var e journal.Event
	return e, c.Do(ctx, http.MethodPost, "/v1/examine", req, &e)
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
		direct = &http.Transport{DisableKeepAlives: true} // no proxy: the door is on loopback
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
