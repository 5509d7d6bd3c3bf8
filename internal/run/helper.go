package run

import (
	"github.com/wiemu/wiemu/internal/isolation"
	"github.com/wiemu/wiemu/internal/programkind"
	"github.com/wiemu/wiemu/internal/timeshift"
)

// Programs on the lab clock and isolated ones are started through this executable (see
// packages timeshift and isolation). init does the work of such a helper process, so that
// every program that links this package can start them, test binaries included; their main
// does not run then. Package lead has an init of its own.
func init() {
	if isolation.IsHelperProcess() {
		isolation.RunHelper()
	}
	if timeshift.IsHelperProcess() {
		timeshift.RunHelper(programkind.Of)
	}
}
