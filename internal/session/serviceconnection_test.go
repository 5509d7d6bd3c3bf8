package session_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/faultkind"
	"github.com/wiemu/wiemu/internal/keyring/keyringtest"
	"github.com/wiemu/wiemu/internal/lab"
	"github.com/wiemu/wiemu/internal/server"
	"github.com/wiemu/wiemu/internal/session"
	"github.com/wiemu/wiemu/internal/workload"
)

// exchangeOfTask asks for the token of a task's service connection and exchanges it. It returns the
// status of the token service's answer, and the text.
func exchangeOfTask(t *testing.T, s *session.Session, env []string) (int, string) {
	t.Helper()
	do := func(r *http.Request, err error) (int, string) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		answer, err := s.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = answer.Body.Close() }()
		var text bytes.Buffer
		if _, err := text.ReadFrom(answer.Body); err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, text.String()
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, variable(env, "SYSTEM_OIDCREQUESTURI")+"?api-version=7.1&serviceConnectionId="+variable(env, "AZURESUBSCRIPTION_SERVICE_CONNECTION_ID"), nil)
	if err == nil {
		r.Header.Set("Authorization", "Bearer "+variable(env, "SYSTEM_ACCESSTOKEN"))
	}
	status, text := do(r, err)
	var task struct{ OIDCToken string }
	if err := json.Unmarshal([]byte(text), &task); err != nil || task.OIDCToken == "" {
		t.Fatalf("the connection's token: %d %s", status, text)
	}
	form := url.Values{
		"grant_type": {"client_credentials"}, "client_id": {variable(env, "AZURESUBSCRIPTION_CLIENT_ID")}, "scope": {"https://vault.azure.net/.default"},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {task.OIDCToken},
	}
	r, err = http.NewRequestWithContext(t.Context(), http.MethodPost, "https://login.microsoftonline.com/"+variable(env, "AZURESUBSCRIPTION_TENANT_ID")+"/oauth2/v2.0/token", strings.NewReader(form.Encode()))
	if err == nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return do(r, err)
}

// The exchange of a service connection is its workload's, in the journal and for faults, although
// its subject does not name it; so is that of a connection of Azure DevOps itself.
func TestExchangesOfServiceConnectionsHaveTheirWorkload(t *testing.T) {
	c, err := config.Config{Workloads: []config.Workload{
		{Name: "after", ClientID: deployer, ServiceConnection: config.ServiceConnection{Organization: "contoso", Project: "shop", Name: "azure"}},
		{Name: "old", ClientID: deployer, ServiceConnection: config.ServiceConnection{Organization: "contoso", Project: "shop", Name: "legacy", Issuer: "azureDevOps"}},
	}}.Complete("")
	if err != nil {
		t.Fatal(err)
	}
	s, err := session.Start(t.Context(), session.Options{
		Emulator: server.Options{InMemory: true, Config: c, Options: lab.Options{Keys: keyringtest.Keys(t), Clock: clock.Stopped(time.Date(2026, 1, 5, 8, 0, 0, 0, time.UTC))}},
		Dir:      t.TempDir(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	for n, account := range []string{"contoso/azure", "contoso/legacy"} {
		d := workload.DeclaredIn(c, c.Workloads[n])
		w, err := s.Workload(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		env := w.Environ(nil)
		if status, text := exchangeOfTask(t, s, env); status != http.StatusOK {
			t.Errorf("%s: %d %s", account, status, text)
		}
		if all := s.Journal().Events(); all[len(all)-1].Kind != journal.Exchange || all[len(all)-1].Workload != account {
			t.Errorf("the exchange of %s is in the journal as %+v", account, all[len(all)-1])
		}
		for _, row := range []struct {
			fault string
			want  int
		}{{faultkind.Throttled, http.StatusTooManyRequests}, {faultkind.Intermittent700213, http.StatusUnauthorized}} {
			id, err := s.Emulator().Faults().Inject(fault.Fault{Name: row.fault, For: fault.Selector{Workload: d.Component}})
			if err != nil {
				t.Fatal(err)
			}
			if status, text := exchangeOfTask(t, s, env); status != row.want {
				t.Errorf("%s for workload %s: %d %s; want %d", row.fault, d.Component, status, text, row.want)
			}
			if err := s.Emulator().Faults().Clear(id); err != nil {
				t.Fatal(err)
			}
		}
	}
}
