package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/azwi"
	"github.com/wiemu/wiemu/internal/ca"
	"github.com/wiemu/wiemu/internal/cluster"
	"github.com/wiemu/wiemu/internal/cluster/clustertest"
	"github.com/wiemu/wiemu/internal/faultkind"
	"github.com/wiemu/wiemu/internal/keyring/keyringtest"
	"github.com/wiemu/wiemu/internal/lab"
	"github.com/wiemu/wiemu/internal/server"
	"github.com/wiemu/wiemu/internal/workload"
)

const (
	accounts   = "/api/v1/namespaces/shop/serviceaccounts"
	configMaps = "/api/v1/namespaces/shop/configmaps"
	registered = configurations + "/" + Configuration
)

// scene is a webhook with an API server whose state is in memory.
type scene struct {
	*Server
	t      *testing.T
	api    *clustertest.Server
	lab    *server.Server
	client *http.Client

	mu       sync.Mutex
	admitted []workload.Spec
}

func open(t *testing.T, c config.Config, change func(*Config)) *scene {
	t.Helper()
	started, err := server.Start(t.Context(), server.Options{InMemory: true, Config: c, Options: lab.Options{StateDir: t.TempDir(), Keys: keyringtest.Keys(t)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = started.Close(context.Background()) })
	bundle, err := started.Authority().WriteBundle(t.TempDir(), ca.BundleOptions{SystemRoots: true})
	if err != nil {
		t.Fatal(err)
	}
	x := &scene{t: t, api: clustertest.New(t, "secret"), lab: started}
	settings := Config{
		Emulator: started, Cluster: cluster.Open(x.api.Kubeconfig(t)), Bundle: bundle, Listen: "127.0.0.1:0", Advertise: "169.254.7.7", poll: 50 * time.Millisecond,
		Admit: func(_ context.Context, w workload.Spec) (bool, error) {
			x.mu.Lock()
			defer x.mu.Unlock()
			x.admitted = append(x.admitted, w)
			return true, started.Trust(lab.Account{Namespace: w.Namespace, ServiceAccount: w.ServiceAccount, ClientID: w.ClientID, Tenant: w.Tenant, Issuer: w.Issuer})
		},
	}
	if change != nil {
		change(&settings)
	}
	if x.Server, err = Start(t.Context(), settings); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = x.Close(context.Background()) })
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(x.CA())
	x.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	x.account("web-sa", azwi.ClientIDAnnotation, testClient)
	return x
}

func (x *scene) account(name string, annotations ...string) {
	set := map[string]any{}
	for i := 0; i+1 < len(annotations); i += 2 {
		set[annotations[i]] = annotations[i+1]
	}
	x.api.Put(accounts+"/"+name, map[string]any{"metadata": map[string]any{"name": name, "annotations": set}})
}

// post asks as an API server does.
func (x *scene) post(body string) (status int, answer string) {
	x.t.Helper()
	resp, err := x.client.Post("https://"+x.Address()+"/mutate", "application/json", strings.NewReader(body))
	if err != nil {
		x.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		x.t.Fatal(err)
	}
	return resp.StatusCode, string(data)
}

func reviewOf(pod string, more string) string {
	return `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u1","kind":{"group":"","version":"v1","kind":"Pod"},"namespace":"shop","operation":"CREATE","object":` + pod + more + `}}`
}

func (x *scene) ask(pod, more string) response {
	x.t.Helper()
	status, body := x.post(reviewOf(pod, more))
	var r review
	if err := json.Unmarshal([]byte(body), &r); status != http.StatusOK || err != nil || r.Response == nil || r.Response.UID != "u1" || r.APIVersion != "admission.k8s.io/v1" {
		x.t.Fatalf("the answer is %d %s (%v)", status, body, err)
	}
	return *r.Response
}

