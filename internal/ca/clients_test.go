package ca

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
)

// The clients that people's applications are made of, as far as this machine
// has them, told whom to trust by Bundle.Environ alone: each takes a
// certificate within the name constraints and refuses one without, even signed
// with the CA's own key.
func TestClientsHoldTheCAToItsNames(t *testing.T) {
	if testing.Short() {
		t.Skip("starts other programs")
	}
	const permitted = "login.microsoftonline.com"
	a := open(t, privateDir(t), clock.Running(), permitted)
	bundle, err := a.WriteBundle(filepath.Join(t.TempDir(), "with space"), BundleOptions{})
	if err != nil {
		t.Fatal(err)
	}
	address := serveStolen(t, a)
	_, port, _ := net.SplitHostPort(address)

	for _, client := range []struct {
		program string
		args    func(host string) []string
		input   string
	}{
		{program: "curl", args: func(host string) []string {
			return []string{"-sS", "--noproxy", "*", "--resolve", host + ":" + port + ":127.0.0.1", "https://" + host + ":" + port}
		}},
		{program: "openssl", args: func(host string) []string {
			return []string{"s_client", "-connect", address, "-servername", host, "-verify_hostname", host, "-verify_return_error", "-x509_strict", "-brief"}
		}},
		{program: "node", args: func(host string) []string { return []string{"-e", nodeClient, host, port} }},
		{program: "python3", args: func(host string) []string { return []string{"-c", pythonClient, host, port} }},
		{program: "java", args: func(host string) []string {
			return []string{"-Xshare:auto", "-XX:TieredStopAtLevel=1", javaClient(t), host, port}
		}},
	} {
		t.Run(client.program, func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath(client.program); err != nil {
				t.Skip(err)
			}
			run := func(host string) (string, error) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				command := exec.CommandContext(ctx, client.program, client.args(host)...)
				command.Env = bundle.Environ(os.Environ())
				output, err := command.CombinedOutput()
				return string(output), err
			}
			if output, err := run(permitted); err != nil {
				t.Errorf("%s refuses %s: %v\n%s", client.program, permitted, err, output)
			}
			for _, stolen := range []string{"example.com", "cn.example.com"} {
				output, err := run(stolen)
				if err == nil {
					t.Errorf("%s takes a certificate for %s:\n%s", client.program, stolen, output)
				}
				if !strings.Contains(output, "subtree violation") && !strings.Contains(output, "name constraints") {
					t.Errorf("%s refuses a certificate for %s, but not for its name:\n%s", client.program, stolen, output)
				}
			}
		})
	}
}

// serveStolen answers with good certificates for what the CA permits, and with
// ones made by whoever got hold of the intermediate's key for all else; those
// for cn.* bear the name in their subject only.
func serveStolen(t *testing.T, a *Authority) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{
		Handler:  http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "hello") }),
		ErrorLog: log.New(io.Discard, "", 0),
		TLSConfig: &tls.Config{GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if a.Permits(hello.ServerName) {
				return a.GetCertificate(hello)
			}
			return stolen(t, a, hello.ServerName), nil
		}},
	}
	go func() { _ = server.ServeTLS(listener, "", "") }()
	t.Cleanup(func() { _ = server.Close() })
	return listener.Addr().String()
}

// stolen is a certificate that the CA must not be believed.
func stolen(t *testing.T, a *Authority, host string) *tls.Certificate {
	t.Helper()
	template := &x509.Certificate{
		Subject:   pkix.Name{CommonName: host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	if !strings.HasPrefix(host, "cn.") {
		template.DNSNames = []string{host}
	}
	leaf, err := certify(template, a.ca.intermediate, a.key.Public(), a.ca.key)
	if err != nil {
		t.Error(err)
	}
	return &tls.Certificate{Certificate: [][]byte{leaf.Raw, a.ca.intermediate.Raw}, PrivateKey: a.key, Leaf: leaf}
}

const nodeClient = `
const [host, port] = process.argv.slice(-2);
require('https').get({host: '127.0.0.1', port, servername: host, headers: {host}}, (r) => process.exit(r.statusCode == 200 ? 0 : 1))
  .on('error', (e) => { console.log(e.code, e.message); process.exit(1) });
`

// requests is used where it is installed, and urllib always.
const pythonClient = `
import socket, sys, urllib.request
host, port = sys.argv[1:]
real = socket.getaddrinfo
socket.getaddrinfo = lambda h, *rest, **more: real('127.0.0.1', *rest, **more)
urllib.request.install_opener(urllib.request.build_opener(urllib.request.ProxyHandler({})))
url = 'https://%s:%s/' % (host, port)
failures = []
def attempt(what, get):
    try:
        get(url)
    except Exception as e:
        failures.append('%s: %s' % (what, e))
attempt('urllib', lambda u: urllib.request.urlopen(u).read())
clients = 1
try:
    import requests
    session = requests.Session()
    attempt('requests', lambda u: session.get(u, proxies={'no_proxy': '*'}).raise_for_status())
    clients += 1
except ImportError:
    pass
print('\n'.join(failures))
if failures and len(failures) < clients:
    print('they disagree')
    sys.exit(0 if host.endswith('example.com') else 1)
sys.exit(1 if failures else 0)
`

// javaClient is the file of a Java program that makes one handshake.
func javaClient(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "Client.java")
	if err := os.WriteFile(file, []byte(`
import java.net.*; import javax.net.ssl.*;
class Client {
	public static void main(String[] a) throws Exception {
		var f = (SSLSocketFactory) SSLSocketFactory.getDefault();
		var s = (SSLSocket) f.createSocket(new Socket("127.0.0.1", Integer.parseInt(a[1])), a[0], Integer.parseInt(a[1]), true);
		var p = s.getSSLParameters(); p.setEndpointIdentificationAlgorithm("HTTPS"); s.setSSLParameters(p);
		try { s.startHandshake(); } catch (SSLException e) { System.out.println("certificate: " + e); System.exit(1); }
	}
}`), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
