package main

// What the commands are for that a light wiemu hands over; see light.go.
const (
	clusterShort   = "Run the emulator in a cluster that is there already"
	kindApplyShort = "Run the applications of radixconfig.yaml files in a cluster, under the names that Radix gives them"
	composeShort   = "Give a docker-compose project workload identity, without editing it"
)
