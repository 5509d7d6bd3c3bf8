package controlapi

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gorilla/mux"
)

// TestTheClocksTokenOpensTheClocksStreamAlone is an attack: every workload in lockstep
// can read the token, and minted somebody else's service-account token with it.
func TestTheClocksTokenOpensTheClocksStreamAlone(t *testing.T) {
	s := New(nil, Endpoints{}, "the lab's")
	s.HandleStream(ClockPath, func(io.ReadWriteCloser) {})
	ask := func(method, path, token string) int {
		r := httptest.NewRequest(method, path, nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		return w.Code
	}
	routes := 0
	err := s.router.Walk(func(route *mux.Route, _ *mux.Router, _ []*mux.Route) error {
		path, err := route.GetPathTemplate()
		if err != nil {
			return err
		}
		methods, err := route.GetMethods()
		if err != nil {
			return err
		}
		for _, method := range methods {
			routes++
			want := http.StatusForbidden
			if path == ClockPath {
				want = http.StatusUpgradeRequired // it got as far as the stream
			}
			if got := ask(method, strings.NewReplacer("{ring}", "local", "{id}", "1").Replace(path), s.ClockToken()); got != want {
				t.Errorf("%s %s with the clock's token: %d, want %d", method, path, got, want)
			}
			if got := ask(method, path, "another"); got != http.StatusUnauthorized {
				t.Errorf("%s %s with another token: %d, want 401", method, path, got)
			}
		}
		return nil
	})
	if err != nil || routes < 15 {
		t.Errorf("%d routes, %v", routes, err)
	}
	for _, path := range []string{"/v1/clock/follow/", "/v1/clock/follow/../../tokens", "/v1/clock%2Ffollow", "/v1/clock/%66ollow", "//v1/clock/follow", "/"} {
		if got := ask(http.MethodPost, path, s.ClockToken()); got != http.StatusForbidden {
			t.Errorf("%s: %d, want 403", path, got)
		}
	}
	if got := ask(http.MethodGet, ClockPath, s.ClockToken()); got != http.StatusForbidden {
		t.Errorf("GET: %d, want 403", got)
	}
	if s.ClockToken() == New(nil, Endpoints{}, "").ClockToken() || len(s.ClockToken()) < 26 {
		t.Error(fmt.Sprint("the clock's token can be guessed: ", s.ClockToken()))
	}
}
