package roles

import (
	"iter"
	"strings"

	"github.com/wiemu/wiemu/internal/httppath"
)

// above are a scope and those that it is in, in lower case.
func above(scope string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for scope = strings.ToLower(scope); scope != "" && yield(scope); {
			scope = scope[:strings.LastIndexByte(scope, '/')]
		}
	}
}

// ValidScope reports whether a text can be the id of something that roles are assigned on:
// of a subscription, a resource group, a resource, a management group, or / for everything.
func ValidScope(scope string) bool {
	return scope == "/" || strings.HasPrefix(scope, "/") && (Within(scope, "/subscriptions") || Within(scope, "/providers"))
}

// Within reports whether a scope is another one or below it. Letter case does not matter.
func Within(scope, above string) bool {
	scope, above = strings.Trim(scope, "/"), strings.Trim(above, "/")
	return above == "" || len(scope) >= len(above) && strings.EqualFold(scope[:len(above)], above) && (len(scope) == len(above) || scope[len(above)] == '/')
}

// Short is a scope without the subscription and resource group that a resource is in.
func Short(scope string) string {
	lower := httppath.Lower(scope)
	if _, resource, ok := cutFold(scope, lower, "/providers/"); ok && strings.HasPrefix(lower, "/subscriptions/") {
		return resource
	}
	if before, group, ok := cutFold(scope, lower, "/resourcegroups/"); ok {
		return "resource group " + group + " of " + strings.TrimPrefix(before[1:], "subscriptions/")
	}
	if id, ok := strings.CutPrefix(lower, "/subscriptions/"); ok {
		return "subscription " + id
	}
	return scope
}

func cutFold(text, lower, separator string) (before, after string, ok bool) {
	i := strings.Index(lower, separator)
	if i < 0 {
		return text, "", false
	}
	return text[:i], text[i+len(separator):], true
}
