//go:build amd64 || arm64

package timeshift

import (
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	if IsOwn() {
		Main()
	}
	os.Exit(m.Run())
}

func TestProbe(t *testing.T) {
	p, err := Probe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%v a question, %v without us", p.Cost, p.Bare)
}
