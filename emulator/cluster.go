package emulator

import "github.com/wiemu/wiemu/emulator/fault"

// realTime is why a cluster's time cannot be changed.
const realTime = "the kubelets, the API server and the pods of a cluster live on the machine's clock, which wiemu cannot move; " +
	"the clocks of entra and resources can be skewed, and wiemu run and docker-compose stacks have time of their own"

// outOfReach says why faults of some points cannot be made in a cluster.
func outOfReach() map[string]string {
	const files = "the kubelet lays out and renews the token files of a cluster's pods; inject it with wiemu run or in a docker-compose stack"
	return map[string]string{
		fault.AtMint:         "the cluster's API server decides what is in a token, and a signer cannot change it; inject it with wiemu run or in a docker-compose stack",
		fault.AtRenewal:      files,
		fault.AtEarlyRenewal: files,
		fault.AtTokenFile:    files,
	}
}
