package webhook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wiemu/wiemu/internal/azwi"
	"github.com/wiemu/wiemu/internal/ca"
)

const testClient = "b96d264b-7053-4465-a4a7-32be5b0fec49"

// upstreams is what azure-workload-identity's webhook has by default.
func upstreams() Settings {
	return Settings{Identity: &IdentitySettings{Tenant: "the-tenant", AuthorityHost: "https://login.microsoftonline.com/", Audience: "api://AzureADTokenExchange"}}
}

func account(annotations ...string) ServiceAccount {
	a := ServiceAccount{Namespace: "shop", Name: "web-sa", Annotations: map[string]string{azwi.ClientIDAnnotation: testClient}}
	for i := 0; i+1 < len(annotations); i += 2 {
		a.Annotations[annotations[i]] = annotations[i+1]
	}
	return a
}

// mutated is the pod that Mutate makes, which is also what its patch makes.
func mutated(t *testing.T, pod string, a ServiceAccount, s Settings) (object, Mutation) {
	t.Helper()
	m, err := Mutate([]byte(pod), a, s)
	if err != nil {
		t.Fatal(err)
	}
	got, err := decode(m.Pod)
	if err != nil {
		t.Fatal(err)
	}
	patched, err := decode([]byte(pod))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any(got), apply(t, map[string]any(patched), m.Patch)); diff != "" {
		t.Errorf("the patch makes another pod (-mutated +patched):\n%s", diff)
	}
	again, err := Mutate(m.Pod, a, s)
	if err != nil {
		t.Fatalf("the mutated pod is refused: %v", err)
	}
	if len(again.Patch) > 0 {
		t.Errorf("a second time something changes: %v", again.Patch)
	}
	return got, m
}

