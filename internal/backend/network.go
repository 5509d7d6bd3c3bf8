package backend

import (
	"fmt"
	"runtime"
	"slices"
)

// Network is how the connections of programs reach the lab.
type Network string

const (
	// Auto is transparent where the system and the program permit it, else by the proxy.
	Auto Network = "auto"

	// Transparent has the kernel ask a supervisor about connections, which leads those to
	// emulated hosts to the lab: see package lead. No proxy variable is set.
	Transparent Network = "transparent"

	// ByProxy sets proxy variables, which some programs do not heed.
	ByProxy Network = "proxy"
)

// DefaultNetwork returns how programs reach the lab if nobody has said how: Auto on Linux.
// Elsewhere there is the proxy alone, which need not be told each time.
func DefaultNetwork() Network {
	switch {
	case defaultNetwork != "":
		return Network(defaultNetwork)
	case runtime.GOOS == "linux":
		return Auto
	}
	return ByProxy
}

// defaultNetwork takes the place of the default, if it is not empty. The linker sets it, for
// the tests that are run with each (make test-proxy).
var defaultNetwork string

// Networks are all there are.
var Networks = []Network{Auto, Transparent, ByProxy}

// Check returns what is wrong with a value that a user gave. Empty is the default.
func (n Network) Check() error {
	if n == "" || slices.Contains(Networks, n) {
		return nil
	}
	return fmt.Errorf("expected %s, %s or %s, found %q", Auto, Transparent, ByProxy, string(n))
}
