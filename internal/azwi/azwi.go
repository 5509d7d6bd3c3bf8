// Package azwi has the vocabulary of azure-workload-identity: the label and annotations
// that its webhook reads, its bounds and paths, and the subjects of service accounts. What
// the webhook does with them is in package webhook.
// Source: azure-workload-identity, pkg/webhook/consts.go.
package azwi

import "strings"

// The label of pods and the annotations of pods and service accounts.
const (
	UseLabel             = "azure.workload.identity/use" // of a pod: "true"
	ClientIDAnnotation   = "azure.workload.identity/client-id"
	TenantIDAnnotation   = "azure.workload.identity/tenant-id"
	ExpirationAnnotation = "azure.workload.identity/service-account-token-expiration" // seconds, of a pod or of its service account
	SkipAnnotation       = "azure.workload.identity/skip-containers"                  // of a pod: names, separated by semicolons
	SidecarAnnotation    = "azure.workload.identity/inject-proxy-sidecar"             // of a pod: any value
	PortAnnotation       = "azure.workload.identity/proxy-sidecar-port"               // of a pod
	BindingAnnotation    = "azure.workload.identity/use-identity-binding"             // of a pod: AKS's, "true" in any case
)

// The lifetime of projected tokens in seconds. Kubernetes itself allows 600.
const (
	MinExpiration     = 3600
	MaxExpiration     = 86400
	DefaultExpiration = 3600
)

// Where pods find their token.
const (
	TokenFile = "azure-identity-token"
	MountPath = "/var/run/secrets/azure" // all versions mount below it
	TokenDir  = MountPath + "/tokens"    // v0.8 to v1.5.1
	WIDir     = MountPath + "/wi"        // from v1.6.0 on, with the token in its folder token
)

// What the journal says of a pod that the webhook did not change.
const (
	NotInjectedSummary = "without AZURE_* variables and without a token file"
	NotInjectedMeaning = "The webhook did not change the pod: it was not there or not reachable when the pod was made and its failurePolicy is Ignore, or the pod lacks the label " + UseLabel + "."
	NotInjectedRemedy  = "Set failurePolicy to Fail, and make the pod anew; a pod that runs is never changed. Have the application end when AZURE_FEDERATED_TOKEN_FILE is missing."
)

// SubjectPrefix begins the subject of every service account.
const SubjectPrefix = "system:serviceaccount:"

// Subject returns the subject of a service account's tokens.
// Source: Kubernetes, staging/src/k8s.io/apiserver/pkg/authentication/serviceaccount/util.go.
func Subject(namespace, account string) string {
	return SubjectPrefix + namespace + ":" + account
}

// ParseSubject returns the service account that a subject names, if it names one.
// Source: Kubernetes, as for Subject.
func ParseSubject(subject string) (namespace, account string, ok bool) {
	rest, isAccount := strings.CutPrefix(subject, SubjectPrefix)
	namespace, account, found := strings.Cut(rest, ":")
	if !isAccount || !found || namespace == "" || account == "" || strings.Contains(account, ":") {
		return "", "", false
	}
	return namespace, account, true
}

// Annotations returns those by which a service account names its client id; none if that
// is empty.
func Annotations(clientID string) map[string]string {
	if clientID == "" {
		return map[string]string{}
	}
	return map[string]string{ClientIDAnnotation: clientID}
}
