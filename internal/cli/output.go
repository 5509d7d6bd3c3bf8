package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/internal/file"
	"github.com/wiemu/wiemu/internal/session"
	"github.com/wiemu/wiemu/internal/yamlfile"
)

// PrintJSON writes a value for programs.
func PrintJSON(w io.Writer, value any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(value)
}

// AddOutput adds the flag -o; the first format is the default.
func AddOutput(cmd *cobra.Command, into *string, formats ...string) {
	cmd.Flags().StringVarP(into, "output", "o", formats[0], "format: "+strings.Join(formats, ", "))
	check := cmd.PreRunE
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
		switch {
		case !slices.Contains(formats, *into):
			return Usagef("--output: expected one of %s, found %q", strings.Join(formats, ", "), *into)
		case check != nil:
			return check(cmd, args)
		}
		return nil
	}
}

// Print prints a result: as JSON for programs if format is json, else by text for people.
func Print(cmd *cobra.Command, format string, result any, text func(*Lines)) error {
	if format == "json" {
		return PrintJSON(cmd.OutOrStdout(), result)
	}
	out := &Lines{W: cmd.OutOrStdout()}
	text(out)
	return out.Err
}

// Show makes a command print what ask returns, as text for people or with -o json for programs.
func Show[T any](cmd *cobra.Command, ask func(cmd *cobra.Command, args []string) (T, error), text func(*Lines, T)) *cobra.Command {
	var format string
	AddOutput(cmd, &format, "text", "json")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		result, err := ask(cmd, args)
		if err != nil {
			return err
		}
		return Print(cmd, format, result, func(out *Lines) { text(out, result) })
	}
	return cmd
}

// FailIf is exit code 1 for a command that found something bad, unless it has failed anyway.
func FailIf(bad bool, err error) error {
	if err == nil && bad {
		return ExitCode(1)
	}
	return err
}

// CleanUp does what a command does last, and tells if it fails.
func CleanUp(cmd *cobra.Command, last func() error) {
	if err := last(); err != nil {
		fmt.Fprintln(cmd.ErrOrStderr(), "wiemu: while cleaning up:", err)
	}
}

// Lines prints until a write fails.
type Lines struct {
	W   io.Writer
	Err error // of the write that failed
}

// Print prints, unless a write has failed.
func (l *Lines) Print(format string, args ...any) {
	if l.Err == nil {
		_, l.Err = fmt.Fprintf(l.W, format, args...)
	}
}

// KeyLine shows a key in a line.
func KeyLine(k control.KeyStatus) string {
	line := fmt.Sprintf("%s  %-9s  %s", k.Ring, k.Stage, k.ID)
	if k.Unpublished {
		line += "  (not in the JWKS)"
	}
	return line
}

// AddFileFlag adds the flag -f, which names the files that describe a lab and its workloads.
func AddFileFlag(cmd *cobra.Command, files *[]string) {
	cmd.Flags().StringArrayVarP(files, "file", "f", nil, "radixconfig.yaml, wiemu.yaml or Kubernetes manifests; repeatable (default: those two of this directory, where they exist)")
}

// ReadFiles reads configurations until a signal comes.
func ReadFiles(cmd *cobra.Command, names []string) (session.Files, error) {
	return file.ReadContext(cmd.Context(), func() (session.Files, error) { return session.ReadFiles(".", names) })
}

// TellWarnings tells what was passed over in files; each says itself that it is a
// warning, behind the place.
func TellWarnings(cmd *cobra.Command, warnings []yamlfile.Problem) {
	for _, w := range warnings {
		fmt.Fprintln(cmd.ErrOrStderr(), "wiemu:", w.Error())
	}
}

// TellUnread tells of a wiemu.yaml that a lab does not have, since only other files were named.
func TellUnread(w io.Writer, files session.Files) {
	if files.Unread != "" {
		fmt.Fprintf(w, "wiemu: warning: %s is not read, because only other files are named; if it is meant, add -f %s\n", files.Unread, files.Unread)
	}
}

// CheckFound refuses a file that is read because it is in this folder, and not because somebody
// named it, if somebody else can have put it there. What is missing is for who reads it to tell.
func CheckFound(name string) error {
	err := yamlfile.CheckFound(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
