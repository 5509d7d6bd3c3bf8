package config_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/invopop/jsonschema"
	validator "github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/internal/cloud"
	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/resource/table"
	"github.com/wiemu/wiemu/internal/tenants"
	"github.com/wiemu/wiemu/internal/yamlfile/schematest"
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
	if credentials[0].Issuer != blue || credentials[0].Audience != cloud.Public().TokenExchange {
		t.Errorf("the credential names %q for %q, want blue's URL and the default audience", credentials[0].Issuer, credentials[0].Audience)
	}
	if w := done.Workloads[0]; w.Issuer != "blue" || w.Name != "b" {
		t.Errorf("workload %+v, want the hosted issuer and the service account's name", w)
	}
	if a := done.Vaults[0].Access[0]; a.Identity != "b96d264b-7053-4465-a4a7-32be5b0fec49" {
		t.Errorf("access %+v, want the client id of web", a)
	}
	if d, err := directoryOf(done); err != nil {
		t.Error(err)
	} else if p, ok := d.Principal(done.Tenants[0].ID, "12345678-1111-2222-3333-444455556666"); !ok || len(p.FederatedCredentials) != 2 || len(p.Secrets) != 1 {
		t.Errorf("the directory has %+v", p)
	}
}

func TestTheAudienceIsThatOfTheCloud(t *testing.T) {
	for cloud, want := range map[string]string{
		"":                  "api://AzureADTokenExchange",
		"AzureUSGovernment": "api://AzureADTokenExchangeUSGov",
		"AzureChinaCloud":   "api://AzureADTokenExchangeChina",
	} {
		c, err := config.Parse("wiemu.yaml", []byte("cloud: "+cloud+`
applications: [{name: web, clientId: 12345678-1111-2222-3333-444455556666, federatedCredentials: [{name: web, subject: 'system:serviceaccount:shop:web-sa'}]}]
workloads: [{clientId: 12345678-1111-2222-3333-444455556666, namespace: shop, serviceAccount: web-sa}]
`))
		if err == nil {
			c, err = c.Complete("wiemu.yaml")
		}
		if err != nil {
			t.Fatalf("%s: %v", cloud, err)
		}
		if got := (*c.Applications[0].FederatedCredentials)[0].Audience; got != want || c.Workloads[0].Audience != want || c.TokenAudience() != want {
			t.Errorf("cloud %q: the credential expects %s, the workload's token is for %s; want %s", cloud, got, c.Workloads[0].Audience, want)
		}
	}
}

// directoryOf is the directory of a lab with a completed configuration.
func directoryOf(c config.Config) (*tenants.Directory, error) {
	all, err := c.Directory(".")
	if err != nil {
		return nil, err
	}
	return tenants.New(all...)
}

func TestThePodsOfAClusterHaveItsFirstIssuer(t *testing.T) {
	for file, want := range map[string]string{
		"":                                       "local",
		"issuers: [{name: blue}, {name: green}]": "blue",
		"issuers: [{name: aks, url: 'https://a.example/', external: true}]":                           "aks", // though wiemu hosts one, too
		"issuers: [{name: aks, url: 'https://a.example/', external: true}]\nwebhook: {issuer: local}": "local",
	} {
		c, err := config.Parse("wiemu.yaml", []byte(file))
		if err == nil {
			c, err = c.Complete("wiemu.yaml")
		}
		if err != nil || c.Webhook.Issuer != want || c.Webhook.Layout != "1.6" {
			t.Errorf("%s: %+v, %v; want issuer %s", file, c.Webhook, err, want)
		}
	}
}

