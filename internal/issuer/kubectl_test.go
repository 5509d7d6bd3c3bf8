package issuer

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/wiemu/wiemu/internal/kubeversion"
)

// TestKubectl runs the real kubectl, which WIEMU_KUBECTL names, against the
// cluster endpoint, over TLS.
func TestKubectl(t *testing.T) {
	binary := os.Getenv("WIEMU_KUBECTL")
	if binary == "" {
		if os.Getenv("WIEMU_REQUIRE") != "" {
			t.Fatal("WIEMU_KUBECTL names no kubectl, and WIEMU_REQUIRE is set")
		}
		t.Skip("left out: WIEMU_KUBECTL names no kubectl; make kubectl builds one")
	}
	c := newCluster(t, testURL, Options{})
	pod := c.PutPod(Pod{Namespace: namespace, Name: "web-1", ServiceAccount: account})
	server := httptest.NewTLSServer(c.Cluster(admin))
	defer server.Close()

	home := t.TempDir()
	run := func(bearer string, args ...string) (stdout, stderr string, failed bool) {
		t.Helper()
		config := filepath.Join(home, "kubeconfig")
		if err := os.WriteFile(config, []byte(kubeconfig(server, bearer)), 0o600); err != nil {
			t.Fatal(err)
		}
		command := exec.CommandContext(t.Context(), binary, args...)
		command.Env = []string{"HOME=" + home, "KUBECONFIG=" + config}
		var out, errs bytes.Buffer
		command.Stdout, command.Stderr = &out, &errs
		err := command.Run()
		return out.String(), errs.String(), err != nil
	}

	for _, row := range []struct {
		name     string
		args     string
		audience string
		lifetime time.Duration
		pod      string
		warning  string
	}{
		{"as documented", "create token web-sa -n my-radix-app-dev --audience api://AzureADTokenExchange", exchange, time.Hour, "", ""},
		{"with a lifetime", "create token web-sa -n my-radix-app-dev --audience api://AzureADTokenExchange --duration 10m", exchange, 10 * time.Minute, "", ""},
		{"for a week", "create token web-sa -n my-radix-app-dev --duration 168h", testURL, 24 * time.Hour, "", "Warning: requested expiration of 604800 seconds shortened to 86400 seconds"},
		{"bound to a pod", "create token web-sa -n my-radix-app-dev --bound-object-kind Pod --bound-object-name web-1 --bound-object-uid " + pod.UID, testURL, time.Hour, "web-1", ""},
	} {
		t.Run("create token "+row.name, func(t *testing.T) {
			stdout, stderr, failed := run(admin, strings.Fields(row.args)...)
			if failed || strings.TrimSpace(stderr) != row.warning {
				t.Fatalf("kubectl said %s", stderr)
			}
			if stdout != strings.TrimSpace(stdout) {
				t.Errorf("the token has space around it: %q", stdout)
			}
			token, err := jwt.ParseSigned(stdout, []jose.SignatureAlgorithm{jose.RS256})
			if err != nil {
				t.Fatal(err)
			}
			var claims Claims
			if err := token.Claims(c.ring.Signing().Private.Public(), &claims); err != nil {
				t.Fatal(err)
			}
			if claims.Audience[0] != row.audience || claims.Expiry-claims.IssuedAt != int64(row.lifetime/time.Second) {
				t.Errorf("got %+v", claims)
			}
			if p := claims.Kubernetes.Pod; (p == nil) != (row.pod == "") || p != nil && p.Name != row.pod {
				t.Errorf("bound to %+v", p)
			}
		})
	}

	for _, row := range []struct{ name, bearer, args, want string }{
		{"599 seconds", admin, "create token web-sa -n my-radix-app-dev --duration 599s", `spec.expirationSeconds: Invalid value: 599: may not specify a duration less than 10 minutes`},
		{"an unknown service account", admin, "create token nobody -n my-radix-app-dev", `serviceaccounts "nobody" not found`},
		{"another pod", admin, "create token web-sa -n my-radix-app-dev --bound-object-kind Pod --bound-object-name web-2", `pods "web-2" not found`},
		{"a wrong bearer token", "wrong", "create token web-sa -n my-radix-app-dev", "Unauthorized"},
		{"a service account that is not there", admin, "get sa nobody -n my-radix-app-dev", `Error from server (NotFound): serviceaccounts "nobody" not found`},
	} {
		t.Run("is refused "+row.name, func(t *testing.T) {
			stdout, stderr, failed := run(row.bearer, strings.Fields(row.args)...)
			if !failed || stdout != "" || !strings.Contains(stderr, row.want) {
				t.Errorf("kubectl said %q %q, want %q", stdout, stderr, row.want)
			}
		})
	}

	for _, row := range []struct{ args, want string }{
		{"get sa -n my-radix-app-dev", "web-sa"},
		{"get serviceaccounts -A", "my-radix-app-dev   web-sa"},
		{"get sa web-sa -n my-radix-app-dev -o yaml", "uid: " + c.ServiceAccounts()[0].UID},
		{"get ns", "my-radix-app-dev"},
		{"create token web-sa -n my-radix-app-dev -o yaml", "expirationTimestamp: \"2026-11-23T11:00:00Z\""},
		{"get --raw /version", `"gitVersion":"` + kubeversion.Version + `+wiemu"`},
		{"api-resources", "serviceaccounts"},
		{"get --raw /openid/v1/jwks", c.ring.Signing().ID},
		{"create sa api -n shop", "serviceaccount/api created"},
		{"create token api -n shop", "."},
		{"delete sa api -n shop", `serviceaccount "api" deleted`},
	} {
		t.Run(row.args, func(t *testing.T) {
			stdout, stderr, failed := run(admin, strings.Fields(row.args)...)
			if failed || !strings.Contains(stdout, row.want) {
				t.Errorf("kubectl said %s %s, want %q", stdout, stderr, row.want)
			}
		})
	}
}

// kubeconfig names a server, the CA it is trusted by and the bearer token.
func kubeconfig(server *httptest.Server, bearer string) string {
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	return `apiVersion: v1
kind: Config
clusters: [{name: lab, cluster: {server: "` + server.URL + `", certificate-authority-data: ` + base64.StdEncoding.EncodeToString(ca) + `}}]
users: [{name: admin, user: {token: "` + bearer + `"}}]
contexts: [{name: lab, context: {cluster: lab, user: admin}}]
current-context: lab
`
}