// made is the pod as the API server makes it.
func (x *scene) made(pod string) object {
	x.t.Helper()
	r := x.ask(pod, "")
	if !r.Allowed || r.PatchType != "JSONPatch" {
		x.t.Fatalf("the pod is not changed: %+v", r)
	}
	var patch []Operation
	if err := json.Unmarshal(r.Patch, &patch); err != nil {
		x.t.Fatal(err)
	}
	into, err := decode([]byte(pod))
	if err != nil {
		x.t.Fatal(err)
	}
	return apply(x.t, map[string]any(into), patch).(map[string]any)
}

// eventually waits for what happens on wall time.
func (x *scene) eventually(what string, is func() bool) {
	x.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			x.t.Fatalf("not in 20 s: %s", what)
		}
	}
}

func (x *scene) last() journal.Event {
	events := x.lab.Journal().Events()
	for _, e := range slices.Backward(events) {
		if e.Kind == journal.Admission {
			return e
		}
	}
	return journal.Event{}
}

const labelled = `{"metadata":{"generateName":"web-6f9c7d-","labels":{"azure.workload.identity/use":"true"}},"spec":{"serviceAccountName":"web-sa","containers":[{"name":"web"}]}}`

func TestAPodIsAdmitted(t *testing.T) {
	x := open(t, config.Config{}, nil)
	pod := x.made(labelled)
	if e := env(t, pod, "containers", 0); e[0] != "AZURE_CLIENT_ID="+testClient || e[1] != "AZURE_TENANT_ID="+config.DefaultTenant {
		t.Errorf("the environment is %q", e)
	}
	aliases := asJSON(t, at(t, pod, "spec", "hostAliases"))
	for _, want := range []string{`"ip":"169.254.7.7"`, "login.microsoftonline.com", "mykeyvault.vault.azure.net", "local.oic.wiemu.test"} {
		if !strings.Contains(aliases, want) {
			t.Errorf("hostAliases %s lack %s", aliases, want)
		}
	}
	bundle := x.api.Object(configMaps + "/wiemu-trust")
	data, _ := bundle["data"].(map[string]any)
	binary, _ := bundle["binaryData"].(map[string]any)
	if data["ca.pem"] != string(x.lab.Authority().RootPEM()) || !strings.HasPrefix(fmt.Sprint(data["roots.pem"]), fmt.Sprint(data["ca.pem"])) || binary["truststore.p12"] == nil {
		t.Errorf("the ConfigMap has %d and %d files", len(data), len(binary))
	}
	if size := len(asJSON(t, bundle)); size > 900<<10 {
		t.Errorf("the ConfigMap is %d bytes long; a cluster takes 1 MiB", size)
	}
	want := workload.Spec{Workload: workload.Workload{Namespace: "shop", ServiceAccount: "web-sa", ClientID: testClient}, TokenOptions: workload.TokenOptions{Issuer: "local"}}
	if len(x.admitted) != 1 || !reflect.DeepEqual(x.admitted[0], want) {
		t.Errorf("trust was made in %+v, want %+v", x.admitted, want)
	}
	e := x.last()
	if e.Outcome != journal.Granted || e.Workload != "shop/web-sa" || e.ClientID != testClient || e.Tenant != config.DefaultTenant || e.Subject != "system:serviceaccount:shop:web-sa" ||
		!strings.Contains(e.Summary, "web-6f9c7d- (prefix)") || !strings.Contains(e.Summary, "an identity and the way") || !strings.Contains(e.Message, "AZURE_*") || !strings.Contains(e.Message, "Nobody knew the client id") {
		t.Errorf("the event is %+v", e)
	}
	before := len(x.lab.Journal().Events())
	again, err := Encode(pod)
	if err != nil {
		t.Fatal(err)
	}
	if r := x.ask(string(again), ""); !r.Allowed || r.Patch != nil || len(x.lab.Journal().Events()) != before {
		t.Errorf("asked once more about the same pod, the answer is %+v, and there are %d events more", r, len(x.lab.Journal().Events())-before)
	}
}

