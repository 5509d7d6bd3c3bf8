package issuer

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/azwi"
	"github.com/wiemu/wiemu/internal/faultkind"
	"github.com/wiemu/wiemu/internal/faults"
)

const authenticationGroup = "authentication.k8s.io"

// TokenRequest asks for a token of a service account.
type TokenRequest struct {
	Namespace         string
	ServiceAccount    string
	UID               string       // of the service account; "": whichever it has
	Audiences         []string     // none: the issuer's own URL, as API servers have it
	ExpirationSeconds int64        // 600 to 2^32; 0: 3600. More than Options.MaxExpiration is shortened
	BoundObject       *BoundObject // nil: bound to the service account alone
}

// BoundObject is what a token lives and dies with, in the cluster.
type BoundObject struct {
	Kind       string `json:"kind,omitempty"`       // Pod or Node
	APIVersion string `json:"apiVersion,omitempty"` // v1
	Name       string `json:"name,omitempty"`
	UID        string `json:"uid,omitempty"` // "": whichever it has
}

// Token is a minted token.
type Token struct {
	Raw       string // the compact JWS, without a newline
	ID        string // jti
	KeyID     string // kid
	IssuedAt  time.Time
	ExpiresAt time.Time
	Claims    Claims
	Warnings  []string // what kubectl would print, such as a shortened lifetime

	hit faults.Hit // why its times are wrong
}

// Mint signs a token for a service account, with exactly one RSA signature, and
// journals it. A refusal is a *[Status], as the API server would answer it.
// Tokens are never extended to a year: that concerns the API server's own
// audience alone, and AKS switched it off in 1.30.
// Kubernetes: pkg/registry/core/serviceaccount/storage/token.go
func (i *Issuer) Mint(ctx context.Context, req TokenRequest) (Token, error) {
	req.ExpirationSeconds = cmp.Or(req.ExpirationSeconds, 3600)
	return i.issue(ctx, req)
}

// issue is Mint for a request that states its lifetime.
func (i *Issuer) issue(ctx context.Context, req TokenRequest) (Token, error) {
	token, err := i.mint(ctx, req)
	if err != nil {
		i.refused(req, err)
		return Token{}, err
	}
	i.minted(token)
	i.turn(ctx, token)
	return token, nil
}

// mint is issue without the journal. The checks stand in Kubernetes' order.
func (i *Issuer) mint(ctx context.Context, req TokenRequest) (Token, error) {
	if err := ctx.Err(); err != nil {
		return Token{}, err
	}
	account, ok := i.objects.account(req.Namespace, req.ServiceAccount)
	if !ok {
		return Token{}, notFound("serviceaccounts", req.ServiceAccount)
	}
	if req.UID != "" && req.UID != account.UID {
		return Token{}, conflict(authenticationGroup, "TokenRequest", req.ServiceAccount,
			fmt.Sprintf("the UID in the token request (%s) does not match the UID of the service account (%s)", req.UID, account.UID))
	}
	if len(req.Audiences) == 0 {
		req.Audiences = []string{i.url}
	}
	if faults := check(req); len(faults) > 0 {
		return Token{}, invalid("", faults...)
	}
	bound := Bound{Namespace: account.Namespace, ServiceAccount: Ref{account.Name, account.UID}}
	if req.BoundObject != nil {
		if err := i.bind(&bound, account, *req.BoundObject); err != nil {
			return Token{}, err
		}
	}
	var warnings []string
	if longest := int64(i.opts.MaxExpiration / time.Second); req.ExpirationSeconds > longest {
		warnings = append(warnings, fmt.Sprintf("requested expiration of %d seconds shortened to %d seconds", req.ExpirationSeconds, longest))
		req.ExpirationSeconds = longest
	}
	token, err := i.sign(req, bound)
	token.Warnings = warnings
	return token, err
}

