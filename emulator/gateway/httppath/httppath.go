// Package httppath lets routes match a path however a client spells it, as the
// real login hosts do: in any case and with doubled slashes. It does not route,
// and it does not redirect: a redirect would turn a token request into a GET.
package httppath

import (
	"context"
	"net/http"
	"net/url"
	"strings"
)

// originalKey is where Fold keeps the path as the client spelt it.
type originalKey struct{}

// Fold calls next with r.URL.Path collapsed (no doubled slashes) and its ASCII
// letters in lower case; other bytes stay. The collapsed path in the client's
// own spelling is there from Original and Segment. A path that needs no folding
// passes as it is and costs nothing; folding twice changes nothing.
//
// Clients send doubled slashes when AZURE_AUTHORITY_HOST ends in one, and Entra
// ID answers them (azure-workload-identity: docs/book/src/troubleshooting.md).
func Fold(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, Folded(r))
	})
}

// Folded is the request that Fold hands on: r itself when there is nothing to
// fold, else a copy.
func Folded(r *http.Request) *http.Request {
	if isFolded(r.URL.Path) {
		return r
	}
	original := collapse(r.URL.Path)
	folded := r.WithContext(context.WithValue(r.Context(), originalKey{}, original))
	folded.URL = new(url.URL)
	*folded.URL = *r.URL
	folded.URL.Path = lower(original)
	folded.URL.RawPath = "" // it spells the path that was
	return folded
}

// Original is the request's path with doubled slashes collapsed, decoded, and
// otherwise spelt as the client sent it.
func Original(r *http.Request) string {
	if original, ok := r.Context().Value(originalKey{}).(string); ok {
		return original
	}
	return collapse(r.URL.Path)
}

// Segment is the i-th segment of the path, counted from 0, spelt as the client
// sent it; empty when the path has no such segment. In /Contoso/oauth2/token
// segment 0 is Contoso.
func Segment(r *http.Request, i int) string {
	rest := strings.TrimPrefix(Original(r), "/")
	for ; i > 0; i-- {
		_, after, found := strings.Cut(rest, "/")
		if !found {
			return ""
		}
		rest = after
	}
	segment, _, _ := strings.Cut(rest, "/")
	return segment
}

// isFolded reports whether folding would leave the path as it is.
func isFolded(path string) bool {
	var previous byte
	for i := 0; i < len(path); i++ {
		c := path[i]
		if 'A' <= c && c <= 'Z' || c == '/' && previous == '/' {
			return false
		}
		previous = c
	}
	return true
}

// collapse leaves one slash of each run of them.
func collapse(path string) string {
	if !strings.Contains(path, "//") {
		return path
	}
	var b strings.Builder
	b.Grow(len(path))
	var previous byte
	for i := 0; i < len(path); i++ {
		if c := path[i]; c != '/' || previous != '/' {
			b.WriteByte(c)
		}
		previous = path[i]
	}
	return b.String()
}

// lower is strings.ToLower for ASCII letters alone: a Unicode letter that folds
// into an ASCII one (the Kelvin sign) must not match a route.
func lower(path string) string {
	b := []byte(path)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
