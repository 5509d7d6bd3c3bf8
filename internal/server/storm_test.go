package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/internal/cloud"
	"github.com/wiemu/wiemu/internal/issuer"
	"github.com/wiemu/wiemu/internal/keyring/keyringtest"
	"github.com/wiemu/wiemu/internal/lab"
	"github.com/wiemu/wiemu/internal/server"
)

// The storm: an issuer rotates its keys fifty times a second, as an issuer should
// rotate them, while clients exchange assertions; among them hostile ones. What
// should be granted is granted, and nothing else, however the requests meet the
// rotations. STORM says how many exchanges (make storm).
//
// An hour of lab time passes with each rotation. Lab time moves by Advance alone,
// which lets requests in flight be answered: what is right does not depend on how
// fast or busy the machine is. The schedule is a correct one:
//
//   - a key is published an hour before it signs, and the token service remembers
//     the issuer's keys for half an hour: when the first assertion of a key comes,
//     what is remembered is too old, or has the key;
//   - a key stays published for longer than any honest assertion that it signed
//     is good;
//   - keys come from a pool of a few whose primes come round with other exponents
//     (keyring.Bounded): each has a kid and signatures of its own, so that a
//     removed key never comes back.
func TestStorm(t *testing.T) {
	s := newStorm(t, exchanges(t))
	ctx, calm := context.WithCancel(t.Context())
	var rotations sync.WaitGroup
	rotations.Go(func() { s.rotate(ctx) })
	began := time.Now() // wall time: a rate for people
	clients, together := errgroup.WithContext(ctx)
	for range 8 {
		c := &client{storm: s}
		clients.Go(func() error { return c.run(together) })
	}
	err := clients.Wait()
	took := time.Since(began)
	calm()
	rotations.Wait()
	if err != nil {
		t.Error(err)
	}
	rate := func(n int64) string { return fmt.Sprintf("%d (%.0f/s)", n, float64(n)/took.Seconds()) }
	t.Logf("%v: %s exchanges granted, %s hostile ones refused, %s rotations, %v of lab time; %d assertions were late by their client's own fault",
		took.Round(time.Millisecond), rate(s.granted.Load()), rate(s.refused.Load()), rate(s.rotated.Load()), s.lab.Now().Sub(s.began), s.late.Load())
	for _, h := range hostilities {
		if s.hostile[h.name].Load() == 0 && s.rotated.Load() > 50 {
			t.Errorf("no assertion was %s: the storm did not try it", h.name)
		}
	}
}

