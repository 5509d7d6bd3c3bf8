package cluster

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/internal/cluster/clustertest"
)

const account = "/api/v1/namespaces/shop/serviceaccounts/web-sa"

type named struct {
	Metadata struct {
		Name            string
		ResourceVersion string
	}
}

func TestAnAPIServerIsAsked(t *testing.T) {
	server := clustertest.New(t, "secret")
	c := Open(server.Kubeconfig(t))
	defer c.Close()
	object := map[string]any{"metadata": map[string]any{"name": "web-sa"}}
	var got named
	err := c.Get(t.Context(), account, &got)
	if r := Refused(err); !IsNotFound(err) || r.Reason != "NotFound" || r.Message != `serviceaccounts "web-sa" not found` || !strings.Contains(err.Error(), "GET "+account) {
		t.Errorf("before it is there: %v", err)
	}
	if err := c.Create(t.Context(), "/api/v1/namespaces/shop/serviceaccounts", object); err != nil {
		t.Fatal(err)
	}
	if err := c.Get(t.Context(), account, &got); err != nil || got.Metadata.Name != "web-sa" {
		t.Errorf("got %+v, %v", got, err)
	}
	if err := c.Create(t.Context(), "/api/v1/namespaces/shop/serviceaccounts", object); !IsConflict(err) || IsNotFound(err) {
		t.Errorf("once more: %v", err)
	}
	if err := c.Replace(t.Context(), account, map[string]any{"metadata": map[string]any{"name": "web-sa", "resourceVersion": got.Metadata.ResourceVersion}}); err != nil {
		t.Error(err)
	}
	if err := c.Replace(t.Context(), account, map[string]any{"metadata": map[string]any{"name": "web-sa", "resourceVersion": got.Metadata.ResourceVersion}}); !IsConflict(err) {
		t.Errorf("an old version is replaced: %v", err)
	}
	server.Forbid("GET " + account)
	if r := Refused(c.Get(t.Context(), account, &got)); r == nil || r.Code != http.StatusForbidden {
		t.Errorf("what is forbidden: %v", r)
	}
}

func TestTheKubeconfigMayComeAndChange(t *testing.T) {
	server := clustertest.New(t, "first")
	file := filepath.Join(t.TempDir(), "admin.conf")
	c := Open(file)
	defer c.Close()
	if err := c.Get(t.Context(), "/version", nil); err == nil || !strings.Contains(err.Error(), "when the cluster has been made") {
		t.Errorf("before it is there: %v", err)
	}
	for _, token := range []string{"first", "the second"} {
		if err := os.WriteFile(file, []byte(server.KubeconfigFor("token: "+token)), 0o600); err != nil {
			t.Fatal(err)
		}
		server.SetToken(token)
		if err := c.Get(t.Context(), "/version", nil); err != nil {
			t.Errorf("with the token %q: %v", token, err)
		}
	}
	if r := Refused(Open(file).Get(t.Context(), "/version", nil)); r != nil {
		t.Error(r)
	}
	server.SetToken("third")
	if r := Refused(c.Get(t.Context(), "/version", nil)); r == nil || r.Code != http.StatusUnauthorized {
		t.Errorf("with an old token: %v", r)
	}
}

func TestTokenFilesAreReadAgain(t *testing.T) {
	server := clustertest.New(t, "first")
	dir := t.TempDir()
	write := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	at, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBERNETES_SERVICE_HOST", at.Hostname())
	t.Setenv("KUBERNETES_SERVICE_PORT", at.Port())
	write("ca.crt", string(server.CA()))
	write("kubeconfig", server.KubeconfigFor("tokenFile: token, token: stale"))
	clients := map[string]*Client{"a pod": {source: pod{dir: dir}}, "a kubeconfig": Open(filepath.Join(dir, "kubeconfig"))}
	for _, token := range []string{"first", "second"} {
		write("token", token+"\n")
		server.SetToken(token)
		for name, c := range clients {
			if err := c.Get(t.Context(), "/version", nil); err != nil {
				t.Errorf("%s with the %s token: %v", name, token, err)
			}
		}
	}
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	if err := (&Client{source: pod{dir: dir}}).Get(t.Context(), "/version", nil); err == nil || !strings.Contains(err.Error(), "KUBERNETES_SERVICE_HOST") {
		t.Errorf("outside of a pod: %v", err)
	}
	if err := (&Client{source: pod{dir: filepath.Join(dir, "none")}}).Get(t.Context(), "/version", nil); err == nil || !strings.Contains(err.Error(), "automountServiceAccountToken") {
		t.Errorf("without a token: %v", err)
	}
}

