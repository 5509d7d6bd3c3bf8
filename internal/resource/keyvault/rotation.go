package keyvault

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/lazyregexp"
	"github.com/wiemu/wiemu/internal/resource"
)

// rotationPolicy says when Key Vault makes a new version of a key.
type rotationPolicy struct {
	actions          []lifetimeAction
	expiry           string // ISO 8601; "" if versions do not expire
	created, updated time.Time
}

// lifetimeAction is one of a policy's, in its JSON.
type lifetimeAction struct {
	Trigger trigger `json:"trigger"`
	Action  action  `json:"action"`
}

type trigger struct {
	AfterCreate  string `json:"timeAfterCreate,omitempty"`
	BeforeExpiry string `json:"timeBeforeExpiry,omitempty"`
}

type action struct {
	Type string `json:"type"`
}

// policyBundle is a policy as it is sent.
type policyBundle struct {
	ID         string           `json:"id"`
	Actions    []lifetimeAction `json:"lifetimeActions"`
	Attributes policyAttributes `json:"attributes"`
}

type policyAttributes struct {
	Expiry  string `json:"expiryTime,omitempty"`
	Created int64  `json:"created,omitempty"`
	Updated int64  `json:"updated,omitempty"`
}

type policyParameters struct {
	Actions    []lifetimeAction `json:"lifetimeActions"`
	Attributes policyAttributes `json:"attributes"`
}

// describe returns the policy of a key, or the default: an event 30 days before expiry.
// Source: REST reference, Get Key Rotation Policy.
func (p *rotationPolicy) describe(id string) policyBundle {
	if p == nil {
		return policyBundle{ID: id, Actions: []lifetimeAction{{trigger{BeforeExpiry: "P30D"}, action{"Notify"}}}}
	}
	return policyBundle{id, p.actions, policyAttributes{p.expiry, p.created.Unix(), p.updated.Unix()}}
}

// date gives a version that begins the expiry that the policy says.
func (p *rotationPolicy) date(n *keyVersion) {
	if p == nil || p.expiry == "" || n.expires != nil {
		return
	}
	ends, _ := addDuration(n.created, p.expiry, 1) // it was checked
	n.expires = new(ends.Unix())
}

// due returns when the version is followed by another one; ok is false if by none. It lives
// for the shortest time at least: else a version that is due before it is made is followed
// by one after the other without end.
func (n *keyVersion) due() (at time.Time, ok bool) {
	if at, ok = n.policy.follows(n); !ok {
		return time.Time{}, false
	}
	if first := n.created.Add(shortestTrigger); at.Before(first) {
		at = first
	}
	return at, true
}

// follows returns when the policy wants a version after n; ok is false if never.
func (p *rotationPolicy) follows(n *keyVersion) (at time.Time, ok bool) {
	if p == nil {
		return time.Time{}, false
	}
	for _, a := range p.actions {
		if !strings.EqualFold(a.Action.Type, "Rotate") {
			continue
		}
		if a.Trigger.AfterCreate != "" {
			at, _ := addDuration(n.created, a.Trigger.AfterCreate, 1)
			return at, true
		}
		if n.expires != nil {
			at, _ := addDuration(time.Unix(*n.expires, 0).UTC(), a.Trigger.BeforeExpiry, -1)
			return at, true
		}
	}
	return time.Time{}, false
}

// keepUp does what came due by itself since the last request, at the lab times at which it
// was due: nobody can tell that it was not done then.
func (s *Service) keepUp(v *vault, now time.Time) {
	for {
		done := s.next(v, now)
		if done == "" {
			return
		}
		s.kit.Journal.Record(journal.Event{Kind: journal.Directory, Outcome: journal.OK, Component: v.name, Summary: "vault " + v.name + ": " + done})
	}
}

// next does what is due first, and says so; "" if nothing is due.
func (s *Service) next(v *vault, now time.Time) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	key, rotates := v.nextRotation()
	certificate, renews := v.nextRenewal()
	switch {
	case v.made+2 > maxMade:
		return ""
	case key != "" && !rotates.After(now) && (certificate == "" || !renews.Before(rotates)):
		_, latest, _ := v.keys.find(key, "")
		v.rotate(key, s.generate(latest.kind), rotates)
		return "key " + key + " was rotated at " + rotates.UTC().Format(time.RFC3339) + ", as its rotation policy says"
	case certificate != "" && !renews.After(now):
		_, latest, _ := v.certificates.find(certificate, "")
		before := latest.key
		if !*latest.of.policy.Key.Reuse {
			before = nil
		}
		renewed, failed := selfSigned(latest.of.policy, renews, before)
		if failed != nil {
			return "" // a policy is checked when it is set
		}
		renewed.tags = latest.tags
		v.addCertificate(certificate, renewed)
		return "certificate " + certificate + " was renewed at " + renews.UTC().Format(time.RFC3339) + ", as its policy says"
	}
	return ""
}

// nextRotation returns the key that is rotated next, "" if none is; v.mu is held.
func (v *vault) nextRotation() (name string, first time.Time) {
	for key := range v.rotating {
		if o := v.keys.there[key]; o != nil {
			if at, ok := o.latest().due(); ok && (name == "" || at.Before(first) || at.Equal(first) && o.name < name) {
				name, first = o.name, at
			}
		}
	}
	return name, first
}

