package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/wiemu/wiemu/scenarios"
)

// progress is a line at the bottom of a terminal that says how far a run has
// come. What is written through it goes above that line.
type progress struct {
	terminal *os.File
	line     string
}

// newProgress returns nil where nobody watches: in a pipe, in CI, on a terminal
// that cannot erase.
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

// show is told how far the run has come.
func (p *progress) show(now scenarios.Progress) { p.put(progressLine(now)) }

// put changes the line.
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

func progressLine(now scenarios.Progress) string {
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

// end erases the line.
func (p *progress) end() {
	if p != nil && p.line != "" {
		_, _ = io.WriteString(p.terminal, eraseLine) // see show
	}
}
