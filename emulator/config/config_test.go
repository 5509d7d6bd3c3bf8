package config_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/invopop/jsonschema"

	"github.com/wiemu/wiemu/emulator/config"
)

var update = flag.Bool("update", false, "write the generated schema")

const full = `apiVersion: wiemu.dev/v1
kind: Configuration
tenants:
- {id: 3AA4A235-b6e2-48d5-9195-7fcf05b459b0, name: Contoso, domains: [contoso.com]}
issuers:
- name: blue
- {name: github, url: "https://token.actions.githubusercontent.com", external: true}
applications:
- name: api
  clientId: 12345678-1111-2222-3333-444455556666
  tokenLifetime: 10m
  secrets: [{value: s3cret, expires: 2026-02-01T00:00:00Z}]
  federatedCredentials:
  - {name: api-blue, issuer: blue, subject: "system:serviceaccount:a:b"}
  - {name: api-github, issuer: "https://token.actions.githubusercontent.com", subject: "repo:o/r:ref:refs/heads/main"}
identities:
- {name: web, clientId: b96d264b-7053-4465-a4a7-32be5b0fec49, federatedCredentials: []}
vaults:
- {name: vault-1, secrets: {a: b}, access: [{identity: web, permissions: [get]}]}
workloads:
- {namespace: a, serviceAccount: b, clientId: 12345678-1111-2222-3333-444455556666}
`

func TestACompleteFileIsUnderstood(t *testing.T) {
	c, err := config.Parse("wiemu.yaml", []byte(full))
	if err != nil {
		t.Fatal(err)
	}
	before := fmt.Sprintf("%+v", c)
	done, err := c.Complete("wiemu.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if after := fmt.Sprintf("%+v", c); after != before {
		t.Errorf("Complete changed what it was called on:\n%s", cmp.Diff(before, after))
	}
	if got := done.Tenants[0].ID; got != "3aa4a235-b6e2-48d5-9195-7fcf05b459b0" {
		t.Errorf("tenant id %q, want lower case", got)
	}
	blue := done.Issuers[0].URL
	if !strings.HasPrefix(blue, "https://blue.oic.wiemu.test/3aa4a235-b6e2-48d5-9195-7fcf05b459b0/") || !strings.HasSuffix(blue, "/") {
		t.Errorf("issuer %q, want the shape of an AKS issuer with its trailing slash", blue)
	}
	credentials := *done.Applications[0].FederatedCredentials
	if credentials[0].Issuer != blue || credentials[0].Audience != config.DefaultAudience {
		t.Errorf("the credential names %q for %q, want blue's URL and the default audience", credentials[0].Issuer, credentials[0].Audience)
	}
	if w := done.Workloads[0]; w.Issuer != "blue" || w.Name != "b" {
		t.Errorf("workload %+v, want the hosted issuer and the service account's name", w)
	}
	if d, err := done.Directory("."); err != nil {
		t.Error(err)
	} else if p, ok := d.Principal(done.Tenants[0].ID, "12345678-1111-2222-3333-444455556666"); !ok || len(p.FederatedCredentials) != 2 || len(p.Secrets) != 1 {
		t.Errorf("the directory has %+v", p)
	}
}

