package cluster

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
)

// accountDir is where a pod has the token of its service account.
// Source: kubernetes, client-go/rest/config.go, InClusterConfig.
const accountDir = "/var/run/secrets/kubernetes.io/serviceaccount"

// pod is the pod that this process runs in.
type pod struct{ dir string }

var errNoPod = errors.New("expected KUBERNETES_SERVICE_HOST and _PORT in the environment, as in a pod; outside of one, name a kubeconfig")

func (p pod) stamp() (string, error) {
	info, err := os.Stat(filepath.Join(p.dir, "ca.crt"))
	if err != nil {
		return "", fmt.Errorf("%s: %w; does the pod have automountServiceAccountToken: false?", InCluster, err)
	}
	return fmt.Sprint(info.ModTime().UnixNano()), nil
}

func (p pod) connect() (*connection, error) {
	host, port := os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT")
	if host == "" || port == "" {
		return nil, fmt.Errorf("%s: %w", InCluster, errNoPod)
	}
	ca, err := os.ReadFile(filepath.Join(p.dir, "ca.crt"))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", InCluster, err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("%s: %s: expected PEM certificates, found none", InCluster, filepath.Join(p.dir, "ca.crt"))
	}
	return &connection{
		server: "https://" + net.JoinHostPort(host, port),
		client: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true}},
		token:  func() (string, error) { return readToken(filepath.Join(p.dir, "token")) }, // the kubelet renews it
	}, nil
}