// apply is a JSON patch's effect, as an API server has it.
func apply(t *testing.T, into any, patch []Operation) any {
	t.Helper()
	data, err := json.Marshal(patch) // as it is sent
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var sent []struct {
		Op, Path string
		Value    any
	}
	if err := d.Decode(&sent); err != nil {
		t.Fatal(err)
	}
	for _, o := range sent {
		steps := strings.Split(o.Path, "/")[1:]
		for i := range steps {
			steps[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(steps[i])
		}
		into = applyAt(t, into, steps, o.Op, o.Value)
	}
	return into
}

func applyAt(t *testing.T, into any, steps []string, op string, value any) any {
	t.Helper()
	if len(steps) == 0 {
		return value
	}
	switch in := into.(type) {
	case map[string]any:
		if old, ok := in[steps[0]]; !ok && (len(steps) > 1 || op != "add") {
			t.Fatalf("%s: nothing is at %v", op, steps)
		} else if len(steps) == 1 && op == "remove" {
			delete(in, steps[0])
		} else {
			in[steps[0]] = applyAt(t, old, steps[1:], op, value)
		}
		return in
	case []any:
		if steps[0] == "-" {
			return append(in, value)
		}
		i, err := strconv.Atoi(steps[0])
		if err != nil || i >= len(in) {
			t.Fatalf("%s: no element %v", op, steps)
		}
		in[i] = applyAt(t, in[i], steps[1:], op, value)
		return in
	default:
		t.Fatalf("%s: %v leads into %v", op, steps, into)
		return nil
	}
}

// at follows fields and positions into JSON.
func at(t *testing.T, value any, path ...any) any {
	t.Helper()
	for _, step := range path {
		switch step := step.(type) {
		case string:
			if o, is := value.(object); is {
				value = map[string]any(o)
			}
			m, ok := value.(map[string]any)
			if !ok {
				t.Fatalf("%v: no object at %v", path, step)
			}
			value = m[step]
		case int:
			l, ok := value.([]any)
			if !ok || step >= len(l) {
				t.Fatalf("%v: no element %d", path, step)
			}
			value = l[step]
		}
	}
	return value
}

func asJSON(t *testing.T, value any) string {
	t.Helper()
	data, err := Encode(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func env(t *testing.T, pod object, list string, container int) []string {
	t.Helper()
	var all []string
	entries, _ := at(t, pod, "spec", list, container, "env").([]any)
	for _, e := range entries {
		name, _ := at(t, e, "name").(string)
		value, _ := at(t, e, "value").(string)
		all = append(all, name+"="+value)
	}
	return all
}

const plainPod = `{"metadata":{"name":"web","labels":{"azure.workload.identity/use":"true"}},"spec":{"serviceAccountName":"web-sa",
	"initContainers":[{"name":"migrate","image":"a"}],"containers":[{"name":"web","image":"b"},{"name":"log","image":"c"}]}}`

func TestAPodGetsVariablesAndToken(t *testing.T) {
	for _, row := range []struct {
		name    string
		layout  Layout
		volume  string
		mount   string
		path    string
		wantEnv string
	}{
		{"v1.6", Layout16, Layout16.volume("web", ""), "/var/run/secrets/azure/wi", "token/azure-identity-token", "/var/run/secrets/azure/wi/token/azure-identity-token"},
		{"the default is v1.6", "", Layout16.volume("web", ""), "/var/run/secrets/azure/wi", "token/azure-identity-token", "/var/run/secrets/azure/wi/token/azure-identity-token"},
		{"v1.5", Layout15, "azure-identity-token", "/var/run/secrets/azure/tokens", "azure-identity-token", "/var/run/secrets/azure/tokens/azure-identity-token"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := upstreams()
			s.Identity.Layout = row.layout
			pod, _ := mutated(t, plainPod, account(), s)
			for _, c := range []struct {
				list string
				n    int
			}{{"initContainers", 0}, {"containers", 0}, {"containers", 1}} {
				want := []string{"AZURE_CLIENT_ID=" + testClient, "AZURE_TENANT_ID=the-tenant", "AZURE_FEDERATED_TOKEN_FILE=" + row.wantEnv, "AZURE_AUTHORITY_HOST=https://login.microsoftonline.com/"}
				if diff := cmp.Diff(want, env(t, pod, c.list, c.n)); diff != "" {
					t.Errorf("%s[%d] (-want +got):\n%s", c.list, c.n, diff)
				}
				want1 := `[{"mountPath":"` + row.mount + `","name":"` + row.volume + `","readOnly":true}]`
				if got := asJSON(t, at(t, pod, "spec", c.list, c.n, "volumeMounts")); got != want1 {
					t.Errorf("%s[%d] mounts %s, want %s", c.list, c.n, got, want1)
				}
			}
			want := `[{"name":"` + row.volume + `","projected":{"sources":[{"serviceAccountToken":{"audience":"api://AzureADTokenExchange","expirationSeconds":3600,"path":"` + row.path + `"}}]}}]`
			if got := asJSON(t, at(t, pod, "spec", "volumes")); got != want {
				t.Errorf("volumes %s, want %s", got, want)
			}
		})
	}
}

// The names are those that azure-workload-identity v1.6.0 computes: the hex of
// the SHA-256, as long as 63 characters allow. printf %s pod | sha256sum | cut -c1-30
func TestVolumesAreNamedAfterThePod(t *testing.T) {
	for _, row := range []struct{ name, generateName, want string }{
		{"pod", "", "azure-workload-identity-reserved-425c89ed5bb78a7623fae60fd8a6f6"},
		{"", "web-6f9c7d-", "azure-workload-identity-reserved-6b7c6e1e2db2cdd63726e855692add"},
		{"", "", "azure-workload-identity-reserved-7ae265465cf68a19ccd3c91d70dc31"},
	} {
		if got := Layout16.volume(row.name, row.generateName); got != row.want || len(got) != 63 {
			t.Errorf("volume of %q, %q: %s (%d), want %s", row.name, row.generateName, got, len(got), row.want)
		}
	}
}

func TestWhatAContainerSetsStays(t *testing.T) {
	pod, _ := mutated(t, `{"metadata":{"name":"web"},"spec":{"containers":[{"name":"web","env":[
		{"name":"AZURE_AUTHORITY_HOST","value":"https://elsewhere/"},{"name":"AZURE_CLIENT_ID","valueFrom":{"secretKeyRef":{"name":"s","key":"id"}}},{"name":"AZURE_TENANT_ID","value":""}]}]}}`, account(), upstreams())
	want := []string{"AZURE_AUTHORITY_HOST=https://elsewhere/", "AZURE_CLIENT_ID=", "AZURE_TENANT_ID=", "AZURE_FEDERATED_TOKEN_FILE=/var/run/secrets/azure/wi/token/azure-identity-token"}
	if diff := cmp.Diff(want, env(t, pod, "containers", 0)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// What a container brings along, or may bring along, is not told to be missing.
// Source: azure-workload-identity#1555, external-secrets#3366.
func TestWhoIsToldThatTheClientIDIsMissing(t *testing.T) {
	for container, told := range map[string]bool{
		``: true,
		`,"env":[{"name":"AZURE_CLIENT_ID","value":"x"}]`:                                              false,
		`,"env":[{"name":"AZURE_CLIENT_ID","valueFrom":{"secretKeyRef":{"name":"s","key":"id"}}}]`:     false,
		`,"envFrom":[{"secretRef":{"name":"s"}}]`:                                                      false,
		`,"envFrom":[{"prefix":"AZURE_","configMapRef":{"name":"s"}}]`:                                 false,
		`,"envFrom":[{"prefix":"DB_","secretRef":{"name":"s"}}]`:                                       true,
		`,"env":[{"name":"CLIENT_ID","value":"x"}]},{"name":"b","env":[{"name":"AZURE_CLIENT_ID"}]`:    false,
		`,"env":[{"name":"AZURE_CLIENT","value":"x"}],"envFrom":[{"prefix":"X","secretRef":{}},"odd"]`: true,
	} {
		pod, m := mutated(t, `{"metadata":{"name":"web"},"spec":{"containers":[{"name":"web"`+container+`}]}}`, ServiceAccount{Namespace: "shop", Name: "bare"}, upstreams())
		if len(m.Warnings) > 0 != told {
			t.Errorf("%s: warnings %q", container, m.Warnings)
		}
		if n := len(env(t, pod, "containers", 0)); n < 3 {
			t.Errorf("%s: %d variables", container, n)
		}
	}
}

func TestEmptyValuesAreNotInjected(t *testing.T) {
	pod, m := mutated(t, plainPod, ServiceAccount{Namespace: "shop", Name: "web-sa", Annotations: map[string]string{azwi.TenantIDAnnotation: ""}}, upstreams())
	want := []string{"AZURE_FEDERATED_TOKEN_FILE=/var/run/secrets/azure/wi/token/azure-identity-token", "AZURE_AUTHORITY_HOST=https://login.microsoftonline.com/"}
	if diff := cmp.Diff(want, env(t, pod, "containers", 0)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if len(m.Warnings) != 1 || !strings.Contains(m.Warnings[0], azwi.ClientIDAnnotation) {
		t.Errorf("warnings %q, want one about %s", m.Warnings, azwi.ClientIDAnnotation)
	}
	pod, _ = mutated(t, plainPod, account(azwi.TenantIDAnnotation, "another"), upstreams())
	if !slices.Contains(env(t, pod, "containers", 0), "AZURE_TENANT_ID=another") {
		t.Error("the service account's tenant does not count")
	}
}

func TestSkippedContainersGetNothing(t *testing.T) {
	pod, _ := mutated(t, `{"metadata":{"name":"web","annotations":{"azure.workload.identity/skip-containers":"log ; migrate;nobody"}},"spec":{
		"initContainers":[{"name":"migrate"}],"containers":[{"name":"web"},{"name":"log"}]}}`, account(), upstreams())
	if got := env(t, pod, "containers", 0); len(got) != 4 {
		t.Errorf("web has %q", got)
	}
	for _, skipped := range []any{at(t, pod, "spec", "initContainers", 0), at(t, pod, "spec", "containers", 1)} {
		if fields := skipped.(map[string]any); len(fields) != 1 {
			t.Errorf("a skipped container was changed: %v", fields)
		}
	}
}

func TestExpiration(t *testing.T) {
	for _, row := range []struct {
		name, pod, account string
		want               string
		refused            string
	}{
		{name: "nobody says", want: "3600"},
		{name: "the service account's", account: "7200", want: "7200"},
		{name: "the pod's comes first", pod: "86400", account: "1", want: "86400"},
		{name: "an empty one of the pod's does not count", pod: "", account: "4000", want: "4000"},
		{name: "too short", pod: "3599", refused: "token expiration 3599 not valid. Expected value to be between 3600 and 86400"},
		{name: "too long", account: "86401", refused: "token expiration 86401 not valid. Expected value to be between 3600 and 86400"},
		{name: "no number", pod: "1h", refused: `strconv.ParseInt: parsing "1h": invalid syntax`},
		{name: "more than fits", pod: "99999999999999999999", refused: `strconv.ParseInt: parsing "99999999999999999999": value out of range`},
	} {
		t.Run(row.name, func(t *testing.T) {
			annotations, _ := json.Marshal(map[string]string{azwi.ExpirationAnnotation: row.pod})
			pod := `{"metadata":{"name":"web","annotations":` + string(annotations) + `},"spec":{"containers":[{"name":"web"}]}}`
			if row.refused != "" {
				_, err := Mutate([]byte(pod), account(azwi.ExpirationAnnotation, row.account), upstreams())
				var denial *Denial
				if !errors.As(err, &denial) || denial.Text != row.refused || denial.Remedy == "" {
					t.Errorf("got %v, want %q with a remedy", err, row.refused)
				}
				return
			}
			got, _ := mutated(t, pod, account(azwi.ExpirationAnnotation, row.account), upstreams())
			if is := at(t, got, "spec", "volumes", 0, "projected", "sources", 0, "serviceAccountToken", "expirationSeconds"); is != json.Number(row.want) {
				t.Errorf("expirationSeconds %v, want %s", is, row.want)
			}
		})
	}
}

func TestVolumesThatAreThereAlready(t *testing.T) {
	old := upstreams()
	old.Identity.Layout = Layout15
	own := `{"metadata":{"name":"web"},"spec":{"containers":[{"name":"web","volumeMounts":[{"name":"azure-identity-token","mountPath":"/own"}]}],
		"volumes":[{"name":"own","projected":{"sources":[{"configMap":{"name":"c"}},{"serviceAccountToken":{"path":"azure-identity-token","audience":"x"}}]}}]}}`
	pod, _ := mutated(t, own, account(), old)
	if volumes := at(t, pod, "spec", "volumes").([]any); len(volumes) != 1 {
		t.Errorf("v1.5 adds a second volume with azure-identity-token: %v", volumes)
	}
	if path := at(t, pod, "spec", "containers", 0, "volumeMounts", 0, "mountPath"); path != "/own" {
		t.Errorf("v1.5 mounts it at %v, not at the container's own", path)
	}
	reserved := Layout16.volume("web", "")
	pod, _ = mutated(t, `{"metadata":{"name":"web"},"spec":{"containers":[{"name":"web","volumeMounts":[{"name":"`+reserved+`","mountPath":"/own"}]}],"volumes":[{"name":"`+reserved+`","emptyDir":{}}]}}`, account(), upstreams())
	if path := at(t, pod, "spec", "containers", 0, "volumeMounts", 0, "mountPath"); path != "/var/run/secrets/azure/wi" {
		t.Errorf("v1.6 leaves the mount of its reserved volume at %v", path)
	}
	if v := at(t, pod, "spec", "volumes", 0).(map[string]any); v["emptyDir"] != nil || v["projected"] == nil {
		t.Errorf("v1.6 leaves the volume of its reserved name: %v", v)
	}
}

func TestFieldsThatNobodyKnowsAreKept(t *testing.T) {
	pod, m := mutated(t, `{"apiVersion":"v9","new":{"a~b/c":[1,2.50,1e400]},"metadata":{"name":"web","uid":null},"spec":{"future":{"<x>":12345678901234567890},"containers":[{"name":"web","later":true,"env":[{"name":"A","unknown":1}]}]}}`, account(), upstreams())
	if got := asJSON(t, at(t, pod, "new")) + asJSON(t, at(t, pod, "spec", "future")) + asJSON(t, at(t, pod, "spec", "containers", 0, "env", 0)); got != `{"a~b/c":[1,2.50,1e400]}{"<x>":12345678901234567890}{"name":"A","unknown":1}` {
		t.Error(got)
	}
	for _, o := range m.Patch {
		if !strings.HasPrefix(o.Path, "/spec/") || o.Op != "add" {
			t.Errorf("%s %s: more is changed than needs be", o.Op, o.Path)
		}
	}
}

func TestTheSidecar(t *testing.T) {
	pod := func(more, annotations string) string {
		return `{"metadata":{"name":"web","annotations":{"azure.workload.identity/inject-proxy-sidecar":"false"` + annotations + `}},"spec":{"containers":[{"name":"web"}]` + more + `}}`
	}
	offered := upstreams()
	offered.Identity.Sidecar = Sidecar{Image: "proxy:v1", InitImage: "init:v1"}
	for _, row := range []struct {
		name, pod, want string
		s               Settings
	}{
		{"in the node's network", pod(`,"hostNetwork":true`, ""), "hostNetwork is set to true, cannot inject proxy sidecar", offered},
		{"on no port", pod("", `,"azure.workload.identity/proxy-sidecar-port":"http"`), `failed to parse proxy sidecar port: strconv.ParseInt: parsing "http": invalid syntax`, offered},
		{"on an empty port", pod("", `,"azure.workload.identity/proxy-sidecar-port":""`), `failed to parse proxy sidecar port: strconv.ParseInt: parsing "": invalid syntax`, offered},
		{"where there is no image", pod("", ""), "annotation azure.workload.identity/inject-proxy-sidecar: wiemu has no image of the proxy sidecar; bring azure-workload-identity's images proxy and proxy-init into the cluster and name them under webhook.sidecar in wiemu.yaml", upstreams()},
	} {
		var denial *Denial
		if _, err := Mutate([]byte(row.pod), account(), row.s); !errors.As(err, &denial) || denial.Text != row.want {
			t.Errorf("%s: got %v, want %s", row.name, err, row.want)
		}
		if row.s.Identity.Sidecar.Image == "" && !strings.Contains(denial.Remedy, `value "false" does not count`) {
			t.Errorf("%s: remedy %s", row.name, denial.Remedy)
		}
	}

	got, _ := mutated(t, pod("", `,"azure.workload.identity/proxy-sidecar-port":"8765"`), account(), offered)
	want := `{"args":["--proxy-port=8765","--log-level=info"],"image":"proxy:v1","imagePullPolicy":"IfNotPresent","lifecycle":{"postStart":{"exec":{"command":["/proxy","--proxy-port=8765","--probe","--log-level=info"]}}},` +
		`"name":"azwi-proxy","ports":[{"containerPort":8765}],"securityContext":{"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"]},"privileged":false,"readOnlyRootFilesystem":true,"runAsNonRoot":true}}`
	if proxy := bare(t, got, "containers", 0); proxy != want {
		t.Errorf("the sidecar is\n%s, want\n%s", proxy, want)
	}
	if len(env(t, got, "containers", 0)) != 4 {
		t.Error("the sidecar itself has no identity")
	}
	want = `{"image":"init:v1","imagePullPolicy":"IfNotPresent","name":"azwi-proxy-init","securityContext":{"capabilities":{"add":["NET_ADMIN"],"drop":["ALL"]},"privileged":true,"runAsNonRoot":false,"runAsUser":0}}`
	if first := bare(t, got, "initContainers", 0); first != want {
		t.Errorf("the init container is\n%s, want\n%s", first, want)
	}
	if e := env(t, got, "initContainers", 0); e[0] != "PROXY_PORT=8765" {
		t.Errorf("its environment begins with %s", e[0])
	}

	// What the annotation says does not count (azure-workload-identity#1210), and a Job does
	// not end where the sidecar is no native one (#773).
	for _, row := range []struct {
		value, policy string
		native        bool
		want          []string
	}{
		{"true", "Always", false, nil},
		{"false", "Always", false, []string{`is "false", and the proxy sidecar is injected all the same`}},
		{"Off", "", true, []string{`is "Off", and`}},
		{"", "", true, nil},
		{"true", "Never", false, []string{"a Job is never complete: before Kubernetes 1.32"}},
		{"no", "OnFailure", false, []string{`is "no", and`, "a Job is never complete"}},
		{"true", "OnFailure", true, nil},
	} {
		offered.Identity.Sidecar.Native = row.native
		asked := strings.Replace(pod(`,"restartPolicy":"`+row.policy+`"`, ""), `"false"`, `"`+row.value+`"`, 1)
		_, m := mutated(t, asked, account(), offered)
		if len(m.Warnings) != len(row.want) {
			t.Errorf("%+v: warnings %q", row, m.Warnings)
			continue
		}
		for i, want := range row.want {
			if !strings.Contains(m.Warnings[i], want) {
				t.Errorf("%+v: warning %q", row, m.Warnings[i])
			}
		}
	}

	offered.Identity.Sidecar.Native = true
	got, _ = mutated(t, pod(`,"initContainers":[{"name":"migrate"}]`, ""), account(), offered)
	var order []string
	for _, c := range at(t, got, "spec", "initContainers").([]any) {
		order = append(order, at(t, c, "name").(string))
	}
	if strings.Join(order, " ") != "azwi-proxy migrate azwi-proxy-init" || at(t, got, "spec", "initContainers", 0, "restartPolicy") != "Always" {
		t.Errorf("with native sidecars the init containers are %v", order)
	}
}

// bare is a container without what every container gets.
func bare(t *testing.T, pod object, list string, n int) string {
	t.Helper()
	c := at(t, pod, "spec", list, n).(map[string]any)
	copied := map[string]any{}
	for field, value := range c {
		if field != "env" && field != "volumeMounts" {
			copied[field] = value
		}
	}
	return asJSON(t, copied)
}

func TestIdentityBindings(t *testing.T) {
	pod := `{"metadata":{"name":"web","annotations":{"azure.workload.identity/use-identity-binding":"True"}},"spec":{"containers":[{"name":"web"}]}}`
	s := upstreams()
	_, m := mutated(t, pod, account(), s)
	if len(m.Warnings) != 1 || !strings.Contains(m.Warnings[0], azwi.BindingAnnotation) {
		t.Errorf("where there is no proxy, the owner is told %q", m.Warnings)
	}
	s.Identity.Binding = &Binding{Audience: "api://AKSIdentityBinding", ProxyURL: "https://10.0.0.1", SNIName: "sni", CAConfigMap: "kube-root-ca.crt"}
	got, _ := mutated(t, pod, account(), s)
	want := []string{"AZURE_KUBERNETES_TOKEN_PROXY=https://10.0.0.1", "AZURE_KUBERNETES_SNI_NAME=sni", "AZURE_KUBERNETES_CA_FILE=/var/run/secrets/azure/wi/ca-cert/ca.crt"}
	if diff := cmp.Diff(want, env(t, got, "containers", 0)[4:]); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if sources := asJSON(t, at(t, got, "spec", "volumes", 0, "projected", "sources")); sources != `[{"serviceAccountToken":{"audience":"api://AKSIdentityBinding","expirationSeconds":3600,"path":"token/azure-identity-token"}},{"configMap":{"items":[{"key":"ca.crt","path":"ca-cert/ca.crt"}],"name":"kube-root-ca.crt","optional":false}}]` {
		t.Error(sources)
	}
	s.Identity.Binding = &Binding{Audience: "api://AKSIdentityBinding", ProxyURL: "https://10.0.0.1", SNIName: "sni", CAData: "PEM"}
	got, _ = mutated(t, pod, account(), s)
	if !slices.Contains(env(t, got, "containers", 0), "AZURE_KUBERNETES_CA_DATA=PEM") {
		t.Error("the CA's data is not there")
	}
	got, _ = mutated(t, strings.Replace(pod, "True", "yes", 1), account(), s)
	if len(env(t, got, "containers", 0)) != 4 {
		t.Error("an annotation that is not true counts")
	}
}

func configured() Settings {
	s := upstreams()
	s.HostRouting = &HostRouting{
		Address: netip.MustParseAddr("169.254.7.7"), Hosts: []string{"graph.microsoft.com", "login.microsoftonline.com"},
		Bundle: ca.Bundle{Root: "/lab/ca.pem", Roots: "/lab/roots.pem", TrustStore: "/lab/truststore.p12", NoRoots: "/lab/none"}.At(TrustDir),
	}
	return s
}

func TestTheWayToTheEmulatedHosts(t *testing.T) {
	pod, _ := mutated(t, strings.Replace(plainPod, `"labels"`, `"annotations":{"azure.workload.identity/skip-containers":"log"},"labels"`, 1), account(), configured())
	if aliases := asJSON(t, at(t, pod, "spec", "hostAliases")); aliases != `[{"hostnames":["graph.microsoft.com","login.microsoftonline.com"],"ip":"169.254.7.7"}]` {
		t.Error(aliases)
	}
	if volume := asJSON(t, at(t, pod, "spec", "volumes", 1)); volume != `{"configMap":{"items":[{"key":"ca.pem","path":"ca.pem"},{"key":"roots.pem","path":"roots.pem"},{"key":"truststore.p12","path":"truststore.p12"}],"name":"wiemu-trust"},"name":"wiemu-trust"}` {
		t.Error(volume)
	}
	skipped := env(t, pod, "containers", 1)
	for _, want := range []string{
		"SSL_CERT_FILE=" + TrustDir + "/roots.pem", "NODE_EXTRA_CA_CERTS=" + TrustDir + "/ca.pem",
		"JAVA_TOOL_OPTIONS=-Djavax.net.ssl.trustStore=" + TrustDir + "/truststore.p12 -Djavax.net.ssl.trustStorePassword=changeit -Djavax.net.ssl.trustStoreType=PKCS12",
	} {
		if !slices.Contains(skipped, want) {
			t.Errorf("a container without identity lacks %s: %q", want, skipped)
		}
	}
	if slices.ContainsFunc(skipped, func(v string) bool { return strings.HasPrefix(v, "AZURE_") }) {
		t.Errorf("a skipped container has an identity: %q", skipped)
	}
}

func TestTrustThatIsThereAlready(t *testing.T) {
	const ours = "-Djavax.net.ssl.trustStore=" + TrustDir + "/truststore.p12 -Djavax.net.ssl.trustStorePassword=changeit -Djavax.net.ssl.trustStoreType=PKCS12"
	pod := func(name, value string) string {
		return `{"metadata":{"name":"web"},"spec":{"containers":[{"name":"web","env":[{"name":"` + name + `",` + value + `}]}]}}`
	}
	for _, row := range []struct{ name, variable, given, want, warned string }{
		{"a file of its own stays", "SSL_CERT_FILE", `"value":"/own.pem"`, "/own.pem", "SSL_CERT_FILE"},
		{"the lab's alone is as good", "SSL_CERT_FILE", `"value":"` + TrustDir + `/ca.pem"`, TrustDir + "/ca.pem", ""},
		{"a secret stays", "NODE_EXTRA_CA_CERTS", `"valueFrom":{"secretKeyRef":{"name":"s","key":"k"}}`, "", "NODE_EXTRA_CA_CERTS"},
		{"Java's options are added to", "JAVA_TOOL_OPTIONS", `"value":"-Xmx1g"`, "-Xmx1g " + ours, ""},
		{"no options are none", "JAVA_TOOL_OPTIONS", `"value":""`, ours, ""},
		{"a trust store of its own stays", "JAVA_TOOL_OPTIONS", `"value":"-Djavax.net.ssl.trustStore=/own.jks"`, "-Djavax.net.ssl.trustStore=/own.jks", "JAVA_TOOL_OPTIONS"},
		{"options from elsewhere stay", "JAVA_TOOL_OPTIONS", `"valueFrom":{"configMapKeyRef":{"name":"c","key":"k"}}`, "", "JAVA_TOOL_OPTIONS"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, m := mutated(t, pod(row.variable, row.given), account(), configured())
			if is := env(t, got, "containers", 0)[0]; is != row.variable+"="+row.want {
				t.Errorf("%s, want %s", is, row.want)
			}
			warned := strings.Join(m.Warnings, "\n")
			if row.warned == "" && warned != "" || !strings.Contains(warned, row.warned) {
				t.Errorf("warnings %q, want one about %q", warned, row.warned)
			}
		})
	}
}

func TestNamesThatAPodMapsItself(t *testing.T) {
	pod, _ := mutated(t, `{"metadata":{"name":"web"},"spec":{"hostNetwork":true,"containers":[{"name":"web"}],"hostAliases":[{"ip":"10.1.2.3","hostnames":["Login.microsoftonline.com","db"]},{"ip":"169.254.7.7","hostnames":["x"]}]}}`, account(), configured())
	if aliases := asJSON(t, at(t, pod, "spec", "hostAliases")); aliases != `[{"hostnames":["Login.microsoftonline.com","db"],"ip":"10.1.2.3"},{"hostnames":["x","graph.microsoft.com"],"ip":"169.254.7.7"}]` {
		t.Error(aliases)
	}
}

func TestLinesOfAHostsFileAreShort(t *testing.T) {
	s := configured()
	for n := range 100 {
		s.HostRouting.Hosts = append(s.HostRouting.Hosts, fmt.Sprintf("vault-%03d-of-the-shop.vault.azure.net", n))
	}
	pod, _ := mutated(t, plainPod, account(), s)
	var names []string
	for _, alias := range at(t, pod, "spec", "hostAliases").([]any) {
		line := append([]string{at(t, alias, "ip").(string)}, hostnames(alias.(map[string]any))...)
		if length := len(strings.Join(line, "\t")); length > 1000 {
			t.Errorf("a line of %d bytes", length)
		}
		names = append(names, line[1:]...)
	}
	if !slices.Equal(names, s.HostRouting.Hosts) {
		t.Errorf("%d of %d names are there", len(names), len(s.HostRouting.Hosts))
	}
}

func TestPodsThatAreLeftAlone(t *testing.T) {
	_, m := mutated(t, `{"metadata":{"name":"web","annotations":{"dev.wiemu/inject":"false"}},"spec":{"containers":[{"name":"web"}]}}`, account(), configured())
	if len(m.Patch) > 0 {
		t.Errorf("a pod that asks to be left alone is changed: %v", m.Patch)
	}
	var denial *Denial
	if _, err := Mutate([]byte(`{"metadata":{"annotations":{"dev.wiemu/inject":"no"}},"spec":{}}`), account(), configured()); !errors.As(err, &denial) || !strings.Contains(denial.Text, `"no"`) {
		t.Errorf("an unclear wish: %v", err)
	}
	pod, m := mutated(t, `{"metadata":{"name":"web"},"spec":{"os":{"name":"windows"},"containers":[{"name":"web"}]}}`, account(), configured())
	if at(t, pod, "spec", "hostAliases") != nil || len(env(t, pod, "containers", 0)) != 4 || len(m.Warnings) != 1 {
		t.Errorf("a Windows pod has more than its identity: %s, %q", asJSON(t, pod), m.Warnings)
	}
	aside := configured()
	aside.Identity = nil
	pod, _ = mutated(t, plainPod, account(), aside)
	if len(at(t, pod, "spec", "volumes").([]any)) != 1 || slices.ContainsFunc(env(t, pod, "containers", 0), func(v string) bool { return strings.HasPrefix(v, "AZURE_") }) {
		t.Errorf("beside another webhook, pods get an identity from ours, too: %s", asJSON(t, pod))
	}
}

func TestWhatIsNoPod(t *testing.T) {
	for data, want := range map[string]string{
		``:                                     "read the pod: EOF",
		`null`:                                 "expected a JSON object, found null",
		`{}`:                                   "spec: expected an object, found nothing",
		`[]`:                                   "read the pod: json:",
		`{"spec":{}} {}`:                       "found more behind it",
		`{"spec":[]}`:                          "spec: expected an object, found a list",
		`{"spec":{"containers":{}}}`:           "spec.containers: expected a list, found an object",
		`{"spec":{"containers":["web"]}}`:      "spec.containers[0]: expected an object, found text",
		`{"spec":{"containers":[{"name":1}]}}`: "spec.containers[0].name: expected text, found a number",
		`{"spec":{"initContainers":[{"env":[{"name":"A","value":true}]}]}}`: "spec.initContainers[0].env[0].value: expected text, found a truth value",
		`{"spec":{"hostAliases":[{"hostnames":[{}]}]}}`:                     "spec.hostAliases[0].hostnames[0]: expected a host name, found an object",
		`{"metadata":{"annotations":{"a":1}},"spec":{}}`:                    "metadata.annotations.a: expected text, found a number",
		`{"spec":{"hostNetwork":"true"}}`:                                   "spec.hostNetwork: expected true or false, found text",
	} {
		_, err := Mutate([]byte(data), account(), configured())
		var denial *Denial
		if err == nil || errors.As(err, &denial) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", data, err, want)
		}
	}
}

// An API server asks the webhooks in the order of their names, and with
// reinvocationPolicy IfNeeded the first once more after another has changed the pod.
func TestTheOrderOfTwoWebhooksDoesNotMatter(t *testing.T) {
	theirs, ours := upstreams(), configured()
	theirs.Identity.Sidecar = Sidecar{Image: "proxy:v1", InitImage: "init:v1", Native: true}
	ours.Identity = nil
	const pod = `{"metadata":{"name":"web","annotations":{"azure.workload.identity/inject-proxy-sidecar":""}},"spec":{"containers":[{"name":"web"}]}}`
	through := func(order ...Settings) map[string][]string {
		made := []byte(pod)
		for _, s := range order {
			m, err := Mutate(made, account(), s)
			if err != nil {
				t.Fatal(err)
			}
			made = m.Pod
		}
		p, err := parse(made)
		if err != nil {
			t.Fatal(err)
		}
		has := map[string][]string{"aliases": {asJSON(t, p.hostAliases)}}
		for _, v := range p.volumes {
			has["volumes"] = append(has["volumes"], asJSON(t, v))
		}
		for _, c := range slices.Concat(p.initContainers, p.containers) {
			for _, o := range slices.Concat(c.env, c.mounts) {
				has[c.name] = append(has[c.name], asJSON(t, o))
			}
		}
		for _, list := range has {
			slices.Sort(list)
		}
		return has
	}
	first, last := through(ours, theirs, ours), through(theirs, ours)
	if diff := cmp.Diff(first, last); diff != "" {
		t.Errorf("ours first and last (-first +last):\n%s", diff)
	}
	if len(first[sidecarContainer]) < 8 || len(first) != 5 {
		t.Errorf("the sidecar of theirs has %q", first[sidecarContainer])
	}
}