// nextRenewal returns the certificate that is renewed next, "" if none is; v.mu is held.
func (v *vault) nextRenewal() (name string, first time.Time) {
	for _, o := range v.certificates.there {
		if at, ok := o.latest().renewal(); ok && (name == "" || at.Before(first) || at.Equal(first) && o.name < name) {
			name, first = o.name, at
		}
	}
	return name, first
}

func (c *call) rotationPolicy(o *object[*keyVersion], n *keyVersion) any {
	return n.policy.describe(c.base() + "/keys/" + o.name + "/rotationpolicy")
}

func (c *call) setRotationPolicy(p policyParameters) (int, any, *resource.Failure) {
	o, n, failed := keys().find(c, c.name, "")
	if failed != nil {
		return 0, nil, failed
	}
	policy := &rotationPolicy{actions: slices.Clone(p.Actions), expiry: p.Attributes.Expiry, created: c.now, updated: c.now}
	if n.policy != nil {
		policy.created = n.policy.created
	}
	n.policy = policy
	c.vault.rotating[strings.ToLower(o.name)] = true
	return http.StatusOK, c.rotationPolicy(o, n), nil
}

// The shortest times of a policy. Source: Azure.Security.KeyVault.Keys, KeyRotationPolicy.ExpiresIn
// (28 days); "Configure key auto-rotation" (seven days; not looked up again).
const (
	shortestExpiry  = 28 * 24 * time.Hour
	shortestTrigger = 7 * 24 * time.Hour
)

func (p policyParameters) validate() *resource.Failure {
	if p.Attributes.Expiry != "" {
		if failed := checkDuration("expiryTime", p.Attributes.Expiry, shortestExpiry); failed != nil {
			return failed
		}
	}
	seen := map[string]bool{}
	for _, a := range p.Actions {
		kind := strings.ToLower(a.Action.Type)
		switch {
		case kind != "rotate" && kind != "notify":
			return badParameter("The action '%s' of 'lifetimeActions' is not known; expected Rotate or Notify.", a.Action.Type)
		case seen[kind]:
			return badParameter("'lifetimeActions' has the action %s twice.", a.Action.Type)
		case (a.Trigger.AfterCreate == "") == (a.Trigger.BeforeExpiry == ""):
			return badParameter("A trigger of 'lifetimeActions' has one of timeAfterCreate and timeBeforeExpiry.")
		case kind == "notify" && a.Trigger.AfterCreate != "":
			return badParameter("The trigger of Notify is timeBeforeExpiry.")
		case kind == "rotate" && a.Trigger.BeforeExpiry != "" && p.Attributes.Expiry == "":
			return badParameter("timeBeforeExpiry needs an 'expiryTime' in 'attributes'.")
		}
		seen[kind] = true
		name, text := "timeAfterCreate", a.Trigger.AfterCreate
		if text == "" {
			name, text = "timeBeforeExpiry", a.Trigger.BeforeExpiry
		}
		if failed := checkDuration(name, text, shortestTrigger); failed != nil {
			return failed
		}
		if p.Attributes.Expiry != "" {
			now := shortestMonth()
			ends, _ := addDuration(now, p.Attributes.Expiry, 1)
			if at, _ := addDuration(now, text, 1); !at.Before(ends) {
				return badParameter("%s is %s, which is not shorter than the 'expiryTime' %s.", name, text, p.Attributes.Expiry)
			}
			if at, _ := addDuration(ends, text, -1); kind == "rotate" && name == "timeBeforeExpiry" && at.Sub(now) < shortestTrigger {
				return badParameter("%s is %s, which with the 'expiryTime' %s can be less than %d days after a version is created.", name, text, p.Attributes.Expiry, int(shortestTrigger.Hours()/24))
			}
		}
	}
	return nil
}

// shortestMonth begins a month of 28 days, in which a duration of months is shortest.
func shortestMonth() time.Time { return time.Date(2001, time.February, 1, 0, 0, 0, 0, time.UTC) }

func checkDuration(name, text string, shortest time.Duration) *resource.Failure {
	now := shortestMonth()
	ends, ok := addDuration(now, text, 1)
	switch {
	case !ok:
		return badParameter("%s is '%s'; expected a duration of ISO 8601, such as P90D, P3M or PT48H.", name, text)
	case ends.Sub(now) < shortest:
		return badParameter("%s is %s; expected at least %d days.", name, text, int(shortest.Hours()/24))
	}
	return nil
}

var isoDuration = lazyregexp.New(`^P(?:(\d{1,4})Y)?(?:(\d{1,4})M)?(?:(\d{1,4})W)?(?:(\d{1,5})D)?(?:T(?:(\d{1,6})H)?(?:(\d{1,6})M)?(?:(\d{1,8})S)?)?$`)

// addDuration adds a duration of ISO 8601, so many times, to a time. Years and months are
// those of the calendar.
func addDuration(to time.Time, text string, times int) (time.Time, bool) {
	parts := isoDuration().FindStringSubmatch(strings.ToUpper(text))
	if parts == nil || strings.HasSuffix(strings.ToUpper(text), "P") || strings.HasSuffix(strings.ToUpper(text), "T") {
		return to, false
	}
	var n [7]int
	for i := range n {
		n[i], _ = strconv.Atoi(parts[i+1]) // of digits, or none
		n[i] *= times
	}
	to = to.AddDate(n[0], n[1], 7*n[2]+n[3])
	return to.Add(time.Duration(n[4])*time.Hour + time.Duration(n[5])*time.Minute + time.Duration(n[6])*time.Second), true
}
