package gateway

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/internal/ca"
)

func TestEnviron(t *testing.T) {
	env := Environ("http://127.0.0.1:3128")
	for _, want := range []string{
		"HTTPS_PROXY=http://127.0.0.1:3128", "https_proxy=http://127.0.0.1:3128",
		"HTTP_PROXY=http://127.0.0.1:3128", "http_proxy=http://127.0.0.1:3128",
		"ALL_PROXY=http://127.0.0.1:3128", "all_proxy=http://127.0.0.1:3128",
		"NO_PROXY=localhost,127.0.0.1,::1", "no_proxy=localhost,127.0.0.1,::1", "NODE_USE_ENV_PROXY=1",
	} {
		if !slices.Contains(env, want) {
			t.Errorf("missing: %s", want)
		}
	}
}

func TestJavaOptions(t *testing.T) {
	want := "-Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort=3128 -Dhttp.proxyHost=127.0.0.1 -Dhttp.proxyPort=3128 -Dhttp.nonProxyHosts=localhost|127.*|[::1]"
	if got := strings.Join(JavaOptions("http://127.0.0.1:3128"), " "); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if got := JavaOptions(""); got != nil {
		t.Errorf("without a proxy: %q", got)
	}
}

// Programs that were told nothing but their environment reach the emulated
// hosts under their real names, and no others.
func TestUnmodifiedPrograms(t *testing.T) {
	if testing.Short() {
		t.Skip("starts other programs")
	}
	g, authority := started(t, Config{})
	bundle, err := authority.WriteBundle(t.TempDir(), ca.BundleOptions{})
	if err != nil {
		t.Fatal(err)
	}
	env := append(bundle.Environ(os.Environ()), Environ(g.ProxyURL())...)
	env = append(env, "JAVA_TOOL_OPTIONS="+strings.Join(append(bundle.JavaOptions(), JavaOptions(g.ProxyURL())...), " "))
	java := filepath.Join(t.TempDir(), "Client.java")
	if err := os.WriteFile(java, []byte(`
class Client {
	public static void main(String[] a) throws Exception {
		System.out.print(new String(new java.net.URL(a[0]).openStream().readAllBytes()));
	}
}`), 0o600); err != nil {
		t.Fatal(err)
	}
	python := `import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1]).read().decode())`
	for _, test := range []struct {
		program string
		args    []string
		refused string // part of what the program says of a host that is not emulated
	}{
		{"curl", []string{"-sS"}, "403"},
		{"python3", []string{"-c", python}, "example.com:443 is not emulated by wiemu; --allow-host example.com lets it through"},
		{"java", []string{"-Xshare:auto", "-XX:TieredStopAtLevel=1", java}, "example.com:443 is not emulated by wiemu"},
	} {
		t.Run(test.program, func(t *testing.T) {
			if _, err := exec.LookPath(test.program); err != nil {
				t.Skip(err)
			}
			run := func(url string) (string, error) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				command := exec.CommandContext(ctx, test.program, append(slices.Clone(test.args), url)...)
				command.Env = env
				output, err := command.CombinedOutput()
				return string(output), err
			}
			if got, err := run("https://mykeyvault.vault.azure.net//secrets/MySecret"); err != nil || !strings.Contains(got, `vault: GET /secrets/mysecret /secrets/MySecret ""`) {
				t.Errorf("%s, %v", got, err)
			}
			escapes := g.Escapes()
			got, err := run("https://example.com/")
			if err == nil || !strings.Contains(got, test.refused) {
				t.Errorf("a host outside: %s, %v; want %q", got, err, test.refused)
			}
			if g.Escapes() == escapes {
				t.Error("no escape was counted")
			}
		})
	}
}
