//go:build e2e

package kind_test

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/kind"
	"github.com/wiemu/wiemu/internal/metadata"
	"github.com/wiemu/wiemu/internal/resource/postgres/postgrestest"
	"github.com/wiemu/wiemu/internal/webhook"
)

// What is promised of a cluster on a machine at rest. The times are wall time of
// a machine that others may use: they are printed beside what was seen, and fail nothing.
const (
	secretGoal    = 10 * time.Second // from kind's cluster until a pod has read its first secret
	rotationGoal  = time.Second      // until a rotation reaches the next token
	residentLimit = 40               // MB of the emulator in the node; more fails
)

// A kubelet asks for another token when 80 % of a token's life are over, or up to
// 10 s before that, and looks at a pod at least every 90 s.
// Kubernetes: pkg/kubelet/token/token_manager.go, requiresRefresh.
const (
	shortLife = 600 * time.Second
	soonest   = shortLife*8/10 - 10*time.Second
	latest    = shortLife*8/10 + 90*time.Second + time.Minute // a minute for a busy machine
)

// TestCluster is the life of one cluster, with a real API server and a real
// kubelet. A token that lives for 600 s grows old while everything else is tried.
func TestCluster(t *testing.T) {
	c := newCluster(t)
	issuer := up(t, c, postgrestest.InDocker(t))
	c.kubectl(t, "apply", "-f", c.testdata("rotating.yaml"))

	t.Run("while a token grows old", func(t *testing.T) {
		t.Run("the kubelet replaces a token of 600 s", func(t *testing.T) { t.Parallel(); replacesShortTokens(t, c) })
		t.Run("meanwhile", func(t *testing.T) {
			t.Parallel()
			c.kubectl(t, "apply", "-f", c.testdata("shop.yaml"))
			t.Run("pods", func(t *testing.T) {
				t.Run("the webhook changes labelled pods", func(t *testing.T) { t.Parallel(); changesLabelledPods(t, c) })
				t.Run("the kubelet's file", func(t *testing.T) { t.Parallel(); laysTokenOut(t, c, issuer) })
				t.Run("azidentity reads a secret", func(t *testing.T) { t.Parallel(); readsSecret(t, c, "sdk") })
				t.Run("curl reads a secret", func(t *testing.T) { t.Parallel(); readsSecret(t, c, "curl") })
				t.Run("a token in a Secret", func(t *testing.T) { t.Parallel(); takesTokensInSecrets(t, c) })
				t.Run("the page's example", func(t *testing.T) { t.Parallel(); runsExample(t, c) })
				t.Run("another namespace is refused, and told why", func(t *testing.T) { t.Parallel(); refusesStranger(t, c, "stranger") })
			})
			t.Run("databases by their names in Azure", func(t *testing.T) { opensDatabases(t, c) })
			t.Run("a rotated key signs the next token", func(t *testing.T) { rotatesKey(t, c) })
			t.Run("a key that is not published", func(t *testing.T) { refusesUnpublishedKey(t, c) })
			t.Run("the emulator is killed", func(t *testing.T) { restartsEmulator(t, c) })
		})
	})
	staysSmall(t, c)
	t.Run("the node is restarted", func(t *testing.T) { survivesRestart(t, c) })
	t.Run("nothing is left", func(t *testing.T) { leavesNothing(t, c) })
	c.tellFigures(t)
}