func TestTheEventSaysWhetherEntraIDWillRefuse(t *testing.T) {
	owned := []config.FederatedCredential{{Name: "web", Subject: "system:serviceaccount:shop:web-sa"}}
	x := open(t, config.Config{Identities: []config.Identity{{Principal: config.Principal{Name: "web", ClientID: testClient, FederatedCredentials: &owned}}}}, func(c *Config) {
		c.Admit = func(context.Context, workload.Spec) (bool, error) { return false, nil } // the identity has owners
	})
	x.account("api-sa", azwi.ClientIDAnnotation, testClient)
	for account, want := range map[string]string{"web-sa": "web trusts system:serviceaccount:shop:web-sa already", "api-sa": "AADSTS700213"} {
		x.made(strings.Replace(labelled, "web-sa", account, 1))
		if e := x.last(); !strings.Contains(e.Message, want) {
			t.Errorf("%s: the event says %q, want %q", account, e.Message, want)
		}
	}
}

func TestADryRunChangesNothing(t *testing.T) {
	x := open(t, config.Config{}, nil)
	x.eventually("registration", func() bool { return x.api.Object(registered) != nil })
	x.api.Asked()
	events := len(x.lab.Journal().Events())
	if r := x.ask(labelled, `,"dryRun":true`); !r.Allowed || r.Patch == nil {
		t.Errorf("the answer is %+v", r)
	}
	for _, request := range x.api.Asked() {
		if !strings.HasPrefix(request, "GET ") {
			t.Errorf("a dry run asks for %s", request)
		}
	}
	if len(x.admitted) > 0 || len(x.lab.Journal().Events()) != events {
		t.Errorf("a dry run makes trust (%v), or events", x.admitted)
	}
	if r := x.ask(strings.Replace(labelled, `"labels"`, `"annotations":{"azure.workload.identity/service-account-token-expiration":"1"},"labels"`, 1), `,"dryRun":true`); r.Allowed || len(x.lab.Journal().Events()) != events {
		t.Errorf("a dry run of a pod that is refused: %+v", r)
	}
}

func TestAPodIsRefused(t *testing.T) {
	x := open(t, config.Config{}, nil)
	for _, row := range []struct {
		name, pod       string
		want, remedy    string
		forbid, without string
	}{
		{
			name: "for its token", pod: strings.Replace(labelled, `"labels"`, `"annotations":{"azure.workload.identity/service-account-token-expiration":"600"},"labels"`, 1),
			want: "token expiration 600 not valid. Expected value to be between 3600 and 86400", remedy: "between 3600 and 86400",
		},
		{
			name: "for its service account", pod: strings.Replace(labelled, "web-sa", "nobody", 1),
			want: `serviceaccounts "nobody" not found`, remedy: "kubectl create serviceaccount nobody -n shop",
		},
		{
			name: "without one it has the default's", pod: strings.Replace(labelled, `"serviceAccountName":"web-sa",`, "", 1),
			want: `serviceaccounts "default" not found`, remedy: "kubectl create serviceaccount default -n shop",
		},
		{
			name: "as nobody may read that", pod: labelled, forbid: "GET " + accounts + "/web-sa",
			want: `serviceaccounts is forbidden: User "wiemu" cannot do this`, remedy: "GET " + accounts + "/web-sa",
		},
		{
			name: "as nobody may write ConfigMaps", pod: labelled, forbid: "POST " + configMaps,
			want: `configmaps`, remedy: "POST " + configMaps,
		},
		{name: "for what is no name", pod: strings.Replace(labelled, "web-sa", "../../../version?", 1), want: `service account "../../../version?": expected a lowercase RFC 1123 subdomain`},
		{name: "for its shape", pod: `{"metadata":{"labels":{"azure.workload.identity/use":"true"}},"spec":{"containers":{}}}`, want: "spec.containers: expected a list, found an object"},
	} {
		t.Run(row.name, func(t *testing.T) {
			x.api.Forbid(row.forbid)
			r := x.ask(row.pod, "")
			if r.Allowed || r.Patch != nil || r.Status == nil || r.Status.Code != 400 || !strings.Contains(r.Status.Message, row.want) {
				t.Errorf("the answer is %+v %+v, want %q", r, r.Status, row.want)
			}
			if e := x.last(); row.remedy != "" && (e.Outcome != journal.Denied || e.Message != r.Status.Message || !strings.Contains(e.Remedy, row.remedy)) {
				t.Errorf("the event is %+v, want the remedy %q", e, row.remedy)
			}
		})
	}
}

