// Package timeline draws the journal of a run as one picture over lab time:
// keys, token files, exchanges, access tokens and requests, with every refusal
// explained. It draws what the journal says and judges nothing; see
// [github.com/wiemu/wiemu/emulator/journal] for the explanations.
package timeline

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"maps"
	"slices"
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

// Write draws the events, which are those of one run in the order in which they were recorded.
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

// palette is the colours of the style sheet by their names there, on a light and
// on a dark ground. Texts have a contrast of 4.5 at least, marks of 3.
var palette = map[string][2]string{
	"ground":     {"#ffffff", "#12171d"},
	"panel":      {"#f5f7f9", "#1a2129"},
	"stripe":     {"#f7f9fb", "#161c23"},
	"line":       {"#dfe5ea", "#2b353f"},
	"text":       {"#17212b", "#e8edf2"},
	"quiet":      {"#586573", "#9daab7"},
	"good":       {"#1a7f37", "#4cc265"},
	"bad":        {"#c9191e", "#ff7a72"},
	"badpale":    {"#fde3e2", "#4a1d1f"},
	"key":        {"#7048b6", "#b694f0"},
	"keypale":    {"#e4d9f6", "#43345f"},
	"file":       {"#0b62b8", "#62adff"},
	"filepale":   {"#cfe3f8", "#1d3a58"},
	"access":     {"#0d7268", "#3ccfbd"},
	"accesspale": {"#cdeae6", "#17403c"},
	"clock":      {"#8a5a00", "#dba637"},
	"clockpale":  {"#f8ead0", "#3d3118"},
	"fault":      {"#b3480a", "#f5924a"},
	"faultpale":  {"#fbe3d3", "#48290f"},
	"onmark":     {"#ffffff", "#12171d"},
}

// drawingCSS is the style of the drawing, with $name where a colour goes.
//
//go:embed drawing.css
var drawingCSS string

// paint puts colours into a style sheet: those of a ground, 0 for light and 1 for dark.
func paint(css string, ground int) string {
	return fill(css, func(name string) string { return palette[name][ground] })
}

// variables puts CSS variables into a style sheet, for a page with a light and a dark scheme.
func variables(css string) string {
	return fill(css, func(name string) string { return "var(--" + name + ")" })
}

// sheet is the style of a page: colours as the reader's system prefers, or as chosen on the page.
func sheet() string {
	light, dark := "color-scheme:light;"+declare(0), "color-scheme:dark;"+declare(1)
	return ":root{" + light + "}\n@media (prefers-color-scheme:dark){:root{" + dark + "}}\n" +
		":root[data-theme=light]{" + light + "}\n:root[data-theme=dark]{" + dark + "}\n" + variables(drawingCSS) + variables(pageCSS)
}

// declare writes the variables for a ground.
func declare(ground int) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(palette)) {
		b.WriteString("--" + name + ":" + palette[name][ground] + ";")
	}
	return b.String()
}

func fill(css string, colour func(name string) string) string {
	var pairs []string
	for name := range palette {
		pairs = append(pairs, "$("+name+")", colour(name))
	}
	return strings.NewReplacer(pairs...).Replace(css)
}

//go:embed index.html
var indexHTML string

// An Entry is a picture in a directory of them.
type Entry struct {
	File  string // beside the index
	About About
}

// Failed reports whether the run went wrong.
func (e Entry) Failed() bool { return e.About.failed() }

// WriteIndex writes a page that leads to pages, those of failures first.
func WriteIndex(w io.Writer, entries []Entry) error {
	style := sheet()
	var failed, passed []Entry
	for _, e := range entries {
		if e.Failed() {
			failed = append(failed, e)
		} else {
			passed = append(passed, e)
		}
	}
	frame, err := template.New("index").Parse(indexHTML)
	if err != nil {
		return err
	}
	return frame.Execute(w, map[string]any{
		"Policy": fmt.Sprintf("default-src 'none'; style-src '%s'; base-uri 'none'; form-action 'none'", digest(style)),
		"Style":  template.CSS(style), //nolint:gosec // ours, no data in it
		"Facts":  fmt.Sprintf("%s, %d failed", count(len(entries), "scenario"), len(failed)), "Entries": append(failed, passed...),
	})
}