// exchanges is how many there are to be.
func exchanges(t *testing.T) int64 {
	t.Helper()
	text := os.Getenv("STORM")
	if text == "" {
		return 2000
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 {
		t.Fatalf("STORM: expected a number of exchanges, found %q", text)
	}
	return n
}

// The schedule, in lab time.
const (
	period    = time.Hour        // a key signs
	cached    = 30 * time.Minute // the token service remembers keys
	lifetime  = 10 * time.Hour   // of an honest assertion
	renewed   = 7 * time.Hour    // the age at which it is renewed
	published = 11 * time.Hour   // a key stays published when it signs no more
)

// storm is what the clients share.
type storm struct {
	e       *server.Server
	lab     *clock.Lab
	began   time.Time
	cluster *issuer.Issuer
	http    *http.Client

	left, granted, refused, rotated, late atomic.Int64

	hostile map[string]*atomic.Int64 // refused, by hostility
}

func newStorm(t *testing.T, exchanges int64) *storm {
	t.Helper()
	bounded, err := keyringtest.Keys(t).Recycled(t.Context(), 4)
	if err != nil {
		t.Fatal(err)
	}
	smallLab := clock.Stopped(time.Date(2026, 1, 5, 8, 0, 0, 0, time.UTC))
	e, err := server.Start(t.Context(), server.Options{
		InMemory: true, Options: lab.Options{Keys: bounded, Clock: smallLab, KeepEvents: 100},
		Config: config.Config{Issuers: []config.Issuer{{
			Name: "blue", RotateKeysEvery: period, PublishKeysAhead: period, RemoveKeysAfter: published, CacheLifetime: cached,
		}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if err := e.Trust(lab.Account{Namespace: "my-radix-app-dev", ServiceAccount: "web-sa", ClientID: clientID}); err != nil {
		t.Fatal(err)
	}
	cluster, err := e.Issuer("blue")
	if err != nil {
		t.Fatal(err)
	}
	cluster.PutServiceAccount("my-radix-app-dev", "other-sa", nil)
	s := &storm{e: e, lab: smallLab, began: smallLab.Now(), cluster: cluster, http: &http.Client{Transport: e.Transport()}, hostile: map[string]*atomic.Int64{}}
	for _, h := range hostilities {
		s.hostile[h.name] = new(atomic.Int64)
	}
	s.left.Store(exchanges)
	return s
}

// rotate lets fifty hours pass in a second, five at a time, until ctx ends. A
// machine that is too slow for that takes longer.
func (s *storm) rotate(ctx context.Context) {
	const atOnce = 5
	tick := time.NewTicker(time.Second * atOnce / 50) // wall time: how often is the point
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if s.lab.Advance(ctx, atOnce*period) == nil {
				s.rotated.Add(atOnce)
			}
		}
	}
}

// client exchanges one assertion again and again until it is old, as a program
// with a token file does, and a hostile one every tenth time.
type client struct {
	*storm
	honest  issuer.Token
	hostile [][]issuer.Token // waiting for their time, by hostility
	turn    int
}

func (c *client) run(ctx context.Context) error {
	c.hostile = make([][]issuer.Token, len(hostilities))
	for n := 0; ctx.Err() == nil && c.left.Load() > 0; n++ {
		if n%10 == 9 {
			if err := c.attack(ctx); err != nil {
				return err
			}
			continue
		}
		if c.left.Add(-1) < 0 {
			return nil
		}
		if err := c.exchange(ctx); err != nil {
			return err
		}
	}
	return nil
}

// exchange is one that has to be granted.
func (c *client) exchange(ctx context.Context) error {
	for {
		if c.honest.Raw == "" || c.lab.Now().Sub(c.honest.IssuedAt) >= renewed {
			var err error
			if c.honest, err = c.mint(ctx, "web-sa", cloud.Public().TokenExchange, lifetime); err != nil {
				return err
			}
		}
		code, err := c.present(ctx, c.honest.Raw)
		switch {
		case err != nil:
			return err
		case code == 0:
			c.granted.Add(1)
			return nil
		case !c.lab.Now().Before(c.honest.ExpiresAt):
			c.late.Add(1) // this client was kept waiting while hours passed
		default:
			return fmt.Errorf("a wrong refusal: AADSTS%d, to the assertion of %s signed with %s, at %s", code, c.honest.IssuedAt, c.honest.KeyID, c.lab.Now())
		}
	}
}

// hostilities are assertions that must be refused from a certain age on.
var hostilities = []struct {
	name     string
	account  string
	audience string
	lifetime time.Duration
	from     time.Duration // the age from which on it must be refused so
	until    time.Duration // the age at which it is given up
	tamper   func(string) string
	codes    []int
}{
	{
		name: "signed with a removed key", account: "web-sa", audience: cloud.Public().TokenExchange, lifetime: 24 * time.Hour,
		// Its key signed for an hour at most; what is remembered of it is half an hour
		// old at most, and was asked for an hour earlier at most.
		from: period + published + cached + period, until: 23 * time.Hour, codes: []int{7000272},
	},
	{name: "expired", account: "web-sa", audience: cloud.Public().TokenExchange, lifetime: 10 * time.Minute, from: 15 * time.Minute, until: 9 * time.Hour, codes: []int{700024}},
	{name: "another's", account: "other-sa", audience: cloud.Public().TokenExchange, lifetime: lifetime, until: renewed, codes: []int{700213}},
	{name: "for somebody else", account: "web-sa", audience: "api://another", lifetime: lifetime, until: renewed, codes: []int{700212}},
	{name: "tampered with", account: "web-sa", audience: cloud.Public().TokenExchange, lifetime: lifetime, until: renewed, codes: []int{wrongSignature}, tamper: func(raw string) string {
		at := strings.LastIndexByte(raw, '.') + 1
		other := "A"
		if raw[at] == 'A' {
			other = "B"
		}
		return raw[:at] + other + raw[at+1:]
	}},
}

// attack is one that has to be refused. The hostilities take turns; those whose
// assertions have yet to come of age are passed over.
func (c *client) attack(ctx context.Context) error {
	now := c.lab.Now()
	for which, h := range hostilities {
		waiting := slices.DeleteFunc(c.hostile[which], func(t issuer.Token) bool { return now.Sub(t.IssuedAt) >= h.until })
		if len(waiting) == 0 || now.Sub(waiting[len(waiting)-1].IssuedAt) >= period {
			fresh, err := c.mint(ctx, h.account, h.audience, h.lifetime)
			if err != nil {
				return err
			}
			waiting = append(waiting, fresh)
		}
		c.hostile[which] = waiting
	}
	for range hostilities {
		which := c.turn % len(hostilities)
		c.turn++
		if oldest := c.hostile[which][0]; now.Sub(oldest.IssuedAt) >= hostilities[which].from {
			return c.offend(ctx, which, oldest, now)
		}
	}
	return nil
}

// offend presents a hostile assertion that was of age at the time given.
func (c *client) offend(ctx context.Context, which int, token issuer.Token, now time.Time) error {
	h := hostilities[which]
	raw := token.Raw
	if h.tamper != nil {
		raw = h.tamper(raw)
	}
	code, err := c.present(ctx, raw)
	switch {
	case err != nil:
		return err
	case code == 0:
		return fmt.Errorf("a wrong acceptance: of an assertion that is %s, of %s signed with %s, at %s", h.name, token.IssuedAt, token.KeyID, now)
	case !slices.Contains(h.codes, code) && c.lab.Now().Sub(token.IssuedAt) < h.until:
		return fmt.Errorf("an assertion that is %s, of %s signed with %s, was refused at %s with AADSTS%d, want AADSTS%d", h.name, token.IssuedAt, token.KeyID, now, code, h.codes)
	}
	c.refused.Add(1)
	c.storm.hostile[h.name].Add(1)
	return nil
}

func (c *client) mint(ctx context.Context, account, audience string, lifetime time.Duration) (issuer.Token, error) {
	return c.cluster.Mint(ctx, issuer.TokenRequest{
		Namespace: "my-radix-app-dev", ServiceAccount: account, Audiences: []string{audience}, ExpirationSeconds: int64(lifetime / time.Second),
	})
}

// present exchanges an assertion; code is the AADSTS of a refusal, 0 if it was
// granted.
func (c *client) present(ctx context.Context, assertion string) (code int, err error) {
	form := url.Values{
		"grant_type": {"client_credentials"}, "client_id": {clientID}, "scope": {"https://vault.azure.net/.default"},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {assertion},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://login.microsoftonline.com/"+config.DefaultTenant+"/oauth2/v2.0/token", strings.NewReader(form.Encode()))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	var reply struct {
		Token string `json:"access_token"`
		Codes []int  `json:"error_codes"`
	}
	switch err := json.NewDecoder(resp.Body).Decode(&reply); {
	case err != nil:
		return 0, err
	case resp.StatusCode == http.StatusOK && reply.Token != "":
		return 0, nil
	case len(reply.Codes) == 1:
		return reply.Codes[0], nil
	}
	return 0, errors.New("a reply with neither a token nor one code: HTTP " + resp.Status)
}
