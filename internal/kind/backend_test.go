package kind

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/internal/azwi"
	"github.com/wiemu/wiemu/internal/backend"
	"github.com/wiemu/wiemu/internal/faultkind"
	"github.com/wiemu/wiemu/internal/workload"
)

func TestContainerLogsAreOutputAgain(t *testing.T) {
	const log = "2026-01-05T09:00:00.1Z stdout F one\n" +
		"2026-01-05T09:00:00.2Z stderr F Complaint: two words\n" +
		"2026-01-05T09:00:00.3Z stdout P a long \n" +
		"2026-01-05T09:00:00.4Z stdout F line\n" +
		"2026-01-05T09:00:00.5Z stdout F \n"
	for cut := range len(log) { // as it is read while it grows
		var c logCopy
		var out, complaints strings.Builder
		for _, text := range []string{log[:cut], log} {
			if err := c.write(text, &out, &complaints); err != nil {
				t.Fatalf("cut at %d: %v", cut, err)
			}
		}
		if out.String() != "one\na long line\n\n" || complaints.String() != "Complaint: two words\n" {
			t.Fatalf("cut at %d: %q and %q", cut, &out, &complaints)
		}
	}
	for _, wrong := range []string{"no time at all\n", "\n", "two words\n"} {
		if err := new(logCopy).write(strings.ReplaceAll(wrong, "no time at all", "none"), new(strings.Builder), new(strings.Builder)); err == nil || !strings.Contains(err.Error(), "expected TIME STREAM TAGS TEXT") {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}

func FuzzContainerLogs(f *testing.F) {
	f.Add("2026-01-05T09:00:00.1Z stdout F one\n2026-01-05T09:00:00.3Z stderr P a long \n", 20)
	f.Fuzz(func(t *testing.T, log string, cut int) {
		var whole, parts strings.Builder
		if new(logCopy).write(log, &whole, &whole) != nil {
			return
		}
		var c logCopy
		for _, text := range []string{log[:min(max(cut, 0), len(log))], log} {
			if err := c.write(text, &parts, &parts); err != nil {
				t.Fatal(err)
			}
		}
		if whole.String() != parts.String() {
			t.Errorf("in one piece %q, in two %q", &whole, &parts)
		}
	})
}

func TestHowAPodEnds(t *testing.T) {
	for name, row := range map[string]struct {
		status string
		code   int
		ended  bool
		says   string
	}{
		"it is new":            {`{"phase":"Pending"}`, 0, false, ""},
		"it is being made":     {`{"phase":"Pending","containerStatuses":[{"name":"program","state":{"waiting":{"reason":"ContainerCreating"}}}]}`, 0, false, ""},
		"it runs":              {`{"phase":"Running","containerStatuses":[{"name":"token-file","state":{"terminated":{"exitCode":9}}},{"name":"program","state":{"running":{}}}]}`, 0, false, ""},
		"it has ended":         {`{"phase":"Running","containerStatuses":[{"name":"program","state":{"terminated":{"exitCode":3,"reason":"Error"}}}]}`, 3, true, ""},
		"no such program":      {`{"phase":"Running","containerStatuses":[{"name":"program","state":{"terminated":{"exitCode":128,"reason":"StartError","message":"exec: no-such: not found"}}}]}`, 128, true, "no-such: not found"},
		"no such image":        {`{"phase":"Pending","containerStatuses":[{"name":"program","state":{"waiting":{"reason":"ErrImageNeverPull","message":"image is not present"}}}]}`, 0, true, "ErrImageNeverPull: image is not present"},
		"the node has no room": {`{"phase":"Failed","reason":"OutOfcpu","message":"no cpu"}`, 0, true, "OutOfcpu: no cpu"},
	} {
		var s corev1.Pod
		if err := json.Unmarshal([]byte(`{"status":`+row.status+`}`), &s); err != nil {
			t.Fatal(err)
		}
		code, ended, err := ended(s, programContainer)
		if code != row.code || ended != row.ended || (err != nil) != (row.says != "") || err != nil && !strings.Contains(err.Error(), row.says) {
			t.Errorf("%s: %d, %v, %v", name, code, ended, err)
		}
	}
}

func TestWhereTheNodeHasATokenFile(t *testing.T) {
	var s corev1.Pod
	text := `{"metadata":{"uid":"u-1"},"spec":{"volumes":[{"name":"bin","hostPath":{}},{"name":"kube-api-access","projected":{"sources":[{"configMap":{}},{"serviceAccountToken":{"path":"token"}}]}},
		{"name":"wi","projected":{"sources":[{"serviceAccountToken":{"path":"token/azure-identity-token"}}]}}]}}`
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		t.Fatal(err)
	}
	if got := tokenFile(s); got != "/var/lib/kubelet/pods/u-1/volumes/kubernetes.io~projected/wi/token/azure-identity-token" {
		t.Error(got)
	}
	if got := tokenFile(corev1.Pod{}); got != "" {
		t.Error(got)
	}
}

func TestTheConfigurationOfAWorld(t *testing.T) {
	const clientID = "b96d264b-7053-4465-a4a7-32be5b0fec49"
	declared := config.Workload{Name: "web", Namespace: "shop", ServiceAccount: "web-sa", ClientID: clientID}
	w := backend.Spec{
		Seed: 1,
		Config: config.Config{
			Workloads: []config.Workload{declared},
			Faults:    []fault.Fault{{Name: faultkind.Throttled, When: fault.Limits{Probability: 0.5}}, {Name: faultkind.Throttled, When: fault.Limits{Probability: 0.5, Seed: 7}}, {Name: faultkind.Throttled}},
		},
		Workloads: []workload.Spec{
			{Workload: workload.Workload{Namespace: "shop", ServiceAccount: "web-sa", ClientID: clientID}},
			{Workload: workload.Workload{Namespace: "shop-dev", ServiceAccount: "web-sa", ClientID: clientID, Component: "web"}},
			{Workload: workload.Workload{Namespace: "shop", ServiceAccount: "nobody-sa"}},
		},
	}
	c := configuration(w)
	if len(c.Workloads) != 2 || c.Workloads[0] != declared || c.Workloads[1].Namespace != "shop-dev" {
		t.Errorf("workloads: %+v", c.Workloads)
	}
	if c.Faults[0].When.Seed != 1 || c.Faults[1].When.Seed != 7 || c.Faults[2].When.Seed != 0 {
		t.Errorf("faults: %+v", c.Faults)
	}
	if w.Config.Faults[0].When.Seed != 0 || len(w.Config.Workloads) != 1 {
		t.Error("the session's spec was changed")
	}
}

func TestThePodOfAProgram(t *testing.T) {
	b := &Backend{pause: "registry.k8s.io/pause:3.10", searchPath: map[string]string{CommandImage: "/usr/bin"}}
	r := &podWorkload{session: &session{backend: b}, declared: workload.Spec{
		Workload:     workload.Workload{Namespace: "shop", ServiceAccount: "web-sa", ClientID: "b96d264b-7053-4465-a4a7-32be5b0fec49"},
		TokenOptions: workload.TokenOptions{TokenLifetime: 7200e9},
	}}
	p, err := r.pod(context.Background(), backend.Program{Command: []string{"sh", "-c", "echo $(date)"}, Env: map[string]string{"AZURE_AUTHORITY_HOST": ""}})
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(p.manifest)
	if err != nil {
		t.Fatal(err)
	}
	var pod struct {
		Metadata struct {
			Name, Namespace     string
			Labels, Annotations map[string]string
		}
		Spec struct {
			ServiceAccountName string
			Containers         []struct {
				Name, Image string
				Command     []string
				Env         []struct{ Name, Value string }
			}
		}
	}
	if err := json.Unmarshal(text, &pod); err != nil {
		t.Fatal(err)
	}
	if m := pod.Metadata; !strings.HasPrefix(m.Name, "web-sa-") || m.Namespace != "shop" || m.Labels[azwi.UseLabel] != "true" ||
		m.Annotations[azwi.ExpirationAnnotation] != "7200" || m.Annotations[azwi.SkipAnnotation] != fileContainer {
		t.Errorf("%+v", m)
	}
	program := pod.Spec.Containers[0]
	if pod.Spec.ServiceAccountName != "web-sa" || len(pod.Spec.Containers) != 2 || program.Image != CommandImage || program.Command[2] != "echo $$(date)" {
		t.Errorf("%+v", pod.Spec)
	}
	if env := program.Env; len(env) != 2 || env[0].Name != "AZURE_AUTHORITY_HOST" || env[0].Value != "" || env[1].Value != "/usr/bin:/opt/wiemu/bin" {
		t.Errorf("%+v", env)
	}
	waiting, err := r.pod(context.Background(), backend.Program{})
	if err != nil {
		t.Fatal(err)
	}
	if text, err := json.Marshal(waiting.manifest); err != nil || strings.Contains(string(text), azwi.SkipAnnotation) || strings.Contains(string(text), programContainer+`"`) {
		t.Errorf("%s, %v", text, err)
	}
}
