package run

import (
	"github.com/wiemu/wiemu/internal/isolation"
	"github.com/wiemu/wiemu/internal/lead"
	"github.com/wiemu/wiemu/internal/timeshift"
)

// Programs on the lab clock, isolated ones and those whose connections are led are started
// through this executable (see packages timeshift, isolation and lead). init does the work
// of such a helper process, so that every program that links this package can start them,
// test binaries included; their main does not run then.
func init() {
	if isolation.IsHelperProcess() {
		isolation.RunHelper()
	}
	if timeshift.IsHelperProcess() {
		timeshift.RunHelper()
	}
	if lead.IsHelperProcess() {
		lead.RunHelper()
	}
}
