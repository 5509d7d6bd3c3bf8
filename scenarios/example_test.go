package scenarios_test

import (
	"context"
	"fmt"
	"os"

	"github.com/wiemu/wiemu/scenarios"
)

const hello = `
apiVersion: wiemu.dev/v1
kind: Scenario
metadata: {name: hello}
workloads:
  - {name: web, namespace: shop, serviceAccount: web-sa, clientId: b96d264b-7053-4465-a4a7-32be5b0fec49}
steps:
  - advance: 55m
  - name: hello
    run: {workload: web, shell: echo I am $AZURE_CLIENT_ID}
  - expect:
      - results.hello.stdout == 'I am b96d264b-7053-4465-a4a7-32be5b0fec49\n'
      - workloads.web.token.expiresAt > clock.now
`

func ExampleRun() {
	s, err := scenarios.Parse("hello.yaml", []byte(hello))
	if err != nil {
		fmt.Println(err)
		return
	}
	report := scenarios.Run(context.Background(), []scenarios.Scenario{s})
	fmt.Println(report.Passed, "passed,", report.Failed, "failed")
	// Output: 1 passed, 0 failed
}

// A misspelt name is found before anything runs.
func ExampleParse() {
	_, err := scenarios.Parse("typo.yaml", []byte(`apiVersion: wiemu.dev/v1
kind: Scenario
metadata: {name: typo}
steps:
  - advance: 55m
  - expect: [clock.elpased == duration('55m')]
`))
	fmt.Println(err)
	// Output: typo.yaml:6:20: steps[1].expect[0]: expected an expression in CEL, found undefined field 'elpased'; did you mean elapsed?
}

// The scenarios that come with wiemu, with a line for each as it is done.
func ExampleLoadFS() {
	list, err := scenarios.LoadFS(scenarios.Library())
	if err != nil {
		fmt.Println(err)
		return
	}
	report := scenarios.Run(context.Background(), list, scenarios.WithOutput(os.Stdout))
	if err := report.WriteJUnit(os.Stdout); err != nil {
		fmt.Println(err)
	}
}
