package arm_test

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/internal/lab"
)

func (w *world) inject(text string) {
	w.t.Helper()
	f, err := fault.Parse(text)
	if err == nil {
		_, err = w.Faults().Inject(f)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// Two credentials that are written at once do not both get in; one after the other they do.
func TestConcurrentWrites(t *testing.T) {
	w := newWorld(t, lab.Options{})
	w.withIdentity()
	w.inject("concurrent-writes,latency=300ms")
	names := []string{"one", "two", "three"}
	got := make([]answer, len(names))
	var all sync.WaitGroup
	for n, name := range names {
		all.Go(func() { got[n] = w.credential(name, trust("https://issuer.example/", name)) })
	}
	all.Wait()
	created := 0
	for n, a := range got {
		switch {
		case a.status == http.StatusCreated:
			created++
		case a.status != http.StatusConflict || a.Code != "ConcurrentFederatedIdentityCredentialsWritesForSingleManagedIdentity":
			t.Errorf("%s: %d %s", names[n], a.status, a.body)
		}
	}
	if created == 0 || created == len(names) {
		t.Errorf("%d of %d were created", created, len(names))
	}
	for n, name := range names {
		if a := w.credential(name, trust("https://issuer.example/", name)); a.status >= http.StatusBadRequest {
			t.Errorf("%s again: %d %s", names[n], a.status, a.body)
		}
	}
}

// A new principal is not found for a while, unless its type stands beside it.
func TestAFreshPrincipal(t *testing.T) {
	w := newWorld(t, lab.Options{})
	w.inject("principal-not-replicated,delay=2m")
	_, principalID := w.withIdentity()
	assign := func(name, more string) answer {
		return w.ask(w.terraform(), "PUT "+group+assignments+name+v2022, `{"properties": {"roleDefinitionId": "`+reader+`", "principalId": "`+principalID+`"`+more+`}}`)
	}
	if a := assign(nobody, ""); a.status != http.StatusBadRequest || a.Code != "PrincipalNotFound" {
		t.Errorf("at once: %d %s", a.status, a.body)
	}
	if a := assign(nobody, `, "principalType": "ServicePrincipal"`); a.status != http.StatusCreated {
		t.Errorf("with its type: %d %s", a.status, a.body)
	}
	w.do("DELETE "+group+assignments+nobody+v2022, "")
	if err := w.Clock().Advance(t.Context(), 2*time.Minute); err != nil {
		t.Fatal(err)
	}
	if a := assign(nobody, ""); a.status != http.StatusCreated {
		t.Errorf("after two minutes: %d %s", a.status, a.body)
	}
}
