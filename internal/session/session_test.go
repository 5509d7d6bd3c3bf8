package session_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/cloud"
	"github.com/wiemu/wiemu/internal/issuer"
	"github.com/wiemu/wiemu/internal/keyring"
	"github.com/wiemu/wiemu/internal/keyring/keyringtest"
	"github.com/wiemu/wiemu/internal/lab"
	"github.com/wiemu/wiemu/internal/process"
	"github.com/wiemu/wiemu/internal/server"
	"github.com/wiemu/wiemu/internal/session"
	"github.com/wiemu/wiemu/internal/workload"
)

const clientID = "b96d264b-7053-4465-a4a7-32be5b0fec49"

var web = workload.Workload{
	Application: "my-radix-app", Environment: "dev", Component: "web",
	Namespace: "my-radix-app-dev", ServiceAccount: "web-sa", ClientID: clientID,
}

func Example() {
	ctx := context.Background()
	started, err := session.Start(ctx, session.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer started.Close(ctx)
	w, err := started.Workload(ctx, workload.Spec{Workload: web})
	if err != nil {
		log.Fatal(err)
	}
	// Any program: it sees the four variables and a token file that rotates.
	code, err := process.Run(ctx, process.Command{
		Args: []string{"sh", "-c", "echo $AZURE_CLIENT_ID; test -s $AZURE_FEDERATED_TOKEN_FILE && echo has a token"},
		Env:  w.Environ(os.Environ()), Stdout: os.Stdout, Stderr: os.Stderr,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("exit code", code)
	// Output:
	// b96d264b-7053-4465-a4a7-32be5b0fec49
	// has a token
	// exit code 0
}

func newLab(t *testing.T, opts session.Options) *session.Session {
	t.Helper()
	opts.Emulator.Keys = keyringtest.Keys(t)
	if opts.Emulator.Clock == nil {
		opts.Emulator.Clock = clock.Stopped(time.Date(2026, 1, 15, 8, 0, 0, 0, time.UTC))
	}
	started, err := session.Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := started.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return started
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestTokenFileIsRefreshedOnLabTime(t *testing.T) {
	started := newLab(t, session.Options{})
	w, err := started.Workload(t.Context(), workload.Spec{Workload: web})
	if err != nil {
		t.Fatal(err)
	}
	first := read(t, w.Env.TokenFile)
	for _, step := range []struct {
		by      time.Duration
		changes bool
	}{
		{47 * time.Minute, false}, // 80 % of an hour are 48 minutes
		{3 * time.Minute, true},   // and up to 90 seconds until the kubelet looks
		{45 * time.Minute, false},
		{5 * time.Minute, true},
	} {
		before := read(t, w.Env.TokenFile)
		if err := started.Clock().Advance(t.Context(), step.by); err != nil {
			t.Fatal(err)
		}
		if changed := read(t, w.Env.TokenFile) != before; changed != step.changes {
			t.Errorf("after %v the token changed: %v, want %v", step.by, changed, step.changes)
		}
	}
	if err := w.Refresh(t.Context()); err != nil || read(t, w.Env.TokenFile) == first {
		t.Errorf("refresh on demand: %v", err)
	}
}

func TestOnlyDeclaredWorkloadsOfAnIdentityAreTrusted(t *testing.T) {
	started := newLab(t, session.Options{})
	prod := web
	prod.Environment, prod.Namespace = "prod", "my-radix-app-prod"
	if err := started.Declare([]workload.Spec{{Workload: web}, {Workload: prod}}); err != nil {
		t.Fatal(err)
	}
	stranger := web
	stranger.Namespace = "my-radix-app-test"
	for _, c := range []struct {
		w    workload.Workload
		want int
	}{{web, 0}, {prod, 0}, {stranger, 700213}} {
		w, err := started.Workload(t.Context(), workload.Spec{Workload: c.w})
		if err != nil {
			t.Fatal(err)
		}
		e := started.Emulator().Examine(t.Context(), config.DefaultTenant, clientID, read(t, w.Env.TokenFile))
		if e.Code != c.want {
			t.Errorf("%s: code %d, want %d", c.w.Namespace, e.Code, c.want)
		}
	}
	again, err := started.Workload(t.Context(), workload.Spec{Workload: web})
	if err != nil {
		t.Fatal(err)
	}
	other, err := started.Workload(t.Context(), workload.Spec{Workload: web, TokenOptions: workload.TokenOptions{Audience: "api://other"}})
	if err != nil {
		t.Fatal(err)
	}
	if again.Env.TokenFile == other.Env.TokenFile {
		t.Error("two audiences share a token file")
	}
}

func TestAnotherProcessAttachesThroughTheControlAPI(t *testing.T) {
	started := newLab(t, session.Options{})
	client := &control.Client{URL: started.Emulator().ControlURL(), Token: started.Emulator().Token()}
	d := workload.Spec{Workload: web}
	env, err := session.Admit(t.Context(), client, d, []workload.Spec{d})
	if err != nil {
		t.Fatal(err)
	}
	if env.ClientID != clientID || read(t, env.TokenFile) == "" {
		t.Errorf("environment %+v", env)
	}
	declared, err := session.List(t.Context(), client)
	if err != nil || len(declared) != 1 || declared[0].Component != "web" {
		t.Errorf("declared %+v %v", declared, err)
	}
	if _, err := session.Admit(t.Context(), client, workload.Spec{Workload: web, TokenOptions: workload.TokenOptions{Issuer: "green"}}, nil); err == nil || !strings.Contains(err.Error(), `issuer "green"`) {
		t.Errorf("an unknown issuer: %v", err)
	}
}

func TestEnvironmentTakesTheCallersIdentityAway(t *testing.T) {
	started := newLab(t, session.Options{})
	w, err := started.Workload(t.Context(), workload.Spec{Workload: web})
	if err != nil {
		t.Fatal(err)
	}
	base := []string{"PATH=/bin", "AZURE_CLIENT_SECRET=callers", "AZURE_CLIENT_ID=callers", "https_proxy=http://callers", "JAVA_TOOL_OPTIONS=-Dx=y", "LANG=C"}
	env := w.Environ(base)
	for _, v := range env {
		if strings.Contains(v, "callers") {
			t.Errorf("left of the caller's: %s", v)
		}
	}
	for _, want := range []string{
		"PATH=/bin", "LANG=C", "AZURE_CLIENT_ID=" + clientID, "AZURE_TENANT_ID=" + config.DefaultTenant,
		"AZURE_AUTHORITY_HOST=https://login.microsoftonline.com/", "AZURE_FEDERATED_TOKEN_FILE=" + w.Env.TokenFile,
		"HTTPS_PROXY=" + w.Env.ProxyURL,
	} {
		if !slices.Contains(env, want) {
			t.Errorf("%s is missing in %q", want, env)
		}
	}
	java := slices.IndexFunc(env, func(v string) bool { return strings.HasPrefix(v, "JAVA_TOOL_OPTIONS=-Dx=y ") })
	if java < 0 || strings.Count(env[java], "-Djavax.net.ssl.trustStore=") != 1 || strings.Count(env[java], "-Dhttps.proxyHost=") != 1 {
		t.Errorf("JAVA_TOOL_OPTIONS are not merged: %q", env)
	}
	names := map[string]bool{}
	for _, v := range env {
		name, _, _ := strings.Cut(v, "=")
		if names[name] {
			t.Errorf("%s is there twice", name)
		}
		names[name] = true
	}
	_, unset := w.Env.Changes(base)
	if !slices.Equal(unset, []string{"AZURE_CLIENT_SECRET"}) {
		t.Errorf("unset %q, want the caller's secret alone: the rest has new values", unset)
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	started, err := session.Start(t.Context(), session.Options{Dir: dir, Emulator: server.Options{Options: lab.Options{Keys: keyringtest.Keys(t)}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := started.Workload(t.Context(), workload.Spec{Workload: web}); err != nil {
		t.Fatal(err)
	}
	if err := started.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %q %v", left, err)
	}
}

func TestNamesThatKubernetesRefusesMakeNoWorkload(t *testing.T) {
	started := newLab(t, session.Options{})
	client := &control.Client{URL: started.Emulator().ControlURL(), Token: started.Emulator().Token()}
	if err := started.Declare([]workload.Spec{{Workload: web}}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ namespace, account, want string }{
		{"a", "../../x", "lowercase RFC 1123 subdomain"},
		{"a", "Web", "lowercase RFC 1123 subdomain"},
		{"a", strings.Repeat("a", 254), "lowercase RFC 1123 subdomain"},
		{"a/b", "web-sa", "lowercase RFC 1123 label"},
		{"a:b", "web-sa", "lowercase RFC 1123 label"},
		{"a b", "web-sa", "lowercase RFC 1123 label"},
		{"..", "web-sa", "lowercase RFC 1123 label"},
		{"", "web-sa", "lowercase RFC 1123 label"},
		{strings.Repeat("a", 64), "web-sa", "lowercase RFC 1123 label"},
	} {
		for _, id := range []string{clientID, "6f9f6a0e-5c0c-4d5e-9a39-2f4c8f5b7f11", ""} { // known, unknown, none
			w := workload.Workload{Namespace: c.namespace, ServiceAccount: c.account, ClientID: id}
			if _, err := started.Workload(t.Context(), workload.Spec{Workload: w}); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%q/%q as %q: %v, want %q", c.namespace, c.account, id, err, c.want)
			}
		}
		w := workload.Workload{Namespace: c.namespace, ServiceAccount: c.account}
		if _, err := session.Admit(t.Context(), client, workload.Spec{Workload: w}, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q/%q through the control endpoint: %v, want %q", c.namespace, c.account, err, c.want)
		}
	}
}

func TestTheAudienceThatIsTrustedIsTheOneAFileDeclares(t *testing.T) {
	files := readFiles(t, "workloads:\n- {namespace: a, serviceAccount: own, clientId: "+clientID+", audience: 'api://own'}\n- {namespace: a, serviceAccount: usual, clientId: "+clientID+"}\n")
	started := newLab(t, session.Options{Emulator: server.Options{Config: files.Configuration()}})
	declared := files.Workloads()
	if err := started.Declare(declared); err != nil {
		t.Fatal(err)
	}
	trusts := 0
	for _, e := range started.Journal().Events() {
		if e.Kind == journal.Directory {
			trusts++
		}
	}
	if trusts != 2 {
		t.Errorf("%d events of the directory, want one for each workload", trusts)
	}
	for name, c := range map[string]struct {
		component string
		over      workload.TokenOptions
		want      int
	}{
		"declared with an audience":   {"own", workload.TokenOptions{}, 0},
		"declared with none":          {"usual", workload.TokenOptions{}, 0},
		"asked for with another":      {"usual", workload.TokenOptions{Audience: "api://other"}, 700212},
		"asked for with the usual":    {"own", workload.TokenOptions{Audience: cloud.Public().TokenExchange}, 700212},
		"asked for with the declared": {"own", workload.TokenOptions{Audience: "api://own"}, 0},
	} {
		d, err := session.Find(declared, c.component, "")
		if err != nil {
			t.Fatal(err)
		}
		w, err := started.Workload(t.Context(), workload.Spec{Workload: d.Workload, TokenOptions: d.With(c.over)})
		if err != nil {
			t.Fatal(err)
		}
		e := started.Emulator().Examine(t.Context(), config.DefaultTenant, clientID, read(t, w.Env.TokenFile))
		if e.Code != c.want {
			t.Errorf("%s: code %d, want %d", name, e.Code, c.want)
		}
	}
}

func TestAnIdentityIsNamedAfterWhatItServes(t *testing.T) {
	started := newLab(t, session.Options{})
	prod, alone := web, workload.Workload{Namespace: "a", ServiceAccount: "report-sa", ClientID: "6f9f6a0e-5c0c-4d5e-9a39-2f4c8f5b7f11"}
	prod.Environment, prod.Namespace = "prod", "my-radix-app-prod"
	again := workload.Workload{Namespace: "b", ServiceAccount: "report-sa", ClientID: "0b0e5f0c-65c3-4a6e-9a76-1d6a3f8b1c22"}
	named := workload.Workload{Component: "api", Namespace: "c", ServiceAccount: "api-sa", ClientID: "5d3b7a57-5a0f-4f0c-8a57-0f4c9f6f7d33"}
	if err := started.Declare([]workload.Spec{{Workload: prod}, {Workload: web}, {Workload: alone}, {Workload: again}, {Workload: named}}); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]string{clientID: "my-radix-app-web", alone.ClientID: "report-sa", again.ClientID: "b-report-sa", named.ClientID: "api"} {
		p, ok := started.Emulator().Directory().Principal(config.DefaultTenant, id)
		if !ok || p.DisplayName != want || !strings.HasSuffix(p.ResourceID, "/"+want) {
			t.Errorf("%s is %+v, want it named %s", id, p, want)
		}
	}
}

// BenchmarkDay is a simulated day of 24 workloads: their token files and their
// exchanges. BenchmarkDaySignatures is what its RSA signatures alone cost.
func BenchmarkDay(b *testing.B) {
	for b.Loop() {
		started, err := session.Start(b.Context(), session.Options{Emulator: server.Options{Options: lab.Options{Keys: keyringtest.Keys(b), KeepEvents: 10_000, Clock: clock.Stopped(time.Date(2026, 1, 15, 8, 0, 0, 0, time.UTC))}}})
		if err != nil {
			b.Fatal(err)
		}
		for n := range 24 {
			w := web
			w.Namespace = fmt.Sprintf("app-%d-dev", n)
			if _, err := started.Workload(b.Context(), workload.Spec{Workload: w}); err != nil {
				b.Fatal(err)
			}
		}
		if err := started.Clock().Advance(b.Context(), 24*time.Hour); err != nil {
			b.Fatal(err)
		}
		minted := 0
		for _, e := range started.Journal().Events() {
			if e.Kind == journal.Mint {
				minted++
			}
		}
		b.ReportMetric(float64(minted), "signatures/op")
		if err := started.Close(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDaySignatures(b *testing.B) {
	ring, err := keyring.New(b.Context(), clock.Running(), keyringtest.Keys(b), keyring.Options{Name: "bare", Identify: issuer.KeyID})
	if err != nil {
		b.Fatal(err)
	}
	payload := make([]byte, 700)
	for b.Loop() {
		for range 24 * 30 {
			if _, _, err := ring.Sign(func(keyring.Key) string { return "{}" }, payload); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(24*30, "signatures/op")
}

func TestAKilledLabsTokenFilesAreTakenOver(t *testing.T) {
	dir := t.TempDir() // as a volume that outlives the container
	pod := workload.Workload{Namespace: "shop", ServiceAccount: "web-sa", ClientID: "b96d264b-7053-4465-a4a7-32be5b0fec49"}
	for range 2 { // the first is never closed
		started, err := session.Start(t.Context(), session.Options{Dir: dir, Emulator: server.Options{InMemory: true}})
		if err != nil {
			t.Fatal(err)
		}
		w, err := started.Workload(t.Context(), workload.Spec{Workload: pod})
		if err != nil {
			t.Fatal(err)
		}
		if want := filepath.Join(dir, "tokens", "shop_web-sa", "azure-identity-token"); w.Env.TokenFile != want {
			t.Errorf("the token file is %s, want %s", w.Env.TokenFile, want)
		}
	}
}

func TestALabInMemoryOpensNoPorts(t *testing.T) {
	started := newLab(t, session.Options{Emulator: server.Options{InMemory: true}})
	e := started.Emulator()
	for _, address := range []string{e.Address(), e.ProxyURL(), e.ControlURL(), e.ClusterURL("local"), e.IMDSAddress()} {
		if address != "" {
			t.Errorf("it has the address %s", address)
		}
	}
	for _, id := range []workload.TokenOptions{{ManagedIdentity: "imds"}, {IdentityBinding: "ca-file"}} {
		_, err := started.Workload(t.Context(), workload.Spec{Workload: workload.Workload{Namespace: "n", ServiceAccount: "s", ClientID: clientID}, TokenOptions: id})
		if err == nil || !strings.Contains(err.Error(), "in memory") {
			t.Errorf("%+v: %v, want a refusal that says why", id, err)
		}
	}
	resp, err := started.Client().Get("https://login.microsoftonline.com/common/discovery/keys")
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("%v %v", resp, err)
	}
}
