// Package scenarios plays out what should happen to workloads and their
// identities, and tells whether it did. It reads scenario files, runs each one in
// a lab of its own, and reports; what answers the programs is package emulator,
// what gives them their identity is package harness.
//
// A scenario is a YAML file:
//
//	apiVersion: wiemu.dev/v1
//	kind: Scenario
//	metadata:
//	  name: token-outlives-its-file
//	workloads:
//	  - {name: web, namespace: shop, serviceAccount: web-sa, clientId: b96d264b-7053-4465-a4a7-32be5b0fec49}
//	steps:
//	  - name: read
//	    run: {workload: web, command: [wiemu-workload, secret, get, mykeyvault, mysecret]}
//	  - advance: 55m
//	  - expect:
//	      - results.read.exitCode == 0
//	      - journal.exists(e, e.kind == 'exchange' && e.outcome == 'granted')
//
// The lab clock stands still but for advance steps, so that every run of a
// scenario sees the same times. Expectations are written in CEL
// (https://cel.dev) and see
//
//	results    what came of each named step: see [Result]
//	journal    every event so far: see journal.Event
//	workloads  each workload with the token in its file: see [WorkloadView]
//	clock      now, start, and what has elapsed: see [ClockView]
//
// by the fields' JSON names. They are checked, types and all, before anything
// runs. The JSON Schema of the format is docs/schema/scenario.schema.json.
package scenarios
