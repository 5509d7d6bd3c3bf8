package azurite

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"

	"github.com/wiemu/wiemu/internal/resource/storage"
)

// maxTransaction is the most that an entity group transaction may hold. Documented:
// Performing entity group transactions.
const maxTransaction = 4 << 20

// rewrite leads a request to Azurite and signs it. Azurite takes the account from the first
// label of the host, which therefore stays the client's.
func (a *Azurite) rewrite(p *httputil.ProxyRequest) {
	t, out := target(p.In), p.Out
	path := pathOf(t, p.In.URL)
	// Of repeated parameters the first is kept, by which the request was allowed, and all are
	// escaped in one way: Azurite's signature leaves out those that have a second = in them.
	query := url.Values{}
	for name, values := range p.In.URL.Query() {
		query.Set(name, values[0])
	}
	// Opaque is sent as it is; it must not begin with // (Go would send an absolute URL, in
	// which Node escapes what was not).
	out.URL = &url.URL{Scheme: "http", Host: a.addresses[t.Service], Opaque: path, RawQuery: strings.ReplaceAll(query.Encode(), "+", "%20")}
	out.Host = p.In.Host
	for name, values := range out.Header {
		switch lower := strings.ToLower(name); {
		case lower == "expect", lower == "date":
			out.Header.Del(name)
		case strings.HasPrefix(lower, "x-ms-meta-"): // net/http lost their case on the way in
			delete(out.Header, name)
			out.Header[lower] = values
		}
	}
	switch {
	case t.Source != nil:
		// It copies from a URL only with a SAS and if its host is that of the request.
		out.Header.Set("x-ms-copy-source", a.sourceURL(*t.Source))
		a.pathStyle(out, t)
	case t.Service == storage.Table && path == "/$batch":
		// It answers 500 to a transaction with the account in its hosts.
		a.pathStyle(out, t)
		if body, err := io.ReadAll(io.LimitReader(p.In.Body, maxTransaction)); err == nil {
			body = bytes.ReplaceAll(body, []byte("https://"+p.In.Host+"/"), []byte("http://"+out.Host+"/"+t.Account+"/"))
			out.Body, out.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		}
	}
	out.Header.Set("x-ms-date", time.Now().UTC().Format(http.TimeFormat)) // the machine's time, as Azurite's
	a.sign(out, t, query)
}

// pathOf is the path of what a request was allowed for, which is not always what Azurite
// reads in the path that was sent: it takes the path apart when %2F is a slash already. Of
// tables it is as it was sent, with the keys of the entity.
func pathOf(t storage.Target, sent *url.URL) string {
	if t.Service == storage.Table {
		return sent.EscapedPath()
	}
	path := "/" + url.PathEscape(t.Container)
	if t.Name != "" {
		path += "/" + strings.ReplaceAll(url.PathEscape(t.Name), "%2F", "/")
	}
	return path
}

// ambiguous says whether Azurite would take the path of a request for another one's: no
// container, queue or table has a slash in its name.
func ambiguous(t storage.Target, sent *url.URL) bool {
	return strings.Contains(t.Container, "/") || t.Source != nil && strings.Contains(t.Source.Container, "/") ||
		t.Service == storage.Table && strings.HasPrefix(sent.EscapedPath(), "//")
}

// pathStyle makes the account the first part of the path instead of the host.
func (a *Azurite) pathStyle(out *http.Request, t storage.Target) {
	out.Host = a.addresses[t.Service]
	out.URL.Opaque = "/" + t.Account + out.URL.Opaque
}

// own takes out of an answer what wiemu says itself.
func own(r *http.Response) error {
	for _, name := range []string{"Date", "Server", "Connection", "Keep-Alive", "X-Powered-By", "x-ms-version", "x-ms-client-request-id"} {
		r.Header.Del(name)
	}
	return nil
}

// answer is an answer of Azurite's on its way to the client.
type answer struct{ http.ResponseWriter }

// WriteHeader spells the names of metadata in lower case, as the stores in memory do:
// net/http, which has read them, spells them its own way. Of the two request ids the one
// stays that Azurite's errors have in their text.
func (a *answer) WriteHeader(status int) {
	h := a.Header()
	for name, values := range h {
		if lower := strings.ToLower(name); lower != name && strings.HasPrefix(lower, "x-ms-meta-") {
			delete(h, name)
			h[lower] = values
		}
	}
	if ids := h.Values("x-ms-request-id"); len(ids) > 1 {
		h.Set("x-ms-request-id", ids[len(ids)-1])
	}
	a.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// Explain implements explainer.
func (a *answer) Explain(meaning, remedy string) {
	if e, ok := a.ResponseWriter.(explainer); ok {
		e.Explain(meaning, remedy)
	}
}
