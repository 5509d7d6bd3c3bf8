package issuer

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

// Bound says whose token it is and on what object it hangs.
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

// subject spells the subject of a service account.
// Kubernetes: staging/src/k8s.io/apiserver/pkg/authentication/serviceaccount/util.go
func subject(namespace, name string) string {
	return "system:serviceaccount:" + namespace + ":" + name
}
