package timeline

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
)

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
