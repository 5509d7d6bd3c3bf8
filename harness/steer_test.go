package harness_test

import (
	"context"
	"testing"

	"github.com/wiemu/wiemu/emulator"
	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/harness"
	"github.com/wiemu/wiemu/harness/workload"
)

// Whoever finds the control door open before the lab is ready waits for it.
func TestACommandThatComesEarlyWaits(t *testing.T) {
	type answer struct {
		env harness.Environment
		err error
	}
	answered := make(chan answer, 1)
	lab, err := harness.Start(t.Context(), harness.Options{Dir: t.TempDir(), Emulator: emulator.Options{
		InMemory: true, Token: "secret",
		Steer: func(s *control.Server) {
			go func() {
				env, err := harness.Attach(context.Background(), control.InMemory("secret", s), harness.Declared{
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
