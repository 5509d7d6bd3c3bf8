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
	Audiences         []string     `json:"audiences"`
	ExpirationSeconds *int64       `json:"expirationSeconds"`
	BoundObjectRef    *BoundObject `json:"boundObjectRef"`
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

// UserInfo is the user of a token.
type UserInfo struct {
	Username string              `json:"username,omitempty"`
	UID      string              `json:"uid,omitempty"`
	Groups   []string            `json:"groups,omitempty"`
	Extra    map[string][]string `json:"extra,omitempty"`
}

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

// Claims are the claims of a bound service-account token. Their fields stand in
// the order of their names, because Kubernetes merges three sets of claims into
// a map before it writes them: every object's keys come out sorted.
// Kubernetes: pkg/serviceaccount/claims.go
type Claims struct {
	Audience   []string `json:"aud"` // a list even if it is one
	Expiry     int64    `json:"exp"` // seconds since 1970, as are iat and nbf
	IssuedAt   int64    `json:"iat"`
	Issuer     string   `json:"iss"`
	ID         string   `json:"jti"`
	Kubernetes Bound    `json:"kubernetes.io"`
	NotBefore  int64    `json:"nbf"` // equals iat
	Subject    string   `json:"sub"` // system:serviceaccount:NAMESPACE:NAME
}

// Bound is the service account of a token and the object that the token is bound to.
type Bound struct {
	Namespace      string `json:"namespace"`
	Node           *Ref   `json:"node,omitempty"` // the pod's, or the object that it is bound to
	Pod            *Ref   `json:"pod,omitempty"`
	Secret         *Ref   `json:"secret,omitempty"` // read in reviews; never minted, for there are no secrets here
	ServiceAccount Ref    `json:"serviceaccount"`
}

// Ref names an object and the one creation of it that is meant.
type Ref struct {
	Name string `json:"name,omitempty"`
	UID  string `json:"uid,omitempty"`
}