func TestAServiceAccountMayJustHaveBeenMade(t *testing.T) {
	x := open(t, config.Config{}, nil)
	x.api.Asked()
	x.ask(strings.Replace(labelled, "web-sa", "late", 1), "")
	asked := slices.DeleteFunc(x.api.Asked(), func(r string) bool { return r != "GET "+accounts+"/late" })
	if len(asked) != 2 {
		t.Errorf("a service account that is not there is asked for %d times, want 2", len(asked))
	}
}

func TestTrustThatCannotBeMadeIsTold(t *testing.T) {
	x := open(t, config.Config{}, nil)
	for name, row := range map[string]struct{ annotations, want string }{
		"no client id":      {"web", "expected a client id"},
		"another directory": {testClient, `tenant "nowhere.example"`},
	} {
		x.account("web-sa", azwi.ClientIDAnnotation, row.annotations, azwi.TenantIDAnnotation, "nowhere.example")
		r := x.ask(labelled, "")
		if !r.Allowed || len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], row.want) || !strings.Contains(x.last().Message, row.want) {
			t.Errorf("%s: %+v, %s", name, r, x.last().Message)
		}
	}
}

func TestWhatIsNoQuestionAboutAPod(t *testing.T) {
	x := open(t, config.Config{}, nil)
	ok := reviewOf(labelled, "")
	for name, body := range map[string]string{
		"a pod without the label": strings.Replace(ok, `"azure.workload.identity/use":"true"`, `"azure.workload.identity/use":"True"`, 1),
		"a change of a pod":       strings.Replace(ok, "CREATE", "UPDATE", 1),
		"another kind":            strings.Replace(ok, `"kind":"Pod"`, `"kind":"PodTemplate"`, 1),
		"a part of a pod":         strings.Replace(ok, `"uid":"u1"`, `"uid":"u1","subResource":"exec"`, 1),
		"a pod to be left alone":  strings.Replace(ok, `"labels"`, `"annotations":{"dev.wiemu/inject":"false"},"labels"`, 1),
	} {
		if status, answer := x.post(body); status != http.StatusOK || !strings.Contains(answer, `"allowed":true`) || strings.Contains(answer, "patch") {
			t.Errorf("%s: %d %s", name, status, answer)
		}
	}
	for want, body := range map[string]string{
		"admission.k8s.io/v1beta1":                   strings.Replace(ok, "admission.k8s.io/v1", "admission.k8s.io/v1beta1", 1),
		"set admissionReviewVersions: [v1]":          `{"apiVersion":"v1","kind":"Pod"}`,
		"request: expected one, found nothing":       `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}`,
		"request.uid: expected an id, found nothing": strings.Replace(ok, `"u1"`, `""`, 1),
		"read the AdmissionReview: ":                 `{`,
	} {
		if status, answer := x.post(body); status != http.StatusBadRequest || !strings.Contains(answer, want) {
			t.Errorf("%s: %d %s", want, status, answer)
		}
	}
	if status, answer := x.post(strings.Repeat(" ", maxReview+1)); status != http.StatusRequestEntityTooLarge {
		t.Errorf("a review that is too long: %d %s", status, answer)
	}
	if resp, err := x.client.Get("https://" + x.Address() + "/mutate"); err != nil || resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET: %v, %v", resp, err)
	}
}

