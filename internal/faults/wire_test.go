package faults_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/faultkind"
	"github.com/wiemu/wiemu/internal/faults"
)

// Whom a request is about is read from what it says of itself; the handler
// behind reads the same body.
func TestWhoARequestIsAbout(t *testing.T) {
	// {"alg":"RS256","kid":"k1"}.{"iss":"https://a.example/","sub":"system:serviceaccount:ns:sa"}.x
	const assertion = "eyJhbGciOiJSUzI1NiIsImtpZCI6ImsxIn0.eyJpc3MiOiJodHRwczovL2EuZXhhbXBsZS8iLCJzdWIiOiJzeXN0ZW06c2VydmljZWFjY291bnQ6bnM6c2EifQ.eA"
	// {}.{"appid":"c"}.x
	const access = "e30.eyJhcHBpZCI6ImMifQ.eA"
	form := url.Values{"client_id": {" c "}, "scope": {"https://vault.azure.net/.default"}, "client_assertion": {assertion + "\n"}}.Encode()
	post := func() *http.Request {
		r := httptest.NewRequest(http.MethodPost, "https://login.example/token", strings.NewReader(form))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return r
	}
	get := func() *http.Request {
		r := httptest.NewRequest(http.MethodGet, "https://vault.example/secrets", nil)
		r.Header.Set("Authorization", "bearer "+access)
		return r
	}
	for _, test := range []struct {
		request func() *http.Request
		hit     []fault.Selector
		missed  []fault.Selector
	}{
		{post, []fault.Selector{{Client: "c"}, {Kid: "k1"}, {Issuer: "https://a.example/"}, {Workload: "ns/sa"}, {Resource: "https://vault.azure.net"}, {Resource: "part"}, {Resource: "login.example"}},
			[]fault.Selector{{Client: "d"}, {Kid: "k2"}, {Workload: "ns/other"}, {Resource: "vault.example"}}},
		{get, []fault.Selector{{Client: "c"}, {Resource: "vault.example"}}, []fault.Selector{{Client: "d"}, {Workload: "ns/sa"}}},
	} {
		serve := func(who fault.Selector) (*httptest.ResponseRecorder, string) {
			s, _, _ := newSet(t, fault.Fault{Name: faultkind.Throttled, For: who})
			w, body := httptest.NewRecorder(), ""
			s.Answers("part", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				read, _ := io.ReadAll(r.Body)
				body = string(read)
				if status, _, refused := faults.Refusal(r.Context()); refused {
					w.WriteHeader(status)
				}
			})).ServeHTTP(w, test.request())
			return w, body
		}
		for _, who := range test.hit {
			if w, body := serve(who); w.Code != http.StatusTooManyRequests || test.request().Method == http.MethodPost && body != form {
				t.Errorf("%+v: answered %d, the handler read %q", who, w.Code, body)
			}
		}
		for _, who := range test.missed {
			if w, _ := serve(who); w.Code != http.StatusOK {
				t.Errorf("%+v: answered %d", who, w.Code)
			}
		}
	}
}

func TestSlowAnswersTakeTheirTimeAndMayBeRefusedToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, j := newSet(t, fault.Fault{Name: faultkind.Slow, Parameters: map[string]string{"latency": "5s"}}, fault.Fault{Name: faultkind.Throttled})
		began := time.Now()
		var hits []faults.Hit
		s.Answers("part", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { hits = faults.Hits(r.Context()) })).
			ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "https://h.example/", nil))
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("the answer took %v", took)
		}
		if len(hits) != 2 || len(j.Events()) != 4 {
			t.Errorf("hit by %v", hits)
		}
	})
}

func FuzzRequestsAreAboutSomebody(f *testing.F) {
	f.Add("client_id=c&client_assertion=e30.e30.e30", "Bearer a.b.c")
	f.Add("scope=+&client_id=%zz", "Bearer")
	f.Fuzz(func(t *testing.T, body, authorization string) {
		s, _, _ := newSet(t, fault.Fault{Name: faultkind.Throttled})
		r := httptest.NewRequest(http.MethodPost, "https://h.example/", strings.NewReader(body))
		r.Header.Set("Authorization", authorization)
		s.Answers("part", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if read, err := io.ReadAll(r.Body); err != nil || string(read) != body {
				t.Errorf("the handler read %q %v, want %q", read, err, body)
			}
		})).ServeHTTP(httptest.NewRecorder(), r)
	})
}

// The answer to a write is lost once the write is done, and no other answer is.
func TestWritesWhoseAnswerIsLost(t *testing.T) {
	for _, row := range []struct {
		component, method string
		status            int
		lost              bool
		path              string
	}{
		{"arm", http.MethodPut, http.StatusCreated, true, ""},
		{"arm", http.MethodPatch, http.StatusOK, true, ""},
		{"arm", http.MethodDelete, http.StatusNoContent, true, ""},
		{"arm", http.MethodGet, http.StatusOK, false, ""},
		{"arm", http.MethodPost, http.StatusOK, false, ""}, // asks for keys, or for what a template would change
		{"arm", http.MethodPut, http.StatusConflict, false, ""},
		{"graph", http.MethodPost, http.StatusCreated, true, ""},
		{"graph", http.MethodGet, http.StatusOK, false, ""},
		{"graph", http.MethodDelete, http.StatusNotFound, false, ""},
		{"graph", http.MethodPost, http.StatusOK, false, "v1.0/$batch"},
		{"graph", http.MethodPost, http.StatusOK, false, "v1.0/directoryObjects/getByIds"},
		{"keyvault", http.MethodPut, http.StatusOK, false, ""},
	} {
		s, _, events := newSet(t, fault.Fault{Name: faultkind.WriteLostReply, When: fault.Limits{Count: 1}})
		served := 0
		handler := s.Answers(row.component, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			served++
			w.WriteHeader(row.status)
		}))
		ask := func() (code int, lost bool) {
			defer func() { lost = recover() != nil }()
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, httptest.NewRequest(row.method, "https://h.example/"+row.path, nil))
			return w.Code, false
		}
		if code, lost := ask(); lost != row.lost || !lost && code != row.status {
			t.Errorf("%s %s, which is answered with %d: %d, lost: %v", row.method, row.component, row.status, code, lost)
		}
		if code, lost := ask(); lost || code != row.status {
			t.Errorf("%s %s again: %d, lost: %v; the fault was for one", row.method, row.component, code, lost)
		}
		if served != 2 {
			t.Errorf("%s %s was served %d times; want 2", row.method, row.component, served)
		}
		told := slices.ContainsFunc(events.Events(), func(e journal.Event) bool {
			return e.Kind == journal.Access && e.Outcome == journal.Failed && e.Detail[journal.DetailFault] != "" && strings.Contains(e.Summary, "the write was done")
		})
		if told != row.lost {
			t.Errorf("%s %s: that the answer was lost is journaled: %v; want %v", row.method, row.component, told, row.lost)
		}
	}
}