func TestFaultsOfTheFileAreChecked(t *testing.T) {
	c, err := config.Parse("wiemu.yaml", []byte("faults:\n- name: server-error\n  parameters: {status: 503, retry-after: 3s}\n  for: {resource: keyvault}\n  when: {nth: 2, until: 10m}\n"))
	if err != nil {
		t.Fatal(err)
	}
	done, err := c.Complete("wiemu.yaml")
	if err != nil || done.Faults[0].String() != "server-error retry-after=3s status=503 --for resource=keyvault --nth 2 --until 10m0s" {
		t.Errorf("%v %v", done.Faults, err)
	}
	for text, want := range map[string]string{
		"faults: [{name: throtled}]":                                   "wiemu.yaml:1:17: faults[0].name: expected the name of a fault",
		"faults: [{name: throttled, parameters: {retryafter: 3s}}]":    "faults[0].parameters.retryafter: expected a parameter of throttled: retry-after, found retryafter; did you mean retry-after?",
		"faults: [{name: stale-jwks, for: {issuer: loca}}]":            "did you mean local?",
		"faults: [{name: throttled, for: {clint: c}}]":                 "did you mean client?",
		"faults: [{name: throttled, when: {after: soon}}]":             `expected a duration such as 90s, 10m or 25h, found "soon"`,
		"faults: [{name: throttled, parameters: {retry-after: [1s]}}]": "expected a value such as 3s or 503",
		"faults: [{name: throttled, parameters: retry-after}]":         "expected a mapping of parameters",
	} {
		c, err := config.Parse("wiemu.yaml", []byte(text))
		if err == nil {
			_, err = c.Complete("wiemu.yaml")
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
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
		"no GUID":                 {"tenants:\n- id: contoso\n", "wiemu.yaml:2:7: tenants[0].id: expected a GUID"},
		"an unknown issuer":       {"issuers: [{name: blue}]\nidentities:\n- name: web\n  clientId: b96d264b-7053-4465-a4a7-32be5b0fec49\n  federatedCredentials: [{name: fc1, issuer: bleu, subject: s}]\n", "did you mean blue?"},
		"an unknown tenant":       {"identities:\n- {name: web, clientId: b96d264b-7053-4465-a4a7-32be5b0fec49, tenant: fabrikam.com}\n", "expected a tenant of this file"},
		"an http issuer":          {"issuers: [{name: a, url: 'http://a'}]\n", "expected an https URL"},
		"a hosted issuer's port":  {"issuers: [{name: a, url: 'https://a:8443/'}]\n", "expected a URL of a host and a plain path"},
		"issuers of one place":    {"issuers: [{name: a, url: 'https://a.example/X'}, {name: b, url: 'https://a.example/x/'}]\n", "issuers[0] has too"},
		"a brace in a path":       {"issuers: [{name: a, url: 'https://a.example/{/'}]\n", "a plain path"},
		"Entra ID's own name":     {"issuers: [{name: entra}]\n", "a name that is none of entra, resources, workloads"},
		"a restless issuer":       {"issuers: [{name: a, rotateKeysEvery: 1ms}]\n", "expected at least 1m"},
		"a path as a namespace":   {"workloads: [{namespace: ../x, serviceAccount: b, clientId: b96d264b-7053-4465-a4a7-32be5b0fec49}]\n", "workloads[0].namespace: expected a lowercase RFC 1123 label"},
		"a short-lived token":     {"workloads: [{namespace: a, serviceAccount: b, tokenLifetime: 1m, clientId: b96d264b-7053-4465-a4a7-32be5b0fec49}]\n", "at least 10m"},
		"nobody's access":         {"vaults: [{name: vault-1, access: [{identity: nobody, permissions: [get]}]}]\n", "vaults[0].access[0].identity: expected *, or the name or client id of an identity of the tenant (there is none), found nobody"},
		"access to nothing":       {"vaults: [{name: vault-1, access: [{identity: '*', permissions: []}]}]\n", "roles such as [Key Vault Secrets User], or permissions such as [get], found neither"},
		"a user in a URL":         {"issuers: [{name: a, url: 'https://u:p@a.example/'}]\n", "may not include a user"},
		"a dot segment":           {"issuers: [{name: a, url: 'https://a.example/../x'}]\n", "a plain path"},
		"keys published too soon": {"issuers: [{name: a, rotateKeysEvery: 1h, publishKeysAhead: 2h}]\n", "issuers[0].publishKeysAhead: expected at most rotateKeysEvery (1h0m0s), found 2h0m0s"},
		"a short maximum":         {"issuers: [{name: a, maxTokenLifetime: 1m}]\n", "issuers[0].maxTokenLifetime: expected at least 1h"},
		"an algorithm of secrets": {"issuers: [{name: a, keyAlgorithm: HS256}]\n", "expected one of RS256, ES256, found HS256"},
		"another's algorithm":     {"issuers: [{name: a, url: 'https://a.example', external: true, keyAlgorithm: ES256}]\n", "issuers[0].keyAlgorithm: expected nothing, as the issuer is external"},
		"a copy from the future":  {"issuers: [{name: a, refetchAfter: -1m}]\n", "issuers[0].refetchAfter: expected a duration from 1s"},
		"one name twice": {"identities:\n- {name: web, clientId: b96d264b-7053-4465-a4a7-32be5b0fec49}\n- {name: web, clientId: 6f9f6a0e-5c0c-4d5e-9a39-2f4c8f5b7f11}\n",
			"wiemu.yaml:3:10: identities[1].name: expected one that no other application or identity of the tenant has, found web, which identities[0] has too"},
		"one client id twice": {"applications:\n- {name: api, clientId: b96d264b-7053-4465-a4a7-32be5b0fec49}\nidentities:\n- {name: web, clientId: B96D264B-7053-4465-a4a7-32be5b0fec49}\n",
			"wiemu.yaml:4:25: identities[0].clientId: expected one that no other"},
		"Key Vault's own URI": {"applications:\n- name: api\n  clientId: b96d264b-7053-4465-a4a7-32be5b0fec49\n  identifierUris:\n  - https://Vault.azure.net/\n",
			"wiemu.yaml:5:5: applications[0].identifierUris[0]: expected a URI of its own, such as api://api, found https://Vault.azure.net/, which is Azure Key Vault"},
		"two credentials of a name": {"identities:\n- name: web\n  clientId: b96d264b-7053-4465-a4a7-32be5b0fec49\n  federatedCredentials:\n  - {name: fc1, subject: a}\n  - {name: fc1, subject: b}\n",
			"wiemu.yaml:6:12: identities[0].federatedCredentials[1].name: expected a name of its own"},
		"a credential of nobody":    {"identities:\n- name: web\n  clientId: b96d264b-7053-4465-a4a7-32be5b0fec49\n  federatedCredentials: [{name: fc1, subject: ''}]\n", "wiemu.yaml:4:47: identities[0].federatedCredentials[0].subject: expected a value"},
		"a token of two days":       {"identities: [{name: web, tokenLifetime: 48h, clientId: b96d264b-7053-4465-a4a7-32be5b0fec49}]\n", "identities[0].tokenLifetime: expected whole seconds, at most 24h"},
		"one domain twice":          {"tenants:\n- {id: 3aa4a235-b6e2-48d5-9195-7fcf05b459b0, domains: [a.com]}\n- {id: 6f9f6a0e-5c0c-4d5e-9a39-2f4c8f5b7f11, domains: [a.com]}\n", "wiemu.yaml:3:55: tenants[1].domains: expected a name that no other tenant has"},
		"an unknown permission":     {"vaults: [{name: vault-1, access: [{identity: '*', permissions: [gte]}]}]\n", "vaults[0].access[0].permissions[0]: expected one of get, list, set, delete, recover, backup, restore, purge, *, found gte; did you mean get?"},
		"a misspelt role":           {"vaults: [{name: vault-1, access: [{identity: '*', roles: [Key Vault Secret User]}]}]\n", "vaults[0].access[0].roles[0]: expected the name or id of a built-in role, found Key Vault Secret User; did you mean Key Vault Secrets User?"},
		"two permission models":     {"vaults: [{name: vault-1, access: [{identity: '*', roles: [Key Vault Reader]}, {identity: '*', permissions: [get]}]}]\n", "vaults[0].access[0].roles: expected roles alone or permissions alone, as a vault is in one permission model, found roles here and permissions in access[1]"},
		"roles beside policies":     {"vaults: [{name: vault-1, access: [{identity: '*', roles: [Key Vault Reader]}], accessPolicies: [{identity: '*', keys: [get]}]}]\n", "found roles here and permissions in accessPolicies"},
		"a permission of keys":      {"vaults: [{name: vault-1, accessPolicies: [{identity: '*', secrets: [sign]}]}]\n", "vaults[0].accessPolicies[0].secrets[0]: expected one of get, list, set"},
		"an empty policy":           {"vaults: [{name: vault-1, accessPolicies: [{identity: '*'}]}]\n", "expected permissions on secrets, keys or certificates, such as [get], found none"},
		"a role on nothing":         {"roles: {assignments: [{identity: '*', roles: [Reader], scope: shop}]}\n", "roles.assignments[0].scope: expected a resource id, such as /subscriptions/ID/resourceGroups/NAME, found shop"},
		"an assignment of no role":  {"roles: {assignments: [{identity: '*', roles: []}]}\n", "roles.assignments[0].roles: expected the names of Azure roles, such as [Reader], found none"},
		"a role for nobody":         {"roles: {assignments: [{identity: nobody, roles: [Reader]}]}\n", "roles.assignments[0].identity: expected *, or the name or client id"},
		"a delay into the past":     {"roles: {delay: -5m}\n", "roles.delay: expected a duration of lab time, such as 5m, found -5m0s"},
		"almost a client id":        {"vaults: [{name: vault-1, access: [{identity: b96d264b7053-4465-a4a7-32be5b0fec49-, permissions: [get]}]}]\n", "or the name or client id of an identity"},
		"a name of another tenant":  {"tenants: [{id: 3aa4a235-b6e2-48d5-9195-7fcf05b459b0}, {id: 6f9f6a0e-5c0c-4d5e-9a39-2f4c8f5b7f11, domains: [b.com]}]\nidentities: [{name: web, tenant: b.com, clientId: b96d264b-7053-4465-a4a7-32be5b0fec49}]\nvaults:\n- {name: vault-1, access: [{identity: web, permissions: [get]}]}\n", "wiemu.yaml:4:39: vaults[0].access[0].identity"},
		"a vault of two letters":    {"vaults: [{name: kv}]\n", "expected 3 to 24 letters"},
		"a key of another type":     {"vaults: [{name: vault-1, keys: {a: {type: DSA}}}]\n", "vaults[0].keys.a: expected a key that Key Vault has, found The 'kty' property is 'DSA'"},
		"a short key":               {"vaults: [{name: vault-1, keys: {a: {size: 1024}}}]\n", "an RSA key has 2048, 3072 or 4096 bits"},
		"a key on P-256K":           {"vaults: [{name: vault-1, keys: {a: {type: EC, curve: P-256K}}}]\n", "wiemu does not emulate the curve P-256K"},
		"an EC key that encrypts":   {"vaults: [{name: vault-1, keys: {a: {type: EC, operations: [encrypt]}}}]\n", "a key of type EC has sign, verify"},
		"a key file with a size":    {"vaults: [{name: vault-1, keys: {a: {file: a.pem, size: 2048}}}]\n", "remove size and curve"},
		"a bad name of a key":       {"vaults: [{name: vault-1, keys: {a_b: {}}}]\n", "1 to 127 letters"},
		"a bad subject":             {"vaults: [{name: vault-1, certificates: {a: {subject: web}}}]\n", "vaults[0].certificates.a: expected a certificate that Key Vault makes, found The 'subject' is 'web'"},
		"a bad content type":        {"vaults: [{name: vault-1, certificates: {a: {contentType: pem}}}]\n", "expected application/x-pkcs12 or application/x-pem-file, found pem"},
		"a password for no file":    {"vaults: [{name: vault-1, certificates: {a: {password: x}}}]\n", "expected the file that it opens"},
		"a certificate file twice":  {"vaults: [{name: vault-1, certificates: {a: {file: a.pfx, subject: CN=a}}}]\n", "remove those: they are in the file"},
		"a certificate and a key":   {"vaults: [{name: vault-1, keys: {A: {}}, certificates: {a: {}}}]\n", "a certificate brings its own of both"},
		"a vault twice":             {"vaults: [{name: vault-1}, {name: Vault-1}]\n", "Vault-1, which vaults[0] has too"},
		"a secret with a slash":     {"vaults: [{name: vault-1, secrets: {a/b: c}}]\n", "vaults[0].secrets.a/b: expected a name of 1 to 127 letters"},
		"secrets alike":             {"vaults:\n- name: vault-1\n  secrets:\n    A: b\n    a: b\n", "wiemu.yaml:5:8: vaults[0].secrets.a: expected names that differ in more than case"},
		"an address without a port": {"listen: {gateway: localhost}\n", "wiemu.yaml:1:19: listen.gateway: expected host:port"},
		"two issuers of a name":     {"issuers: [{name: a}, {name: a}]\n", "issuers[0] has too"},
		"an external with no url":   {"issuers: [{name: a, external: true}]\n", "issuers[0].url: expected the URL of the external issuer"},
		"a vault with a space":      {"vaults: [{name: 'my vault'}]\n", "first label of NAME.vault.azure.net"},
		"another kind":              {"kind: Deployment\n", "expected Configuration, found Deployment"},
		"another version":           {"apiVersion: v2\n", "expected wiemu.dev/v1, found v2"},
		"a bad duration":            {"issuers: [{name: a, maxTokenLifetime: a day}]\n", "maxTokenLifetime"},
		"a workload alone":          {"workloads: [{namespace: a, clientId: b96d264b-7053-4465-a4a7-32be5b0fec49}]\n", "serviceAccount"},
		"pods of no issuer":         {"webhook: {issuer: bleu}\nissuers: [{name: blue}]\n", "webhook.issuer: expected the name of an issuer: blue, found bleu; did you mean blue?"},
		"a layout to come":          {"webhook: {layout: '1.7'}\n", "webhook.layout: expected 1.6 or 1.5, found 1.7"},
		"half a sidecar":            {"webhook: {sidecar: {image: proxy}}\n", "webhook.sidecar: expected image and initImage, found one of them"},
		"a workload of GitHub's":    {"issuers: [{name: g, url: 'https://g', external: true}]\nworkloads: [{namespace: a, serviceAccount: b, issuer: g, clientId: b96d264b-7053-4465-a4a7-32be5b0fec49}]\n", "an issuer that wiemu hosts"},
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
	r := &jsonschema.Reflector{ExpandedStruct: true, FieldNameTag: "yaml", RequiredFromJSONSchemaTags: false, Namer: schematest.TypeName, Mapper: func(of reflect.Type) *jsonschema.Schema {
		if of == reflect.TypeFor[fault.Settings]() {
			return schematest.FaultSettings()
		}
		return nil
	}}
	for _, dir := range []string{"./", "../fault", "../../internal/resource/storage", "../../internal/resource/sql", "../../internal/resource/postgres", "../../internal/resource/redis"} {
		if err := r.AddGoComments("github.com/wiemu/wiemu/emulator/config", dir); err != nil {
			t.Fatal(err)
		}
	}
	schema := r.Reflect(&config.Config{})
	schema.ID = "https://wiemu.dev/schema/wiemu.schema.json"
	schema.Title = "wiemu.yaml"
	for _, d := range table.Resources() {
		for _, s := range []resource.Section{d.Section, d.Options} {
			if s.Name == "" {
				continue
			}
			section := r.Reflect(s.New())
			maps.Copy(schema.Definitions, section.Definitions)
			// An id of its own would make "#/$defs" in it mean its own.
			section.ID, section.Version, section.Definitions, section.Description = "", "", nil, s.Description
			schema.Properties.Set(s.Name, section)
		}
	}
	for name, of := range schema.Definitions {
		for p := of.Properties.Oldest(); p != nil; p = p.Next() {
			if p.Value.Description == "" && p.Value.Ref == "" {
				t.Errorf("%s.%s: expected a description; is the folder of its type among those above?", name, p.Key)
			}
		}
	}
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
	if _, err := validator.NewCompiler().Compile(file); err != nil {
		t.Errorf("no editor could use it: %v", err)
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
		_, _ = directoryOf(done)
	})
}

func ExampleParse() {
	_, err := config.Parse("wiemu.yaml", []byte("vaults:\n- name: v1\n  sekrets: {a: b}\n"))
	fmt.Println(err)
	// Output:
	// wiemu.yaml:3:3: vaults[0].sekrets: expected one of access, accessPolicies, certificates, keys, name, secrets, tenant, found an unknown field; did you mean secrets?
}
