// Package httppath lets routes match a path however a client spells it, as the
// real login hosts do: in any case, with doubled slashes and with dot segments. A
// slash that is percent-encoded is part of a segment and separates none. It does not
// route, and it does not redirect: a redirect would turn a token request into a GET.
package httppath

import (
	"context"
	"net/http"
	"net/url"
	"strings"
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
	folded.URL.Path = lower(original)
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

// collapse leaves one slash of each run of them, and follows dot segments.
func collapse(u *url.URL) string {
	path := decoded(u)
	if strings.Contains(path, "//") {
		path = single(path)
	}
	if strings.Contains(path, "/.") {
		path = withoutDots(path)
	}
	return path
}

// isDots reports whether the first segment is a dot segment.
func isDots(path string) bool {
	segment, _, _ := strings.Cut(path, "/")
	return segment == "." || segment == ".."
}

// decoded is the path with everything decoded but slashes. url.URL has a RawPath only
// where the path was encoded in another way than usual, which an encoded slash is.
func decoded(u *url.URL) string {
	raw := u.RawPath
	if encodedSlash(raw) < 0 {
		return u.Path
	}
	const size = len("%2f")
	var b strings.Builder
	for {
		slash := encodedSlash(raw)
		part := raw
		if slash >= 0 {
			part = raw[:slash]
		}
		text, err := url.PathUnescape(part)
		if err != nil {
			return u.Path // RawPath is none of it: see url.URL.EscapedPath
		}
		b.WriteString(text)
		if slash < 0 {
			return b.String()
		}
		b.WriteString(raw[slash : slash+size])
		raw = raw[slash+size:]
	}
}

// encodedSlash is where the first one is; -1 where there is none.
func encodedSlash(raw string) int {
	for from := 0; ; {
		i := strings.Index(raw[from:], "%2")
		if i < 0 {
			return -1
		}
		from += i + len("%2")
		if from < len(raw) && (raw[from] == 'f' || raw[from] == 'F') {
			return from - len("%2")
		}
	}
}

func single(path string) string {
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

// withoutDots follows dot segments (RFC 3986 §5.2.4); above the root is the root.
func withoutDots(path string) string {
	var kept []string
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		last := i == len(segments)-1
		switch {
		case isDots(segment):
			if segment == ".." && len(kept) > 1 {
				kept = kept[:len(kept)-1]
			}
			if last {
				kept = append(kept, "")
			}
		default:
			kept = append(kept, segment)
		}
	}
	return strings.Join(kept, "/")
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
