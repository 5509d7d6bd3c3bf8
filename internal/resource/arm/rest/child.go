package rest

import (
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/wiemu/wiemu/internal/resource"
)

// Child returns a kind of resources that belong to those of k, with its api-versions. They are in no
// region, and are made anew rather than patched. The caller adds how they are checked and served.
func (k *Kind) Child(segment, title string) *Kind {
	return &Kind{Type: k.Type + "/" + segment, Title: title, Versions: k.Versions, Parent: k, Global: true, NoPatch: true}
}

// FirewallRules returns the kind of the rules by address of a server or cache, which are taken and
// shown, and let everybody pass. from and to are the properties with a rule's addresses; code and
// message refuse one without them, whose text is inferred.
func (k *Kind) FirewallRules(from, to, code, message string) *Kind {
	rules := k.Child("firewallRules", "firewall rule")
	rules.Make = func(_ *Call, i, _ *Item, p Properties) *resource.Failure {
		if p.Text(from) == "" || p.Text(to) == "" || !Plain(i.Name) {
			return BadRequest(code, message, fmt.Sprintf("A firewall rule has a %s and an %s.", from, to))
		}
		return nil
	}
	return rules
}

// Plain reports whether the name of a child resource has none of the characters that paths have a
// use for.
func Plain(name string) bool { return !strings.ContainsAny(name, "%/\\?#") }

// IsGUID reports whether a text is a GUID as Azure writes them: with hyphens, and nothing around it.
func IsGUID(text string) bool { return uuid.Validate(text) == nil && len(text) == 36 }
