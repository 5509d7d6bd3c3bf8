package session_test

import (
	"context"
	"testing"

	"github.com/wiemu/wiemu/internal/controlapi"
	"github.com/wiemu/wiemu/internal/server"
	"github.com/wiemu/wiemu/internal/session"
	"github.com/wiemu/wiemu/internal/workload"
)

// Whoever finds the control endpoint open before the lab is ready waits for it.
func TestACommandThatComesEarlyWaits(t *testing.T) {
	type answer struct {
		env session.PodEnv
		err error
	}
	answered := make(chan answer, 1)
	lab, err := session.Start(t.Context(), session.Options{Dir: t.TempDir(), Emulator: server.Options{
		InMemory: true, Token: "secret",
		Control: func(s *controlapi.Server) {
			go func() {
				env, err := session.Admit(context.Background(), controlapi.InMemory("secret", s), workload.Spec{
					Workload: workload.Workload{Namespace: "shop", ServiceAccount: "web-sa", ClientID: clientID},
				}, nil)
				answered <- answer{env, err}
			}()
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	a := <-answered
	if a.err != nil || a.env.ClientID != clientID || a.env.TokenFile == "" {
		t.Errorf("%+v, %v", a.env, a.err)
	}
	if err := lab.Close(context.Background()); err != nil {
		t.Error(err)
	}
}
