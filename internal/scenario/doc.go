// Package scenario reads, checks and runs scenario files. What answers the programs of a
// scenario is package emulator, what gives them their identity package harness.
//
// The file format is [Scenario]; what a step can be is one table, verbs.go. The lab clock
// stands still but for the steps that move it, so that every run of a scenario sees the
// same times. Expectations are written in CEL (https://cel.dev) and see
//
//	results    what came of each named step: see [Result]
//	journal    every event so far: see journal.Event
//	workloads  each workload with the token in its file: see [WorkloadView]
//	clock      now, start, and what has elapsed: see [ClockView]
//
// by the fields' JSON names. They are checked, types and all, before anything runs. The
// JSON Schema of the format is docs/schema/scenario.schema.json.
package scenario
