package control

import (
	"bytes"
	"context"
	"io"
	"net/http"
)

// InMemory returns a client for a lab of this process: the same requests and
// answers without a network. What answers as the lab's control door is answer.
func InMemory(token string, answer http.Handler) *Client {
	return &Client{URL: "http://control.wiemu.test", Token: token, Transport: inMemory{answer}}
}

type inMemory struct{ answer http.Handler }

// RoundTrip implements http.RoundTripper. It returns when the handler has answered,
// which heeds the request's context wherever it waits.
func (m inMemory) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, context.Cause(r.Context())
	}
	received := r.WithContext(r.Context())
	if r.Body == nil {
		received.Body = http.NoBody
	}
	w := &answered{header: http.Header{}, status: http.StatusOK}
	m.answer.ServeHTTP(w, received)
	return &http.Response{
		Status: http.StatusText(w.status), StatusCode: w.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.header, Body: io.NopCloser(&w.body), ContentLength: int64(w.body.Len()), Request: r,
	}, nil
}

// answered keeps what a handler answers.
type answered struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *answered) Header() http.Header         { return w.header }
func (w *answered) WriteHeader(status int)      { w.status = status }
func (w *answered) Write(b []byte) (int, error) { return w.body.Write(b) }
