package issuer

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/azwi"
)

// leeway is how far the clocks of minting and of reviewing may differ.
// gopkg.in/go-jose/go-jose.v2/jwt DefaultLeeway
const leeway = time.Minute

type review struct {
	issuer    *Issuer
	audiences []string // that the asker answers to

	signed   *jose.JSONWebSignature
	kid      string
	claims   Claims
	matching []string // audiences that both sides name
}

// reviewCheck is one condition: what was expected, what the token presents, and
// the error that Kubernetes has for it.
type reviewCheck struct {
	name string
	look func(*review) (expected, presented string, err error)
}

// reviewChecks are made in this order and end with the first that fails.
// Kubernetes: pkg/serviceaccount/jwt.go AuthenticateToken, claims.go Validate
func reviewChecks() []reviewCheck {
	return []reviewCheck{
		{"signing key", (*review).signingKey},
		{"signature", (*review).signature},
		{"audience", (*review).audience},
		{"not before", (*review).notBefore},
		{"expiry", (*review).expiry},
		{"issued at", (*review).issuedAt},
		{"service account", (*review).serviceAccount},
		{"secret", (*review).secret},
		{"pod", (*review).pod},
		{"node", (*review).node},
	}
}

// errNotOurs is the answer to what no authenticator of an API server feels
// responsible for.
// Kubernetes: staging/src/k8s.io/apiserver/pkg/authentication/request/bearertoken
var errNotOurs = errors.New("invalid bearer token")

// Review returns whether the cluster accepts a token for one of the audiences, and the
// user of the token. If audiences is empty, it is the API server's, the issuer's URL.
// It journals the checks.
// Kubernetes: pkg/registry/authentication/tokenreview/storage.go
func (i *Issuer) Review(token string, audiences []string) ReviewStatus {
	if len(audiences) == 0 {
		audiences = []string{i.url}
	}
	r := &review{issuer: i, audiences: audiences}
	event := journal.Event{Kind: journal.TokenReview, Outcome: journal.Granted, Component: i.opts.Name, Issuer: i.url}
	err := r.parse(token)
	if err == nil {
		event.Issuer, event.Subject, event.Audience = r.claims.Issuer, r.claims.Subject, r.claims.Audience
		event.Kid, event.JTI = r.kid, r.claims.ID
		for _, c := range reviewChecks() {
			var expected, presented string
			if expected, presented, err = c.look(r); expected == "" && err == nil {
				continue // does not apply to this token
			}
			check := journal.Check{Name: c.name, Expected: expected, Presented: presented, Outcome: journal.Passed}
			if err != nil {
				check.Outcome, check.Note = journal.Failed, err.Error()
				event.Checks = append(event.Checks, check)
				// The API server asks its loopback authenticator first, which
				// knows no service accounts, and reports both.
				err = fmt.Errorf("[%w, %w]", errNotOurs, err)
				break
			}
			event.Checks = append(event.Checks, check)
		}
	}
	if err != nil {
		event.Outcome, event.Message = journal.Denied, err.Error()
		event.Summary = "token review: not authenticated: " + err.Error()
		i.journal.Record(event)
		return ReviewStatus{Error: err.Error()}
	}
	event.Workload = r.claims.Kubernetes.Namespace + "/" + r.claims.Kubernetes.ServiceAccount.Name
	event.Summary = "token review: it is " + r.claims.Subject
	i.journal.Record(event)
	return ReviewStatus{Authenticated: true, User: r.user(), Audiences: r.matching}
}

// parse reads a token with our issuer; nothing in it can be trusted yet.
func (r *review) parse(token string) error {
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256, jose.ES256})
	if err != nil || json.Unmarshal(signed.UnsafePayloadWithoutVerification(), &r.claims) != nil || r.claims.Issuer != r.issuer.url {
		return errNotOurs
	}
	r.signed = signed
	r.kid = r.signed.Signatures[0].Header.KeyID
	return nil
}

func (r *review) signingKey() (expected, presented string, err error) {
	var ids []string
	for _, k := range r.issuer.keys.Usable() {
		ids = append(ids, k.ID)
	}
	if r.kid != "" && !slices.Contains(ids, r.kid) {
		err = errors.New("invalid signature, no keys found")
	}
	return strings.Join(ids, " or "), r.kid, err
}

func (r *review) signature() (expected, presented string, err error) {
	for _, k := range r.issuer.keys.Usable() {
		if r.kid != "" && r.kid != k.ID {
			continue
		}
		if _, err = r.signed.Verify(k.Private.Public()); err == nil {
			return "by " + k.ID, "by " + k.ID, nil
		}
	}
	if err == nil { // the key left between two checks
		err = errors.New("invalid signature, no keys found")
	}
	return "by " + r.kid, "by another key, or changed since", err
}

