package cluster

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/wiemu/wiemu/internal/yamlfile"
)

type file string

// kubeconfig has the fields of one that are read here.
// Source: kubernetes, client-go/tools/clientcmd/api/v1/types.go.
type kubeconfig struct {
	CurrentContext string `yaml:"current-context"`
	Contexts       []struct {
		Name    string `yaml:"name"`
		Context struct {
			Cluster string `yaml:"cluster"`
			User    string `yaml:"user"`
		} `yaml:"context"`
	} `yaml:"contexts"`
	Clusters []struct {
		Name    string `yaml:"name"`
		Cluster server `yaml:"cluster"`
	} `yaml:"clusters"`
	Users []struct {
		Name string `yaml:"name"`
		User user   `yaml:"user"`
	} `yaml:"users"`
}

type server struct {
	Server        string `yaml:"server"`
	CA            string `yaml:"certificate-authority"`
	CAData        string `yaml:"certificate-authority-data"`
	TLSServerName string `yaml:"tls-server-name"`
	Unchecked     bool   `yaml:"insecure-skip-tls-verify"`
	ProxyURL      string `yaml:"proxy-url"`
}

type user struct {
	Certificate     string     `yaml:"client-certificate"`
	CertificateData string     `yaml:"client-certificate-data"`
	Key             string     `yaml:"client-key"`
	KeyData         string     `yaml:"client-key-data"`
	Token           string     `yaml:"token"`
	TokenFile       string     `yaml:"tokenFile"`
	Exec            *yaml.Node `yaml:"exec"`
	AuthProvider    *yaml.Node `yaml:"auth-provider"`
	Username        string     `yaml:"username"`
}

func (f file) stamp() (string, error) {
	info, err := os.Stat(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read the kubeconfig: %w; it is there when the cluster has been made", err)
	}
	if err != nil {
		return "", fmt.Errorf("read the kubeconfig: %w", err)
	}
	return fmt.Sprint(info.ModTime().UnixNano(), " ", info.Size()), nil
}

func (f file) connect() (*connection, error) {
	data, err := os.ReadFile(string(f))
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig: %w", err)
	}
	node, err := yamlfile.Parse(string(f), data)
	if err != nil {
		return nil, err
	}
	var k kubeconfig
	if err := yamlfile.DecodeTolerant(string(f), node, &k, func(yamlfile.Unknown) {}).Err(); err != nil {
		return nil, err
	}
	s, u, err := k.current()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f, err)
	}
	conn, err := f.connectTo(s, u)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f, err)
	}
	return conn, nil
}

func (k kubeconfig) current() (server, user, error) {
	var s *server
	var u user
	for _, c := range k.Contexts {
		if c.Name != k.CurrentContext {
			continue
		}
		for i := range k.Clusters {
			if k.Clusters[i].Name == c.Context.Cluster {
				s = &k.Clusters[i].Cluster
			}
		}
		for _, named := range k.Users {
			if named.Name == c.Context.User {
				u = named.User
			}
		}
	}
	if s == nil {
		return server{}, user{}, fmt.Errorf("current-context: expected the name of a context with its cluster, found %q; kubectl config use-context NAME sets it", k.CurrentContext)
	}
	return *s, u, nil
}

func (f file) connectTo(s server, u user) (*connection, error) {
	if at, err := url.Parse(s.Server); err != nil || at.Scheme != "https" || at.Host == "" {
		return nil, fmt.Errorf("server: expected https://HOST:PORT, found %q", s.Server)
	}
	if u.Exec != nil || u.AuthProvider != nil || u.Username != "" {
		return nil, errors.New("user: expected a client certificate or a token; exec, auth-provider and passwords are not for wiemu-server; make a service account and put its token into the kubeconfig")
	}
	tlsConfig := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: s.TLSServerName, InsecureSkipVerify: s.Unchecked} // as the kubeconfig says
	ca, err := f.content(s.CAData, s.CA)
	if err != nil {
		return nil, fmt.Errorf("certificate-authority: %w", err)
	}
	if len(ca) > 0 {
		tlsConfig.RootCAs = x509.NewCertPool()
		if !tlsConfig.RootCAs.AppendCertsFromPEM(ca) {
			return nil, errors.New("certificate-authority: expected PEM certificates, found none")
		}
	}
	certificate, err := f.content(u.CertificateData, u.Certificate)
	if err != nil {
		return nil, fmt.Errorf("client-certificate: %w", err)
	}
	key, err := f.content(u.KeyData, u.Key)
	if err != nil {
		return nil, fmt.Errorf("client-key: %w", err)
	}
	if len(certificate) > 0 || len(key) > 0 {
		pair, err := tls.X509KeyPair(certificate, key)
		if err != nil {
			return nil, fmt.Errorf("client-certificate and client-key: %w", err)
		}
		tlsConfig.Certificates = []tls.Certificate{pair}
	}
	transport := &http.Transport{TLSClientConfig: tlsConfig, ForceAttemptHTTP2: true}
	if s.ProxyURL != "" {
		proxy, err := url.Parse(s.ProxyURL)
		if err != nil {
			return nil, fmt.Errorf("proxy-url: %w", err)
		}
		transport.Proxy = http.ProxyURL(proxy)
	}
	token := func() (string, error) { return u.Token, nil }
	if u.TokenFile != "" { // it comes first: client-go, rest.Config.BearerTokenFile
		token = func() (string, error) { return readToken(f.path(u.TokenFile)) }
	}
	return &connection{server: strings.TrimSuffix(s.Server, "/"), client: &http.Client{Transport: transport}, token: token}, nil
}

// content returns data, decoded from base64, or else the content of a file.
func (f file) content(data, name string) ([]byte, error) {
	if data != "" {
		return base64.StdEncoding.DecodeString(data)
	}
	if name == "" {
		return nil, nil
	}
	return os.ReadFile(f.path(name))
}

// path returns the path of a file that the kubeconfig names, relative to its folder.
func (f file) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(filepath.Dir(string(f)), name)
}

func readToken(name string) (string, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return "", fmt.Errorf("read the token for the cluster: %w", err)
	}
	return strings.TrimSpace(string(data)), nil
}

// accountDir is where a pod has the token of its service account.
// Source: kubernetes, client-go/rest/config.go, InClusterConfig.
const accountDir = "/var/run/secrets/kubernetes.io/serviceaccount"

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