func TestAWebhookThatDoesNotInject(t *testing.T) {
	x := open(t, config.Config{}, nil)
	x.lab.Introduce("shop", "web-sa", "", "")
	if _, err := x.lab.Faults().Inject(fault.Fault{Name: faultkind.WebhookNotInjecting, For: fault.Selector{Workload: "shop/web-sa"}, When: fault.Limits{Count: 1}}); err != nil {
		t.Fatal(err)
	}
	hasIdentity := func() bool {
		return slices.ContainsFunc(env(t, x.made(labelled), "containers", 0), func(v string) bool { return strings.HasPrefix(v, "AZURE_") })
	}
	if hasIdentity() {
		t.Error("the pod has its identity all the same")
	}
	if e := x.last(); e.Outcome != journal.Failed || e.Detail[journal.DetailFault] != "f1" || !strings.Contains(e.Summary, "without AZURE_*") {
		t.Errorf("the event is %+v", e)
	}
	if !hasIdentity() {
		t.Error("when the fault is spent, pods have no identity")
	}
}

func TestTheRealWebhookComesFirst(t *testing.T) {
	x := open(t, config.Config{}, nil)
	x.api.Put(configurations+"/"+upstream, map[string]any{"metadata": map[string]any{"name": upstream}})
	pod := x.made(labelled)
	if volumes := at(t, pod, "spec", "volumes").([]any); len(volumes) != 1 || slices.ContainsFunc(env(t, pod, "containers", 0), func(v string) bool { return strings.HasPrefix(v, "AZURE_") }) {
		t.Errorf("beside azure-workload-identity's webhook the pod gets %s", asJSON(t, pod))
	}
	if at(t, pod, "spec", "hostAliases") == nil || len(x.admitted) != 1 {
		t.Error("it does not get the way to the emulated hosts, or no trust")
	}
	x.api.Remove(configurations + "/" + upstream)
	if e := env(t, x.made(labelled), "containers", 0); !slices.Contains(e, "AZURE_CLIENT_ID="+testClient) {
		t.Errorf("when it is gone, pods get %q", e)
	}
}

func TestTheWebhookStaysRegistered(t *testing.T) {
	x := open(t, config.Config{}, nil)
	x.eventually("registration", func() bool { return x.api.Object(registered) != nil })
	hook := at(t, x.api.Object(registered), "webhooks", 0)
	for field, want := range map[string]string{
		"name": `"mutation.wiemu.dev"`, "failurePolicy": `"Fail"`, "reinvocationPolicy": `"IfNeeded"`, "sideEffects": `"NoneOnDryRun"`, "matchPolicy": `"Equivalent"`, "admissionReviewVersions": `["v1"]`,
		"objectSelector": `{"matchLabels":{"azure.workload.identity/use":"true"}}`,
		"clientConfig":   `{"caBundle":"` + base64.StdEncoding.EncodeToString(x.CA()) + `","url":"https://` + x.Address() + `/mutate"}`,
	} {
		if got := asJSON(t, at(t, hook, field)); got != want {
			t.Errorf("%s is %s, want %s", field, got, want)
		}
	}
	x.api.Remove(registered)
	x.eventually("registration after it was deleted", func() bool { return x.api.Object(registered) != nil })

	// An API server's defaults are no difference; somebody's change is one.
	there := x.api.Object(registered)
	hooks := at(t, there, "webhooks").([]any)
	hooks[0].(map[string]any)["namespaceSelector"] = map[string]any{}
	x.api.Put(registered, there)
	x.api.Asked()
	x.eventually("another look", func() bool { return slices.Contains(x.api.Asked(), "GET "+registered) })
	if asJSON(t, at(t, x.api.Object(registered), "webhooks", 0, "namespaceSelector")) != "{}" {
		t.Error("a default is taken for a difference")
	}
	there = x.api.Object(registered)
	at(t, there, "metadata").(map[string]any)["annotations"] = map[string]any{"team": "shop"}
	at(t, there, "webhooks", 0).(map[string]any)["failurePolicy"] = "Ignore"
	x.api.Put(registered, there)
	x.eventually("registration after it was changed", func() bool { return at(t, x.api.Object(registered), "webhooks", 0, "failurePolicy") == "Fail" })
	if at(t, x.api.Object(registered), "metadata", "annotations", "team") != "shop" {
		t.Error("an annotation of somebody's is gone")
	}
}