func (r *review) audience() (expected, presented string, err error) {
	for _, a := range r.claims.Audience {
		if slices.Contains(r.audiences, a) {
			r.matching = append(r.matching, a)
		}
	}
	if len(r.matching) == 0 {
		err = fmt.Errorf("token audiences %q is invalid for the target audiences %q", r.claims.Audience, r.audiences)
	}
	return strings.Join(r.audiences, " or "), strings.Join(r.claims.Audience, ", "), err
}

func (r *review) notBefore() (expected, presented string, err error) {
	now := r.issuer.clock.Now()
	if now.Add(leeway).Before(time.Unix(r.claims.NotBefore, 0)) {
		err = errors.New("service account token is not valid yet")
	}
	return "by " + stamp(now.Add(leeway).Unix()), stamp(r.claims.NotBefore), err
}

func (r *review) expiry() (expected, presented string, err error) {
	now := r.issuer.clock.Now()
	if now.Add(-leeway).After(time.Unix(r.claims.Expiry, 0)) {
		err = errors.New("service account token has expired")
	}
	return "after " + stamp(now.Add(-leeway).Unix()), stamp(r.claims.Expiry), err
}

func (r *review) issuedAt() (expected, presented string, err error) {
	now := r.issuer.clock.Now()
	if now.Add(leeway).Before(time.Unix(r.claims.IssuedAt, 0)) {
		err = errors.New("service account token is issued in the future")
	}
	return "by " + stamp(now.Add(leeway).Unix()), stamp(r.claims.IssuedAt), err
}

func (r *review) serviceAccount() (expected, presented string, err error) {
	ref := r.claims.Kubernetes.ServiceAccount
	account, ok := r.issuer.objects.account(r.claims.Kubernetes.Namespace, ref.Name)
	switch {
	case !ok:
		err = notFound("serviceaccounts", ref.Name)
	case account.UID != ref.UID:
		err = fmt.Errorf("service account UID (%s) does not match claim (%s)", account.UID, ref.UID)
	}
	return "an existing one", r.claims.Kubernetes.Namespace + "/" + ref.Name + " " + ref.UID, err
}

var errInvalidated = errors.New("service account token has been invalidated")

func (r *review) secret() (expected, presented string, err error) {
	ref := r.claims.Kubernetes.Secret
	if ref == nil {
		return "", "", nil
	}
	return "an existing one", ref.Name + " " + ref.UID, errInvalidated // the cluster holds none
}

func (r *review) pod() (expected, presented string, err error) {
	ref := r.claims.Kubernetes.Pod
	if ref == nil {
		return "", "", nil
	}
	pod, ok := r.issuer.objects.pod(r.claims.Kubernetes.Namespace, ref.Name)
	return existing("pod", ref.Name, ref.UID, pod.UID, ok)
}

// existing compares what a token is bound to with what there is of that name.
func existing(kind, name, bound, uid string, ok bool) (expected, presented string, err error) {
	switch {
	case !ok:
		err = errInvalidated
	case uid != bound:
		err = fmt.Errorf("%s UID (%s) does not match service account %s ref claim (%s)", kind, uid, kind, bound)
	}
	return "an existing one", name + " " + bound, err
}

// node looks at the node that a token is bound to; the node of a pod-bound token
// is information only.
func (r *review) node() (expected, presented string, err error) {
	ref := r.claims.Kubernetes.Node
	if ref == nil || r.claims.Kubernetes.Pod != nil {
		return "", "", nil
	}
	uid, ok := r.issuer.objects.node(ref.Name)
	return existing("node", ref.Name, ref.UID, uid, ok)
}

// user returns the user of the token.
// Kubernetes: staging/src/k8s.io/apiserver/pkg/authentication/serviceaccount/util.go UserInfo
func (r *review) user() UserInfo {
	const prefix = "authentication.kubernetes.io/"
	k := r.claims.Kubernetes
	extra := map[string][]string{}
	if r.claims.ID != "" {
		extra[prefix+"credential-id"] = []string{"JTI=" + r.claims.ID}
	}
	if k.Pod != nil {
		extra[prefix+"pod-name"], extra[prefix+"pod-uid"] = []string{k.Pod.Name}, []string{k.Pod.UID}
	}
	if k.Node != nil {
		extra[prefix+"node-name"] = []string{k.Node.Name}
		if k.Node.UID != "" {
			extra[prefix+"node-uid"] = []string{k.Node.UID}
		}
	}
	return UserInfo{
		Username: azwi.Subject(k.Namespace, k.ServiceAccount.Name),
		UID:      k.ServiceAccount.UID,
		Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:" + k.Namespace, "system:authenticated"},
		Extra:    extra,
	}
}

func stamp(seconds int64) string { return time.Unix(seconds, 0).UTC().Format(time.RFC3339) }
