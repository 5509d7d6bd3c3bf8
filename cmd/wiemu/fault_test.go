package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/emulator/fault"
)

// docs/faults.md says what the catalogue says.
func TestFaultPage(t *testing.T) {
	const file = "../../docs/faults.md"
	var page bytes.Buffer
	if err := printFaultPage(&page, fault.Kinds()); err != nil {
		t.Fatal(err)
	}
	if updating() {
		if err := os.WriteFile(file, page.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(bytes.ReplaceAll(have, []byte("\r\n"), []byte("\n")), page.Bytes()) {
		t.Errorf("%s is not what the catalogue says; go test ./cmd/wiemu -run TestFaultPage -update writes it", file)
	}
}

// The example of every kind can be typed, and is of that kind.
func TestExamplesOfFaultsAreCommands(t *testing.T) {
	for _, k := range fault.Kinds() {
		var flags faultFlags
		cmd := &cobra.Command{}
		flags.add(cmd)
		if err := cmd.ParseFlags(strings.Fields(k.Example)); err != nil {
			t.Errorf("wiemu fault inject %s: %v", k.Example, err)
			continue
		}
		f, err := flags.fault(cmd.Flags().Args())
		if err != nil || f.Name != k.Name {
			t.Errorf("wiemu fault inject %s: %v %v", k.Example, f, err)
		}
	}
}
