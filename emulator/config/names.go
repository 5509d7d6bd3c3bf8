package config

import (
	"fmt"
	"regexp"
)

// What Kubernetes lets namespaces (a label) and service accounts (a subdomain)
// be called. Kubernetes: apimachinery/pkg/util/validation/validation.go
var (
	dnsLabel     = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)
	dnsSubdomain = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
)

const maxSubdomain = 253

// What [IsLabel] and [IsSubdomain] ask for, in messages.
const (
	LabelRule     = "a lowercase RFC 1123 label: at most 63 lower case alphanumeric characters or '-', starting and ending with an alphanumeric character"
	SubdomainRule = "a lowercase RFC 1123 subdomain: at most 253 lower case alphanumeric characters, '-' or '.', starting and ending with an alphanumeric character"
)

// CheckNames says what is wrong with the names of a namespace and a service
// account: they become paths and parts of the subject.
func CheckNames(namespace, serviceAccount string) error {
	if !IsLabel(namespace) {
		return fmt.Errorf("namespace %q: expected %s", namespace, LabelRule)
	}
	if !IsSubdomain(serviceAccount) {
		return fmt.Errorf("service account %q: expected %s", serviceAccount, SubdomainRule)
	}
	return nil
}

// IsLabel reports whether Kubernetes lets a namespace or a container have a name.
func IsLabel(name string) bool { return dnsLabel.MatchString(name) }

// IsSubdomain reports whether Kubernetes lets a service account, and most other objects,
// have a name.
func IsSubdomain(name string) bool {
	return len(name) <= maxSubdomain && dnsSubdomain.MatchString(name)
}