// check validates a request by itself. Kubernetes checks the lifetime in this way; it
// would sign an empty audience, which no verifier accepts, and leaves it to clients to
// refuse it (kubectl does).
// Kubernetes: pkg/apis/authentication/validation/validation.go
func check(req TokenRequest) []fieldFault {
	var faults []fieldFault
	if req.ExpirationSeconds < 600 {
		faults = append(faults, fieldFault{"spec.expirationSeconds", req.ExpirationSeconds, "may not specify a duration less than 10 minutes"})
	}
	if req.ExpirationSeconds > 1<<32 {
		faults = append(faults, fieldFault{"spec.expirationSeconds", req.ExpirationSeconds, "may not specify a duration larger than 2^32 seconds"})
	}
	for n, audience := range req.Audiences {
		if audience == "" {
			faults = append(faults, fieldFault{fmt.Sprintf("spec.audiences[%d]", n), audience, "must not be an empty string"})
		}
	}
	return faults
}

func (i *Issuer) bind(bound *Bound, account ServiceAccount, object BoundObject) error {
	group, version, ok := strings.Cut(object.APIVersion, "/")
	if !ok {
		group, version = "", object.APIVersion
	}
	var uid string
	switch {
	case group == "" && object.Kind == "Pod":
		pod, ok := i.objects.pod(account.Namespace, object.Name)
		if !ok {
			return notFound("pods", object.Name)
		}
		if pod.ServiceAccount != account.Name {
			return badRequest("cannot bind token for serviceaccount %q to pod running with different serviceaccount name.", account.Name)
		}
		uid = pod.UID
		bound.Pod = &Ref{pod.Name, pod.UID}
		bound.Node = &Ref{pod.Node, pod.NodeUID}
	case group == "" && object.Kind == "Node":
		if uid, ok = i.objects.node(object.Name); !ok {
			return notFound("nodes", object.Name)
		}
		bound.Node = &Ref{object.Name, uid}
	case group == "" && object.Kind == "Secret":
		return notFound("secrets", object.Name) // the cluster holds none
	default:
		return badRequest("cannot bind token to object of type %s/%s, Kind=%s", group, version, object.Kind)
	}
	if object.UID != "" && object.UID != uid {
		return conflict("", object.Kind, object.Name,
			fmt.Sprintf("the UID in the bound object reference (%s) does not match the UID in record. The object might have been deleted and then recreated", object.UID))
	}
	return nil
}

func (i *Issuer) sign(req TokenRequest, bound Bound) (Token, error) {
	id, err := i.newID()
	if err != nil {
		return Token{}, internalError(fmt.Errorf("failed to generate token: %w", err))
	}
	lifetime := time.Duration(req.ExpirationSeconds) * time.Second
	now, hit := i.mistime(i.clock.Now(), lifetime, bound.Namespace+"/"+bound.ServiceAccount.Name)
	issued := now.Truncate(time.Second)
	expires := issued.Add(lifetime)
	claims := Claims{
		Audience: slices.Clone(req.Audiences), Expiry: expires.Unix(), IssuedAt: issued.Unix(), Issuer: i.url, ID: id,
		Kubernetes: bound, NotBefore: issued.Unix(), Subject: azwi.Subject(bound.Namespace, bound.ServiceAccount.Name),
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return Token{}, internalError(fmt.Errorf("failed to generate token: %w", err))
	}
	raw, key, err := i.keys.Sign(header, payload)
	if err != nil {
		return Token{}, internalError(fmt.Errorf("failed to generate token: %w", err))
	}
	return Token{Raw: raw, ID: id, KeyID: key.ID, IssuedAt: issued, ExpiresAt: expires, Claims: claims, hit: hit}, nil
}

// SignClaims signs claims that an API server has made, which asks the issuer as
// its external signer, and journals the token as Mint does. The claims are signed
// as they are; what they say is the API server's business, but for the issuer.
// What is wrong with the ring's keys is wrong with the token: the API server checks
// neither its signature nor that its key is published.
// Kubernetes: pkg/serviceaccount/externaljwt/plugin/plugin.go
func (i *Issuer) SignClaims(ctx context.Context, payload []byte) (Token, error) {
	if err := ctx.Err(); err != nil {
		return Token{}, err
	}
	var claims Claims
	if err := json.Unmarshal(payload, &claims); err != nil {
		return Token{}, fmt.Errorf("claims to sign: expected those of a service-account token: %w", err)
	}
	if claims.Issuer != i.url {
		return Token{}, fmt.Errorf("claims to sign: iss: expected %s, whose signer this is, found %q; it is the first --service-account-issuer of the API server", i.url, claims.Issuer)
	}
	raw, key, err := i.keys.Sign(typedHeader, payload)
	if err != nil {
		return Token{}, err
	}
	token := Token{
		Raw: raw, ID: claims.ID, KeyID: key.ID, Claims: claims,
		IssuedAt: time.Unix(claims.IssuedAt, 0).UTC(), ExpiresAt: time.Unix(claims.Expiry, 0).UTC(),
	}
	i.minted(token)
	i.turn(ctx, token)
	return token, nil
}

