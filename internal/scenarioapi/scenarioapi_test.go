package scenarioapi_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/internal/scenario"
	"github.com/wiemu/wiemu/internal/scenarioapi"
	"github.com/wiemu/wiemu/internal/server"
	"github.com/wiemu/wiemu/internal/session"
	"github.com/wiemu/wiemu/scenarios"
)

func newLab(t *testing.T, load func() ([]scenario.Scenario, error)) (*session.Session, *scenarioapi.Library) {
	t.Helper()
	library := scenarioapi.New(t.Context(), load, scenarioapi.Options{})
	s, err := session.Start(t.Context(), session.Options{Emulator: server.Options{InMemory: true, Control: library.Handle}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s, library
}

// The built-in scenarios are listed with the codes that are seen in them.
func TestTheLibraryIsListedByCode(t *testing.T) {
	s, library := newLab(t, func() ([]scenario.Scenario, error) { return scenario.LoadFS(scenarios.Library()) })
	defer func() {
		if err := library.Close(); err != nil {
			t.Error(err)
		}
	}()
	var all []scenarioapi.Listed
	if err := s.Emulator().ControlClient().Do(t.Context(), http.MethodGet, scenarioapi.ListPath, nil, &all); err != nil {
		t.Fatal(err)
	}
	withCode := 0
	for _, one := range all {
		if one.Description == "" || one.Cause == "" {
			t.Errorf("%s is listed without its symptom or cause", one.Name)
		}
		if len(one.Codes) > 0 {
			withCode++
		}
		if one.Name == "cluster-recreated" && fmt.Sprint(one.Codes) != "[700211]" {
			t.Errorf("cluster-recreated has codes %v, want 700211", one.Codes)
		}
	}
	if len(all) < 80 || withCode < 20 {
		t.Errorf("%d scenarios, %d with a code", len(all), withCode)
	}
}

// sleeping are scenarios that do not end by themselves.
func sleeping(names ...string) (all []scenario.Scenario, err error) {
	for _, name := range names {
		one, err := scenario.Parse(name+".yaml", []byte(`
apiVersion: wiemu.dev/v1
kind: Scenario
metadata: {name: `+name+`}
workloads:
  - {name: web, namespace: shop, serviceAccount: web-sa, clientId: b96d264b-7053-4465-a4a7-32be5b0fec49}
steps:
  - {name: long, run: {workload: web, command: [sleep, "3600"], timeout: 1h}}
  - expect: [results.long.exitCode == 0]
`))
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

// A run that has not ended makes no room for another.
func TestRunsUnderWayAreNotDropped(t *testing.T) {
	names := []string{"a", "b", "c", "d", "e", "f", "g", "h", "i"}
	s, library := newLab(t, func() ([]scenario.Scenario, error) { return sleeping(names...) })
	var ids []string
	for n, name := range names {
		var r scenarioapi.Run
		err := s.Emulator().ControlClient().Do(t.Context(), http.MethodPost, "/v1/scenarios/"+name+"/run", nil, &r)
		if last := n == len(names)-1; last != (err != nil && strings.Contains(err.Error(), "8 scenarios run already")) {
			t.Errorf("%s: %v", name, err)
		}
		ids = append(ids, r.ID)
	}
	if err := library.Close(); err != nil {
		t.Error(err)
	}
	for _, id := range ids[:8] {
		var r scenarioapi.Run
		if err := s.Emulator().ControlClient().Do(t.Context(), http.MethodGet, "/v1/scenario-runs/"+id, nil, &r); err != nil || r.Outcome != "interrupted" {
			t.Errorf("run %s: %q, %v", id, r.Outcome, err)
		}
	}
}

// What is not there is refused in words, and what runs ends with the library.
func TestRunsEndWithTheLibrary(t *testing.T) {
	s, library := newLab(t, func() ([]scenario.Scenario, error) { return sleeping("sleeps") })
	ask := func(method, path string) (r scenarioapi.Run, err error) {
		err = s.Emulator().ControlClient().Do(t.Context(), method, path, nil, &r)
		return r, err
	}
	for path, want := range map[string]string{"/v1/scenario-runs/7": `run "7"`, "/v1/scenario-runs/7?after=x": "after"} {
		if _, err := ask(http.MethodGet, path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
	if _, err := ask(http.MethodPost, "/v1/scenarios/nothing/run"); err == nil || !strings.Contains(err.Error(), "wiemu scenario list") {
		t.Errorf("a scenario that is not there: %v", err)
	}
	first, err := ask(http.MethodPost, "/v1/scenarios/sleeps/run")
	if err != nil || first.Outcome != scenarioapi.Running {
		t.Fatal(first, err)
	}
	if again, err := ask(http.MethodPost, "/v1/scenarios/sleeps/run"); err != nil || again.ID != first.ID {
		t.Errorf("it is run twice at a time: %v, %v", again.ID, err)
	}
	if err := library.Close(); err != nil {
		t.Error(err)
	}
	if ended, err := ask(http.MethodGet, "/v1/scenario-runs/"+first.ID); err != nil || ended.Outcome != "interrupted" {
		t.Errorf("outcome %q, %v; want interrupted", ended.Outcome, err)
	}
	if _, err := ask(http.MethodPost, "/v1/scenarios/sleeps/run"); err == nil {
		t.Error("a closed library runs a scenario")
	}
}
