package harness_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/harness"
	"github.com/wiemu/wiemu/internal/cloud"
	"github.com/wiemu/wiemu/internal/process"
)

var _ harness.TB = testing.TB(nil)

const clientID = "b96d264b-7053-4465-a4a7-32be5b0fec49"

func read(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// exchange asks for an access token as any client does, with a token of a cluster.
// It returns the access token, or the number of the refusal.
func exchange(t *testing.T, lab *harness.Lab, pod *harness.Pod, assertion, scope string) (token string, code int) {
	t.Helper()
	resp, err := lab.HTTPClient().PostForm(pod.AuthorityHost+pod.TenantID+"/oauth2/v2.0/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {pod.ClientID}, "scope": {scope}, "client_assertion": {assertion},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var reply struct {
		AccessToken string `json:"access_token"`
		ErrorCodes  []int  `json:"error_codes"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&reply); err != nil {
		t.Fatal(err)
	}
	if len(reply.ErrorCodes) > 0 {
		return "", reply.ErrorCodes[0]
	}
	return reply.AccessToken, 0
}

const vaultScope = "https://vault.azure.net/.default"

// secret reads a secret and returns its value, or the status of the refusal.
func secret(t *testing.T, lab *harness.Lab, vault, name, token string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, vault+"secrets/"+name+"?api-version=7.4", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := lab.HTTPClient().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var reply struct{ Value string }
	if err := json.NewDecoder(resp.Body).Decode(&reply); err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Sprint(resp.StatusCode)
	}
	return reply.Value
}

func TestALabIsOneLineAndSoIsAWorkload(t *testing.T) {
	t.Parallel()
	lab := harness.New(t)
	web := lab.Workload("shop/web-sa")
	token, code := exchange(t, lab, web, web.Token(), vaultScope)
	if code != 0 {
		t.Fatalf("AADSTS%d", code)
	}
	lab.Vault("orders").Set("password", "hunter2")
	if got := secret(t, lab, lab.Vault("orders").URL, "password", token); got != "hunter2" {
		t.Errorf("the secret is %q", got)
	}
	lab.Journal().Await(journal.Event{Kind: journal.Access, Outcome: journal.Granted, ClientID: web.ClientID, Status: 200})
	lab.Journal().Never(journal.Event{Outcome: journal.Denied})
	if again := lab.Workload("shop/web-sa"); again.TokenFile != web.TokenFile {
		t.Error("the same workload is another pod")
	}
	if other := lab.Workload("shop/api-sa"); other.ClientID == web.ClientID {
		t.Error("two workloads share an identity")
	}
}

func TestTheDirectoryOfATestChanges(t *testing.T) {
	t.Parallel()
	lab := harness.New(t, harness.WithStart(time.Date(2026, 1, 15, 8, 0, 0, 0, time.UTC)))
	web := lab.Workload("shop/web-sa")
	entra := lab.Entra()
	ask := func(want int) {
		t.Helper()
		if _, code := exchange(t, lab, web, web.Token(), vaultScope); code != want {
			t.Errorf("code %d, want %d\n%s", code, want, lab.Journal().Explain())
		}
	}
	ask(0)
	entra.Change(web.ClientID, directory.FederatedCredential{Subject: "system:serviceaccount:shop:other"})
	ask(700213)
	entra.Distrust(web.ClientID, "")
	ask(70025)
	entra.Trust(web.ClientID, directory.FederatedCredential{Subject: "system:serviceaccount:shop:web-sa"})
	ask(0)
	entra.Disable(web.ClientID)
	ask(7000112)
	entra.Enable(web.ClientID)
	ask(0)
	entra.Remove(web.ClientID)
	ask(700016)
	entra.Add(directory.Principal{Kind: directory.Application, ClientID: web.ClientID, DisplayName: "shop", FederatedCredentials: []directory.FederatedCredential{{
		Name: "web", Issuer: lab.Issuer().URL, Subject: "system:serviceaccount:shop:web-sa", Audience: cloud.Public().TokenExchange,
	}}})
	ask(0)
	if p := entra.Identity("shop"); p.Kind != directory.Application || p.FederatedCredentials[0].Name != "web" {
		t.Errorf("%+v", p)
	}
	if changes := lab.Journal().All(journal.Event{Kind: journal.Directory, ClientID: web.ClientID}); len(changes) < 7 {
		t.Errorf("%d changes are in the journal", len(changes))
	}
	stranger := lab.Workload("test/web-sa", harness.As(web.ClientID))
	if _, code := exchange(t, lab, stranger, stranger.Token(), vaultScope); code != 700213 {
		t.Errorf("a stranger is answered with %d", code)
	}
	e := lab.Journal().Await(journal.Event{
		Kind: journal.Exchange, Code: 700213, Workload: "test/web-sa",
		Nearest: &journal.Nearest{Credential: "web", Differences: []journal.Difference{{Field: "subject", Kind: "namespace"}}},
	})
	if !strings.Contains(e.Summary, "AADSTS700213") {
		t.Error(e.Summary)
	}
}

func TestKeysOfATestRotate(t *testing.T) {
	t.Parallel()
	lab := harness.New(t, harness.WithStart(time.Date(2026, 1, 15, 8, 0, 0, 0, time.UTC)))
	web := lab.Workload("shop/web-sa")
	keys := lab.Issuer()
	old := keys.Signing()
	long := keys.Mint("shop/web-sa", 3*time.Hour)
	if _, code := exchange(t, lab, web, long, vaultScope); code != 0 {
		t.Fatalf("AADSTS%d", code)
	}
	published := keys.Publish()
	if published == old || keys.Signing() != old {
		t.Errorf("published %s, %s signs", published, keys.Signing())
	}
	if signs := keys.Rotate(); signs != published {
		t.Errorf("%s signs, want the published %s", signs, published)
	}
	lab.Clock().Advance(2 * time.Minute) // until Entra ID asks for keys that it does not know
	web.Refresh()
	if _, code := exchange(t, lab, web, web.Token(), vaultScope); code != 0 {
		t.Errorf("AADSTS%d with the new key", code)
	}
	if removed := keys.Remove("retired"); removed != old {
		t.Errorf("%s is removed, want %s", removed, old)
	}
	lab.Clock().Advance(time.Hour) // as long as it remembers those that it does
	if _, code := exchange(t, lab, web, long, vaultScope); code != 7000272 {
		t.Errorf("a token of a key that was removed is answered with %d", code)
	}
	status, err := lab.Control().Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if n := len(slices.DeleteFunc(status.Keys, func(k control.KeyStatus) bool { return k.Ring != "local" })); n != 1 {
		t.Errorf("%d keys are published", n)
	}
	before := lab.Entra().Keys().Signing()
	if lab.Entra().Keys().Rotate() == before {
		t.Error("Entra ID signs with the same key")
	}
	for range 20 { // more than there are in the cache that the lab reads
		keys.Rotate()
	}
}

func TestVaultsOfATestChange(t *testing.T) {
	t.Parallel()
	lab := harness.New(t)
	web, api := lab.Workload("shop/web-sa"), lab.Workload("shop/api-sa")
	vault := lab.Vault("mykeyvault")
	read := func(pod *harness.Pod) string {
		t.Helper()
		token, code := exchange(t, lab, pod, pod.Token(), vaultScope)
		if code != 0 {
			t.Fatalf("AADSTS%d", code)
		}
		return secret(t, lab, vault.URL, "mysecret", token)
	}
	if got := read(web); got != vault.Get("mysecret") {
		t.Errorf("read %q", got)
	}
	vault.Access(config.Access{Identity: api.ClientID, Permissions: []string{"get"}})
	if got := read(web); got != "403" {
		t.Errorf("who has no access reads %q", got)
	}
	vault.Set("mysecret", "new")
	if got := read(api); got != "new" {
		t.Errorf("who has access reads %q", got)
	}
	vault.Delete("mysecret")
	if got := read(api); got != "404" {
		t.Errorf("a deleted secret is %q", got)
	}
	lab.Journal().Await(journal.Event{Kind: journal.Directory, Component: "mykeyvault", Summary: "deleted"})
}

func TestAFaultEndsWithItsTest(t *testing.T) {
	t.Parallel()
	shared := harness.New(t)
	status := func(t *testing.T) int {
		t.Helper()
		resp, err := shared.HTTPClient().Get("https://mykeyvault.vault.azure.net/secrets/mysecret")
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode
	}
	t.Run("injected", func(t *testing.T) {
		f := shared.In(t).Inject("throttled,for.resource=keyvault")
		if s := status(t); s != http.StatusTooManyRequests || f.Hits() != 1 {
			t.Errorf("status %d, %d hits", s, f.Hits())
		}
		shared.In(t).Inject("server-error,for.resource=keyvault")
	})
	if s := status(t); s != http.StatusUnauthorized {
		t.Errorf("after the subtest: status %d", s)
	}
	f := shared.Inject("server-error,for.resource=keyvault")
	f.Clear()
	f.Clear()
	if s := status(t); s != http.StatusUnauthorized || f.Hits() != 0 {
		t.Errorf("a fault that was cleared: status %d, %d hits", s, f.Hits())
	}
	shared.Inject("server-error,for.resource=keyvault")
	if err := shared.Control().ClearAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := status(t); s != http.StatusUnauthorized {
		t.Errorf("after Clear: status %d", s)
	}
}

func TestTheClockOfATest(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 1, 15, 8, 0, 0, 0, time.UTC)
	lab := harness.New(t, harness.WithStart(start))
	web := lab.Workload("shop/web-sa", func(w *config.Workload) { w.TokenLifetime = 10 * time.Minute })
	first := web.Token()
	lab.Clock().Advance(10 * time.Minute)
	if web.Token() == first {
		t.Error("the token file does not rotate")
	}
	if _, code := exchange(t, lab, web, first, vaultScope); code != 0 { // five minutes are let pass
		t.Errorf("AADSTS%d", code)
	}
	lab.Clock().Advance(start.Add(25 * time.Hour).Sub(lab.Clock().Now()))
	if _, code := exchange(t, lab, web, first, vaultScope); code != 700024 {
		t.Errorf("an old token is answered with %d", code)
	}
	lab.Clock().Skew("entra", -3*time.Hour)
	if _, code := exchange(t, lab, web, web.Token(), vaultScope); code != 700024 {
		t.Errorf("a clock that is behind: %d", code)
	}
	if now := lab.Clock().Now(); !now.Equal(start.Add(25 * time.Hour)) {
		t.Errorf("it is %v", now)
	}
	other := harness.New(t)
	running := other.Clock()
	if _, err := other.Control().Freeze(t.Context()); err != nil {
		t.Fatal(err)
	}
	if at := running.Now(); !running.Now().Equal(at) {
		t.Error("a frozen clock runs")
	}
}

func TestALabOfFiles(t *testing.T) {
	t.Parallel()
	lab := harness.New(t, harness.WithFiles("../docs/examples/radixconfig.yaml"))
	web := lab.Workload("my-radix-app-dev/web-sa")
	if web.ClientID != clientID || web.Name != "web" {
		t.Errorf("%+v, want the one of the file", web)
	}
	if _, code := exchange(t, lab, web, web.Token(), vaultScope); code != 0 {
		t.Errorf("AADSTS%d", code)
	}
	configured := harness.New(t, harness.WithConfig(config.Config{Workloads: []config.Workload{{Namespace: "a", ServiceAccount: "b", ClientID: clientID}}}))
	if b := configured.Workload("a/b"); b.ClientID != clientID {
		t.Errorf("%s, want the client id of the configuration", b.ClientID)
	}
}

func TestProgramsOfATestFindALabThatListens(t *testing.T) {
	t.Parallel()
	lab := harness.New(t, harness.WithListeners())
	web := lab.Workload("shop/web-sa")
	var out strings.Builder
	code, err := process.Run(t.Context(), process.Command{
		Args: []string{"curl", "-fsS", "https://login.microsoftonline.com/common/discovery/keys"},
		Env:  web.Environ(os.Environ()), Stdout: &out, Stderr: os.Stderr,
	})
	if err != nil || code != 0 || !strings.Contains(out.String(), lab.Entra().Keys().Signing()) {
		t.Errorf("%d %v %s", code, err, out.String())
	}
}

func TestCodeThatReadsItsEnvironment(t *testing.T) {
	t.Setenv("AZURE_CLIENT_SECRET", "the developer's own")
	lab := harness.New(t)
	web := lab.Workload("shop/web-sa")
	t.Run("inside", func(t *testing.T) {
		lab.In(t).Workload("shop/web-sa").Setenv()
		for name, want := range map[string]string{
			"AZURE_CLIENT_ID": web.ClientID, "AZURE_TENANT_ID": web.TenantID,
			"AZURE_FEDERATED_TOKEN_FILE": web.TokenFile, "AZURE_CLIENT_SECRET": "",
		} {
			if got := os.Getenv(name); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
	})
	if os.Getenv("AZURE_CLIENT_SECRET") == "" {
		t.Error("the developer's own is gone")
	}
}

// In a bubble two days take no time, and an event that comes tomorrow can be awaited.
func TestALabInABubble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lab := harness.New(t)
		web := lab.Workload("shop/web-sa")
		first := web.Token()
		time.Sleep(25 * time.Hour)
		if _, code := exchange(t, lab, web, first, vaultScope); code != 700024 {
			t.Errorf("an old token is answered with %d", code)
		}
		go func() {
			time.Sleep(23 * time.Hour)
			lab.Issuer().Rotate()
		}()
		lab.Journal().Await(journal.Event{Kind: journal.KeyRotation, Summary: "signs from now on"}, 24*time.Hour)
		if n := len(lab.Journal().All(journal.Event{Kind: journal.Projection, Workload: "shop/web-sa"})); n < 48 {
			t.Errorf("the token file has rotated %d times in two days", n)
		}
	})
}

// try runs a test that is to fail, and returns what it said.
func try(t *testing.T, test func(harness.TB)) string {
	t.Helper()
	err := harness.Try(test)
	if err == nil {
		t.Fatal("it did not fail")
	}
	return err.Error()
}

func TestATestThatFailsSaysWhatHappened(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("WIEMU_STATE_DIR", dir)
	synctest.Test(t, func(t *testing.T) {
		said := try(t, func(f harness.TB) {
			lab := harness.New(f)
			web, stranger := lab.Workload("shop/web-sa"), lab.Workload("test/web-sa")
			exchange(t, lab, web, stranger.Token(), vaultScope)
			lab.Journal().Await(journal.Event{Kind: journal.Exchange, Outcome: journal.Granted, ClientID: web.ClientID})
			f.Fatalf("it went on")
		})
		for _, want := range []string{
			"none of ", "expected an event with", "outcome   granted", "nearest are", "outcome  expected granted, found denied",
			"what the lab says:", "AADSTS700213", "Nearest federated credential", "everything that happened in the lab: file://" + dir,
		} {
			if !strings.Contains(said, want) {
				t.Errorf("it does not say %q:\n%s", want, said)
			}
		}
	})
	reports, err := filepath.Glob(filepath.Join(dir, "reports", "Try-*.html"))
	if err != nil || len(reports) != 1 {
		t.Fatalf("%q %v, want a report", reports, err)
	}
	page := read(t, reports[0])
	if !strings.Contains(page, "Try") || !strings.Contains(page, "AADSTS700213") {
		t.Errorf("the report is not of this test: %.500s", page)
	}
}

// limited is a test whose time is almost over.
type limited struct{ harness.TB }

func (limited) Deadline() (time.Time, bool) { return time.Now(), true }

func TestNobodyWaitsBeyondTheDeadline(t *testing.T) {
	t.Setenv("WIEMU_STATE_DIR", t.TempDir())
	said := try(t, func(f harness.TB) {
		harness.New(limited{f}).Journal().Await(journal.Event{Code: 1}, time.Hour)
	})
	if !strings.Contains(said, "expected an event with") {
		t.Error(said)
	}
}

func TestATestThatPassesLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("WIEMU_STATE_DIR", dir)
	var token string
	t.Run("inside", func(t *testing.T) {
		token = harness.New(t).Workload("shop/web-sa").TokenFile
	})
	if _, err := os.Lstat(token); !os.IsNotExist(err) {
		t.Errorf("%s: %v", token, err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) > 0 {
		t.Errorf("left: %q %v", left, err)
	}
}

func TestMistakesOfATestSayWhatWasExpected(t *testing.T) {
	t.Setenv("WIEMU_STATE_DIR", t.TempDir())
	for name, c := range map[string]struct {
		mistake func(*harness.Lab)
		want    string
	}{
		"a workload without a namespace": {func(l *harness.Lab) { l.Workload("web-sa") }, `workload "web-sa": expected NAMESPACE/SERVICE-ACCOUNT`},
		"a name that Kubernetes refuses": {func(l *harness.Lab) { l.Workload("shop/Web") }, "RFC 1123"},
		"an issuer that there is not":    {func(l *harness.Lab) { l.Issuer("green") }, `issuer "green": expected one that wiemu hosts: local`},
		"a token that is too short": {func(l *harness.Lab) {
			l.Issuer().Mint("a/b", time.Minute)
		}, "less than 10 minutes"},
		"a token of nobody":      {func(l *harness.Lab) { l.Issuer().Mint("b", 0) }, "NAMESPACE/SERVICE-ACCOUNT"},
		"a key that is not":      {func(l *harness.Lab) { l.Issuer().Remove("retired") }, "expected a key that is retired"},
		"an identity that isn't": {func(l *harness.Lab) { l.Entra().Disable("nobody") }, `no tenant has an identity "nobody"`},
		"and is looked at":       {func(l *harness.Lab) { l.Entra().Identity("nobody") }, `identity "nobody": expected a client id`},
		"a trust that isn't": {func(l *harness.Lab) {
			id := l.Workload("a/b").ClientID
			l.Entra().Distrust(strings.ToUpper(id), "")
			l.Entra().Distrust(id, "")
		}, `expected the name of one of []`},
		"a bad application":     {func(l *harness.Lab) { l.Entra().Add(directory.Principal{ClientID: "x"}) }, "GUID"},
		"a fault that is not":   {func(l *harness.Lab) { l.Inject("trottled") }, "throttled"},
		"a setting that is not": {func(l *harness.Lab) { l.Inject("throttled,with=x") }, "with"},
		"a vault's name":        {func(l *harness.Lab) { l.Vault("no_vault") }, "3 to 24 letters"},
		"a secret that is not":  {func(l *harness.Lab) { l.Vault("mykeyvault").Get("no-secret") }, `["mysecret"]`},
		"a secret's name":       {func(l *harness.Lab) { l.Vault("mykeyvault").Set("a_b", "") }, "a_b"},
		"an account's name":     {func(l *harness.Lab) { l.Storage("Orders_1") }, "3 to 24 lower-case letters and digits"},
		"a blob that is not":    {func(l *harness.Lab) { l.Storage("orders").Blob("inbox", "none") }, "blob inbox/none: expected one that is there, found 404 ContainerNotFound"},
		"a container's name":    {func(l *harness.Lab) { l.Storage("orders").Put("In", "a", "") }, "3 to 63 lower-case letters"},
		"a role that is not":    {func(l *harness.Lab) { l.Storage("orders").Grant(l.Workload("a/b"), "Blob Reader") }, "Storage Blob Data Reader"},
		"a SQL server's name":   {func(l *harness.Lab) { l.SQL("orders.") }, "1 to 63 lower-case letters, digits and hyphens"},
		"a role of no database": {func(l *harness.Lab) { l.SQL("orders").User(l.Workload("a/b"), "db_reader") }, "expected one of db_accessadmin"},
		"a PostgreSQL's name":   {func(l *harness.Lab) { l.Postgres("Orders") }, "3 to 63 lower-case letters, digits and hyphens"},
		"a way back":            {func(l *harness.Lab) { l.Clock().Advance(-time.Hour) }, "never goes backwards"},
		"a part that is not":    {func(l *harness.Lab) { l.Clock().Skew("entre", 1) }, "did you mean entra?"},
		"a led one in memory":   {func(l *harness.Lab) { l.Workload("a/b").Lead(exec.Command("true")) }, "harness.New(t, harness.WithListeners())"},
		"a program in memory":   {func(l *harness.Lab) { l.Workload("a/b").Environ(nil) }, "harness.New(t, harness.WithListeners())"},
		"something unexpected": {func(l *harness.Lab) {
			exchange(t, l, l.Workload("a/b"), "x", vaultScope)
			l.Journal().Never(journal.Event{Outcome: journal.Denied})
		}, "unexpected:\nThe assertion cannot be read as a JWT"},
		"an event that is not": {func(l *harness.Lab) { l.Journal().Await(journal.Event{Code: 1}, 0) }, "expected an event with\n      code  1\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if said := try(t, func(f harness.TB) { c.mistake(harness.New(f)) }); !strings.Contains(said, c.want) {
				t.Errorf("it says %q, want %q", said, c.want)
			}
		})
	}
	for name, option := range map[string]func(harness.TB) harness.Option{
		"no such file":        func(f harness.TB) harness.Option { return harness.WithFiles("nowhere.yaml") },
		"a bad configuration": func(harness.TB) harness.Option { return harness.WithConfig(config.Config{Cloud: "Mars"}) },
	} {
		if said := try(t, func(f harness.TB) { harness.New(f, option(f)) }); !strings.Contains(said, "nowhere.yaml") && !strings.Contains(said, "Mars") {
			t.Errorf("%s: it says %q", name, said)
		}
	}
}

func TestAReportThatCannotBeWrittenSaysSo(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("WIEMU_STATE_DIR", file)
	said := try(t, func(f harness.TB) { harness.New(f); f.Fatalf("failed") })
	if !strings.Contains(said, "the report of the lab: make the state directory") {
		t.Error(said)
	}
}

func TestALabWithoutACacheMakesItsOwnKeys(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"XDG_CACHE_HOME", "HOME", "LocalAppData"} { // of Linux, macOS and Windows
		t.Setenv(name, file)
	}
	t.Setenv("WIEMU_STATE_DIR", t.TempDir())
	said := try(t, func(f harness.TB) {
		lab := harness.New(f)
		web := lab.Workload("shop/web-sa")
		if _, code := exchange(t, lab, web, web.Token(), vaultScope); code != 0 {
			t.Errorf("AADSTS%d", code)
		}
		f.Errorf("to hear what it says")
	})
	if !strings.Contains(said, file) || !strings.Contains(said, "XDG_CACHE_HOME") {
		t.Error(said)
	}
}

// BenchmarkNew is what a lab costs a test, its end included; the first lab of all
// also makes the keys.
func BenchmarkNew(b *testing.B) {
	for _, c := range []struct {
		name    string
		options []harness.Option
		use     func(*harness.Lab)
	}{
		{"in memory", nil, func(*harness.Lab) {}},
		{"with a workload", nil, func(l *harness.Lab) { l.Workload("shop/web-sa") }},
		{"listening", []harness.Option{harness.WithListeners()}, func(*harness.Lab) {}},
	} {
		b.Run(c.name, func(b *testing.B) {
			harness.New(b)
			for b.Loop() {
				t := &cleaned{TB: b}
				c.use(harness.New(t, c.options...))
				t.end()
			}
		})
	}
}

// cleaned is a test that ends before the benchmark does.
type cleaned struct {
	testing.TB
	cleanups []func()
}

func (c *cleaned) Cleanup(f func()) { c.cleanups = append(c.cleanups, f) }

func (c *cleaned) end() {
	for _, f := range c.cleanups {
		f()
	}
}

// What is odd in a radixconfig.yaml is logged; its workloads and those of manifests
// are the lab's.
func TestALabOfLooseFiles(t *testing.T) {
	radix, app := filepath.Join(t.TempDir(), "radixconfig.yaml"), filepath.Join(t.TempDir(), "app.yaml")
	for file, text := range map[string]string{
		radix: "apiVersion: radix.equinor.com/v1\nkind: RadixApplication\nmetadata: {name: shop}\nspec: {environments: [{name: dev}], components: [{name: web, Identity: {azure: {clientId: b96d264b-7053-4465-a4a7-32be5b0fec49}}}]}\n",
		app:   "kind: Pod\nmetadata: {name: job, namespace: shop, labels: {azure.workload.identity/use: 'true'}}\nspec: {serviceAccountName: job-sa, containers: [{name: c, env: [{name: AZURE_CLIENT_ID, value: b96d264b-0000-4000-8000-000000000001}]}]}\n",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	logged := &logged{TB: t}
	lab := harness.New(logged, harness.WithFiles(radix, app))
	for account, id := range map[string]string{"shop-dev/web-sa": "b96d264b-7053-4465-a4a7-32be5b0fec49", "shop/job-sa": "b96d264b-0000-4000-8000-000000000001"} {
		if pod := lab.Workload(account); pod.ClientID != id {
			t.Errorf("%s has client id %s, want %s", account, pod.ClientID, id)
		}
	}
	if len(logged.lines) != 1 || !strings.Contains(logged.lines[0], ":4:62: warning: spec.components[0].identity: Identity is read as identity") {
		t.Errorf("logged %q", logged.lines)
	}
}

type logged struct {
	harness.TB
	lines []string
}

func (l *logged) Logf(format string, args ...any) {
	l.lines = append(l.lines, fmt.Sprintf(format, args...))
}
