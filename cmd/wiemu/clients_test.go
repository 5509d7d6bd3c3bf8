package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/internal/resource/postgres/local"
)

// command is wiemu as a process, with a home and state of its own.
type command struct {
	t    *testing.T
	path string
	dir  string
	env  []string
}

func newCommand(t *testing.T) *command {
	t.Helper()
	c := &command{t: t, path: filepath.Join(linkPrograms(t, "wiemu"), "wiemu"), dir: t.TempDir()}
	runtime := filepath.Join(c.dir, "runtime")
	if err := os.Mkdir(runtime, 0o700); err != nil {
		t.Fatal(err)
	}
	c.env = append(os.Environ(), "XDG_RUNTIME_DIR="+runtime, "HOME="+c.dir, "WIEMU_STATE_DIR="+filepath.Join(c.dir, "state"), "XDG_CACHE_HOME="+filepath.Join(programsDir, "cache"), // signing keys are made once
		"PATH="+filepath.Dir(c.path)+string(os.PathListSeparator)+os.Getenv("PATH"))
	radix, err := os.ReadFile(filepath.Join("..", "..", "docs", "examples", "radixconfig.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(c.dir, "radixconfig.yaml"), radix, 0o644); err != nil {
		t.Fatal(err)
	}
	return c
}

// prepare makes a command that runs in c's directory and environment.
func (c *command) prepare(name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(c.t.Context(), name, args...)
	cmd.Dir, cmd.Env = c.dir, c.env
	return cmd
}

// output runs a program and returns its standard output; it fails the test if
// the program does.
func (c *command) output(name string, args ...string) string {
	c.t.Helper()
	cmd := c.prepare(name, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		c.t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, stderr.Bytes())
	}
	return string(out)
}

// serve starts a server and stops it with the test.
func (c *command) serve(args ...string) {
	c.t.Helper()
	cmd := exec.Command(c.path, append([]string{"serve"}, args...)...) // without the test's context, which ends before its cleanup
	cmd.Dir, cmd.Env = c.dir, c.env
	var said bytes.Buffer
	ready := &waiter{seen: make(chan string, 1), text: []byte("ready;"), into: &said}
	cmd.Stdout, cmd.Stderr = ready, ready
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	c.t.Cleanup(func() {
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			c.t.Error(err)
		}
		if err := <-ended; err != nil {
			c.t.Errorf("wiemu serve ended with %v:\n%s", err, said.Bytes())
		}
	})
	select {
	case <-ready.seen:
	case err := <-ended:
		ended <- nil
		c.t.Fatalf("wiemu serve ended early: %v\n%s", err, said.Bytes())
	}
}

// waiter is a writer that sends what was written when a text has been written.
type waiter struct {
	text []byte
	into *bytes.Buffer
	seen chan string // has room for one
	sent bool
}

func (w *waiter) Write(p []byte) (int, error) {
	n, err := w.into.Write(p)
	if !w.sent && bytes.Contains(w.into.Bytes(), w.text) {
		w.sent = true
		w.seen <- w.into.String()
	}
	return n, err
}

