// Package timeline draws the journal of a run as one picture over lab time:
// keys, token files, exchanges, access tokens and requests, with every refusal
// explained. It draws what the journal says and judges nothing; see
// [github.com/wiemu/wiemu/emulator/journal] for the explanations.
package timeline

import (
	"fmt"
	"io"
	"strings"

	"github.com/wiemu/wiemu/emulator/journal"
)

// Format is how a picture is written.
type Format string

// The formats of a picture.
const (
	HTML Format = "html" // a page of its own: zoom, pan, explanations; it needs no network and shows the picture without scripts, too
	SVG  Format = "svg"  // the picture alone, for a pull request
)

// Formats are all formats.
func Formats() []Format { return []Format{HTML, SVG} }

// About is what a picture says about the run as a whole.
type About struct {
	Title       string   // the scenario's name, or the run's
	Description string   // what happens; may be empty
	Verdict     string   // such as passed or failed; may be empty
	Failures    []string // why it failed, each a text of one or more lines
}

// failed reports whether the run is one that went wrong.
func (a About) failed() bool { return a.Verdict == "failed" || len(a.Failures) > 0 }

// Write draws the events, which are those of one run in the order in which they
// were recorded.
func Write(w io.Writer, format Format, about About, events []journal.Event) error {
	p := compose(about, events)
	switch format {
	case HTML:
		return p.writePage(w)
	case SVG:
		return p.writeSVG(w)
	}
	names := make([]string, 0, 2)
	for _, f := range Formats() {
		names = append(names, string(f))
	}
	return fmt.Errorf("picture format: expected %s, found %q", strings.Join(names, " or "), format)
}
