// Package mlog stands in for monis.app/mlog, which is not on the Go module proxy: it has what
// azwi calls of it, and writes to standard error the lines that its format for command lines has.
// Unlike it, it sets no log level of Kubernetes' packages.
// Source: github.com/enj/mlog v0.0.4.
package mlog

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// LogLevel is how much is logged.
type LogLevel string

// The levels, each of which has those before it.
const (
	LevelWarning LogLevel = ""
	LevelInfo    LogLevel = "info"
	LevelDebug   LogLevel = "debug"
	LevelTrace   LogLevel = "trace"
	LevelAll     LogLevel = "all"
)

var levels = []LogLevel{LevelWarning, LevelInfo, LevelDebug, LevelTrace, LevelAll}

// LogFormat is how lines look.
type LogFormat string

// FormatCLI is the format for people.
const FormatCLI LogFormat = "cli"

// LogSpec is what is logged, and how.
type LogSpec struct {
	Level  LogLevel
	Format LogFormat
}

var level LogLevel // of the program, which sets it at its start

// Setup returns what writes out lines that wait. None do.
func Setup() func() { return func() {} }

// ValidateAndSetLogLevelAndFormatGlobally sets the level.
func ValidateAndSetLogLevelAndFormatGlobally(_ context.Context, spec LogSpec) error {
	if !slices.Contains(levels, spec.Level) || spec.Format != FormatCLI {
		return fmt.Errorf("log level %q, format %q: expected one of %q and the format %q", spec.Level, spec.Format, levels, FormatCLI)
	}
	level = spec.Level
	return nil
}

// Enabled tells whether lines of a level are written.
func Enabled(l LogLevel) bool { return slices.Index(levels, l) <= slices.Index(levels, level) }

// Logger writes lines with its name and its values.
type Logger struct {
	name   string
	values []any // keys and values in turn
}

// New returns a logger without a name.
func New() Logger { return Logger{} }

// WithName returns a logger of a name.
func WithName(name string) Logger { return New().WithName(name) }

// WithValues returns a logger with values.
func WithValues(values ...any) Logger { return New().WithValues(values...) }

// WithName returns l with a name after its own.
func (l Logger) WithName(name string) Logger {
	l.name = strings.TrimPrefix(l.name+"."+name, ".")
	return l
}

// WithValues returns l with further values.
func (l Logger) WithValues(values ...any) Logger {
	l.values = slices.Concat(l.values, values)
	return l
}

// Error, Warning, Info and Debug write a line, if its level is enabled. Errors always are.

func Error(msg string, err error, values ...any)            { New().error(msg, err, values) }
func Warning(msg string, values ...any)                     { New().warning(msg, values) }
func Info(msg string, values ...any)                        { New().line(LevelInfo, msg, values) }
func Debug(msg string, values ...any)                       { New().line(LevelDebug, msg, values) }
func (l Logger) Error(msg string, err error, values ...any) { l.error(msg, err, values) }
func (l Logger) Warning(msg string, values ...any)          { l.warning(msg, values) }
func (l Logger) Info(msg string, values ...any)             { l.line(LevelInfo, msg, values) }
func (l Logger) Debug(msg string, values ...any)            { l.line(LevelDebug, msg, values) }

func (l Logger) error(msg string, err error, values []any) {
	l.line(LevelWarning, msg, append(slices.Clone(values), "error", fmt.Sprint(err)))
}

func (l Logger) warning(msg string, values []any) {
	l.line(LevelWarning, msg, append([]any{"warning", true}, values...))
}

// line writes time, name, place, message and values, two spaces apart.
func (l Logger) line(of LogLevel, msg string, values []any) {
	if !Enabled(of) {
		return
	}
	fields := []string{time.Now().Format(time.RFC1123)}
	if l.name != "" {
		fields = append(fields, l.name)
	}
	if _, file, line, ok := runtime.Caller(2); ok {
		fields = append(fields, fmt.Sprintf("%s/%s:%d", filepath.Base(filepath.Dir(file)), filepath.Base(file), line))
	}
	fields = append(fields, msg)
	if all := slices.Concat(l.values, values); len(all) > 0 {
		fields = append(fields, object(all))
	}
	fmt.Fprintln(os.Stderr, strings.Join(fields, "  "))
}

// object is keys and values as one JSON object, in their order.
func object(values []any) string {
	var members []string
	for i := 0; i+1 < len(values); i += 2 {
		key, _ := json.Marshal(fmt.Sprint(values[i]))
		value, err := json.Marshal(values[i+1])
		if err != nil {
			value, _ = json.Marshal(fmt.Sprint(values[i+1]))
		}
		members = append(members, string(key)+": "+string(value))
	}
	return "{" + strings.Join(members, ", ") + "}"
}
