package issuer

import (
	"encoding/json"
	"time"
)

// The structs of this file have the fields of the Kubernetes API in the order in
// which an API server writes them.
// Kubernetes: staging/src/k8s.io/api/authentication/v1/types.go

type typeMeta struct {
	Kind       string `json:"kind,omitempty"`
	APIVersion string `json:"apiVersion,omitempty"`
}

type objectMeta struct {
	Name              string            `json:"name,omitempty"`
	Namespace         string            `json:"namespace,omitempty"`
	UID               string            `json:"uid,omitempty"`
	ResourceVersion   string            `json:"resourceVersion,omitempty"`
	CreationTimestamp timestamp         `json:"creationTimestamp,omitzero"`
	Labels            map[string]string `json:"labels,omitempty"`
	Annotations       map[string]string `json:"annotations,omitempty"`
}

// timestamp is written in whole seconds, UTC, and read leniently: what a client
// says about times is not used.
type timestamp struct{ time.Time }

func (t timestamp) MarshalJSON() ([]byte, error) {
	if t.IsZero() {
		return []byte("null"), nil
	}
	return json.Marshal(t.UTC().Format(time.RFC3339))
}

func (t *timestamp) UnmarshalJSON([]byte) error { return nil }

type tokenRequest struct {
	typeMeta
	Metadata objectMeta         `json:"metadata"`
	Spec     tokenRequestSpec   `json:"spec"`
	Status   tokenRequestStatus `json:"status"`
}

type tokenRequestSpec struct {
	Audiences         []string              `json:"audiences"`
	ExpirationSeconds *int64                `json:"expirationSeconds"`
	BoundObjectRef    *boundObjectReference `json:"boundObjectRef"`
}

type boundObjectReference struct {
	Kind       string `json:"kind,omitempty"`
	APIVersion string `json:"apiVersion,omitempty"`
	Name       string `json:"name,omitempty"`
	UID        string `json:"uid,omitempty"`
}

type tokenRequestStatus struct {
	Token               string    `json:"token"`
	ExpirationTimestamp timestamp `json:"expirationTimestamp"`
}

type tokenReview struct {
	typeMeta
	Metadata objectMeta      `json:"metadata"`
	Spec     tokenReviewSpec `json:"spec"`
	Status   ReviewStatus    `json:"status"`
}

type tokenReviewSpec struct {
	Token     string   `json:"token,omitempty"`
	Audiences []string `json:"audiences,omitempty"`
}

// ReviewStatus is the answer to a TokenReview, as its JSON has it.
type ReviewStatus struct {
	Authenticated bool     `json:"authenticated,omitempty"`
	User          UserInfo `json:"user"`
	Audiences     []string `json:"audiences,omitempty"` // of the token, those asked for
	Error         string   `json:"error,omitempty"`
}

// UserInfo is who a token belongs to.
type UserInfo struct {
	Username string              `json:"username,omitempty"`
	UID      string              `json:"uid,omitempty"`
	Groups   []string            `json:"groups,omitempty"`
	Extra    map[string][]string `json:"extra,omitempty"`
}

// object is a service account or a namespace.
type object struct {
	typeMeta
	Metadata objectMeta    `json:"metadata"`
	Spec     *struct{}     `json:"spec,omitempty"`
	Status   *objectStatus `json:"status,omitempty"`
}

type objectStatus struct {
	Phase string `json:"phase"`
}

type objectList struct {
	typeMeta
	Metadata objectMeta `json:"metadata"`
	Items    []object   `json:"items"`
}

type apiVersions struct {
	typeMeta
	Versions                   []string   `json:"versions"`
	ServerAddressByClientCIDRs []struct{} `json:"serverAddressByClientCIDRs"`
}

type apiGroupList struct {
	typeMeta
	Groups []apiGroup `json:"groups"`
}

type apiGroup struct {
	typeMeta
	Name             string            `json:"name"`
	Versions         []apiGroupVersion `json:"versions"`
	PreferredVersion apiGroupVersion   `json:"preferredVersion"`
}

type apiGroupVersion struct {
	GroupVersion string `json:"groupVersion"`
	Version      string `json:"version"`
}

type apiResourceList struct {
	typeMeta
	GroupVersion string        `json:"groupVersion"`
	Resources    []apiResource `json:"resources"`
}

type apiResource struct {
	Name         string   `json:"name"`
	SingularName string   `json:"singularName"`
	Namespaced   bool     `json:"namespaced"`
	Group        string   `json:"group,omitempty"`
	Version      string   `json:"version,omitempty"`
	Kind         string   `json:"kind"`
	Verbs        []string `json:"verbs"`
	ShortNames   []string `json:"shortNames,omitempty"`
}

type versionInfo struct {
	Major        string `json:"major"`
	Minor        string `json:"minor"`
	GitVersion   string `json:"gitVersion"`
	GitCommit    string `json:"gitCommit"`
	GitTreeState string `json:"gitTreeState"`
	BuildDate    string `json:"buildDate"`
	GoVersion    string `json:"goVersion"`
	Compiler     string `json:"compiler"`
	Platform     string `json:"platform"`
}
