package overlay_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/internal/compose/overlay"
	"github.com/wiemu/wiemu/internal/docker"
	"github.com/wiemu/wiemu/internal/kubename"
	"github.com/wiemu/wiemu/internal/session"
)

var update = flag.Bool("update", false, "write the golden files")

// images are what Docker would tell.
func images(_ context.Context, image string) (docker.Image, error) {
	switch image {
	case "registry.example/base:2":
		return docker.Image{Entrypoint: []string{"/entrypoint", "--price=5$"}, Command: []string{"serve"}, Env: []string{"JAVA_TOOL_OPTIONS=-Xss1m"}}, nil
	case "root":
		return docker.Image{Entrypoint: []string{"/docker-entrypoint.sh"}, Command: []string{"postgres"}}, nil
	case "nothing":
		return docker.Image{}, nil
	}
	return docker.Image{}, fmt.Errorf("%s: %w", image, docker.ErrNoImage)
}

func TestOverlay(t *testing.T) {
	o, err := generate(t, overlay.Source{Files: []string{"testdata/rich/compose.yaml"}}, overlay.Options{Image: "wiemu-server:1", Inspect: images, ControlPort: 9444})
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	got := strings.ReplaceAll(string(o.YAML), dir, "DIR")
	const golden = "testdata/rich/overlay.golden.yaml"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the overlay is not %s; look at it, and write it with -update:\n%s", golden, got)
	}
	remarks := strings.Join(o.Remarks, "\n")
	for _, want := range []string{
		"services.web.environment.SSL_CERT_FILE: it stays /own.pem",
		"services.web.environment.VAULT: there is no shop.vault.azure.net in the lab, and no network alias; add it under vaults in wiemu.yaml",
		"services.report.environment.AZURE_FEDERATED_TOKEN_FILE: /elsewhere/token becomes /var/run/secrets/azure/tokens/azure-identity-token",
	} {
		if !strings.Contains(remarks, want) {
			t.Errorf("nobody says %q: %s", want, remarks)
		}
	}
}

// What an overlay says is what comes of both files.
func TestBothFilesTogether(t *testing.T) {
	source := overlay.Source{Files: []string{"testdata/rich/compose.yaml"}, Profiles: []string{"all"}}
	o, err := generate(t, source, overlay.Options{Image: "wiemu-server:1", Inspect: images})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "overlay.yml")
	if err := os.WriteFile(file, o.YAML, 0o600); err != nil {
		t.Fatal(err)
	}
	source.Files = append(source.Files, file)
	both, err := overlay.Load(t.Context(), source)
	if err != nil {
		t.Fatalf("%v\n%s", err, o.YAML)
	}
	web, api := both.Services["web"], both.Services["api"]
	if got := *web.Environment["JAVA_TOOL_OPTIONS"]; !strings.HasPrefix(got, "-Xmx100m -Dprice=5$ -Djavax.net.ssl.trustStore=") {
		t.Errorf("web: JAVA_TOOL_OPTIONS is %s", got)
	}
	if _, db := web.DependsOn["db"]; !db || web.DependsOn["wiemu"].Condition != "service_healthy" {
		t.Errorf("web depends on %v", web.DependsOn)
	}
	if got := strings.Join(append(api.Entrypoint, api.Command...), " "); got != "/var/run/secrets/wiemu/lockstep/wiemu-server timeshift -- /entrypoint --price=5$ serve" {
		t.Errorf("api runs %s", got)
	}
	if got := *api.Environment["JAVA_TOOL_OPTIONS"]; !strings.HasPrefix(got, "-Xss1m -D") {
		t.Errorf("api: JAVA_TOOL_OPTIONS is %s", got)
	}
	if len(api.CapAdd) > 0 {
		t.Errorf("api does not run as root, and has %v", api.CapAdd)
	}
}

func generate(t *testing.T, source overlay.Source, opts overlay.Options) (overlay.Overlay, error) {
	t.Helper()
	project, err := overlay.Load(t.Context(), source)
	if err != nil {
		t.Fatal(err)
	}
	return overlay.Generate(t.Context(), project, opts)
}

