package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
)

// Error says why a command did not run.
type Error struct {
	Code    int    // what a shell would exit with: Failed, NotExecutable or NotFound
	Command string // as it was given
	Problem string
	Fix     string
	Err     error // the system's, if it said something
}

// Error gives command, problem and fix on one line.
func (e *Error) Error() string {
	text := e.Problem
	if e.Command != "" {
		text = e.Command + ": " + text
	}
	if e.Fix != "" {
		text += "; " + e.Fix
	}
	return text
}

// Unwrap returns the system's error.
func (e *Error) Unwrap() error { return e.Err }

func refuse(code int, command, problem, fix string) (int, error) {
	return code, &Error{Code: code, Command: command, Problem: problem, Fix: fix}
}

// Find returns the path of the program of a command. The error is an *Error.
func Find(c Command) (string, error) {
	name := c.Args[0]
	if name == "" {
		_, err := refuse(NotFound, `""`, "an empty command name", "name a command after --")
		return "", err
	}
	if strings.ContainsAny(name, separators) {
		path, err := c.absolute(name)
		if err == nil {
			err = checkExecutable(name, path)
		}
		return path, err
	}
	var notExecutable error
	for _, dir := range filepath.SplitList(Variable(c.Env, "PATH")) {
		dir, err := c.absolute(dir) // an empty entry is the working directory, as in a shell
		if err != nil {
			return "", err
		}
		for _, path := range candidates(filepath.Join(dir, name), c.Env) {
			err := checkExecutable(name, path)
			if err == nil {
				return path, nil
			}
			var e *Error
			if errors.As(err, &e) && e.Code == NotExecutable && notExecutable == nil {
				notExecutable = err
			}
		}
	}
	if notExecutable != nil {
		return "", notExecutable
	}
	fix := "check its spelling and PATH"
	if info, err := os.Stat(filepath.Join(c.Dir, name)); err == nil && !info.IsDir() {
		fix = "did you mean ." + string(filepath.Separator) + name + "?"
	}
	_, err := refuse(NotFound, name, "command not found", fix)
	return "", err
}

// Locate returns the path of a program of wiemu's: beside this program, else in PATH. "" means
// that it is missing.
func Locate(name string) string {
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), name)
		if info, err := os.Stat(beside); err == nil && info.Mode().IsRegular() {
			return beside
		}
	}
	if found, err := exec.LookPath(name); err == nil { // not what a relative PATH leads to
		return found
	}
	return ""
}

// absolute is a path as the child sees it.
func (c Command) absolute(path string) (string, error) {
	if !filepath.IsAbs(path) {
		path = filepath.Join(c.Dir, path)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", &Error{Code: Failed, Command: c.Args[0], Problem: err.Error(), Fix: "change to a directory that exists", Err: err}
	}
	return abs, nil
}

// checkExecutable returns nil if path is a program, else an *Error that says why it is not.
func checkExecutable(name, path string) error {
	info, err := os.Stat(path)
	e := &Error{Command: name, Err: err}
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		e.Code, e.Problem, e.Fix = NotFound, "no such file", "check its spelling"
	case err != nil:
		e.Code, e.Problem = NotExecutable, err.Error()
	case info.IsDir():
		e.Code, e.Problem, e.Fix = NotExecutable, "is a directory", "name a program in it"
	case !executable(path, info):
		e.Code, e.Problem, e.Fix = NotExecutable, "is not executable", "allow it: chmod +x "+path
	default:
		return nil
	}
	return e
}

// NotExecuted is the error of a wrapper that could not execute the program of its command.
type NotExecuted struct {
	Err error // the system's
}

// Error names the step and the system's error.
func (e *NotExecuted) Error() string { return "execute the program: " + e.Err.Error() }

// Unwrap returns the system's error.
func (e *NotExecuted) Unwrap() error { return e.Err }

// Explain returns the exit code and error that Run returns for a command that the system
// does not execute, without wrappers.
func (e *NotExecuted) Explain(c Command) (exitCode int, err error) {
	path, err := Find(c)
	if err != nil { // it has gone meanwhile
		path = c.Args[0]
	}
	return startFailure(c.Args[0], path, e.Err)
}

// startFailure says why a program that is there could not be started.
func startFailure(name, path string, err error) (int, error) {
	e := &Error{Code: NotExecutable, Command: name, Err: err}
	switch {
	case errors.Is(err, syscall.ENOEXEC):
		e.Problem, e.Fix = "is no program of this machine, nor a script with a #! line", "check what file "+path+" says"
	case errors.Is(err, fs.ErrNotExist): // the file itself is there: see find
		e.Problem, e.Fix = "its interpreter or dynamic loader is missing", "check its #! line, or what file "+path+" says"
	case errors.Is(err, fs.ErrPermission):
		e.Problem, e.Fix = "permission denied", "check the permissions of the file, its directories and its interpreter, and whether the file system is mounted noexec"
	case errors.Is(err, syscall.E2BIG):
		e.Problem, e.Fix = "arguments and environment are too long together", "shorten them"
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.ENOMEM), errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		e.Code, e.Problem, e.Fix = Failed, fmt.Sprintf("could not be started: %v", err), "the machine has no more processes, memory or files to give"
	default:
		e.Problem = fmt.Sprintf("could not be started: %v", err)
	}
	return e.Code, e
}

// SetVariables returns env with variables (NAME=VALUE) added, or replaced by name.
func SetVariables(env []string, variables ...string) []string {
	for _, v := range variables {
		name, _, _ := strings.Cut(v, "=")
		env = slices.DeleteFunc(env, func(o string) bool { return strings.HasPrefix(o, name+"=") })
		env = append(env, v)
	}
	return env
}

// Variable returns the value of an environment variable: of several, the last one.
func Variable(env []string, name string) string {
	value := ""
	for _, entry := range env {
		if key, v, ok := strings.Cut(entry, "="); ok && sameVariable(key, name) {
			value = v
		}
	}
	return value
}
