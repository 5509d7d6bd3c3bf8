package hostmux

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"syscall"
)

// Transport leads requests for the hosts to their handlers without a network: the same
// answers, with no connection, no handshake and no goroutine left behind, so that it
// works inside testing/synctest. A host that is not there is an error, as is a URL that
// is not https on port 443.
func (m *Mux) Transport() http.RoundTripper { return transport{m} }

// tlsPort is the one port on which hosts are emulated.
const tlsPort = 443

type transport struct{ mux *Mux }

// RoundTrip implements http.RoundTripper. It returns when the request's context
// ends, though a handler that does not heed its context runs on.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := t.refuses(r); err != nil {
		closeBody(r)
		return nil, err
	}
	ctx := r.Context()
	if ctx.Done() == nil {
		return t.serve(r)
	}
	type result struct {
		response *http.Response
		err      error
	}
	done := make(chan result, 1)
	go func() {
		response, err := t.serve(r)
		done <- result{response, err}
	}()
	select {
	case answered := <-done:
		return answered.response, answered.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (t transport) refuses(r *http.Request) error {
	port := r.URL.Port()
	switch {
	case r.Context().Err() != nil:
		return context.Cause(r.Context())
	case r.URL.Scheme != "https" || port != "" && port != strconv.Itoa(tlsPort):
		return fmt.Errorf("%s://%s is not emulated: expected an https URL on port %d", r.URL.Scheme, r.URL.Host, tlsPort)
	case !t.mux.Has(r.URL.Hostname()):
		return fmt.Errorf("the host %s is not emulated", r.URL.Hostname())
	}
	return nil
}

// serve has the handler answer. A handler that cuts the connection is an
// unexpected end, as it is over the network.
func (t transport) serve(r *http.Request) (_ *http.Response, err error) {
	defer closeBody(r)
	defer func() {
		v := recover()
		if cut, ok := v.(error); ok && errors.Is(cut, http.ErrAbortHandler) {
			how := io.ErrUnexpectedEOF
			if errors.Is(cut, syscall.ECONNRESET) {
				how = syscall.ECONNRESET
			}
			err = fmt.Errorf("%s cut the connection: %w", r.URL.Host, how)
		} else if v != nil {
			panic(v) // of this package itself: those of handlers were recovered
		}
	}()
	response := Answer(t.mux, Received(r))
	response.Request = r
	response.TLS = &tls.ConnectionState{Version: tls.VersionTLS13, HandshakeComplete: true, ServerName: r.URL.Hostname()}
	return response, nil
}

// Answer returns the whole answer of a handler to a request as a server would have it.
func Answer(h http.Handler, r *http.Request) *http.Response {
	w := &memory{header: http.Header{}}
	h.ServeHTTP(w, r)
	return w.response(r)
}

// Received is a client's request as a server would have it.
func Received(r *http.Request) *http.Request {
	s := r.WithContext(r.Context())
	s.URL = &url.URL{Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery}
	s.URL.Path = cmp.Or(s.URL.Path, "/")
	s.RequestURI = r.URL.RequestURI()
	s.Host = cmp.Or(s.Host, r.URL.Host)
	s.Method = cmp.Or(s.Method, http.MethodGet)
	s.Header = http.Header{}
	for name, values := range r.Header { // azblob writes names in lower case
		name = http.CanonicalHeaderKey(name)
		s.Header[name] = append(s.Header[name], values...)
	}
	s.Proto, s.ProtoMajor, s.ProtoMinor = "HTTP/1.1", 1, 1
	s.RemoteAddr = "127.0.0.1:0"
	s.TLS = &tls.ConnectionState{Version: tls.VersionTLS13, HandshakeComplete: true, ServerName: r.URL.Hostname(), NegotiatedProtocol: "http/1.1"}
	s.GetBody, s.Response, s.Close = nil, nil, false
	switch {
	case r.Body == nil:
		s.Body, s.ContentLength = http.NoBody, 0
	case r.Body != http.NoBody && r.ContentLength == 0:
		s.ContentLength = -1 // a client's 0 says that it does not know
	}
	return s
}

func closeBody(r *http.Request) {
	if r.Body != nil {
		_ = r.Body.Close() // a client's own body: nothing is lost
	}
}

type memory struct {
	header http.Header
	sent   http.Header // as it was when the status was written
	status int
	body   bytes.Buffer

	flushed bool // with no body to tell the type from
}

func (m *memory) Header() http.Header { return m.header }

func (m *memory) WriteHeader(status int) {
	if m.status != 0 || status < 200 { // the first final status counts
		return
	}
	m.status, m.sent = status, maps.Clone(m.header)
}

func (m *memory) Write(p []byte) (int, error) {
	m.WriteHeader(http.StatusOK)
	if m.status == http.StatusNoContent || m.status == http.StatusNotModified {
		return 0, http.ErrBodyNotAllowed
	}
	if m.body.Len() == 0 && !m.flushed && m.sent["Content-Type"] == nil && len(p) > 0 {
		m.sent.Set("Content-Type", http.DetectContentType(p))
	}
	return m.body.Write(p)
}

// Flush implements http.Flusher: the answer is read when it is complete.
func (m *memory) Flush() {
	m.WriteHeader(http.StatusOK)
	m.flushed = true
}

func (m *memory) response(r *http.Request) *http.Response {
	m.WriteHeader(http.StatusOK)
	response := &http.Response{
		Status: strconv.Itoa(m.status) + " " + http.StatusText(m.status), StatusCode: m.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: m.sent, Body: http.NoBody, Request: r,
	}
	if m.sent["Content-Length"] == nil && m.status != http.StatusNoContent && m.status != http.StatusNotModified {
		m.sent.Set("Content-Length", strconv.Itoa(m.body.Len()))
	}
	response.ContentLength = int64(m.body.Len())
	switch {
	case r.Method == http.MethodHead:
		response.ContentLength = -1
		if n, err := strconv.ParseInt(m.sent.Get("Content-Length"), 10, 64); err == nil {
			response.ContentLength = n
		}
	case m.promises() > int64(m.body.Len()): // a server would cut the connection
		response.ContentLength = m.promises()
		response.Body = io.NopCloser(io.MultiReader(bytes.NewReader(m.body.Bytes()), cutOff{}))
	case m.body.Len() > 0:
		response.Body = io.NopCloser(bytes.NewReader(m.body.Bytes()))
	}
	return response
}

func (m *memory) promises() int64 {
	n, _ := strconv.ParseInt(m.sent.Get("Content-Length"), 10, 64) // none, or no number: promises nothing
	return n
}

// cutOff is the end of a body that is shorter than it was said to be.
type cutOff struct{}

func (cutOff) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
