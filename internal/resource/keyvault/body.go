package keyvault

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/wiemu/wiemu/internal/httppath"
	"github.com/wiemu/wiemu/internal/resource"
)

// maxBody is the longest request body that is read, in bytes: a secret's value of 25 KiB,
// or a key, and what goes with it. Backups hold all versions.
const (
	maxBody   = 32 << 10
	maxChain  = 256 << 10 // a certificate with its chain and key, in PEM or PKCS#12
	maxBackup = 4 << 20
)

// MaxBody returns how many bytes the body of a request may have: of a vault that
// there is, the operations on objects have one.
func (s *Service) MaxBody(r *http.Request) int64 {
	_, v := s.find(r.Host)
	if v == nil || r.Method == http.MethodGet || r.Method == http.MethodHead {
		return 0
	}
	return int64(maxBodyOf(httppath.Folded(r).URL.Path))
}

// maxBodyOf is the limit for a path in lower case.
func maxBodyOf(path string) int {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	switch first {
	case "secrets", "deletedsecrets", "deletedkeys", "deletedcertificates":
		return maxBody
	case "certificates":
		return maxChain
	case "keys":
		if strings.TrimRight(path, "/") == "/keys/restore" {
			return maxBackup
		}
		return maxBody
	default:
		return 0
	}
}

// Unreadable answers requests whose body is longer than MaxBody or breaks off.
func (s *Service) Unreadable() http.Handler {
	op := operation{verb: "do something with a body that cannot be read", serve: func(c *call) (int, any, *resource.Failure) {
		return 0, nil, badParameter("The request body is longer than %d bytes, or breaks off.", maxBodyOf(c.Request.URL.Path))
	}}
	return httppath.Fold(s.kit.Serve(s.begin(op)))
}

// attributes as a client may send them; nil for one that is absent.
type attributes struct {
	Enabled   *bool  `json:"enabled"`
	NotBefore *int64 `json:"nbf"`
	Expires   *int64 `json:"exp"`
}

// taking is an operation with a body, which is read and checked before.
func taking[P any](serve func(*call, P) (int, any, *resource.Failure)) handler {
	return func(c *call) (int, any, *resource.Failure) {
		var p P
		if failed := c.read(&p); failed != nil {
			return 0, nil, failed
		}
		return serve(c, p)
	}
}

// changing is an operation with a body, during which the vault is locked.
func changing[P any](serve func(*call, P) (int, any, *resource.Failure)) handler {
	return taking(func(c *call, p P) (int, any, *resource.Failure) {
		return writing(func(c *call) (int, any, *resource.Failure) { return serve(c, p) })(c)
	})
}

// read decodes the request's body. What has tags, or a check of its own, is checked.
func (c *call) read(into any) *resource.Failure {
	most := maxBodyOf(c.Request.URL.Path)
	data, err := io.ReadAll(io.LimitReader(c.Request.Body, int64(most)+1))
	switch {
	case err != nil:
		return badParameter("The request body could not be read: %v", err)
	case len(data) > most:
		return badParameter("The request body is longer than %d bytes.", most)
	}
	if err := json.Unmarshal(data, into); err != nil {
		var field *json.UnmarshalTypeError
		if errors.As(err, &field) && field.Field != "" {
			return badParameter("The property '%s' of the request body is not valid: %v", field.Field, err)
		}
		return badParameter("The request body is not valid JSON: %v", err)
	}
	if p, ok := into.(interface{ tagged() int }); ok && p.tagged() > maxTags {
		return badParameter("The request body has %d tags; a %s has at most %d.", p.tagged(), c.op.singular(), maxTags)
	}
	if p, ok := into.(interface{ validate() *resource.Failure }); ok {
		return p.validate()
	}
	return nil
}

// described are what clients may say of any object.
type described struct {
	Attributes attributes        `json:"attributes"`
	Tags       map[string]string `json:"tags"`
}

func (d described) tagged() int { return len(d.Tags) }
