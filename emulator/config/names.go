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

const (
	maxSubdomain  = 253
	labelRule     = "a lowercase RFC 1123 label: at most 63 lower case alphanumeric characters or '-', starting and ending with an alphanumeric character"
	subdomainRule = "a lowercase RFC 1123 subdomain: at most 253 lower case alphanumeric characters, '-' or '.', starting and ending with an alphanumeric character"
)

// CheckNames says what is wrong with the names of a namespace and a service
// account: they become paths and parts of the subject.
func CheckNames(namespace, serviceAccount string) error {
	if !validNamespace(namespace) {
		return fmt.Errorf("namespace %q: expected %s", namespace, labelRule)
	}
	if !validServiceAccount(serviceAccount) {
		return fmt.Errorf("service account %q: expected %s", serviceAccount, subdomainRule)
	}
	return nil
}

func validNamespace(name string) bool { return dnsLabel.MatchString(name) }

func validServiceAccount(name string) bool {
	return len(name) <= maxSubdomain && dnsSubdomain.MatchString(name)
}