// The real kubectl, which WIEMU_KUBECTL names, asks the issuer for tokens.
func TestKubectlCreatesTokens(t *testing.T) {
	kubectl, named := os.LookupEnv("WIEMU_KUBECTL")
	if !named {
		need(t, errors.New("WIEMU_KUBECTL names none; make kubectl builds one"), "kubectl")
	}
	c := newCommand(t)
	c.serve("-f", "radixconfig.yaml")
	if err := os.WriteFile(filepath.Join(c.dir, "config"), []byte(c.output(c.path, "kubeconfig")), 0o600); err != nil {
		t.Fatal(err)
	}
	ask := func(args ...string) (string, error) {
		out, err := c.prepare(kubectl, append([]string{"--kubeconfig", "config", "create", "token", "-n", "my-radix-app-dev", "--audience", "api://AzureADTokenExchange"}, args...)...).CombinedOutput()
		return string(out), err
	}
	token, err := ask("web-sa")
	if err != nil {
		t.Fatalf("kubectl create token: %v\n%s", err, token)
	}
	if err := os.WriteFile(filepath.Join(c.dir, "token"), []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	if said := c.output(c.path, "explain", "--token", "token", "-o", "json"); strings.Contains(said, `"failed"`) {
		t.Errorf("Entra ID would refuse kubectl's token:\n%s", said)
	}
	for name, want := range map[string]struct {
		args []string
		text string
	}{
		"unknown service account": {[]string{"nobody"}, `serviceaccounts "nobody" not found`},
		"599 seconds":             {[]string{"web-sa", "--duration", "599s"}, "may not specify a duration less than 10 minutes"},
	} {
		if out, err := ask(want.args...); err == nil || !strings.Contains(out, want.text) {
			t.Errorf("%s: %v\n%s\nwant %q", name, err, out, want.text)
		}
	}
}

// DefaultAzureCredential of @azure/identity reads a secret, with no option set.
func TestNodeReadsASecret(t *testing.T) {
	for _, program := range []string{"node", "npm"} {
		_, err := exec.LookPath(program)
		need(t, err, program)
	}
	c := newCommand(t)
	for _, name := range []string{"readsecret.mjs", "package.json"} {
		data, err := os.ReadFile(filepath.Join("..", "..", "docs", "examples", "node", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(c.dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	install := exec.CommandContext(t.Context(), "npm", "install", "--no-audit", "--no-fund", "--silent")
	install.Dir = c.dir
	if out, err := install.CombinedOutput(); err != nil {
		need(t, err, "a package registry, npm install said "+string(out))
	}
	if got := c.output(c.path, "run", "-f", "radixconfig.yaml", "--env", "dev", "web", "--", "node", "readsecret.mjs"); got != "the secret of wiemu\n" {
		t.Errorf("node printed %q", got)
	}
}

// The README's commands, in order, in one shell, as a reader would type them.
// make e2e and make test are what .ci/run runs; they would run this test again.
// What needs Docker is run by the tests with the tag e2e.
func TestREADME(t *testing.T) {
	out := runPage(t, "README.md", "", func(block string) bool {
		return !withDocker.MatchString(block) && !strings.HasPrefix(block, "make e2e\n")
	})
	for _, want := range []string{
		`"value":"hunter2"`,
		"system:serviceaccount:my-radix-app-dev:web-sa",
		`{"token_type":"Bearer","expires_in":86399,"ext_expires_in":86399,"access_token":"`,
		"the secret of wiemu",
		"AADSTS700213",
		"Nearest federated credential",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the README's commands did not show %q:\n%s", want, out)
		}
	}
}

// The page of storage accounts leads from nothing to a program that uses one.
func TestPageOfStorageAccounts(t *testing.T) {
	out := runPage(t, filepath.Join("docs", "resources", "storage.md"), asAfterMakeBuild(t), func(string) bool { return true })
	for _, want := range []string{
		"two loaves of bread",
		"refused with 403 AuthorizationPermissionMismatch",
		"Assign the role Storage Blob Data Contributor",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the page's commands did not show %q:\n%s", want, out)
		}
	}
}

// The page of Azure SQL leads from nothing to a program that logs in.
func TestPageOfAzureSQL(t *testing.T) {
	out := runPage(t, filepath.Join("docs", "resources", "azure-sql.md"), asAfterMakeBuild(t), func(string) bool { return true })
	for _, want := range []string{
		"user web, reads true, writes false",
		"Login failed for user '<token-identified principal>'",
		"has a SID made of the object id",
		"Make the SID of the client id b96d264b-7053-4465-a4a7-32be5b0fec49",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the page's commands did not show %q:\n%s", want, out)
		}
	}
}

// The page of PostgreSQL leads from nothing to a program that uses one.
func TestPageOfPostgreSQL(t *testing.T) {
	_, err := local.Find()
	need(t, err, "PostgreSQL")
	out := runPage(t, filepath.Join("docs", "resources", "postgresql.md"), asAfterMakeBuild(t), func(string) bool { return true })
	for _, want := range []string{
		"two loaves of bread",
		"log in as admin to orders by my-radix-app-web: refused with 28P01",
		`Log in as "web"`,
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the page's commands did not show %q:\n%s", want, out)
		}
	}
}

// The page of Redis leads from nothing to a program that uses a cache.
func TestPageOfRedis(t *testing.T) {
	out := runPage(t, filepath.Join("docs", "resources", "redis.md"), asAfterMakeBuild(t), func(string) bool { return true })
	for _, want := range []string{
		"two loaves of bread",
		"set by my-radix-app-web: refused with NOPERM",
		"Assign the identity a policy that does",
		"2 passed, 0 failed",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the page's commands did not show %q:\n%s", want, out)
		}
	}
}

