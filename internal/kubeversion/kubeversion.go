// Package kubeversion says which version of Kubernetes wiemu is built and tested with. What
// cannot read it from here is compared with it by this package's test.
package kubeversion

// The version, which the emulated API server says that it has.
const (
	Version = "v1.37.2"
	Minor   = 37
)