func TestTheTrustIsWrittenAgain(t *testing.T) {
	x := open(t, config.Config{}, nil)
	x.eventually("the first look", func() bool { return x.renewed.Load() }) // which may write it, too
	path := configMaps + "/" + TrustConfigMap
	x.api.Put(path, map[string]any{"metadata": map[string]any{"name": TrustConfigMap, "labels": map[string]any{"a": "b"}}, "data": map[string]any{"ca.pem": "another lab's"}})
	x.made(labelled)
	if at(t, x.api.Object(path), "data", "ca.pem") != string(x.lab.Authority().RootPEM()) || at(t, x.api.Object(path), "metadata", "labels", "a") != "b" {
		t.Errorf("the ConfigMap is %s", asJSON(t, x.api.Object(path))[:200])
	}
	x.api.Asked()
	x.made(labelled)
	if slices.Contains(x.api.Asked(), "PUT "+path) {
		t.Error("what is right is written again")
	}
	var all sync.WaitGroup
	x.api.Remove(path)
	for range 8 {
		all.Go(func() {
			if status, body := x.post(reviewOf(labelled, "")); status != http.StatusOK || !strings.Contains(body, `"allowed":true`) {
				t.Errorf("one of many pods at once: %d %s", status, body)
			}
		})
	}
	all.Wait()
}

func TestTrustOfBeforeIsRenewedAtTheStart(t *testing.T) {
	const path = "/api/v1/namespaces/old/configmaps/" + TrustConfigMap
	x := open(t, config.Config{}, func(c *Config) { c.poll = time.Hour }) // its first look may be over
	x.eventually("registration", func() bool { return x.renewed.Load() })
	x.api.Put(path, map[string]any{"metadata": map[string]any{"name": TrustConfigMap}, "data": map[string]any{"ca.pem": "of a CA of before"}})
	again, err := Start(t.Context(), x.config)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close(context.Background())
	x.eventually("renewal", func() bool { return again.renewed.Load() })
	if at(t, x.api.Object(path), "data", "ca.pem") != string(x.lab.Authority().RootPEM()) {
		t.Error("pods of a namespace of before trust a CA that is gone")
	}
	if x.api.Object(configMaps+"/"+TrustConfigMap) != nil {
		t.Error("a namespace without labelled pods gets a bundle")
	}
}