func TestAnEmptyFileIsALabOfTheDefaults(t *testing.T) {
	c, err := config.Parse("wiemu.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	done, err := c.Complete("wiemu.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if done.Tenants[0].ID != config.DefaultTenant || done.Issuers[0].Name != "local" || done.Vaults[0].Secrets["mysecret"] == "" {
		t.Errorf("defaults %+v", done)
	}
}

func TestBadFilesAreToldWithLineFieldAndFix(t *testing.T) {
	for name, c := range map[string]struct{ file, want string }{
		"a misspelt field":        {"vaults:\n- {nme: v1}\n", "wiemu.yaml:2"},
		"no GUID":                 {"tenants:\n- id: contoso\n", "wiemu.yaml:2: tenants[0].id: expected a GUID"},
		"an unknown issuer":       {"issuers: [{name: blue}]\nidentities:\n- name: web\n  clientId: b96d264b-7053-4465-a4a7-32be5b0fec49\n  federatedCredentials: [{name: fc1, issuer: bleu, subject: s}]\n", "did you mean blue?"},
		"an unknown tenant":       {"identities:\n- {name: web, clientId: b96d264b-7053-4465-a4a7-32be5b0fec49, tenant: fabrikam.com}\n", "expected a tenant of this file"},
		"an http issuer":          {"issuers: [{name: a, url: 'http://a'}]\n", "expected an https URL"},
		"a hosted issuer's port":  {"issuers: [{name: a, url: 'https://a:8443/'}]\n", "expected a URL of a host and a plain path"},
		"issuers of one place":    {"issuers: [{name: a, url: 'https://a.example/X'}, {name: b, url: 'https://a.example/x/'}]\n", "issuers[0] has too"},
		"a brace in a path":       {"issuers: [{name: a, url: 'https://a.example/{/'}]\n", "a plain path"},
		"Entra ID's own name":     {"issuers: [{name: entra}]\n", "not entra"},
		"a restless issuer":       {"issuers: [{name: a, rotateKeysEvery: 1ms}]\n", "expected at least 1m"},
		"a path as a namespace":   {"workloads: [{namespace: ../x, serviceAccount: b, clientId: b96d264b-7053-4465-a4a7-32be5b0fec49}]\n", "lower-case letters"},
		"a short-lived token":     {"workloads: [{namespace: a, serviceAccount: b, tokenLifetime: 1m, clientId: b96d264b-7053-4465-a4a7-32be5b0fec49}]\n", "at least 10m"},
		"nobody's access":         {"vaults: [{name: vault-1, access: [{identity: nobody, permissions: [get]}]}]\n", "nobody, which 0 have"},
		"access to nothing":       {"vaults: [{name: vault-1, access: [{identity: '*', permissions: []}]}]\n", "at least one of get"},
		"two issuers of a name":   {"issuers: [{name: a}, {name: a}]\n", "issuers[0] has too"},
		"an external with no url": {"issuers: [{name: a, external: true}]\n", "iss claim"},
		"a vault with a space":    {"vaults: [{name: 'my vault'}]\n", "first label of NAME.vault.azure.net"},
		"another kind":            {"kind: Deployment\n", "expected Configuration, found Deployment"},
		"another version":         {"apiVersion: v2\n", "expected wiemu.dev/v1, found v2"},
		"a bad duration":          {"issuers: [{name: a, maxTokenLifetime: a day}]\n", "maxTokenLifetime"},
		"a workload alone":        {"workloads: [{namespace: a, clientId: b96d264b-7053-4465-a4a7-32be5b0fec49}]\n", "serviceAccount"},
		"a workload of GitHub's":  {"issuers: [{name: g, url: 'https://g', external: true}]\nworkloads: [{namespace: a, serviceAccount: b, issuer: g, clientId: b96d264b-7053-4465-a4a7-32be5b0fec49}]\n", "an issuer that wiemu hosts"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := config.Parse("wiemu.yaml", []byte(c.file))
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "wiemu.yaml:") {
				t.Errorf("error %v, want the file's line and %q", err, c.want)
			}
		})
	}
}

func TestSchemaIsThatOfTheTypes(t *testing.T) {
	r := &jsonschema.Reflector{ExpandedStruct: true, FieldNameTag: "yaml", RequiredFromJSONSchemaTags: false}
	if err := r.AddGoComments("github.com/wiemu/wiemu/emulator/config", "./"); err != nil {
		t.Fatal(err)
	}
	schema := r.Reflect(&config.Config{})
	schema.ID = "https://wiemu.dev/schema/wiemu.schema.json"
	schema.Title = "wiemu.yaml"
	got, err := json.MarshalIndent(schema, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	file := filepath.Join("..", "..", "docs", "schema", "wiemu.schema.json")
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, got) {
		t.Errorf("%s is not what the types say; go test ./emulator/config -update writes it:\n%s", file, cmp.Diff(string(want), string(got)))
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(full))
	f.Add([]byte("vaults: [{name: &a v, secrets: {<<: *a}}]"))
	f.Add([]byte("identities:\n- clientId: 0\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := config.Parse("wiemu.yaml", data)
		if err != nil {
			return
		}
		done, err := c.Complete("wiemu.yaml")
		if err != nil {
			t.Fatalf("Parse accepted what Complete refuses: %v", err)
		}
		_, _ = done.Directory(".")
	})
}

func ExampleParse() {
	_, err := config.Parse("wiemu.yaml", []byte("vaults:\n- name: v1\n  sekrets: {a: b}\n"))
	fmt.Println(err)
	// Output:
	// wiemu.yaml:3: vaults[0].sekrets: expected one of access, name, secrets, tenant, found an unknown field; did you mean secrets?
}