func TestAClientCertificateIsShown(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "kubernetes-admin"}, NotAfter: time.Now().Add(time.Hour)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TLS.PeerCertificates) != 1 || r.TLS.PeerCertificates[0].Subject.CommonName != "kubernetes-admin" || r.Header.Get("Authorization") != "" {
			http.Error(w, "who are you?", http.StatusUnauthorized)
		}
	}))
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	server.StartTLS()
	defer server.Close()
	config := (&clustertest.Server{Server: server}).KubeconfigFor("client-certificate-data: " + base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})) +
		", client-key-data: " + base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
	file := filepath.Join(t.TempDir(), "admin.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Open(file).Get(t.Context(), "/version", nil); err != nil {
		t.Error(err)
	}
	bare := strings.Split(config, "users:")[0]
	if err := os.WriteFile(file, []byte(bare), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := Refused(Open(file).Get(t.Context(), "/version", nil)); r == nil || !strings.Contains(r.Message, "who are you?") {
		t.Errorf("an answer that is no Status: %v", r)
	}
}

func TestKubeconfigsThatAreNoUse(t *testing.T) {
	server := clustertest.New(t, "")
	good := server.KubeconfigFor("token: t")
	for name, row := range map[string]struct{ file, want string }{
		"no current context": {strings.Replace(good, "current-context: test", "current-context: other", 1), `current-context: expected the name of a context with its cluster, found "other"`},
		"a program":          {server.KubeconfigFor("exec: {command: kubelogin}"), "exec, auth-provider and passwords are not for wiemu-server"},
		"a password":         {server.KubeconfigFor("username: me"), "expected a client certificate or a token"},
		"plain HTTP":         {strings.Replace(good, "https://", "http://", 1), `server: expected https://HOST:PORT, found "http://`},
		"no CA":              {strings.Replace(good, "certificate-authority-data: ", "certificate-authority-data: AAAA", 1), "certificate-authority: "},
		"half a pair":        {server.KubeconfigFor("client-certificate-data: AAAA"), "client-certificate and client-key: "},
		"a file that is not": {server.KubeconfigFor("client-key: nowhere.pem"), "client-key: open "},
		"no YAML":            {"{", "kubeconfig:1"},
		"another shape":      {"clusters: 1", "clusters: expected a list"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "kubeconfig")
			if err := os.WriteFile(file, []byte(row.file), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := Open(file).Get(t.Context(), "/version", nil); err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("%v, want %q", err, row.want)
			}
		})
	}
}

func FuzzKubeconfig(f *testing.F) {
	f.Add("current-context: a\ncontexts: [{name: a, context: {cluster: c, user: u}}]\nclusters: [{name: c, cluster: {server: 'https://127.0.0.1:1', certificate-authority-data: AA==}}]\nusers: [{name: u, user: {token: t}}]\n")
	f.Add("clusters: [null]")
	f.Fuzz(func(t *testing.T, data string) {
		name := filepath.Join(t.TempDir(), "kubeconfig")
		if err := os.WriteFile(name, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
		conn, err := file(name).connect()
		if err == nil && !strings.HasPrefix(conn.server, "https://") {
			t.Errorf("%q leads to %q", data, conn.server)
		}
	})
}