// compose writes a compose file.
func compose(t *testing.T, text string) overlay.Source {
	t.Helper()
	file := filepath.Join(t.TempDir(), "docker-compose.yml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return overlay.Source{Files: []string{file}, Name: "shop"}
}

const (
	client = "b96d264b-7053-4465-a4a7-32be5b0fec49"
	other  = "4a7d8f52-3c1b-4e0a-9f6d-2b5c8e7a1d30"
)

// configured are the files of a lab with workloads.
func configured(t *testing.T) session.Files {
	t.Helper()
	file := filepath.Join(t.TempDir(), "wiemu.yaml")
	if err := os.WriteFile(file, []byte(`workloads:
  - {name: web, namespace: shop-prod, serviceAccount: web-sa, clientId: `+client+`}
  - {name: one, namespace: shop-prod, serviceAccount: one-sa, clientId: `+other+`}
  - {name: two, namespace: shop-prod, serviceAccount: two-sa, clientId: `+other+`}
  - {name: vm, namespace: shop-prod, serviceAccount: vm-sa, clientId: `+client+`, managedIdentity: imds}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	files, err := session.ReadFiles(".", []string{file})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestIdentitiesOfServices(t *testing.T) {
	const service = "services: {my_web: {image: i, %s}}"
	label := func(identity string) string { return fmt.Sprintf("labels: {dev.wiemu.identity: %q}", identity) }
	env := "environment: {AZURE_CLIENT_ID: " + client + "}"
	for _, row := range []struct {
		name, service, given string
		files                session.Files
		want                 string // namespace/account client, or a part of the error
	}{
		{"a client id of its own", env, "", session.Files{}, "shop/my-web-sa " + client},
		{"a client id that files know", env, "", configured(t), "is that of several workloads"},
		{"by name", label("web"), "", configured(t), "shop-prod/web-sa " + client},
		{"the flag comes before the label", label("web"), "one", configured(t), "shop-prod/one-sa " + other},
		{"the label comes before the environment", env + ", " + label("none"), "", session.Files{}, "no service has an identity"},
		{"namespace and service account of files", label("shop-prod/two-sa"), "", configured(t), "shop-prod/two-sa " + other},
		{"namespace, service account, and the client id of the environment", env + ", " + label("a/b"), "", session.Files{}, "a/b " + client},
		{"all three", label("a/b/" + other), "", session.Files{}, "a/b " + other},
		{"no such name", label("wbe"), "", configured(t), `services.my_web.labels.dev.wiemu.identity: workload "wbe" (did you mean web?): expected one of: web`},
		{"a name of two environments", label("web"), "", environments(t), `workload "web" is in several environments; write which: web@dev, web@prod`},
		{"a name and its environment", label("web@prod"), "", environments(t), "my-app-prod/web-sa " + client},
		{"an environment that there is not", label("web@prd"), "", environments(t), `workload "web@prd" (did you mean web@prod?): expected one of: web@dev, web@prod`},
		{"a client id that is empty, because a variable is", "environment: {AZURE_CLIENT_ID: '${NO_SUCH_ID:-}'}", "", session.Files{}, "no service has an identity: services.my_web.environment.AZURE_CLIENT_ID: it is there, and empty, because it is ${NO_SUCH_ID:-} and NO_SUCH_ID is not set or empty; set NO_SUCH_ID, such as in .env, or add the label dev.wiemu.identity"},
		{"the same, as a list", "environment: ['AZURE_CLIENT_ID=$NO_SUCH_ID']", "", session.Files{}, "it is there, and empty, because it is $NO_SUCH_ID and NO_SUCH_ID"},
		{"a client id that is empty", "environment: {AZURE_CLIENT_ID: ''}", "", session.Files{}, "services.my_web.environment.AZURE_CLIENT_ID: it is there, and empty; write the client id, or add the label"},
		{"a client id that is empty, and another identity", "environment: {AZURE_CLIENT_ID: '${NO_SUCH_ID:-}'}, " + label("web"), "", configured(t), "shop-prod/web-sa " + client},
		{"a name, and no files", label("web"), "", session.Files{}, "no file describes workloads: name one with --config wiemu.yaml"},
		{"no client id", label("a/b"), "", session.Files{}, "whose client id? write a/b/CLIENTID"},
		{"no UUID", label("a/b/c"), "", session.Files{}, `expected a client id such as`},
		{"no namespace", label("A/b/" + client), "", session.Files{}, `namespace "A": expected a lowercase RFC 1123 label`},
		{"too many parts", label("a/b/c/d"), "", session.Files{}, `found "a/b/c/d"`},
		{"a managed identity", label("vm"), "", configured(t), "containers do not have here"},
		{"nothing", "labels: {}", "", session.Files{}, "no service has an identity: expected a label dev.wiemu.identity"},
		{"lockstep without identity", "labels: {dev.wiemu.clock: lockstep}", "", session.Files{}, "the service has no identity"},
		{"another clock", env + ", labels: {dev.wiemu.clock: fast}", "", session.Files{}, `expected lockstep or real, found "fast"`},
		{"led connections", env + ", labels: {dev.wiemu.network: transparent}", "", session.Files{}, "services.my_web.labels.dev.wiemu.network: transparent: expected no such label: the emulated names are aliases"},
		{"lockstep without its image", env + ", labels: {dev.wiemu.clock: lockstep}", "", session.Files{}, "type: docker pull i"},
		{"a tenant that the lab has not", "environment: {AZURE_CLIENT_ID: " + client + ", AZURE_TENANT_ID: " + other + "}", "web", tenanted(t), "is none of the tenants"},
	} {
		opts := overlay.Options{Image: "wiemu-server:1", Files: row.files, Inspect: images}
		if row.given != "" {
			opts.Identities = map[string]string{"my_web": row.given}
		}
		o, err := generate(t, compose(t, fmt.Sprintf(service, row.service)), opts)
		got := fmt.Sprint(err)
		if err == nil {
			w := o.Services[0].Workload.Workload
			got = w.Namespace + "/" + w.ServiceAccount + " " + w.ClientID
		}
		if !strings.Contains(got, row.want) {
			t.Errorf("%s: %s, want %s", row.name, got, row.want)
		}
	}
}

// environments are the files of an application with two environments.
func environments(t *testing.T) session.Files {
	t.Helper()
	file := filepath.Join(t.TempDir(), "radixconfig.yaml")
	if err := os.WriteFile(file, []byte(`apiVersion: radix.equinor.com/v1
kind: RadixApplication
metadata: {name: my-app}
spec:
  environments: [{name: dev}, {name: prod}]
  components: [{name: web, identity: {azure: {clientId: `+client+`}}}]
`), 0o600); err != nil {
		t.Fatal(err)
	}
	files, err := session.ReadFiles(".", []string{file})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// A service whose client id is empty is told of beside those that have an identity.
func TestAnEmptyClientIDBesideOthers(t *testing.T) {
	o, err := generate(t, compose(t, "services: {web: {image: i, environment: {AZURE_CLIENT_ID: "+client+"}}, api: {image: i, environment: {AZURE_CLIENT_ID: '${NO_SUCH_ID:-}'}}}"), overlay.Options{Image: "w"})
	if err != nil || len(o.Services) != 1 {
		t.Fatal(o.Services, err)
	}
	if told := strings.Join(o.Remarks, "\n"); !strings.Contains(told, "services.api.environment.AZURE_CLIENT_ID: it is there, and empty") {
		t.Errorf("remarks %q", told)
	}
}

func tenanted(t *testing.T) session.Files {
	t.Helper()
	files := configured(t)
	files.Config.Tenants = []config.Tenant{{ID: config.DefaultTenant}}
	return files
}

func TestATenantOfTheFilesBecomesTheLabs(t *testing.T) {
	o, err := generate(t, compose(t, "services: {web: {image: i, environment: {AZURE_CLIENT_ID: "+client+", AZURE_TENANT_ID: "+other+"}}}"), overlay.Options{Image: "w"})
	if err != nil {
		t.Fatal(err)
	}
	if text := string(o.YAML); !strings.Contains(text, "AZURE_TENANT_ID: "+other) || !strings.Contains(text, "- id: "+other) {
		t.Error(text)
	}
}

func TestWhatAnOverlayCannotDo(t *testing.T) {
	env := "environment: {AZURE_CLIENT_ID: " + client + "}"
	for _, row := range []struct{ name, text, want string }{
		{"the service's name", "services: {wiemu: {image: i, " + env + "}}", "give it another with --service NAME"},
		{"a volume's name", "services: {web: {image: i, " + env + "}}\nvolumes: {wiemu-state: {}}", "volumes.wiemu-state"},
		{"the machine's network", "services: {web: {image: i, network_mode: host, " + env + "}}", "services.web.network_mode: host"},
		{"no network", "services: {web: {image: i, network_mode: none, " + env + "}}", "services.web.network_mode: none"},
		{"nothing to run", "services: {web: {image: nothing, labels: {dev.wiemu.clock: lockstep}, " + env + "}}", "found neither an entrypoint nor a command"},
		{"an image that is not built", "services: {web: {build: ., labels: {dev.wiemu.clock: lockstep}, " + env + "}}", "build web"},
	} {
		_, err := generate(t, compose(t, row.text), overlay.Options{Image: "w", Inspect: images})
		if err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v, want %s", row.name, err, row.want)
		}
	}
	_, err := generate(t, compose(t, "services: {web: {image: i}}"), overlay.Options{Image: "w", Identities: map[string]string{"wbe": "a/b/" + client}})
	if err == nil || !strings.Contains(err.Error(), "the compose file has no service wbe; expected one of web") {
		t.Errorf("%v", err)
	}
}

func TestLockstepOfRoot(t *testing.T) {
	for _, row := range []struct{ service, want string }{
		{"image: root", "cap_add"},
		{"image: root, user: root", "cap_add"},
		{"image: root, user: '0:0'", "cap_add"},
		{"image: root, user: '1000'", ""},
	} {
		o, err := generate(t, compose(t, "services: {db: {"+row.service+", labels: {dev.wiemu.clock: lockstep}, environment: {AZURE_CLIENT_ID: "+client+"}}}"), overlay.Options{Image: "w", Inspect: images})
		if err != nil {
			t.Fatal(err)
		}
		if has := strings.Contains(string(o.YAML), "SYS_PTRACE"); has != (row.want != "") {
			t.Errorf("%s: SYS_PTRACE is there: %v", row.service, has)
		}
	}
}

func TestWhereAComposeFileIsWrong(t *testing.T) {
	for _, row := range []struct{ name, text, want string }{
		{"an unknown field", "services:\n  web:\n    image: i\n    imagee: x\n", "docker-compose.yml:2: "},
		{"a wrong port", "services:\n  web:\n    image: i\n    ports:\n      - '80:abc'\n", "docker-compose.yml:5: services.web.ports[0]: "},
		{"no YAML", "services:\n  web:\n   image: i\n  - x\n", "docker-compose.yml:4: "},
		{"a variable", "services:\n  web:\n    image: ${WIEMU_TEST_NOPE?must be set}\n", "docker-compose.yml:3: "},
		{"a network", "services:\n  web:\n    image: i\n    networks: [nowhere]\n", "docker-compose.yml:2: "},
		{"nothing", "", "docker-compose.yml: "},
		{"aliases of aliases", bomb(6), "docker-compose.yml: expected at most 100000 values"},
	} {
		_, err := overlay.Load(t.Context(), compose(t, row.text))
		if err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v, want %s", row.name, err, row.want)
		}
	}
	if _, err := overlay.Load(t.Context(), overlay.Source{Files: []string{"testdata/none.yml"}}); err == nil || !strings.Contains(err.Error(), "testdata/none.yml") {
		t.Errorf("a file that is not there: %v", err)
	}
	if _, err := overlay.Load(t.Context(), overlay.Source{Dir: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "name it with -f") {
		t.Errorf("no file: %v", err)
	}
}

// bomb is a file of a line for each level, with ten times the values of the one before.
func bomb(levels int) string {
	text := "services: {web: {image: i}}\nx-0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
	for n := range levels {
		text += fmt.Sprintf("x-%d: &a%[1]d [%s]\n", n+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", n), 10), ", "))
	}
	return text
}

func FuzzIdentity(f *testing.F) {
	for _, seed := range []string{"web", "web@dev", "shop/web-sa", "shop/web-sa/" + client, client, "none", "a/b/c/d", "/", ""} {
		f.Add(seed)
	}
	dir := f.TempDir()
	file := filepath.Join(dir, "docker-compose.yml")
	if err := os.WriteFile(file, []byte("services: {web: {image: i}}"), 0o600); err != nil {
		f.Fatal(err)
	}
	project, err := overlay.Load(f.Context(), overlay.Source{Files: []string{file}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, identity string) {
		o, err := overlay.Generate(t.Context(), project, overlay.Options{Image: "w", Identities: map[string]string{"web": identity}})
		if err == nil && (len(o.Services) != 1 || kubename.CheckAccount(o.Services[0].Workload.Namespace, o.Services[0].Workload.ServiceAccount) != nil) {
			t.Errorf("%q gives %+v", identity, o.Services)
		}
	})
}

// TestAComposeFileThatIsTooLargeIsNotRead: one of 50 MB kept the loader busy for half a
// minute before it was refused.
func TestAComposeFileThatIsTooLargeIsNotRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "compose.yaml")
	if err := errors.Join(os.WriteFile(file, nil, 0o600), os.Truncate(file, 1<<30)); err != nil {
		t.Fatal(err)
	}
	if _, err := overlay.Load(t.Context(), overlay.Source{Files: []string{file}}); err == nil || !strings.Contains(err.Error(), file+": expected at most 1 MiB, found 1073741824 bytes") {
		t.Errorf("%v", err)
	}
}

// A file that another names is as large as it is.
func TestAComposeFileThatAnotherNamesIsNotReadWhenItIsTooLarge(t *testing.T) {
	for name, text := range map[string]string{
		"include":               "include: [large.yaml]\n",
		"include by path":       "include: [{path: ./large.yaml}]\n",
		"include of several":    "include: [{path: [small.yaml, large.yaml]}]\n",
		"extends":               "services: {web: {extends: {file: large.yaml, service: web}}}\n",
		"an included one's own": "include: [between.yaml]\n",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "compose.yaml")
			if err := errors.Join(os.WriteFile(file, []byte(text), 0o600), os.WriteFile(filepath.Join(dir, "small.yaml"), []byte("include: [compose.yaml]\n"), 0o600),
				os.WriteFile(filepath.Join(dir, "between.yaml"), []byte("include: [large.yaml]\n"), 0o600),
				os.WriteFile(filepath.Join(dir, "large.yaml"), nil, 0o600), os.Truncate(filepath.Join(dir, "large.yaml"), 1<<30)); err != nil {
				t.Fatal(err)
			}
			if _, err := overlay.Load(t.Context(), overlay.Source{Files: []string{file}}); err == nil || !strings.Contains(err.Error(), "large.yaml: expected at most 1 MiB") {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestAComposeFileThatWasFoundBelongsToTheCaller(t *testing.T) {
	if runtime.GOOS == "windows" || os.Geteuid() != 0 {
		t.Skip("files of another owner are made by root")
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "compose.yaml")
	if err := errors.Join(os.WriteFile(file, []byte("services: {web: {image: i}}\n"), 0o600), os.Chown(file, 54321, 54321)); err != nil {
		t.Fatal(err)
	}
	if _, err := overlay.Load(t.Context(), overlay.Source{Dir: dir}); err == nil || !strings.Contains(err.Error(), "found that it belongs to user 54321") {
		t.Errorf("found: %v", err)
	}
	if _, err := overlay.Load(t.Context(), overlay.Source{Files: []string{file}}); err != nil {
		t.Errorf("named: %v", err)
	}
}

// What Radix mounts of a key vault is in a volume that the emulator fills, and an entrypoint
// of ours sets the variables; if that is not possible, somebody says so.
func TestKeyVaultsAreMounted(t *testing.T) {
	file := filepath.Join(t.TempDir(), "radixconfig.yaml")
	if err := os.WriteFile(file, []byte(`apiVersion: radix.equinor.com/v1
kind: RadixApplication
metadata: {name: my-app}
spec:
  environments: [{name: dev}]
  components:
    - name: web
      identity: {azure: {clientId: `+client+`}}
      secretRefs: {azureKeyVaults: [{name: shop-vault, useAzureIdentity: true, items: [{name: password, envVar: DB_PASSWORD}, {name: tls, type: cert}]}]}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	files, err := session.ReadFiles(".", []string{file})
	if err != nil {
		t.Fatal(err)
	}
	const mounted = "/var/run/secrets/wiemu/lockstep/wiemu-server mounted /var/run/secrets/wiemu/mounted/variables.json -- "
	for _, row := range []struct{ name, service, starts, remark string }{
		{"by its image", "image: registry.example/base:2", mounted + "/entrypoint --price=5$ serve", ""},
		{"by itself", "image: i, entrypoint: [/mine], command: [a]", mounted + "/mine a", ""},
		{"on the lab clock", "image: i, entrypoint: [/mine], labels: {dev.wiemu.clock: lockstep}", mounted + "/var/run/secrets/wiemu/lockstep/wiemu-server timeshift -- /mine", ""},
		{"by nobody knows what", "image: i", "", "services.web: secretRefs.azureKeyVaults of workload web: there will be no DB_PASSWORD, as it takes another entrypoint to set them, and the image and what it starts are not known here; type: docker pull i"},
	} {
		t.Run(row.name, func(t *testing.T) {
			source := compose(t, "services: {web: {"+row.service+", environment: {AZURE_CLIENT_ID: "+client+"}}}")
			o, err := generate(t, source, overlay.Options{Image: "w", Files: files, Inspect: images})
			if err != nil {
				t.Fatal(err)
			}
			if told := strings.Join(o.Remarks, "\n"); row.remark == "" && told != "" || !strings.Contains(told, row.remark) {
				t.Errorf("remarks %q", told)
			}
			written := filepath.Join(t.TempDir(), "overlay.yml")
			if err := os.WriteFile(written, o.YAML, 0o600); err != nil {
				t.Fatal(err)
			}
			source.Files = append(source.Files, written)
			both, err := overlay.Load(t.Context(), source)
			if err != nil {
				t.Fatalf("%v\n%s", err, o.YAML)
			}
			web, wiemu := both.Services["web"], both.Services["wiemu"]
			if got := strings.Join(append(web.Entrypoint, web.Command...), " "); got != row.starts {
				t.Errorf("it starts %q, want %q", got, row.starts)
			}
			files := map[string]string{} // by volume
			for _, v := range web.Volumes {
				files[v.Source] = v.Target
			}
			for _, v := range wiemu.Volumes {
				if at := files[v.Source]; v.Target == "/lab/mounts/my-app-dev_web-sa/shop-vault" && at != "/mnt/azure-key-vault/shop-vault" {
					t.Errorf("the vault is mounted at %q", at)
				}
				if at := files[v.Source]; v.Target == "/lab/mounted/my-app-dev_web-sa" && at != "/var/run/secrets/wiemu/mounted" {
					t.Errorf("the variables are mounted at %q", at)
				}
				delete(files, v.Source)
			}
			if len(files) > 0 {
				t.Errorf("nobody fills %v", files)
			}
			if got := both.Configs["wiemu-vaults"].Content; !strings.Contains(got, `[[{"name":"shop-vault",`) || !strings.Contains(strings.Join(wiemu.Command, " "), "-vaults /etc/wiemu/vaults.json") {
				t.Errorf("the emulator mounts %q, and is started with %q", got, wiemu.Command)
			}
		})
	}
}

// The volumes of pods and vaults are told apart although their names together are the same.
func TestVolumesOfVaultsHaveNamesOfTheirOwn(t *testing.T) {
	file := filepath.Join(t.TempDir(), "radixconfig.yaml")
	if err := os.WriteFile(file, []byte(`apiVersion: radix.equinor.com/v1
kind: RadixApplication
metadata: {name: my-app}
spec:
  environments: [{name: dev}]
  components:
    - name: web
      identity: {azure: {clientId: `+client+`}}
      secretRefs: {azureKeyVaults: [{name: sa-orders, useAzureIdentity: true, items: [{name: a}]}]}
    - name: web-sa
      identity: {azure: {clientId: `+other+`}}
      secretRefs: {azureKeyVaults: [{name: orders, useAzureIdentity: true, items: [{name: b}]}]}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	files, err := session.ReadFiles(".", []string{file})
	if err != nil {
		t.Fatal(err)
	}
	source := compose(t, "services: {one: {image: i, environment: {AZURE_CLIENT_ID: "+client+"}}, two: {image: i, environment: {AZURE_CLIENT_ID: "+other+"}}}")
	o, err := generate(t, source, overlay.Options{Image: "w", Files: files, Inspect: images})
	if err != nil {
		t.Fatal(err)
	}
	written := filepath.Join(t.TempDir(), "overlay.yml")
	if err := os.WriteFile(written, o.YAML, 0o600); err != nil {
		t.Fatal(err)
	}
	source.Files = append(source.Files, written)
	both, err := overlay.Load(t.Context(), source)
	if err != nil {
		t.Fatal(err)
	}
	at := map[string]string{} // in the emulator, by volume
	for _, v := range both.Services["wiemu"].Volumes {
		if before, ok := at[v.Source]; ok {
			t.Errorf("%s is at %s and at %s", v.Source, before, v.Target)
		}
		at[v.Source] = v.Target
	}
	mounts := 0
	for name := range both.Services {
		for _, v := range both.Services[name].Volumes {
			if strings.HasPrefix(v.Target, "/mnt/azure-key-vault/") {
				mounts++
				if filepath.Base(at[v.Source]) != filepath.Base(v.Target) {
					t.Errorf("%s of %s is what the emulator has at %q", v.Target, name, at[v.Source])
				}
			}
		}
	}
	if mounts != 2 {
		t.Errorf("%d vaults are mounted; want 2\n%s", mounts, o.YAML)
	}
}

// A database by its public name is an alias in every cloud, and one that nobody declares is
// missed where a service names it.
func TestNamesOfDatabases(t *testing.T) {
	for cloud, hosts := range map[string][]string{
		"AzureCloud": {
			"orders.database.windows.net", "orders.worker.database.windows.net", "orders.postgres.database.azure.com",
			"orders.redis.cache.windows.net", "orders.northeurope.redis.azure.net",
		},
		"AzureUSGovernment": {
			"orders.database.usgovcloudapi.net", "orders.worker.database.usgovcloudapi.net", "orders.postgres.database.usgovcloudapi.net",
			"orders.redis.cache.usgovcloudapi.net", "orders.northeurope.redis.usgovcloudapi.net",
		},
		"AzureChinaCloud": {
			"orders.database.chinacloudapi.cn", "orders.worker.database.chinacloudapi.cn", "orders.postgres.database.chinacloudapi.cn",
			"orders.redis.cache.chinacloudapi.cn", "orders.northeurope.redis.chinacloudapi.cn",
		},
	} {
		o, err := generate(t, compose(t, `
services:
  web:
    image: i
    environment:
      AZURE_CLIENT_ID: `+client+`
      PGHOST: ordres.postgres.database.azure.com
      DATABASE: Server=tcp:ordres.database.windows.net,1433;Encrypt=true
      CACHES: orders.redis.cache.windows.net:6380,ordres.redis.cache.windows.net:6380
      SCOPE: https://ossrdbms-aad.database.windows.net/.default
      OTHER: https://api.example.com/v1.2.3
`), overlay.Options{Image: "w", Files: databases(t, "cloud: "+cloud+"\n", "postgres://u:p@db.example.com/postgres")})
		if err != nil {
			t.Fatal(err)
		}
		for _, host := range hosts {
			if !strings.Contains(string(o.YAML), "          - "+host+"\n") {
				t.Errorf("%s: expected the alias %s in\n%s", cloud, host, o.YAML)
			}
		}
		remarks := strings.Join(o.Remarks, "\n")
		for _, want := range []string{
			"services.web.environment.PGHOST: there is no ordres.postgres.database.azure.com in the lab, and no network alias; add it under postgresServers in wiemu.yaml",
			"services.web.environment.DATABASE: there is no ordres.database.windows.net in the lab, and no network alias; add it under sqlServers in wiemu.yaml",
			"services.web.environment.CACHES: there is no ordres.redis.cache.windows.net in the lab, and no network alias; add it under redis in wiemu.yaml",
		} {
			if !strings.Contains(remarks, want) {
				t.Errorf("%s: nobody says %q: %s", cloud, want, remarks)
			}
		}
		if strings.Contains(remarks, "environment.SCOPE") || strings.Contains(remarks, "environment.OTHER") {
			t.Errorf("%s: what is no host of a server is missed: %s", cloud, remarks)
		}
	}
}

// A PostgreSQL that is a service of the project is reached by the emulator, which starts after it.
func TestAServiceBehindAResource(t *testing.T) {
	const web = "services: {web: {image: i, networks: [front], environment: {AZURE_CLIENT_ID: " + client + "}}, "
	const networks = "networks: {front: {}, back: {}}\n"
	for _, row := range []struct {
		name, db string // the service db
		url      string
		want     string // part of the overlay
		without  string
		remark   string
	}{
		{"it is healthy first", "image: postgres, networks: [back], healthcheck: {test: [CMD, pg_isready]}", "postgres://u:p@db/postgres", "depends_on:\n      db:\n        condition: service_healthy\n    networks:\n      back: {}\n", "", ""},
		{"it says nothing of its health", "image: postgres, networks: [back]", "postgres://u:p@db/postgres", "depends_on:\n      db:\n        condition: service_started\n", "", ""},
		{"in the network of the services", "image: postgres, networks: [front]", "postgres://u:p@db/postgres", "- login.microsoftonline.com", "front: {}", ""},
		{"it has an identity itself", "image: postgres, networks: [back], environment: {AZURE_CLIENT_ID: " + other + "}", "postgres://u:p@db/postgres", "- login.microsoftonline.com", "db:\n        condition", ""},
		{"it starts after one that has", "image: postgres, networks: [back], depends_on: [web]", "postgres://u:p@db/postgres", "back: {}", "db:\n        condition", ""},
		{"another host", "image: postgres, networks: [back]", "postgres://u:p@db.example.com/postgres", "", "back: {}", ""},
		{"a profile that is not active", "image: postgres, networks: [back], profiles: [full]", "postgres://u:p@db/postgres", "back: {}", "db:\n        condition", "the service db does not run: its profiles (full) are not active"},
		{"the machine's network", "image: postgres, network_mode: host", "postgres://u:p@db/postgres", "", "db:\n        condition", "the emulator does not reach the service db: its network_mode is host"},
	} {
		o, err := generate(t, compose(t, web+"db: {"+row.db+"}}\n"+networks), overlay.Options{Image: "w", Files: databases(t, "", row.url)})
		if err != nil {
			t.Errorf("%s: %v", row.name, err)
			continue
		}
		if text := string(o.YAML); !strings.Contains(text, row.want) || row.without != "" && strings.Contains(text, row.without) {
			t.Errorf("%s: expected %q, and not %q:\n%s", row.name, row.want, row.without, text)
		}
		if remarks := strings.Join(o.Remarks, "\n"); !strings.Contains(remarks, row.remark) {
			t.Errorf("%s: nobody says %q: %s", row.name, row.remark, remarks)
		}
	}
}

func TestWhatNoContainerReaches(t *testing.T) {
	for url, want := range map[string]string{
		"":                                "wiemu.yaml: postgresServers[0].url: expected the address of a PostgreSQL that runs, as the emulator's container has none to start, found nothing; run one, such as a container of its own, and write the name of a container",
		"postgres://u:p@127.0.0.1/db":     "wiemu.yaml: postgresServers[0].url: expected an address that the emulator's container reaches, found postgres://u:xxxxx@127.0.0.1/db, which is the emulator's container itself; write the name of a container",
		"postgres://u:p@localhost/db":     "which is the emulator's container itself",
		"postgres://u:p@[::1]:5432/db":    "which is the emulator's container itself",
		"postgres://u:p@/db?host=/run/pg": "a socket of this machine; write the name of a container",
	} {
		if _, err := generate(t, compose(t, "services: {web: {image: i, environment: {AZURE_CLIENT_ID: "+client+"}}}"), overlay.Options{Image: "w", Files: databases(t, "", url)}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: expected %q, found %v", url, want, err)
		}
	}
	if _, err := generate(t, compose(t, "services: {web: {image: i, environment: {AZURE_CLIENT_ID: "+client+"}}}"), overlay.Options{Image: "w", Programs: true, Files: databases(t, "", "")}); err != nil {
		t.Errorf("an image of the user's own may have a PostgreSQL: %v", err)
	}
}

// databases are the files of a lab with a server of each protocol, called orders. url is that of
// its PostgreSQL; if empty, it has none.
func databases(t *testing.T, more, url string) session.Files {
	t.Helper()
	file := filepath.Join(t.TempDir(), "wiemu.yaml")
	if url != "" {
		url = "url: " + url
	}
	if err := os.WriteFile(file, []byte(more+`
sqlServers: [{name: orders}]
postgresServers:
  - name: orders
    `+url+`
redis: [{name: orders}, {name: orders, region: northeurope}]
`), 0o600); err != nil {
		t.Fatal(err)
	}
	files, err := session.ReadFiles(".", []string{file})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
