package session

import (
	"fmt"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/azwi"
	"github.com/wiemu/wiemu/internal/faultkind"
	"github.com/wiemu/wiemu/internal/faults"
)

// Injected returns the environment of a pod of the workload that starts now. It reports a
// fault that keeps the webhook from injecting anything.
func (w *Workload) Injected() PodEnv {
	env, name := w.Env, w.Namespace+"/"+w.ServiceAccount
	env.Drivers, env.OpenPorts = w.emulator.Variables(), w.emulator.OpenPorts() // databases may have been made since it was admitted
	if env.Credential != nil || env.inPipeline() {
		return env // its variables do not come from the webhook
	}
	hit, ok := w.emulator.Faults().Hit(faultkind.AtPodStart, faults.Subject{Workload: name, Client: w.ClientID})
	if !ok {
		return env
	}
	env.NotInjected = true
	e := journal.Event{
		Kind: journal.Run, Outcome: journal.Failed, Workload: name, ClientID: w.ClientID,
		Summary: fmt.Sprintf("a pod of %s starts %s", name, azwi.NotInjectedSummary),
		Meaning: azwi.NotInjectedMeaning,
		Remedy:  azwi.NotInjectedRemedy,
	}
	hit.Note(&e)
	w.emulator.Journal().Record(e)
	return env
}
