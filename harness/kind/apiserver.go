package kind

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"go.yaml.in/yaml/v3"
)

// apiServer asks a cluster's API server. It knows the few requests that are made
// here: client-go would make the program larger by 35 MB and its start longer by 7 ms.
type apiServer struct {
	url    string
	client *http.Client
}

// newAPIServer reads a kubeconfig as kind writes it: one cluster, one user with a
// client certificate, everything in the file itself.
func newAPIServer(kubeconfig string) (*apiServer, error) {
	var file struct {
		Clusters []struct {
			Cluster struct {
				Server string `yaml:"server"`
				CA     string `yaml:"certificate-authority-data"`
			} `yaml:"cluster"`
		} `yaml:"clusters"`
		Users []struct {
			User struct {
				Certificate string `yaml:"client-certificate-data"`
				Key         string `yaml:"client-key-data"`
			} `yaml:"user"`
		} `yaml:"users"`
	}
	if err := yaml.Unmarshal([]byte(kubeconfig), &file); err != nil {
		return nil, fmt.Errorf("read the cluster's kubeconfig: %w", err)
	}
	if len(file.Clusters) != 1 || len(file.Users) != 1 {
		return nil, fmt.Errorf("read the cluster's kubeconfig: expected one cluster and one user, found %d and %d", len(file.Clusters), len(file.Users))
	}
	cluster, user := file.Clusters[0].Cluster, file.Users[0].User
	var parts [3][]byte
	for i, encoded := range []string{cluster.CA, user.Certificate, user.Key} {
		var err error
		if parts[i], err = base64.StdEncoding.DecodeString(encoded); err != nil || len(parts[i]) == 0 {
			return nil, errors.New("read the cluster's kubeconfig: expected certificate-authority-data, client-certificate-data and client-key-data in base64")
		}
	}
	pair, err := tls.X509KeyPair(parts[1], parts[2])
	if err != nil {
		return nil, fmt.Errorf("read the cluster's kubeconfig: the client's certificate: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(parts[0]) {
		return nil, errors.New("read the cluster's kubeconfig: the CA: expected a PEM certificate")
	}
	return &apiServer{cluster.Server, &http.Client{
		Transport: &http.Transport{ // no proxy: kind's API servers are on loopback
			TLSClientConfig: &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots, MinVersion: tls.VersionTLS12},
			IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true,
		},
	}}, nil
}

// A refusal is what the API server says to a request that it does not grant
// (Kubernetes: meta/v1 Status).
type refusal struct {
	Code    int    `json:"code"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

func (r *refusal) Error() string { return r.Message }

// refused reports whether an error is a refusal with a status code.
func refused(err error, code int) bool {
	var r *refusal
	return errors.As(err, &r) && r.Code == code
}

// do sends in as JSON, unless it is nil, and decodes the answer into out, unless
// that is nil. What the API server refuses is a *refusal.
func (a *apiServer) do(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, a.url+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Content-Type", "application/json")
	if method == http.MethodPatch {
		req.Header.Set("Content-Type", "application/apply-patch+yaml") // JSON is YAML
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return fmt.Errorf("ask the API server: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 32<<20))
	if err != nil {
		return fmt.Errorf("ask the API server: %w", err)
	}
	if resp.StatusCode >= 300 {
		r := &refusal{Code: resp.StatusCode}
		if json.Unmarshal(text, r) != nil || r.Message == "" {
			r.Message = fmt.Sprintf("%s %s: %s: %s", method, path, resp.Status, shortened(string(text), 200))
		}
		r.Code = resp.StatusCode
		return r
	}
	if raw, ok := out.(*[]byte); ok {
		*raw = text
		return nil
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(text, out)
}

// apply makes an object or changes it (server-side apply); path is that of the object.
func (a *apiServer) apply(ctx context.Context, path string, object any) error {
	return a.do(ctx, http.MethodPatch, path+"?fieldManager=wiemu&force=true", object, nil)
}

// remove deletes an object; one that is gone already is no error.
func (a *apiServer) remove(ctx context.Context, path string, options any) error {
	if err := a.do(ctx, http.MethodDelete, path, options, nil); err != nil && !refused(err, http.StatusNotFound) {
		return err
	}
	return nil
}
