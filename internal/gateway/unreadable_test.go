package gateway

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/internal/hostmux"
)

// A host answers a body that is too long or breaks off in its own words.
func TestUnreadableBodiesAreTheHostsToAnswer(t *testing.T) {
	g, _ := fixture(t, Config{Routes: []hostmux.Route{{
		Hosts:   []string{"login.microsoftonline.com"},
		Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the handler got a body that is not there") }),
		Unreadable: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if body, err := io.ReadAll(r.Body); err != nil || len(body) != 0 {
				t.Errorf("body %q, %v", body, err)
			}
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, r.URL.Path)
		}),
	}}})
	for when, body := range map[string]io.Reader{
		"too long":                  strings.NewReader(strings.Repeat("x", maxBody+1)),
		"too long, of unknown size": io.MultiReader(strings.NewReader(strings.Repeat("x", maxBody+1))),
		"breaks off":                io.MultiReader(strings.NewReader("x"), broken{}),
	} {
		recorder := httptest.NewRecorder()
		g.ServeHTTP(recorder, httptest.NewRequest(http.MethodPost, "https://login.microsoftonline.com//Tenant/token", body))
		if recorder.Code != http.StatusBadRequest || recorder.Body.String() != "/tenant/token" || recorder.Header().Get("Connection") != "close" {
			t.Errorf("%s: %d %s %v", when, recorder.Code, recorder.Body, recorder.Header())
		}
	}
}