// up makes the cluster, a second time to no effect, and returns its issuer. postgres is the URL of
// what is behind its PostgreSQL server.
func up(t *testing.T, c *cluster, postgres string) string {
	t.Helper()
	text, err := os.ReadFile(c.testdata("wiemu.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "wiemu.yaml")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(text), "${POSTGRES}", postgres)), 0o600); err != nil {
		t.Fatal(err)
	}
	var made struct {
		Did     string
		Kind    time.Duration `json:"kindNanoseconds"`
		Extra   time.Duration `json:"extraNanoseconds"`
		Secret  bool
		Cluster struct{ Issuer, Image, Kubernetes string }
	}
	args := []string{"kind", "up", "--name", c.name, "--kubeconfig", c.kubeconfig, "-f", file, "-o", "json"}
	if image := os.Getenv("NODE_IMAGE"); image != "" {
		args = append(args, "--image", image)
	}
	parse(t, c.wiemu(t, args...), &made)
	c.made = true
	if made.Did != "created" || !made.Secret {
		t.Fatalf("wiemu kind up: expected a cluster created and a secret read, found %+v", made)
	}
	c.figure("Kubernetes", "%s, %s", made.Cluster.Kubernetes, made.Cluster.Image)
	c.figure("wiemu kind up, kind's own time", "%.1f s", made.Kind.Seconds())
	c.figure("... then until a pod has its first secret", "%.1f s (goal %v)", made.Extra.Seconds(), secretGoal)
	issuer := made.Cluster.Issuer
	if got := c.kubectl(t, "get", "--raw", "/.well-known/openid-configuration"); !strings.Contains(got, `"`+issuer+`"`) {
		t.Errorf("the API server's discovery document names another issuer than %s: %s", issuer, got)
	}
	parse(t, c.wiemu(t, args...), &made)
	if made.Did != "unchanged" {
		t.Errorf("wiemu kind up a second time: expected unchanged, found %s", made.Did)
	}
	c.wiemu(t, "kind", "load", "--name", c.name, curlImage)
	return issuer
}

// changesLabelledPods compares pods with what azure-workload-identity v1.6 makes of them.
func changesLabelledPods(t *testing.T, c *cluster) {
	sdk := c.pod(t, "shop", "sdk")
	app := sdk.Spec.Containers[0]
	file := webhook.Layout16.TokenFile()
	for name, want := range map[string]string{
		"AZURE_CLIENT_ID":            shopClient,
		"AZURE_TENANT_ID":            "3aa4a235-b6e2-48d5-9195-7fcf05b459b0",
		"AZURE_FEDERATED_TOKEN_FILE": file,
		"AZURE_AUTHORITY_HOST":       "https://login.microsoftonline.com/",
	} {
		if got := app.variable(name); got != want {
			t.Errorf("%s: expected %q, found %q", name, want, got)
		}
	}
	if got := app.variable("SSL_CERT_FILE"); !strings.HasPrefix(got, webhook.TrustDir+"/") {
		t.Errorf("SSL_CERT_FILE: expected a file of %s, found %q", webhook.TrustDir, got)
	}
	var token *serviceAccountToken
	for _, v := range sdk.Spec.Volumes {
		if strings.HasPrefix(v.Name, "azure-workload-identity-reserved-") {
			token = v.Projected.Sources[0].ServiceAccountToken
		}
	}
	if want := (serviceAccountToken{Audience: audience, ExpirationSeconds: 3600, Path: "token/azure-identity-token"}); token == nil || *token != want {
		t.Errorf("the token's volume: expected %+v, found %+v", want, token)
	}
	if !slices.ContainsFunc(app.VolumeMounts, func(m volumeMount) bool {
		return m.MountPath == "/var/run/secrets/azure/wi" && m.ReadOnly
	}) {
		t.Errorf("expected a read-only mount of /var/run/secrets/azure/wi, found %+v", app.VolumeMounts)
	}
	for _, host := range []string{"login.microsoftonline.com", "mykeyvault.vault.azure.net", "graph.microsoft.com"} {
		if sdk.alias(host) != advertised {
			t.Errorf("%s: expected a host alias to %s, found %+v", host, advertised, sdk.Spec.HostAliases)
		}
	}
	plain := c.pod(t, "shop", "plain")
	if len(plain.Spec.HostAliases) > 0 || len(plain.Spec.Containers[0].Env) > 0 {
		t.Errorf("a pod without the label was changed: %+v", plain.Spec)
	}
	if hosts := c.ended(t, "shop", "plain"); strings.Contains(hosts, "microsoft") {
		t.Errorf("a pod without the label meets emulated hosts:\n%s", hosts)
	}
}

// laysTokenOut looks at the file as a program in the pod does.
func laysTokenOut(t *testing.T, c *cluster, issuer string) {
	c.kubectl(t, "wait", "--for=condition=Ready", "pod/shell", "-n", "shop", "--timeout=300s")
	shell := func(script string) string {
		return c.kubectl(t, "exec", "-n", "shop", "shell", "--", "sh", "-euc", script)
	}

	token := decode(t, shell(`cat "$AZURE_FEDERATED_TOKEN_FILE"`))
	if life := token.Expires - token.IssuedAt; life != 3600 {
		t.Errorf("the token lives for %d s, expected 3600", life)
	}
	if token.Issuer != issuer || token.Subject != "system:serviceaccount:shop:web-sa" || !slices.Equal(token.Audience, []string{audience}) || token.Kubernetes.Pod.Name != "shell" {
		t.Errorf("expected a token of %s for pod shell of shop:web-sa, found %+v", issuer, token)
	}
	if token.Type != "JWT" { // only an external signer writes it
		t.Errorf("header typ: expected JWT of our signer, found %q", token.Type)
	}
	if keys := c.keys(t); !slices.ContainsFunc(keys, func(k key) bool { return k.ID == token.KeyID && k.Stage == "signing" }) {
		t.Errorf("the token's key %s is not the one that signs: %+v", token.KeyID, keys)
	}
	// Kubernetes: pkg/volume/util/atomic_writer.go
	if got := shell(`cd "$(dirname "$AZURE_FEDERATED_TOKEN_FILE")/.."; readlink token ..data`); !strings.HasPrefix(got, "..data/token\n..20") {
		t.Errorf("expected the kubelet's links, token → ..data/token and ..data → ..TIME, found %q", got)
	}
	if got := shell(`id -u; cat /etc/hosts; head -n 1 "$CURL_CA_BUNDLE"`); !strings.HasPrefix(got, "100\n") || !strings.Contains(got, advertised+"\t") || !strings.HasSuffix(got, "CERTIFICATE-----") {
		t.Errorf("expected another user than root, who sees the emulated names and the trust bundle, found:\n%s", got)
	}
}

// readsSecret waits for a pod that ends with the default configuration's secret.
func readsSecret(t *testing.T, c *cluster, pod string) {
	if said := c.ended(t, "shop", pod); !strings.Contains(said, `"value":"`+secret(t)+`"`) {
		t.Errorf("pod %s: expected the secret's value, found:\n%s", pod, said)
	}
}

// runsExample is what README says after wiemu kind up.
func runsExample(t *testing.T, c *cluster) {
	c.kubectl(t, "apply", "-f", filepath.Join(c.root, "docs", "examples", "kind", "app.yaml"))
	c.kubectl(t, "wait", "--for=condition=complete", "--namespace", "my-radix-app-dev", "job/web", "--timeout", "300s")
	if said := c.kubectl(t, "logs", "--namespace", "my-radix-app-dev", "job/web"); !strings.Contains(said, `"value":"`+secret(t)+`"`) {
		t.Errorf("expected the secret's value, found:\n%s", said)
	}
}

// refusesStranger runs a pod whose namespace nobody trusts. It is the only one
// that is refused, so that the last refusal is its own.
func refusesStranger(t *testing.T, c *cluster, pod string) {
	c.kubectl(t, "apply", "-f", c.testdata("stranger.yaml"))
	c.await(t, testPatience, "the pod ends", func() error { return c.phase(t, "elsewhere", pod, "Failed") })
	if said := c.kubectl(t, "logs", "-n", "elsewhere", pod); !strings.Contains(said, "AADSTS700213") {
		t.Errorf("expected AADSTS700213 in the pod's log, found:\n%s", said)
	}
	explained := c.wiemu(t, "explain", "--last", "--kind", c.name)
	for _, want := range []string{"700213", "✗ subject", "expected  system:serviceaccount:shop:web-sa", "presented system:serviceaccount:elsewhere:web-sa"} {
		if !strings.Contains(explained, want) {
			t.Errorf("wiemu explain --last --kind %s: expected %q, found:\n%s", c.name, want, explained)
		}
	}
	c.kubectl(t, "delete", "pod", "-n", "elsewhere", pod, "--now")
}

// opensDatabases has pods log in to a server of each protocol, and others be refused there.
func opensDatabases(t *testing.T, c *cluster) {
	c.kubectl(t, "apply", "-f", c.testdata("databases.yaml"))
	for name, want := range map[string]string{
		"sql":        `{"ok":true,"value":[["web",1]]}`,
		"redirected": `{"ok":true,"value":[["web"]]}`,
		"postgres":   `{"ok":true,"value":[["web","orders"]]}`,
		"cache":      `{"ok":true,"value":"OK"}`,
		"managed":    `{"ok":true,"value":"OK"}`,
	} {
		if said := c.ended(t, "databases", name); said != want {
			t.Errorf("pod %s: expected %s, found %s", name, want, said)
		}
	}
	emulator, err := kind.NewHost(filepath.Join(c.state, "kind"), kind.HostOptions{}).Control(c.name)
	if err != nil {
		t.Fatal(err)
	}
	for _, refused := range []struct{ pod, said, resource, why string }{
		{"sql-refused", `"reason":"18456"`, "Azure SQL", "other is no user of database sales: no user there has the SID that its client id makes"},
		{"postgres-refused", `"reason":"28000"`, "Azure Database for PostgreSQL", `the role "web" belongs to another identity, web`},
		{"cache-refused", "ERR WRONGPASS", "Azure Cache for Redis", "The identity is assigned no data access policy of the cache"},
	} {
		c.await(t, testPatience, "pod "+refused.pod+" is refused", func() error { return c.phase(t, "databases", refused.pod, "Failed") })
		if said := c.kubectl(t, "logs", "-n", "databases", refused.pod); !strings.Contains(said, refused.said) {
			t.Errorf("pod %s: expected %s, found %s", refused.pod, refused.said, said)
		}
		events, err := emulator.Events(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(events, func(e journal.Event) bool {
			return e.Kind == journal.Access && e.Outcome == journal.Denied && e.Resource == refused.resource
		})
		if i < 0 {
			t.Errorf("the journal has no refusal by %s", refused.resource)
			continue
		}
		if explained := c.wiemu(t, "explain", events[i].ID, "--kind", c.name); !strings.Contains(explained, refused.why) {
			t.Errorf("wiemu explain of %s: expected %q, found:\n%s", refused.pod, refused.why, explained)
		}
	}
}

// takesTokensInSecrets looks at a token of the old kind, which the controller
// manager signs with a key of its own: only the signer can tell the API server.
func takesTokensInSecrets(t *testing.T, c *cluster) {
	c.kubectl(t, "apply", "-f", c.testdata("secret.yaml"))
	var token []byte
	c.await(t, testPatience, "the controller manager writes a token", func() (err error) {
		if token, err = base64.StdEncoding.DecodeString(c.kubectl(t, "get", "secret", "-n", "secrets", "token", "-o", "jsonpath={.data.token}")); len(token) == 0 && err == nil {
			err = errors.New("the Secret has none yet")
		}
		return err
	})
	if problem := c.authenticates(t, string(token)); problem != "" {
		t.Errorf("the token of a Secret: %s", problem)
	}
}

// rotatesKey measures how long it takes until the cluster signs with the next key,
// and tries a token of the key before.
func rotatesKey(t *testing.T, c *cluster) {
	emulator, err := kind.NewHost(filepath.Join(c.state, "kind"), kind.HostOptions{}).Control(c.name)
	if err != nil {
		t.Fatal(err)
	}
	old := c.token(t)
	began := time.Now()
	if _, err := emulator.Rotate(t.Context(), "local"); err != nil { // what wiemu keys rotate does, without the time that a process takes to start
		t.Fatal(err)
	}
	fresh := c.token(t)
	for fresh.KeyID == old.KeyID && time.Since(began) < time.Minute {
		fresh = c.token(t)
	}
	took := time.Since(began)
	c.figure("rotation, until a token has the new key", "%.3f s (goal %v)", took.Seconds(), rotationGoal)
	if fresh.KeyID == old.KeyID {
		t.Errorf("after %v a new token has key %s, expected another one than %s", took, fresh.KeyID, old.KeyID)
	}
	for name, token := range map[string]token{"old": old, "new": fresh} {
		if problem := c.review(t, token); problem != "" {
			t.Errorf("the %s token does not authenticate in the cluster: %s", name, problem)
		}
	}
	c.grants(t, old, 0)
	c.grants(t, fresh, metadata.DefaultRefetchAfter)
	jwks := c.kubectl(t, "get", "--raw", "/openid/v1/jwks")
	if !strings.Contains(jwks, old.KeyID) || !strings.Contains(jwks, fresh.KeyID) {
		t.Errorf("the API server's JWKS: expected %s and %s, found %s", old.KeyID, fresh.KeyID, jwks)
	}
}

// refusesUnpublishedKey has the cluster sign with a key that Entra ID cannot find,
// as it happens when somebody forgets to upload it: the API server does not mind.
func refusesUnpublishedKey(t *testing.T, c *cluster) {
	before := c.token(t)
	c.wiemu(t, "fault", "inject", "sign-before-publish", "publish-after=0s", "--kind", c.name)
	c.wiemu(t, "keys", "rotate", "--kind", c.name)
	fresh := c.token(t)
	if fresh.KeyID == before.KeyID {
		t.Fatalf("after wiemu keys rotate a token still has key %s", fresh.KeyID)
	}
	if problem := c.review(t, fresh); problem != "" {
		t.Errorf("the cluster does not take its own token: %s", problem)
	}
	c.kubectl(t, "apply", "-f", c.testdata("unpublished.yaml"))
	c.await(t, testPatience, "Entra ID does not find the key", func() error { return c.says(t, "shop", "unpublished", "AADSTS7000272") })
	if explained := c.wiemu(t, "explain", "--last", "--kind", c.name); !strings.Contains(explained, fresh.KeyID) {
		t.Errorf("wiemu explain --last: expected the key %s, found:\n%s", fresh.KeyID, explained)
	}
	c.grants(t, before, 0)
	c.wiemu(t, "fault", "clear", "--all", "--kind", c.name)
	c.await(t, 2*metadata.DefaultRefetchAfter+testPatience, "Entra ID finds the key once it is published", func() error { return c.says(t, "shop", "unpublished", `"ok":true`) })
	c.kubectl(t, "delete", "pod", "-n", "shop", "unpublished", "--now")
}

// restartsEmulator kills the emulator in the node.
func restartsEmulator(t *testing.T, c *cluster) {
	keys, old := c.keys(t), c.token(t)
	began := time.Now()
	c.node(t, "systemctl", "kill", "--signal", "KILL", "wiemu")
	c.await(t, testPatience, "a token is signed again", func() error { _, err := c.tryToken(t); return err })
	c.figure("emulator killed, until a token is signed again", "%.1f s", time.Since(began).Seconds())
	c.await(t, testPatience, "the control endpoint answers", func() error { _, err := c.try(t, "wiemu", "keys", "--kind", c.name); return err })
	if again := c.keys(t); !slices.Equal(keys, again) {
		t.Errorf("keys before: %+v, after: %+v", keys, again)
	}
	c.grants(t, old, 0)
}

// replacesShortTokens waits until the kubelet has replaced the file of a token
// that lives for 600 s, and until its program has exchanged the new token.
func replacesShortTokens(t *testing.T, c *cluster) {
	var tokens []token
	c.await(t, latest+time.Minute, "the kubelet replaces the file", func() error {
		said, err := c.try(t, "kubectl", "logs", "-n", "rotating", "app", "-c", "file")
		if err != nil {
			return err
		}
		tokens = nil
		for line := range strings.Lines(said) {
			if _, raw, both := strings.Cut(strings.TrimSpace(line), " "); both {
				tokens = append(tokens, decode(t, raw))
			}
		}
		if len(tokens) < 2 {
			return fmt.Errorf("the file has held %d tokens", len(tokens))
		}
		return nil
	})
	first, second := tokens[0], tokens[1]
	age := time.Duration(second.IssuedAt-first.IssuedAt) * time.Second
	c.figure("a token of 600 s is replaced", "after %v (%v to %v)", age, soonest, latest)
	if life := first.Expires - first.IssuedAt; life != int64(shortLife/time.Second) {
		t.Errorf("the token lives for %d s, expected 600", life)
	}
	if age < soonest || age > latest {
		t.Errorf("the kubelet has replaced the token after %v, expected %v to %v", age, soonest, latest)
	}
	c.await(t, testPatience, "its program exchanges the new token", func() error {
		said, err := c.try(t, "wiemu", "explain", second.ID, "--kind", c.name, "-o", "json")
		if err != nil {
			return err
		}
		var e journal.Event
		if err := json.Unmarshal([]byte(said), &e); err != nil {
			return err
		}
		if e.JTI != second.ID || e.Outcome != journal.Granted {
			return fmt.Errorf("expected a granted exchange of token %s, found %+v", second.ID, e)
		}
		return nil
	})
	c.allWell(t, "rotating", "app")
}

// staysSmall measures the emulator in the node.
func staysSmall(t *testing.T, c *cluster) {
	t.Helper()
	var kilobytes int
	status := c.node(t, "sh", "-c", "grep VmRSS /proc/$(systemctl show --property MainPID --value wiemu)/status")
	if _, err := fmt.Sscanf(status, "VmRSS: %d kB", &kilobytes); err != nil {
		t.Fatalf("how much memory the emulator has: %v in %q", err, status)
	}
	c.figure("emulator in the node", "%.1f MB resident (under %d)", float64(kilobytes)/1000, residentLimit)
	if kilobytes/1000 >= residentLimit {
		t.Errorf("the emulator has %d kB resident, expected less than %d MB", kilobytes, residentLimit)
	}
}

// survivesRestart restarts the node, as a machine does that was switched off.
func survivesRestart(t *testing.T, c *cluster) {
	keys, old := c.keys(t), c.token(t)
	restarts, err := c.restarts(t, "rotating", "app")
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	c.run(t, "docker", "restart", "--time", "3", c.name+"-control-plane") // the API server does not end by itself
	c.await(t, testPatience, "the API server signs tokens", func() error { _, err := c.tryToken(t); return err })
	c.figure("docker restart, until the API server signs tokens", "%.1f s", time.Since(began).Seconds())
	c.await(t, testPatience, "a pod of before runs again", func() error {
		now, err := c.restarts(t, "rotating", "app")
		if err != nil || now <= restarts {
			return cmp.Or(err, fmt.Errorf("its containers were restarted %d times", now))
		}
		return c.says(t, "rotating", "app", `"ok":true`)
	})
	c.figure("... until a pod of before reads its secret", "%.1f s", time.Since(began).Seconds())
	c.await(t, testPatience, "the control endpoint answers", func() error { _, err := c.try(t, "wiemu", "keys", "--kind", c.name); return err })
	if again := c.keys(t); !slices.Equal(keys, again) {
		t.Errorf("keys before: %+v, after: %+v", keys, again)
	}
	if problem := c.review(t, old); problem != "" {
		t.Errorf("a token of before does not authenticate in the cluster: %s", problem)
	}
	c.grants(t, old, testPatience)    // the pod that asks may not have been restarted yet
	refusesStranger(t, c, "stranger") // whom the directory is to trust was not forgotten
	c.allWell(t, "rotating", "app")
}

// leavesNothing takes the cluster away.
func leavesNothing(t *testing.T, c *cluster) {
	var mounts []struct{ Type, Name, Source string }
	parse(t, c.run(t, "docker", "inspect", "--format", "{{json .Mounts}}", c.name+"-control-plane"), &mounts)
	began := time.Now()
	c.wiemu(t, "kind", "down", "--name", c.name)
	c.made = false
	c.figure("wiemu kind down", "%.1f s", time.Since(began).Seconds())
	if left := c.run(t, "docker", "ps", "--all", "--quiet", "--filter", "label=io.x-k8s.kind.cluster="+c.name); left != "" {
		t.Errorf("containers are left: %s", left)
	}
	volumes := c.run(t, "docker", "volume", "ls", "--quiet")
	for _, m := range mounts {
		if m.Type == "volume" && strings.Contains(volumes, m.Name) {
			t.Errorf("volume %s is left", m.Name)
		}
		if m.Type == "bind" && strings.HasPrefix(m.Source, c.state) {
			if _, err := os.Stat(m.Source); err == nil {
				t.Errorf("directory %s is left", m.Source)
			}
		}
	}
	if text, err := os.ReadFile(c.kubeconfig); err == nil && strings.Contains(string(text), c.name) {
		t.Errorf("entries of the kubeconfig are left:\n%s", text)
	}
	if left, _ := filepath.Glob(filepath.Join(c.state, "kind", c.name, "*")); len(left) > 0 {
		t.Errorf("files of the cluster are left: %q", left)
	}
	if said := c.wiemu(t, "kind", "list"); strings.Contains(said, c.name) {
		t.Errorf("wiemu kind list still knows the cluster: %s", said)
	}
}