func TestPodsFindTheGatewayByAService(t *testing.T) {
	x := open(t, config.Config{Webhook: config.Webhook{Layout: "1.5"}}, func(c *Config) { c.Advertise = "lab/wiemu" })
	if r := x.ask(labelled, ""); r.Allowed || !strings.Contains(r.Status.Message, `services "wiemu" not found`) {
		t.Errorf("without the Service: %+v", r)
	}
	service := "/api/v1/namespaces/lab/services/wiemu"
	x.api.Put(service, map[string]any{"spec": map[string]any{"clusterIP": "None"}})
	if r := x.ask(labelled, ""); r.Allowed || !strings.Contains(r.Status.Message, "headless") {
		t.Errorf("with a headless Service: %+v", r)
	}
	for _, address := range []string{"10.96.0.7", "fd00::7"} {
		x.api.Put(service, map[string]any{"spec": map[string]any{"clusterIP": address}})
		pod := x.made(labelled)
		if got := at(t, pod, "spec", "hostAliases", 0, "ip"); got != address {
			t.Errorf("names lead to %v, want %s", got, address)
		}
		if e := env(t, pod, "containers", 0); !slices.Contains(e, "AZURE_FEDERATED_TOKEN_FILE=/var/run/secrets/azure/tokens/azure-identity-token") {
			t.Errorf("the layout is not that of wiemu.yaml: %q", e)
		}
	}
	x.eventually("registration", func() bool { return x.api.Object(registered) != nil })
	_, port, _ := strings.Cut(x.Address(), ":")
	if got := asJSON(t, at(t, x.api.Object(registered), "webhooks", 0, "clientConfig", "service")); got != `{"name":"wiemu","namespace":"lab","path":"/mutate","port":`+port+`}` {
		t.Error(got)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(x.CA())
	conn, err := tls.Dial("tcp", x.Address(), &tls.Config{RootCAs: roots, ServerName: "wiemu.lab.svc"})
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

func TestTheCertificateIsKept(t *testing.T) {
	dir := t.TempDir()
	keep := func(c *Config) { c.StateDir = dir }
	first, second := open(t, config.Config{}, keep), open(t, config.Config{}, keep)
	if !bytes.Equal(first.CA(), second.CA()) {
		t.Error("after a restart the CA is another one")
	}
	if info, err := os.Stat(dir + "/webhook-ca/authority.pem"); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("its file: %v, %v", info, err)
	}
}

func TestStartSaysWhatIsWrong(t *testing.T) {
	x := open(t, config.Config{}, nil)
	for want, change := range map[string]func(*Config){
		"expected an IP address, or NAMESPACE/NAME of a Service, found \"node\"": func(c *Config) { c.Advertise = "node" },
		"the webhook's address: expected HOST:PORT, found \"9443\"":              func(c *Config) { c.Listen = "9443" },
		"choose another address, or stop what uses it":                           func(c *Config) { c.Listen = x.Address() },
	} {
		c := x.config
		change(&c)
		if s, err := Start(t.Context(), c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, %v; want %q", s, err, want)
		}
	}
}

func FuzzReview(f *testing.F) {
	f.Add([]byte(reviewOf(labelled, "")))
	f.Add([]byte(reviewOf(plainPod, `,"dryRun":true`)))
	f.Add([]byte(reviewOf(`{"spec":{"hostAliases":[{"ip":"169.254.7.7","hostnames":null}],"volumes":[{"name":"wiemu-trust","projected":{"sources":[null,{"serviceAccountToken":{"path":"azure-identity-token"}}]}}]}}`, "")))
	f.Add([]byte(reviewOf(`{"metadata":{"annotations":{"azure.workload.identity/inject-proxy-sidecar":"","azure.workload.identity/skip-containers":";a","azure.workload.identity/use-identity-binding":"true"}},"spec":{"initContainers":[{"name":"azwi-proxy"}],"containers":[{"env":[{"name":"JAVA_TOOL_OPTIONS"}]}]}}`, "")))
	f.Add([]byte(`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u","object":null}}`))
	settings := configured()
	settings.Identity.Sidecar = Sidecar{Image: "p", InitImage: "i", Native: true}
	settings.Identity.Binding = &Binding{Audience: "a", ProxyURL: "u", CAConfigMap: "c"}
	f.Fuzz(func(t *testing.T, data []byte) {
		asked, err := parseReview(data)
		if err != nil {
			return
		}
		for _, layout := range []Layout{Layout16, Layout15} {
			settings.Identity.Layout = layout
			m, err := Mutate(asked.Object, account(), settings)
			if err != nil {
				continue
			}
			before, err := decode(asked.Object)
			if err != nil {
				t.Fatal(err)
			}
			if patched := asJSON(t, apply(t, map[string]any(before), m.Patch)); patched != string(m.Pod) {
				t.Errorf("the patch makes\n%s, and not\n%s", patched, m.Pod)
			}
			again, err := Mutate(m.Pod, account(), settings)
			if err != nil || len(again.Patch) > 0 {
				t.Errorf("a second time: %v, %v", again.Patch, err)
			}
		}
	})
}
