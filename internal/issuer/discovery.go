package issuer

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/wiemu/wiemu/internal/httpjson"
	"github.com/wiemu/wiemu/internal/httppath"
)

// Where an issuer is looked up, below the path of its URL.
// Kubernetes: pkg/serviceaccount/openidmetadata.go
const (
	configurationPath = "/.well-known/openid-configuration"
	keysPath          = "/openid/v1/jwks"
)

// configuration is the discovery document with the fields, and in the order, in
// which kube-apiserver serves it.
type configuration struct {
	Issuer        string   `json:"issuer"`
	JWKSURI       string   `json:"jwks_uri"`
	ResponseTypes []string `json:"response_types_supported"`
	SubjectTypes  []string `json:"subject_types_supported"`
	SigningAlgs   []string `json:"id_token_signing_alg_values_supported"`
}

// jobConfiguration is the discovery document of GitHub Actions and of Azure DevOps.
// Source: token.actions.githubusercontent.com, as people print it; the claims are those of
// package githubjob. Of vstoken.dev.azure.com it is printed in Teleport's RFD 211 (2025-04).
type jobConfiguration struct {
	Issuer        string   `json:"issuer"`
	JWKSURI       string   `json:"jwks_uri"`
	SubjectTypes  []string `json:"subject_types_supported"`
	ResponseTypes []string `json:"response_types_supported"`
	Claims        []string `json:"claims_supported"`
	SigningAlgs   []string `json:"id_token_signing_alg_values_supported"`
	Scopes        []string `json:"scopes_supported"`
}

// jobKeysPath is where GitHub Actions has its keys. Azure DevOps has those of all organizations at
// its root; here each organization has its own, below the path of its issuer.
const jobKeysPath = "/.well-known/jwks"

func (i *Issuer) keysPath() string {
	if i.opts.GitHub || i.opts.AzureDevOps {
		return jobKeysPath
	}
	return keysPath
}

// jobClaims are claims_supported of GitHub Actions.
var jobClaims = []string{
	"sub", "aud", "exp", "iat", "iss", "jti", "nbf", "ref", "sha", "repository", "repository_id", "repository_owner", "repository_owner_id",
	"run_id", "run_number", "run_attempt", "actor", "actor_id", "workflow", "workflow_ref", "workflow_sha", "head_ref", "base_ref", "event_name",
	"ref_type", "ref_protected", "environment", "job_workflow_ref", "job_workflow_sha", "repository_visibility", "runner_environment",
}

// Discovery answers anonymous GET and HEAD requests for the discovery document
// and the JWKS below the path of the issuer's URL. Matching ignores case and
// doubled slashes: clients append to an issuer that ends in a slash.
func (i *Issuer) Discovery() http.Handler {
	serve := map[string]http.HandlerFunc{
		i.path + configurationPath: i.serveConfiguration,
		i.path + i.keysPath():      i.serveKeys,
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked := httppath.Original(r)
		for path, handler := range serve {
			if !strings.EqualFold(path, asked) {
				continue
			}
			if r.Method != http.MethodGet && r.Method != http.MethodHead {
				w.Header().Set("Allow", "GET, HEAD")
				http.Error(w, "405: Method Not Allowed", http.StatusMethodNotAllowed)
				return
			}
			handler(w, r)
			return
		}
		http.NotFound(w, r)
	})
}

// Publishes reports whether Discovery answers at a path, which may be in any case.
func (i *Issuer) Publishes(path string) bool {
	return strings.EqualFold(path, i.path+configurationPath) || strings.EqualFold(path, i.path+i.keysPath())
}

// Kubernetes: pkg/routes/openidmetadata.go
func (i *Issuer) serveConfiguration(w http.ResponseWriter, _ *http.Request) {
	if i.opts.GitHub || i.opts.AzureDevOps {
		claims := jobClaims
		if i.opts.AzureDevOps {
			claims = []string{"sub", "aud", "exp", "iat", "iss", "nbf"}
		}
		i.publish(w, "application/json", jobConfiguration{
			Issuer: i.url, JWKSURI: strings.TrimRight(i.url, "/") + jobKeysPath,
			SubjectTypes: []string{"public", "pairwise"}, ResponseTypes: []string{"id_token"},
			Claims: claims, SigningAlgs: i.algorithms(), Scopes: []string{"openid"},
		})
		return
	}
	i.publish(w, "application/json", configuration{
		Issuer:        i.url,
		JWKSURI:       strings.TrimRight(i.url, "/") + keysPath,
		ResponseTypes: []string{"id_token"},
		SubjectTypes:  []string{"public"},
		SigningAlgs:   i.algorithms(),
	})
}

// algorithms are those of the published keys, sorted.
// Kubernetes: pkg/serviceaccount/openidmetadata.go
func (i *Issuer) algorithms() []string {
	var all []string
	for _, k := range i.keys.Published() {
		all = append(all, k.Algorithm())
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (i *Issuer) serveKeys(w http.ResponseWriter, _ *http.Request) {
	var set jose.JSONWebKeySet
	for _, k := range i.keys.Published() {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: k.Private.Public(), KeyID: k.ID, Algorithm: k.Algorithm(), Use: "sig"})
	}
	i.publish(w, "application/jwk-set+json", set)
}

func (i *Issuer) publish(w http.ResponseWriter, contentType string, document any) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", fmt.Sprintf("public, max-age=%d", i.opts.CacheMaxAge/time.Second))
	httpjson.Write(w, http.StatusOK, document)
}
