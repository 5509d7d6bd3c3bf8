package harness

import (
	"fmt"

	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/emulator/journal"
)

// Injected is the environment of a pod of the workload that starts now: what the
// webhook injects, unless it is out of order.
func (w *Workload) Injected() Environment {
	env, name := w.Environment, w.Namespace+"/"+w.ServiceAccount
	if env.Credential != nil {
		return env // its variables do not come from the webhook
	}
	hit, is := w.emulator.Faults().Hit(fault.AtPodStart, fault.Subject{Workload: name, Client: w.ClientID})
	if !is {
		return env
	}
	env.NotInjected = true
	e := journal.Event{
		Kind: journal.Run, Outcome: journal.Failed, Workload: name, ClientID: w.ClientID,
		Summary: fmt.Sprintf("a pod of %s starts without AZURE_* variables and without a token file", name),
		Meaning: "The webhook did not change the pod: it was not there or not reachable when the pod was made and its failurePolicy is Ignore, or the pod lacks the label azure.workload.identity/use.",
		Remedy:  "Set failurePolicy to Fail, and make the pod anew; a pod that runs is never changed. Have the application end when AZURE_FEDERATED_TOKEN_FILE is missing.",
	}
	hit.Note(&e)
	w.emulator.Journal().Record(e)
	return env
}
