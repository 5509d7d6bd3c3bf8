package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/internal/lazyregexp"
	"github.com/wiemu/wiemu/internal/userstate"
	"github.com/wiemu/wiemu/internal/yamlfile"
)

// The exit codes of wiemu itself. What a command finds, and what a program that it
// runs ends with, are other codes; a signal is 128 and its number, as in a shell.
const (
	Misused = 2   // what was typed, or a file that was named, is wrong
	Failed  = 125 // wiemu itself failed, as with env(1) and docker run
)

type usageError struct{ error }

func (u usageError) Unwrap() error { return u.error }

// Usagef makes an error about what was typed, as fmt.Errorf does.
func Usagef(format string, args ...any) error { return Usage(fmt.Errorf(format, args...)) }

// Usage marks an error as one about what was typed.
func Usage(err error) error {
	if err == nil {
		return nil
	}
	return usageError{err}
}

// Ending is what is said of an error, and the exit code. Typed is the command line;
// ctx ends with a signal.
func Ending(ctx context.Context, err error, typed []string) (text string, code int) {
	if err == nil {
		return "", 0
	}
	var (
		own     ExitCode
		misuse  usageError
		list    yamlfile.Problems
		problem yamlfile.Problem
		signal  SignalError
		refusal *control.StatusError
		unknown *userstate.UnknownError
	)
	switch {
	case errors.As(err, &own):
		return "", int(own)
	case errors.Is(err, syscall.EPIPE):
		return "", 128 + int(syscall.SIGPIPE) // the reader has closed the pipe
	case errors.As(context.Cause(ctx), &signal):
		if errors.Is(err, context.Canceled) {
			err = signal
		}
		return err.Error(), signal.code()
	}
	if text, ok := missingFile(err, typed); ok {
		return text, Misused
	}
	if errors.As(err, &misuse) || errors.As(err, &list) || errors.As(err, &problem) || errors.As(err, &unknown) {
		return err.Error(), Misused
	}
	if errors.As(err, &refusal) && (refusal.Status == http.StatusBadRequest || refusal.Status == http.StatusNotFound) {
		return flagOf(refusal, typed) + err.Error(), Misused
	}
	return err.Error(), Failed
}

// flagOf names the flag that a refusal of the lab is about, if it was typed.
func flagOf(refusal *control.StatusError, typed []string) string {
	flag := "--" + refusal.Field
	is := func(arg string) bool { return arg == flag || strings.HasPrefix(arg, flag+"=") }
	if refusal.Field == "" || !slices.ContainsFunc(typed, is) {
		return ""
	}
	return flag + ": "
}

// SignalError is why a context ended: the program was asked to.
type SignalError struct{ os.Signal }

func (s SignalError) Error() string { return "interrupted" }

func (s SignalError) code() int {
	if n, ok := s.Signal.(syscall.Signal); ok {
		return 128 + int(n)
	}
	return Failed
}

// missingFile says what to do about a file of the command line that cannot be read.
func missingFile(err error, typed []string) (string, bool) {
	var missing *fs.PathError
	if !errors.As(err, &missing) {
		return "", false
	}
	named := slices.ContainsFunc(typed, func(arg string) bool {
		_, value, _ := strings.Cut(arg, "=") // --file=NAME
		return samePath(arg, missing.Path) || samePath(value, missing.Path)
	})
	if !named {
		return "", false
	}
	what := ""
	switch {
	case errors.Is(missing.Err, fs.ErrNotExist):
		what = yamlfile.NotThere(missing.Path)
	case errors.Is(missing.Err, fs.ErrPermission):
		what = fmt.Sprintf("no permission for %s; check its mode and owner", missing.Path)
	case errors.Is(missing.Err, syscall.EISDIR):
		what = missing.Path + " is a directory; name a file"
	default:
		return "", false
	}
	return strings.Replace(err.Error(), missing.Error(), what, 1), true
}

func samePath(typed, path string) bool {
	if typed == "" {
		return false
	}
	absolute, err := filepath.Abs(typed)
	return typed == path || err == nil && absolute == path
}

// sayOurWay words the usage errors of a command and those below it, with the nearest names.
func sayOurWay(cmd *cobra.Command) {
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return Usage(flagError(cmd, err)) })
	check := cmd.Args
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 && cmd.HasAvailableSubCommands() {
			return unknownCommand(cmd, args[0])
		}
		if check == nil {
			return nil
		}
		err := check(cmd, args)
		if err != nil && cobraOfArgs().MatchString(err.Error()) {
			err = argsError(cmd, args)
		}
		return Usage(err)
	}
	before := cmd.PreRunE // of addOutput
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
		if err := missingFlag(cmd); err != nil || before == nil {
			return err
		}
		return Usage(before(cmd, args))
	}
	for _, below := range cmd.Commands() {
		sayOurWay(below)
	}
}

