package session_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/faultkind"
	"github.com/wiemu/wiemu/internal/session"
	"github.com/wiemu/wiemu/internal/workload"
)

// The variables of azure-workload-identity's webhook.
// azure-workload-identity: pkg/webhook/consts.go
var injected = []string{"AZURE_AUTHORITY_HOST", "AZURE_CLIENT_ID", "AZURE_FEDERATED_TOKEN_FILE", "AZURE_TENANT_ID"}

func names(env []string) (found []string) {
	for _, v := range env {
		if name, _, _ := strings.Cut(v, "="); slices.Contains(injected, name) {
			found = append(found, name)
		}
	}
	slices.Sort(found)
	return found
}

func TestAWebhookThatDoesNotInject(t *testing.T) {
	for _, row := range []struct {
		name string
		For  fault.Selector
		hit  bool
	}{
		{"anybody", fault.Selector{}, true},
		{"this workload", fault.Selector{Workload: "my-radix-app-dev/web-sa"}, true},
		{"this client", fault.Selector{Client: clientID}, true},
		{"this workload by name", fault.Selector{Workload: "web"}, true},
		{"this client by the workload's name", fault.Selector{Client: "web"}, true},
		{"another workload", fault.Selector{Workload: "my-radix-app-dev/api-sa"}, false},
		{"another workload by name", fault.Selector{Workload: "api"}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			lab := newLab(t, session.Options{})
			w, err := lab.Workload(t.Context(), workload.Spec{Workload: web})
			if err != nil {
				t.Fatal(err)
			}
			api := workload.Workload{Component: "api", Namespace: "my-radix-app-dev", ServiceAccount: "api-sa"}
			if err := lab.Declare([]workload.Spec{{Workload: api}}); err != nil {
				t.Fatal(err)
			}
			id, err := lab.Emulator().Faults().Inject(fault.Fault{Name: faultkind.WebhookNotInjecting, For: row.For})
			if err != nil {
				t.Fatal(err)
			}
			want := injected
			if row.hit {
				want = nil
			}
			base := []string{"AZURE_CLIENT_ID=of-the-caller", "PATH=/bin"}
			env := w.Environ(base)
			if got := names(env); !slices.Equal(got, want) {
				t.Errorf("a program is told %v, want %v", got, want)
			}
			if !slices.ContainsFunc(env, func(v string) bool { return strings.HasPrefix(v, "HTTPS_PROXY=") }) {
				t.Error("the way to the lab is not the webhook's to take")
			}
			client := &control.Client{URL: lab.Emulator().ControlURL(), Token: lab.Emulator().Token()}
			attached, err := session.Admit(t.Context(), client, workload.Spec{Workload: web}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := names(attached.Environ(base)); !slices.Equal(got, want) {
				t.Errorf("a program of another process is told %v, want %v", got, want)
			}
			told := slices.ContainsFunc(lab.Journal().Events(), func(e journal.Event) bool {
				return e.Kind == journal.Run && e.Outcome == journal.Failed && e.Detail[journal.DetailFault] == id && e.Remedy != ""
			})
			if told != row.hit {
				t.Errorf("the journal tells it: %v, want %v", told, row.hit)
			}
			if err := lab.Emulator().Faults().Clear(id); err != nil {
				t.Fatal(err)
			}
			if got := names(w.Environ(base)); !slices.Equal(got, injected) {
				t.Errorf("after the fault a program is told %v", got)
			}
		})
	}
}
