package keyvault

import (
	"net/http"
	"time"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/resource"
)

// secrets is what is done alike for all kinds.
func secrets() kind[*version] {
	return kind[*version]{
		noun:    "Secret",
		managed: func(n *version) bool { return n.certificate != nil },
		of:      func(v *vault) collection[*version] { return v.secrets },
		describe: func(c *call, o *object[*version], n *version, as form) any {
			b := c.describe(o, n)
			if as != inList {
				b.ID += "/" + n.id
			}
			return b
		},
	}
}

// withValue is a secret as only those get it who set it or ask for it.
func (c *call) withValue(o *object[*version], n *version) bundle {
	b, value := c.describe(o, n), n.text(c.vault, o.name)
	b.Value, b.ID = &value, b.ID+"/"+n.id
	return b
}

type parameters struct {
	Value       *string `json:"value"`
	ContentType *string `json:"contentType"`
	described
}

func (c *call) set(p parameters) (int, any, *resource.Failure) {
	switch {
	case p.Value == nil:
		return 0, nil, badParameter("The request body has no 'value' property.")
	case len(*p.Value) > maxValue:
		return 0, nil, badParameter("The 'value' property has %d bytes; a secret holds at most %d.", len(*p.Value), maxValue)
	}
	v := c.vault
	if failed := secrets().vacate(c, c.name); failed != nil {
		return 0, nil, failed
	}
	if _, before, ok := v.secrets.find(c.name, ""); ok && before.certificate != nil {
		return 0, nil, managed("Secret", c.name)
	}
	n := &version{value: *p.Value, properties: properties{enabled: true, created: c.now}}
	n.update(p, c.now)
	return http.StatusOK, c.withValue(v.addSecret(c.name, n), n), nil
}

// get returns a value. Key Vault hands out expired and not yet valid secrets
// ("about secrets", date-time controlled operations); that the application
// should mind goes to the journal.
func (c *call) get() (int, any, *resource.Failure) {
	s, n, failed := secrets().find(c, c.name, c.id)
	if failed != nil {
		return 0, nil, failed
	}
	c.Check("enabled", "enabled", map[bool]string{true: "enabled", false: "disabled"}[n.enabled], n.enabled)
	if !n.enabled {
		return 0, nil, disabled("Secret", "get")
	}
	c.noteDates(n)
	return http.StatusOK, c.withValue(s, n), nil
}

// noteDates notes for the journal that a secret is used outside the time that it is
// meant for. It refuses nothing.
func (c *call) noteDates(n *version) {
	const note = "Key Vault returns the value all the same; the application has to look at nbf and exp."
	now := c.now.Format(time.RFC3339)
	if n.notBefore != nil && c.now.Unix() < *n.notBefore {
		c.Checks = append(c.Checks, journal.Check{Name: "secret valid from", Expected: "not before " + unix(*n.notBefore), Presented: now, Outcome: journal.Skipped, Note: note})
	}
	if n.expires != nil && c.now.Unix() >= *n.expires {
		c.Checks = append(c.Checks, journal.Check{Name: "secret valid until", Expected: "before " + unix(*n.expires), Presented: now, Outcome: journal.Skipped, Note: note})
	}
}

func unix(seconds int64) string { return time.Unix(seconds, 0).UTC().Format(time.RFC3339) }

// update changes a version's attributes, not its value.
func (c *call) update(p parameters) (int, any, *resource.Failure) {
	s, n, failed := secrets().find(c, c.name, c.id)
	if failed != nil {
		return 0, nil, failed
	}
	if n.certificate != nil {
		return 0, nil, managed("Secret", c.name)
	}
	n.update(p, c.now)
	return http.StatusOK, secrets().describe(c, s, n, whole), nil
}

func (n *version) update(p parameters, now time.Time) {
	n.change(p.Attributes, p.Tags, now)
	if p.ContentType != nil {
		n.contentType = *p.ContentType
	}
}

// getDeletedSecret describes a secret in the bin.
// Seen: a disabled one is refused here too (azure-sdk-for-js recordings, 2021).
func (c *call) getDeletedSecret() (int, any, *resource.Failure) {
	if s, ok := c.vault.secrets.binned(c.name, c.now); ok && !s.latest().enabled {
		return 0, nil, disabled("Secret", "get")
	}
	return secrets().getDeleted(c)
}
