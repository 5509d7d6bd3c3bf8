package scenarios

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/wiemu/wiemu/harness/timeline"
)

// WritePictures draws each scenario that was run into a directory, as NAME.html
// with an index.html, or as NAME.svg, and notes in its outcome where it is.
func (r *Report) WritePictures(dir string, format timeline.Format) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("draw the scenarios: %w", err)
	}
	var drawn []timeline.Entry
	names := map[string]int{}
	for i := range r.Scenarios {
		o := &r.Scenarios[i]
		if !o.ran() {
			continue
		}
		name := strings.ReplaceAll(o.title(), "#", "-") // which means something in links
		if names[name]++; names[name] > 1 {             // of another file
			name = fmt.Sprintf("%s-%d", name, names[name])
		}
		file := name + "." + string(format)
		about := o.about()
		err := writeFile(filepath.Join(dir, file), func(w *bytes.Buffer) error { return timeline.Write(w, format, about, o.Journal) })
		if err != nil {
			return fmt.Errorf("draw %s: %w", o.title(), err)
		}
		o.Picture = filepath.Join(dir, file)
		drawn = append(drawn, timeline.Entry{File: file, About: about})
	}
	if format != timeline.HTML {
		return nil
	}
	return writeFile(filepath.Join(dir, "index.html"), func(w *bytes.Buffer) error { return timeline.WriteIndex(w, drawn) })
}

// about is what the picture says about the scenario as a whole.
func (o Outcome) about() timeline.About {
	a := timeline.About{Title: o.title(), Description: o.description, Verdict: o.Outcome}
	for _, f := range o.Failures {
		a.Failures = append(a.Failures, printable(f.reason()))
	}
	return a
}

func writeFile(name string, write func(*bytes.Buffer) error) error {
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return err
	}
	return os.WriteFile(name, b.Bytes(), 0o644)
}
