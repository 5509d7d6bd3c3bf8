// Package kubename checks names as Kubernetes does.
package kubename

import (
	"fmt"

	"github.com/wiemu/wiemu/internal/lazyregexp"
)

// Kubernetes: apimachinery/pkg/util/validation/validation.go
var (
	dnsLabel     = lazyregexp.New(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)
	dnsSubdomain = lazyregexp.New(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
)

const (
	maxLabel     = 63
	maxSubdomain = 253
)

// The rules of [IsLabel] and [IsSubdomain], for messages.
const (
	LabelRule     = "a lowercase RFC 1123 label: at most 63 lower case alphanumeric characters or '-', starting and ending with an alphanumeric character"
	SubdomainRule = "a lowercase RFC 1123 subdomain: at most 253 lower case alphanumeric characters, '-' or '.', starting and ending with an alphanumeric character"
)

// CheckAccount returns an error if a namespace or a service account cannot have such a name.
// The names become paths and parts of the subject.
func CheckAccount(namespace, serviceAccount string) error {
	if !IsLabel(namespace) {
		return fmt.Errorf("namespace %q: expected %s", namespace, LabelRule)
	}
	if !IsSubdomain(serviceAccount) {
		return fmt.Errorf("service account %q: expected %s", serviceAccount, SubdomainRule)
	}
	return nil
}

// IsLabel reports whether name is an RFC 1123 label, as names of namespaces and containers
// are.
func IsLabel(name string) bool { return len(name) <= maxLabel && dnsLabel().MatchString(name) }

// IsSubdomain reports whether name is an RFC 1123 subdomain, as names of service accounts and
// most other objects are.
func IsSubdomain(name string) bool {
	return len(name) <= maxSubdomain && dnsSubdomain().MatchString(name)
}
