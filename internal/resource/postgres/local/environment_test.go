package local

import (
	"slices"
	"testing"
)

// Secrets of wiemu's environment, and libpq's variables, are not handed on.
func TestEnvironment(t *testing.T) {
	t.Setenv("AZURE_CLIENT_SECRET", "secret")
	t.Setenv("PGOPTIONS", "-c x=y")
	t.Setenv("LC_ALL", "tlh")
	t.Setenv("PATH", "/bin")
	for _, v := range environment() {
		if slices.Contains([]string{"AZURE_CLIENT_SECRET=secret", "PGOPTIONS=-c x=y", "LC_ALL=tlh"}, v) {
			t.Errorf("found %s", v)
		}
	}
	if !slices.Contains(environment(), "PATH=/bin") {
		t.Error("PATH is missing")
	}
}
