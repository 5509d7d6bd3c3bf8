// Package httppath lets routes match a path however a client spells it, as the
// real login hosts do: in any case, with doubled slashes and with dot segments. A
// slash that is percent-encoded is part of a segment and separates none. It does not
// route, and it does not redirect: a redirect would turn a token request into a GET.
package httppath

import (
	"context"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/wiemu/wiemu/internal/lazyregexp"
)

// originalKey is where Fold keeps the path as the client spelt it.
type originalKey struct{}

// Fold calls next with r.URL.Path collapsed (no doubled slashes, no dot segments,
// encoded slashes still encoded) and its ASCII letters in lower case; other bytes
// stay. The collapsed path in the client's own spelling is there from Original and
// Segment. A path that needs no folding passes as it is and costs nothing; folding
// twice changes nothing.
//
// Clients send doubled slashes when AZURE_AUTHORITY_HOST ends in one, and Entra
// ID answers them (azure-workload-identity: docs/book/src/troubleshooting.md).
// Encoded slashes and dot segments are as in ASP.NET Core, with which Entra ID is
// built: dotnet/aspnetcore, src/Shared/UrlDecoder (%2F stays) and Kestrel's
// PathNormalizer. That Entra ID itself does so is inferred.
func Fold(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, Folded(r))
	})
}

// Folded is the request that Fold hands on: r itself when there is nothing to
// fold, else a copy.
func Folded(r *http.Request) *http.Request {
	if isFolded(r.URL) {
		return r
	}
	original := collapse(r.URL)
	folded := r.WithContext(context.WithValue(r.Context(), originalKey{}, original))
	folded.URL = new(url.URL)
	*folded.URL = *r.URL
	folded.URL.Path = Lower(original)
	folded.URL.RawPath = "" // it spells the path that was
	return folded
}

// Original is the request's path collapsed, decoded but for slashes, and otherwise
// spelt as the client sent it.
func Original(r *http.Request) string {
	if original, ok := r.Context().Value(originalKey{}).(string); ok {
		return original
	}
	return collapse(r.URL)
}

// WithoutOriginal returns a context for a request that is made within another one, whose path
// [Original] would take for its own.
func WithoutOriginal(ctx context.Context) context.Context {
	return context.WithValue(ctx, originalKey{}, nil)
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
func isFolded(u *url.URL) bool {
	var previous byte
	for i := 0; i < len(u.Path); i++ {
		c := u.Path[i]
		if 'A' <= c && c <= 'Z' || previous == '/' && (c == '/' || isDots(u.Path[i:])) {
			return false
		}
		previous = c
	}
	return u.RawPath == ""
}

// collapse leaves one slash of each run of them, and follows dot segments (RFC 3986
// §5.2.4); above the root is the root.
func collapse(u *url.URL) string {
	decoded := decoded(u)
	if !strings.Contains(decoded, "//") && !strings.Contains(decoded, "/.") {
		return decoded
	}
	clean := path.Clean(decoded)
	if last := decoded[strings.LastIndexByte(decoded, '/')+1:]; clean != "/" && (last == "" || isDots(last)) {
		clean += "/"
	}
	return clean
}

func isDots(path string) bool {
	segment, _, _ := strings.Cut(path, "/")
	return segment == "." || segment == ".."
}

var encodedSlash = lazyregexp.New(`%(2[fF])`)

// decoded is the path with everything decoded but slashes. url.URL has a RawPath only
// where the path was encoded in another way than usual, which an encoded slash is.
func decoded(u *url.URL) string {
	if !encodedSlash().MatchString(u.RawPath) {
		return u.Path
	}
	text, err := url.PathUnescape(encodedSlash().ReplaceAllString(u.RawPath, "%25$1"))
	if err != nil {
		return u.Path // RawPath is none of it: see url.URL.EscapedPath
	}
	return text
}

// Lower is strings.ToLower for ASCII letters alone: a Unicode letter that folds
// into an ASCII one (the Kelvin sign) must not match a route. What it returns is as
// long as the path, so that an index in one is an index in the other.
func Lower(path string) string {
	b := []byte(path)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