// The page of trust as code compares the plan of its Terraform folder with the application beside it.
func TestPageOfTrustAsCode(t *testing.T) {
	out := runPage(t, filepath.Join("docs", "trust-as-code.md"), asAfterMakeBuild(t), func(block string) bool { return strings.HasPrefix(block, "wiemu validate ") })
	for _, want := range []string{
		"+ managed identity web trusts system:serviceaccount:my-radix-app-dev:web-sa of https://northeurope.oic.prod-aks.azure.com/",
		"(azurerm_federated_identity_credential.web)",
		"✓ cluster trusts ",
		"! known after apply: ",
		"0 errors, 1 warning in 1 workload",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the page's commands did not show %q:\n%s", want, out)
		}
	}
}

// The plan of the Terraform folder is one of the folder: it makes the resources of main.tf.
func TestPlanOfTheTerraformFolder(t *testing.T) {
	folder := filepath.Join("..", "..", "docs", "examples", "terraform")
	code, err := os.ReadFile(filepath.Join(folder, "main.tf"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(folder, "plan.json"))
	if err != nil {
		t.Fatal(err)
	}
	var plan struct {
		Changes []struct {
			Address string `json:"address"`
		} `json:"resource_changes"`
	}
	if err := json.Unmarshal(text, &plan); err != nil {
		t.Fatal(err)
	}
	var written, planned []string
	for _, found := range regexp.MustCompile(`(?m)^resource "(\w+)" "(\w+)"`).FindAllSubmatch(code, -1) {
		written = append(written, string(found[1])+"."+string(found[2]))
	}
	for _, c := range plan.Changes {
		planned = append(planned, c.Address)
	}
	slices.Sort(written)
	slices.Sort(planned)
	if len(written) == 0 || !slices.Equal(written, planned) {
		t.Errorf("main.tf has %v; plan.json makes %v", written, planned)
	}
}

// The page about a day with every resource shows what its commands print.
func TestPageOfADay(t *testing.T) {
	_, err := local.Find()
	need(t, err, "PostgreSQL")
	page := filepath.Join("docs", "what-ages-how.md")
	out := runPage(t, page, asAfterMakeBuild(t), func(string) bool { return true })
	text, err := os.ReadFile(filepath.Join("..", "..", page))
	if err != nil {
		t.Fatal(err)
	}
	_, shown, _ := strings.Cut(string(text), "```text\n")
	shown, _, _ = strings.Cut(shown, "```")
	if shown == "" || !strings.Contains(out, shown) || !strings.Contains(out, "1 passed, 0 failed") {
		t.Errorf("the page shows\n%s\nfound\n%s", shown, out)
	}
}

// withDocker are blocks of the README that need it.
var withDocker = regexp.MustCompile(`(?m)^(docker|wiemu (kind|compose|cluster|scenario run (\S+ )?--on)) `)

// runPage runs blocks of a page in a clone, after some lines of shell, and returns what
// they printed. They leave no file in the clone that git does not ignore.
func runPage(t *testing.T, page, first string, chosen func(block string) bool) string {
	t.Helper()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, page))
	if err != nil {
		t.Fatal(err)
	}
	c := newCommand(t)
	clone := filepath.Join(c.dir, "wiemu")
	c.output("git", "clone", "--quiet", "--local", root, clone)
	// What is not committed yet counts, too.
	c.output("sh", "-c", "cd "+root+" && git ls-files -mo --exclude-standard -z | xargs -0 -r cp --parents -t "+clone)
	before := c.output("git", "-C", clone, "status", "--porcelain")
	script := "set -e\ncd " + clone + "\n" + first + "\n"
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllSubmatch(text, -1) {
		if chosen(string(block[1])) {
			script += string(block[1])
		}
	}
	cmd := c.prepare("bash", "-c", script)
	cmd.Env = append(cmd.Env, "GOFLAGS=-buildvcs=false -trimpath", "CGO_ENABLED=0", "GOCACHE="+goEnv(t, "GOCACHE"), "GOMODCACHE="+goEnv(t, "GOMODCACHE"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if after := c.output("git", "-C", clone, "status", "--porcelain"); after != before {
		t.Errorf("%s leaves files behind; before it git status said\n%s\nand after it\n%s", page, before, after)
	}
	return string(out)
}

// asAfterMakeBuild are lines of shell after which all is as make build leaves it, which
// TestREADME runs.
func asAfterMakeBuild(t *testing.T) string {
	t.Helper()
	return "mkdir bin\nln " + linkPrograms(t, "wiemu", "wiemu-workload") + "/* bin/\nexport PATH=$PWD/bin:$PATH"
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.Command("go", "env", "-json", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{}
	if err := json.Unmarshal(out, &values); err != nil {
		t.Fatal(err)
	}
	return values[name]
}
