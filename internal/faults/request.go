package faults

import (
	"bytes"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"

	"github.com/wiemu/wiemu/internal/azwi"
	"github.com/wiemu/wiemu/internal/unverified"
)

// subjectOf is what a request says about itself, none of it verified.
func (s *Set) subjectOf(component string, r *http.Request) Subject {
	about := Subject{Component: component, Host: r.Host}
	if scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " "); strings.EqualFold(scheme, "Bearer") {
		_, claims := readToken(strings.TrimSpace(token))
		about.Client = claims.AppID + claims.AuthorizedParty // only one of them is there
		return about
	}
	sent := r.URL.Query()
	if r.Method == http.MethodPost && r.Body != nil {
		sent = postedForm(r)
	}
	about.Client, about.Resource = sent.Get("client_id"), sent.Get("resource")
	if scopes := strings.Fields(sent.Get("scope")); len(scopes) > 0 {
		about.Resource = strings.TrimSuffix(scopes[0], "/.default")
	}
	if id, _, ok := r.BasicAuth(); ok {
		about.Client = id
	}
	header, claims := readToken(sent.Get("client_assertion"))
	about.Kid, about.Issuer = header.Kid, claims.Issuer
	about.Workload = s.WorkloadOf(claims.Subject)
	return about
}

// postedForm reads the form of a request, and lets the handler read the body again.
func postedForm(r *http.Request) url.Values {
	body, err := io.ReadAll(r.Body)
	r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), failing{err}))
	form, _ := url.ParseQuery(string(body)) // what can be read of it
	if kind, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err == nil && kind == "multipart/form-data" {
		if parts, err := multipart.NewReader(bytes.NewReader(body), parameters["boundary"]).ReadForm(int64(len(body)) + 1); err == nil {
			form = parts.Value
		}
	}
	for name, values := range form {
		for i := range values {
			values[i] = strings.TrimSpace(values[i])
		}
		if len(values) == 0 || values[0] == "" {
			delete(form, name)
		}
	}
	return form
}

// failing ends a body with the error that its first reader got.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) {
	if f.err == nil {
		return 0, io.EOF
	}
	return 0, f.err
}

type jwtHeader struct {
	Kid string `json:"kid"`
}

type jwtClaims struct {
	Issuer          string `json:"iss"`
	Subject         string `json:"sub"`
	AppID           string `json:"appid"`
	AuthorizedParty string `json:"azp"`
}

// readToken reads a JWT without verifying it. Of what is not a JWT nothing is known.
func readToken(raw string) (header jwtHeader, claims jwtClaims) {
	token, err := unverified.Parse(raw)
	if err != nil {
		return header, claims
	}
	if token.Header.Decode(&header) != nil {
		header = jwtHeader{}
	}
	if token.Claims.Decode(&claims) != nil {
		claims = jwtClaims{}
	}
	return header, claims
}

// NameSubject sets which workload a subject of tokens is of, for one that does not say so itself,
// such as that of a service connection of Azure DevOps.
func (s *Set) NameSubject(subject, workload string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.subjects[subject] = workload
}

// WorkloadOf returns the workload that a subject is of, as NameSubject has it, else the
// namespace/name of a service account's and the repository of a job of GitHub Actions. It
// returns "" for all others.
func (s *Set) WorkloadOf(subject string) string {
	if s != nil {
		s.mu.Lock()
		named := s.subjects[subject]
		s.mu.Unlock()
		if named != "" {
			return named
		}
	}
	if job, ok := strings.CutPrefix(subject, "repo:"); ok {
		repository, _, _ := strings.Cut(job, ":")
		return repository
	}
	if namespace, account, ok := azwi.ParseSubject(subject); ok {
		return namespace + "/" + account
	}
	return ""
}
