package arm_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/emulator/journal"
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
	w.inject("concurrent-writes,latency=1h")
	hit, done := make(chan struct{}), make(chan struct{})
	isHit, isDone := sync.OnceFunc(func() { close(hit) }), sync.OnceFunc(func() { close(done) })
	w.Journal().Watch(func(e journal.Event) {
		switch {
		case e.Kind == journal.Fault:
			isHit()
		case e.Kind == journal.Access && strings.HasSuffix(e.Path, "/one"):
			isDone()
		}
	})
	ctx, giveUp := context.WithCancel(t.Context())
	defer giveUp()
	r, err := http.NewRequestWithContext(ctx, http.MethodPut, "https://management.azure.com"+group+"/"+identities+"/web/federatedIdentityCredentials/one"+v2024, strings.NewReader(trust("https://issuer.example/", "one")))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+w.token(w.terraform(), "https://management.azure.com/.default"))
	r.Header.Set("Content-Type", "application/json")
	go func() {
		if res, err := w.Transport().RoundTrip(r); err == nil {
			_ = res.Body.Close() // it is given up before it is answered, or refused
		}
	}()
	select {
	case <-hit:
	case <-done:
		t.Fatal("the first is answered without a pause")
	}
	for _, name := range []string{"two", "three"} {
		if a := w.credential(name, trust("https://issuer.example/", name)); a.status != http.StatusConflict || a.Code != "ConcurrentFederatedIdentityCredentialsWritesForSingleManagedIdentity" {
			t.Errorf("%s beside one: %d %s", name, a.status, a.body)
		}
	}
	giveUp()
	<-done
	w.Faults().ClearAll()
	for name, want := range map[string]int{"one": http.StatusOK, "two": http.StatusCreated, "three": http.StatusCreated} {
		if a := w.credential(name, trust("https://issuer.example/", name)); a.status != want {
			t.Errorf("%s again: %d %s; want %d", name, a.status, a.body, want)
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

// A role for a group or a user is taken, as in Azure, and its event says that it grants nobody anything.
func TestARoleOfAGroupSaysThatItGrantsNothing(t *testing.T) {
	w := newWorld(t, lab.Options{})
	_, principalID := w.withIdentity()
	const stranger = "11111111-2222-4333-8444-555555555555" // no object id of the directory
	for n, row := range []struct {
		kind, id, note string
	}{
		{"Group", stranger, "the principal " + stranger + ", of type Group, is not in the directory: members of groups are not emulated, so the role on it grants nobody anything: assign it to the service principal of each member"},
		{"foreignGroup", stranger, "members of groups are not emulated"},
		{"User", stranger, "users are not emulated"},
		{"ServicePrincipal", stranger, ""}, // one that was made a moment ago
		{"ServicePrincipal", principalID, ""},
	} {
		name := fmt.Sprintf("99999999-0000-4000-8000-%012d", n)
		before := len(w.Journal().Events())
		if a := w.do("PUT "+group+assignments+name+v2022, `{"properties": {"roleDefinitionId": "`+reader+`", "principalId": "`+row.id+`", "principalType": "`+row.kind+`"}}`); a.status != http.StatusCreated {
			t.Errorf("%s: %d %s", row.kind, a.status, a.body)
		}
		var notes []string
		for _, e := range w.Journal().Events()[before:] {
			if note := e.Detail[journal.DetailNote]; note != "" {
				notes = append(notes, note)
			}
		}
		if got := strings.Join(notes, "\n"); (row.note == "") != (got == "") || !strings.Contains(got, row.note) {
			t.Errorf("%s: noted %q, want %q", row.kind, got, row.note)
		}
		w.do("DELETE "+group+assignments+name+v2022, "")
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