func missingFlag(cmd *cobra.Command) (err error) {
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Annotations[cobra.BashCompOneRequiredFlag] != nil && !f.Changed && err == nil {
			kind, about := pflag.UnquoteUsage(f)
			err = Usagef("%s: expected --%s (%s), found nothing: %s", cmd.CommandPath(), f.Name, kind, about)
		}
	})
	return err
}

func unknownCommand(parent *cobra.Command, name string) error {
	var known []string
	for _, cmd := range parent.Commands() {
		if !cmd.Hidden {
			known = append(known, cmd.Name())
		}
	}
	fix := parent.CommandPath() + " --help lists them"
	if meant := yamlfile.Nearest(name, known); meant != "" {
		fix = fmt.Sprintf("did you mean %s %s?", parent.CommandPath(), meant)
	}
	return Usagef("%s has no command %q; %s", parent.CommandPath(), name, fix)
}

func flagError(cmd *cobra.Command, err error) error {
	var (
		unknown *pflag.NotExistError
		empty   *pflag.ValueRequiredError
		invalid *pflag.InvalidValueError
	)
	if words := cmd.Flags().Args(); len(words) > 0 && cmd.HasAvailableSubCommands() {
		return unknownCommand(cmd, words[0]) // the flags are that command's
	}
	switch {
	case errors.As(err, &unknown):
		dashes, name := "--", unknown.GetSpecifiedName()
		fix := cmd.CommandPath() + " --help lists them"
		if unknown.GetSpecifiedShortnames() != "" {
			dashes = "-"
		} else if meant := yamlfile.Nearest(name, flagNames(cmd)); meant != "" {
			fix = fmt.Sprintf("did you mean --%s?", meant)
		}
		return fmt.Errorf("%s has no flag %s%s; %s", cmd.CommandPath(), dashes, name, fix)
	case errors.As(err, &empty):
		kind, about := pflag.UnquoteUsage(empty.GetFlag())
		return fmt.Errorf("--%s: expected a value (%s), found nothing: %s", empty.GetFlag().Name, kind, about)
	case errors.As(err, &invalid):
		kind, _ := pflag.UnquoteUsage(invalid.GetFlag())
		kind = cmp.Or(kind, "true or false")
		return fmt.Errorf("--%s: expected %s, found %q", invalid.GetFlag().Name, kindOf(kind), invalid.GetValue())
	}
	return err
}

func kindOf(kind string) string {
	switch kind {
	case "int":
		return "a whole number"
	case "uint":
		return "a whole number of at least 0"
	case "float":
		return "a number"
	case "duration":
		return "a duration such as 90s, 25m or 48h"
	}
	return kind
}

func flagNames(cmd *cobra.Command) (names []string) {
	add := func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	}
	cmd.Flags().VisitAll(add)
	cmd.InheritedFlags().VisitAll(add)
	return names
}

// cobraOfArgs are the texts of cobra's own checks of arguments.
var cobraOfArgs = lazyregexp.New(`^(accepts |requires |unknown command )`)

// argsError says which arguments a command takes, and shows one.
func argsError(cmd *cobra.Command, args []string) error {
	takes := strings.Fields(cmd.Use)[1:]
	takes = slices.DeleteFunc(takes, func(word string) bool { return word == "[flags]" })
	if len(takes) == 0 {
		return fmt.Errorf("%s takes no argument, found %q", cmd.CommandPath(), args[0])
	}
	found := "nothing"
	if len(args) > 0 {
		found = fmt.Sprintf("%q", strings.Join(args, " "))
	}
	such := ""
	for line := range strings.Lines(cmd.Example) {
		if example, _, _ := strings.Cut(line, " #"); strings.Contains(line, cmd.CommandPath()) && such == "" {
			such = ", such as: " + strings.TrimSpace(example)
		}
	}
	return fmt.Errorf("%s: expected %s, found %s%s", cmd.CommandPath(), strings.Join(takes, " "), found, such)
}

// helpOf is cobra's help command, which fails for a command that there is not.
func helpOf(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	help, _, err := root.Find([]string{"help"})
	if err != nil || help == root {
		return
	}
	show := help.Run
	help.Args, help.Run, help.RunE = nil, nil, func(cmd *cobra.Command, args []string) error {
		if about, rest, err := root.Find(args); err == nil && len(rest) > 0 && about.HasAvailableSubCommands() {
			return unknownCommand(about, rest[0])
		}
		show(cmd, args)
		return nil
	}
}
