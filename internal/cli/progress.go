package cli

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/wiemu/wiemu/internal/scenario"
)

// progress is the last line of a terminal, below what is written: how far a run has come.
type progress struct {
	terminal *os.File
	line     string
}

// newProgress returns nil where the output is not watched: in a pipe, in CI, on a terminal that cannot erase.
func newProgress(out io.Writer) *progress {
	file, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) || os.Getenv("CI") != "" || os.Getenv("TERM") == "dumb" {
		return nil
	}
	return &progress{terminal: file}
}

// eraseLine moves to the beginning of the line and erases it (ECMA-48: CR, EL).
const eraseLine = "\r\x1b[2K"

// Write puts text above the line. It ends in a newline.
func (p *progress) Write(text []byte) (int, error) {
	var b bytes.Buffer
	if p.line != "" {
		b.WriteString(eraseLine)
	}
	b.Write(text)
	b.WriteString(p.line)
	if _, err := b.WriteTo(p.terminal); err != nil {
		return 0, err
	}
	return len(text), nil
}

func (p *progress) show(now scenario.Progress) { p.put(progressLine(now)) }

func (p *progress) put(line string) {
	width := 80
	if w, _, err := term.GetSize(int(p.terminal.Fd())); err == nil && w > 0 {
		width = w
	}
	before := p.line
	p.line = cut(line, width-1) // a full line would scroll
	if p.line == before {
		return
	}
	_, _ = io.WriteString(p.terminal, eraseLine+p.line) // the next row or the report fails as well, and says so
}

func progressLine(now scenario.Progress) string {
	if now.Done == now.Scenarios {
		return ""
	}
	line := fmt.Sprintf("%d/%d", now.Done, now.Scenarios)
	if now.Failed > 0 {
		line += fmt.Sprintf(", %d failed", now.Failed)
	}
	return line + "  " + strings.Join(now.Running, ", ")
}

func cut(line string, width int) string {
	if utf8.RuneCountInString(line) > width {
		line = string([]rune(line)[:max(width-1, 0)]) + "…"
	}
	return line
}

func (p *progress) end() {
	if p != nil && p.line != "" {
		_, _ = io.WriteString(p.terminal, eraseLine) // see show
	}
}

// Steps tells what is being done: on a terminal in a line that changes, elsewhere
// in a line for each step, with the seconds since the first.
type Steps struct {
	out   io.Writer
	line  *progress
	began time.Time
}

// NewSteps returns steps that are told on out.
func NewSteps(out io.Writer) *Steps {
	return &Steps{out: out, line: newProgress(out), began: time.Now()}
}

// Step begins a step; "" ends the last one.
func (s *Steps) Step(name string) {
	switch {
	case s.line != nil && name != "":
		s.line.put(name + " …")
	case s.line != nil:
		s.line.put("")
	case name != "":
		fmt.Fprintf(s.out, "%5.1f s  %s\n", time.Since(s.began).Seconds(), name)
	}
}

// OnTerminal reports whether the steps are told in a line that changes.
func (s *Steps) OnTerminal() bool { return s.line != nil }

// End erases the line.
func (s *Steps) End() { s.line.end() }
