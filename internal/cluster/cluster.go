// Package cluster reads and writes the few objects that wiemu needs in a cluster through
// its Kubernetes API server. It knows paths and JSON but no kinds; it is small because
// wiemu-server links it.
package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// InCluster stands in place of the name of a kubeconfig for the cluster in which this
// process runs as a pod.
const InCluster = "in-cluster"

// Client is a client of one API server. It is safe for concurrent use.
type Client struct {
	source source

	mu   sync.Mutex
	seen string // what the connection was made from
	conn *connection
}

// source says how to reach an API server and with which credentials.
type source interface {
	// stamp changes when the files that connect reads have changed.
	stamp() (string, error)
	connect() (*connection, error)
}

type connection struct {
	server string // URL without a final slash
	client *http.Client
	token  func() (string, error) // returns "" if there is none
}

// Open returns a client for the current context of a kubeconfig file, or for
// InCluster. Neither the file nor the API server need exist yet; requests fail until they do.
// Files are read again when they have changed.
func Open(kubeconfig string) *Client {
	if kubeconfig == InCluster {
		return &Client{source: pod{dir: accountDir}}
	}
	return &Client{source: file(kubeconfig)}
}

// The limits of a request. Time is wall time.
const (
	timeout = time.Minute
	maxBody = 8 << 20
)

// Get reads the object at a path, such as /api/v1/namespaces/shop/serviceaccounts/web-sa.
func (c *Client) Get(ctx context.Context, path string, into any) error {
	return c.do(ctx, http.MethodGet, path, nil, into)
}

// Create creates an object in the collection at a path.
func (c *Client) Create(ctx context.Context, path string, object any) error {
	return c.do(ctx, http.MethodPost, path, object, nil)
}

// Replace replaces the object at a path. One with a resourceVersion is replaced
// only if it is still that version.
func (c *Client) Replace(ctx context.Context, path string, object any) error {
	return c.do(ctx, http.MethodPut, path, object, nil)
}

// Delete deletes the object at a path, and what it owns in the background. It is no error if
// there is none.
func (c *Client) Delete(ctx context.Context, path string) error {
	if err := c.do(ctx, http.MethodDelete, path, nil, nil); !IsNotFound(err) {
		return err
	}
	return nil
}

// Text reads a response that is not an object, such as a pod's log or /readyz.
func (c *Client) Text(ctx context.Context, path string) (string, error) {
	var text string
	return text, c.do(ctx, http.MethodGet, path, nil, &text)
}

// Refusal is an error response of an API server.
type Refusal struct {
	Method, Path string
	Code         int    // HTTP
	Reason       string // such as NotFound
	Message      string // such as: serviceaccounts "web-sa" not found
}

func (r *Refusal) Error() string {
	return fmt.Sprintf("%s %s: the API server answers %d %s: %s", r.Method, r.Path, r.Code, r.Reason, r.Message)
}

// Refused returns the refusal in an error, or nil if there is none.
func Refused(err error) *Refusal {
	var r *Refusal
	errors.As(err, &r)
	return r
}

// IsNotFound reports whether an API server says that there is no such object.
func IsNotFound(err error) bool { r := Refused(err); return r != nil && r.Code == http.StatusNotFound }

// IsConflict reports whether an API server says that there is another object, or
// another version of it.
func IsConflict(err error) bool { r := Refused(err); return r != nil && r.Code == http.StatusConflict }

func (c *Client) do(ctx context.Context, method, path string, body, into any) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	conn, err := c.connected()
	if err != nil {
		return err
	}
	req, err := conn.request(ctx, method, path, body)
	if err != nil {
		return err
	}
	resp, err := conn.client.Do(req)
	if err != nil {
		return fmt.Errorf("ask the cluster: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	switch {
	case err != nil:
		return fmt.Errorf("ask the cluster: %s %s: %w", method, path, err)
	case resp.StatusCode >= http.StatusBadRequest:
		return refusal(req, resp, data)
	case into == nil:
		return nil
	}
	if text, ok := into.(*string); ok {
		*text = string(data)
		return nil
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("ask the cluster: %s %s: %w", method, path, err)
	}
	return nil
}

func (c *connection) request(ctx context.Context, method, path string, body any) (*http.Request, error) {
	var content io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.server+path, content)
	if err != nil {
		return nil, fmt.Errorf("ask the cluster: %w", err)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "wiemu")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	token, err := c.token()
	if err != nil {
		return nil, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return req, nil
}

// refusal reads a Status object, or any other error response.
func refusal(req *http.Request, resp *http.Response, body []byte) error {
	r := &Refusal{Method: req.Method, Path: req.URL.Path, Code: resp.StatusCode}
	var status struct{ Kind, Reason, Message string }
	if err := json.Unmarshal(body, &status); err == nil && status.Kind == "Status" {
		r.Reason, r.Message = status.Reason, status.Message
	} else {
		r.Reason, r.Message = http.StatusText(resp.StatusCode), string(body[:min(len(body), 200)])
	}
	return r
}

func (c *Client) connected() (*connection, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	stamp, err := c.source.stamp()
	if err != nil {
		return nil, err
	}
	if c.conn != nil && stamp == c.seen {
		return c.conn, nil
	}
	conn, err := c.source.connect()
	if err != nil {
		return nil, err
	}
	if c.conn != nil {
		c.conn.client.CloseIdleConnections()
	}
	c.conn, c.seen = conn, stamp
	return conn, nil
}

// Close closes idle connections.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn != nil {
		c.conn.client.CloseIdleConnections()
	}
}
