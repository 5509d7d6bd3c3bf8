package arm_test

import (
	"errors"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"syscall"
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
	w.inject("concurrent-writes,latency=2s")
	names := []string{"one", "two", "three"}
	got := make([]answer, len(names))
	var all sync.WaitGroup
	all.Go(func() { got[0] = w.credential(names[0], trust("https://issuer.example/", names[0])) })
	for w.Faults().Active()[0].Hits == 0 {
		runtime.Gosched() // it comes to its write
	}
	for n, name := range names[1:] {
		got[n+1] = w.credential(name, trust("https://issuer.example/", name))
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

// lose sends a request as terraform, whose connection is to break.
func (w *world) lose(method, path, body string) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, "https://management.azure.com"+group+"/"+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+w.token(w.terraform(), "https://management.azure.com/.default"))
	r.Header.Set("Content-Type", "application/json")
	res, err := w.Transport().RoundTrip(r)
	if err == nil {
		defer res.Body.Close()
		w.t.Fatalf("%s %s is answered with %d; want a connection that breaks", method, path, res.StatusCode)
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		w.t.Errorf("%s %s: %v; want ECONNRESET", method, path, err)
	}
}

// A write whose answer is lost is done, and the same request again is the same write.
func TestAWriteWhoseAnswerIsLost(t *testing.T) {
	w := newWorld(t, lab.Options{})
	_, principalID := w.withIdentity()
	role := `{"properties": {"roleDefinitionId": "` + reader + `", "principalType": "ServicePrincipal", "principalId": "` + principalID + `"}}`
	const more = "providers/Microsoft.ManagedIdentity/userAssignedIdentities/more"
	for _, row := range []struct {
		path, body string
	}{
		{more + v2024, `{"location": "westeurope"}`},
		{more + "/federatedIdentityCredentials/one" + v2024, trust("https://issuer.example/", "one")},
		{strings.TrimPrefix(assignments, "/") + nobody + v2022, role},
	} {
		w.inject("write-lost-reply,when.count=1")
		w.lose(http.MethodPut, row.path, row.body)
		if a := w.ask(w.terraform(), "GET "+row.path, ""); a.status != http.StatusOK {
			t.Errorf("%s after its answer was lost: %d %s", row.path, a.status, a.body)
		}
		if a := w.ask(w.terraform(), "PUT "+row.path, row.body); a.status >= http.StatusBadRequest {
			t.Errorf("PUT %s again: %d %s", row.path, a.status, a.body)
		}
	}
	w.inject("write-lost-reply,when.count=1")
	w.lose(http.MethodDelete, more+v2024, "")
	if a := w.ask(w.terraform(), "DELETE "+more+v2024, ""); a.status != http.StatusNoContent {
		t.Errorf("DELETE again: %d %s", a.status, a.body)
	}
	// With another name it is another assignment of what there is already.
	if a := w.ask(w.terraform(), "PUT "+strings.TrimPrefix(assignments, "/")+stranger+v2022, role); a.Code != "RoleAssignmentExists" {
		t.Errorf("with a new name: %d %s", a.status, a.body)
	}
}

// Who is throttled is told for how long, and that no requests remain.
func TestThrottled(t *testing.T) {
	w := newWorld(t, lab.Options{})
	w.group()
	for method, what := range map[string]string{"GET": "Reads", "PUT": "Writes", "DELETE": "Deletes"} {
		const path = " providers/Microsoft.ManagedIdentity/userAssignedIdentities/more" + v2024
		sound := w.ask(w.terraform(), method+path, `{"location": "westeurope"}`)
		w.inject("throttled,retry-after=7s,for.resource=arm,when.count=1")
		hit := w.ask(w.terraform(), method+path, `{"location": "westeurope"}`)
		if hit.status != http.StatusTooManyRequests || hit.header.Get("Retry-After") != "7" || hit.header.Get("X-Ms-Ratelimit-Remaining-Subscription-"+what) != "0" {
			t.Errorf("%s: %d %v", method, hit.status, hit.header)
		}
		if left := sound.header.Get("X-Ms-Ratelimit-Remaining-Subscription-" + what); sound.status < http.StatusBadRequest && (left == "" || left == "0") {
			t.Errorf("%s without the fault: %q remain", method, left)
		}
	}
}