// mistime is the time at which a token is minted as a fault has it.
func (i *Issuer) mistime(now time.Time, lifetime time.Duration, workload string) (time.Time, faults.Hit) {
	hit, ok := i.opts.Faults.Hit(faultkind.AtMint, faults.Subject{
		Issuer: i.url, IssuerName: i.opts.Name, Workload: workload,
	})
	switch {
	case !ok:
	case hit.Name() == faultkind.ExpiredServiceAccountToken:
		now = now.Add(-lifetime - hit.Duration("ago"))
	case hit.Name() == faultkind.EarlyServiceAccountToken:
		now = now.Add(hit.Duration("ahead"))
	}
	return now, hit
}

func (i *Issuer) newID() (string, error) {
	if i.opts.Random == nil {
		id, err := uuid.NewRandom()
		return id.String(), err
	}
	i.random.Lock()
	defer i.random.Unlock()
	id, err := uuid.NewRandomFromReader(i.opts.Random)
	return id.String(), err
}

func (i *Issuer) minted(t Token) {
	workload := t.Claims.Kubernetes.Namespace + "/" + t.Claims.Kubernetes.ServiceAccount.Name
	detail := map[string]string{}
	if pod := t.Claims.Kubernetes.Pod; pod != nil {
		detail["pod"] = pod.Name
	}
	if node := t.Claims.Kubernetes.Node; node != nil {
		detail["node"] = node.Name
	}
	if len(t.Warnings) > 0 {
		detail["warning"] = strings.Join(t.Warnings, "; ")
	}
	e := journal.Event{
		Kind: journal.Mint, Outcome: journal.OK, Component: i.opts.Name, Workload: workload,
		Summary: fmt.Sprintf("token of %s for %s, good for %v", workload, strings.Join(t.Claims.Audience, ", "), t.ExpiresAt.Sub(t.IssuedAt)),
		Issuer:  t.Claims.Issuer, Subject: t.Claims.Subject, Audience: t.Claims.Audience,
		Kid: t.KeyID, JTI: t.ID, IssuedAt: &t.IssuedAt, ExpiresAt: &t.ExpiresAt, Detail: detail,
	}
	t.hit.Note(&e)
	i.journal.Record(e)
}

func (i *Issuer) refused(req TokenRequest, err error) {
	event := journal.Event{
		Kind: journal.Mint, Outcome: journal.Failed, Component: i.opts.Name,
		Workload: req.Namespace + "/" + req.ServiceAccount,
		Summary:  fmt.Sprintf("no token of %s/%s: %v", req.Namespace, req.ServiceAccount, err),
		Issuer:   i.url, Subject: azwi.Subject(req.Namespace, req.ServiceAccount), Audience: req.Audiences,
	}
	if status := (*Status)(nil); errors.As(err, &status) {
		event.Outcome, event.Status, event.Error, event.Message = journal.Denied, status.Code, status.Reason, status.Message
	}
	i.journal.Record(event)
}

// turn lets the cluster's keys change, after a token was minted, if a fault says
// so.
func (i *Issuer) turn(ctx context.Context, token Token) {
	h, hit := i.opts.Faults.HitBy(faultkind.IssuerKeyRotated, faults.Subject{Issuer: i.url, IssuerName: i.opts.Name}, func(h faults.Hit) bool {
		return i.keys.RotationDue(h.Duration("ahead"))
	})
	if !hit {
		return
	}
	if err := i.keys.StepRotation(ctx, h.Duration("ahead")); err != nil {
		i.opts.Journal.Record(journal.Event{
			Kind: journal.KeyRotation, Outcome: journal.Failed, Component: i.opts.Name, Issuer: i.url, Kid: token.KeyID,
			Summary: "the key that was to change goes on signing: " + err.Error(),
		})
	}
}
