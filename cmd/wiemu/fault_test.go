package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/emulator/fault"
)

// docs/faults.md says what the catalogue says.
func TestFaultPage(t *testing.T) {
	var page bytes.Buffer
	if err := printPage(&page, "faults", fault.Kinds()); err != nil {
		t.Fatal(err)
	}
	isPage(t, "../../docs/faults.md", page.Bytes())
}

// The example of every kind can be typed, and is of that kind.
func TestExamplesOfFaultsAreCommands(t *testing.T) {
	for _, k := range fault.Kinds() {
		var flags injectFlags
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
