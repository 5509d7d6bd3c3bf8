package session_test

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/internal/cloud"
	"github.com/wiemu/wiemu/internal/issuer"
	"github.com/wiemu/wiemu/internal/server"
	"github.com/wiemu/wiemu/internal/session"
	"github.com/wiemu/wiemu/internal/workload"
)

// claims are those of the token in a file.
func claims(t *testing.T, file string) issuer.Claims {
	t.Helper()
	parts := strings.Split(read(t, file), ".")
	if len(parts) != 3 {
		t.Fatalf("%s holds no token", file)
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var c issuer.Claims
	if err := json.Unmarshal(payload, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAWorkloadMovesToAnotherIssuer(t *testing.T) {
	two := config.Config{Issuers: []config.Issuer{{Name: "old"}, {Name: "new"}}}
	for _, row := range []struct {
		name string
		move func(*testing.T, *session.Session, *session.Workload) error
		wait time.Duration
		want string
	}{
		{"the token in its file stays at first", func(_ *testing.T, l *session.Session, w *session.Workload) error { return l.Move(w, "new") }, 47 * time.Minute, "old"},
		{"the next one is of the new issuer", func(_ *testing.T, l *session.Session, w *session.Workload) error { return l.Move(w, "new") }, 50 * time.Minute, "new"},
		{"also at once", func(t *testing.T, l *session.Session, w *session.Workload) error {
			if err := l.Move(w, "new"); err != nil {
				return err
			}
			return w.Refresh(t.Context())
		}, 0, "new"},
		{"and back", func(t *testing.T, l *session.Session, w *session.Workload) error {
			for _, to := range []string{"new", "old"} {
				if err := l.Move(w, to); err != nil {
					return err
				}
			}
			return w.Refresh(t.Context())
		}, 0, "old"},
		{"by the control endpoint", func(t *testing.T, l *session.Session, _ *session.Workload) error {
			client := &control.Client{URL: l.Emulator().ControlURL(), Token: l.Emulator().Token()}
			moved, err := session.Move(t.Context(), client, session.Moving{Namespace: web.Namespace, ServiceAccount: web.ServiceAccount, Issuer: "new"})
			if err == nil && (len(moved) != 1 || moved[0].ClientID != clientID) {
				t.Errorf("moved %+v", moved)
			}
			return err
		}, 0, "new"},
	} {
		t.Run(row.name, func(t *testing.T) {
			lab := newLab(t, session.Options{Emulator: server.Options{Config: two}})
			w, err := lab.Workload(t.Context(), workload.Spec{Workload: web})
			if err != nil {
				t.Fatal(err)
			}
			if err := row.move(t, lab, w); err != nil {
				t.Fatal(err)
			}
			if err := lab.Clock().Advance(t.Context(), row.wait); err != nil {
				t.Fatal(err)
			}
			want, err := lab.Emulator().Issuer(row.want)
			if err != nil {
				t.Fatal(err)
			}
			got := claims(t, w.Env.TokenFile)
			if got.Issuer != want.URL() || got.Subject != "system:serviceaccount:my-radix-app-dev:web-sa" || got.Kubernetes.Pod.Name != "web-0" {
				t.Errorf("the token is of %s for %s, want issuer %s", got.Issuer, got.Subject, want.URL())
			}
			if review := want.Review(read(t, w.Env.TokenFile), []string{cloud.Public().TokenExchange}); !review.Authenticated {
				t.Errorf("its cluster says %s", review.Error)
			}
		})
	}
}

func TestAMoveToNowhereChangesNothing(t *testing.T) {
	lab := newLab(t, session.Options{})
	w, err := lab.Workload(t.Context(), workload.Spec{Workload: web})
	if err != nil {
		t.Fatal(err)
	}
	if err := lab.Move(w, "green"); err == nil || !strings.Contains(err.Error(), `issuer "green": expected one that wiemu hosts: local`) || w.Issuer().Name() != "local" {
		t.Errorf("moved to %s: %v", w.Issuer().Name(), err)
	}
	client := &control.Client{URL: lab.Emulator().ControlURL(), Token: lab.Emulator().Token()}
	if _, err := session.Move(t.Context(), client, session.Moving{Namespace: "a", ServiceAccount: "b", Issuer: "local"}); err == nil || !strings.Contains(err.Error(), "a/b: expected the service account of a workload that has a token file") {
		t.Errorf("moved nobody: %v", err)
	}
}
