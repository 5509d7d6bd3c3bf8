// Command wiemu runs the whole flow of Azure workload identity on one machine,
// offline: a cluster's token issuer, rotating token files, an Entra ID and the
// resources behind it, for unmodified applications.
package main

import (
	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/internal/cli"
)

func main() { cli.Main(newRoot, negativesLast) }

func newRoot() *cobra.Command {
	var stateDir string
	return cli.NewRoot(&stateDir,
		newRun(&stateDir), newServe(&stateDir), newEnv(&stateDir), newToken(&stateDir), newTrust(), newValidate(),
		newExplain(&stateDir), newReport(&stateDir), newRecord(&stateDir), newReplay(&stateDir), newErrors(),
		newKubeconfig(&stateDir), newStatus(&stateDir), newConsole(&stateDir), newClock(&stateDir), newKeys(&stateDir), newRevoke(&stateDir), newRole(&stateDir), newDirectory(&stateDir), newFault(&stateDir),
		newMove(&stateDir), newScenario(&stateDir), newDoctor(&stateDir),
		handedOver("kind", "Make a kind cluster whose pods get their tokens and secrets from wiemu"),
		handedOver("cluster", "Run the emulator in a cluster that is there already"),
		newWebhook(&stateDir),
		handedOver("compose", "Give a docker-compose project workload identity, without editing it"),
		newTimeshift(&stateDir), newVersion(),
	)
}
