// Package issuer is a cluster's identity: it mints service-account tokens that
// are byte for byte what Kubernetes 1.30 and newer mints, answers TokenRequest
// and TokenReview as an API server does, and publishes the discovery document
// and the keys that others verify its tokens with. It does not decide who trusts
// it; see directory and entra.
package issuer

import (
	"cmp"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/internal/faults"
	"github.com/wiemu/wiemu/internal/journals"
	"github.com/wiemu/wiemu/internal/keyring"
)

// Options tunes an issuer. The zero value behaves as an AKS cluster does.
type Options struct {
	Name          string            // of the cluster, for the journal; "": the first label of the URL's host
	MaxExpiration time.Duration     // longer requests are shortened to it; 0: 24 h, as AKS has it
	CacheMaxAge   time.Duration     // Cache-Control of discovery document and JWKS; 0: 1 h, as kube-apiserver has it
	Node          string            // where pods run that name no node; "": node-1
	GitHub        bool              // its documents are those of GitHub Actions, not of a cluster
	AzureDevOps   bool              // its documents are those of Azure DevOps, not of a cluster
	Journal       *journals.Journal // records every token minted, refused or reviewed
	Faults        *faults.Set       // what goes wrong when a token is minted; nil: nothing
	Random        io.Reader         // what jti are made of; nil: crypto/rand
}

// Issuer is one cluster's issuer. It is safe for concurrent use.
type Issuer struct {
	url     string
	host    string
	path    string // of the URL, without a slash at its end
	keys    *keyring.Ring
	clock   clock.Clock
	opts    Options
	journal *journals.Journal

	random  sync.Mutex // guards reads of opts.Random
	objects objects
}

// New makes the issuer that signs with keys and calls itself rawURL, which
// becomes iss as it is: whether it ends in a slash matters to everybody who
// compares it. rawURL is as [ParseURL] wants it.
func New(rawURL string, keys *keyring.Ring, clk clock.Clock, opts Options) (*Issuer, error) {
	u, err := ParseURL(rawURL)
	if err != nil {
		return nil, err
	}
	if opts.MaxExpiration != 0 && opts.MaxExpiration < ShortestMaxExpiration {
		return nil, fmt.Errorf("issuer %s: the maximum token expiration of %v is shorter than %v", rawURL, opts.MaxExpiration, ShortestMaxExpiration)
	}
	if opts.Name == "" {
		opts.Name, _, _ = strings.Cut(u.Hostname(), ".")
	}
	opts.MaxExpiration = cmp.Or(opts.MaxExpiration, 24*time.Hour)
	if opts.CacheMaxAge <= 0 {
		opts.CacheMaxAge = time.Hour
	}
	opts.Node = cmp.Or(opts.Node, "node-1")
	i := &Issuer{
		url: rawURL, host: u.Host, path: strings.TrimRight(u.Path, "/"),
		keys: keys, clock: clk, opts: opts, journal: opts.Journal,
	}
	i.objects.init(rawURL)
	return i, nil
}

// ShortestMaxExpiration is the least that Options.MaxExpiration can be.
// Kubernetes: pkg/controlplane/apiserver/options/options.go
const ShortestMaxExpiration = time.Hour

// ParseURL parses the URL of an issuer: https, with a host and without user,
// query or fragment. Kubernetes: pkg/serviceaccount/openidmetadata.go
func ParseURL(rawURL string) (*url.URL, error) {
	u, err := url.Parse(rawURL)
	switch {
	case err != nil:
		return nil, fmt.Errorf("issuer: %w", err)
	case u.Scheme != "https":
		return nil, fmt.Errorf("issuer URL must use https scheme, got: %s", rawURL)
	case u.Hostname() == "":
		return nil, fmt.Errorf("issuer URL has no host, got: %s", rawURL)
	case u.User != nil:
		return nil, fmt.Errorf("issuer URL may not include a user, got: %s", u.Redacted())
	case u.RawQuery != "" || u.ForceQuery:
		return nil, fmt.Errorf("issuer URL may not include a query, got: %s", rawURL)
	case u.Fragment != "" || strings.Contains(rawURL, "#"):
		return nil, fmt.Errorf("issuer URL may not include a fragment, got: %s", rawURL)
	}
	return u, nil
}

// URL returns the issuer as it stands in iss.
func (i *Issuer) URL() string { return i.url }

// Host returns the URL's host, with its port if it names one: where the
// discovery document is looked for.
func (i *Issuer) Host() string { return i.host }

// Name returns the cluster's name.
func (i *Issuer) Name() string { return i.opts.Name }

// Keys returns the ring that the issuer signs with.
func (i *Issuer) Keys() *keyring.Ring { return i.keys }

// MaxExpiration is the longest that its tokens live.
func (i *Issuer) MaxExpiration() time.Duration { return i.opts.MaxExpiration }

// PublicKeyID names the public half of a key as KeyID does.
func PublicKeyID(key crypto.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return "", fmt.Errorf("name a key: %w", err)
	}
	sum := sha256.Sum256(der)
	return base64.RawURLEncoding.EncodeToString(sum[:]), nil
}

// KeyID names a key as Kubernetes does: base64url of the SHA-256 of its public
// half, DER SubjectPublicKeyInfo. It makes no certificate. It is what
// keyring.Options.Identify is for an issuer's ring.
// Kubernetes: pkg/serviceaccount/jwt.go keyIDFromPublicKey
func KeyID(key crypto.Signer) (id string, certificate []byte, err error) {
	id, err = PublicKeyID(key.Public())
	return id, nil, err
}

// header is the JOSE header of every token: no typ, nothing but these two.
// Kubernetes: pkg/serviceaccount/jwt.go signerFromRSAPrivateKey, signerFromECDSAPrivateKey
func header(key keyring.Key) string {
	return `{"alg":"` + key.Algorithm() + `","kid":"` + key.ID + `"}`
}

// typedHeader is the JOSE header of an external signer's tokens, which must have
// typ and nothing else besides.
// Kubernetes: pkg/serviceaccount/externaljwt/plugin/plugin.go validateJWTHeader
func typedHeader(key keyring.Key) string {
	return `{"alg":"` + key.Algorithm() + `","kid":"` + key.ID + `","typ":"JWT"}`
}
