package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/userstate"
)

// A Lab is a running wiemu serve with a state directory of its own.
type Lab struct {
	*control.Client
	wiemu   string
	dir     string
	environ []string
	named   []string // files that wiemu run is given by -f: a client may have a wiemu.yaml of its own in its directory
	server  *exec.Cmd
	said    *bytes.Buffer // by the server, once it has ended
	ended   chan error
}

func ownFiles(c Client) []string {
	if own := filepath.Join(c.Dir, "wiemu.yaml"); exists(own) {
		return []string{own}
	}
	return nil
}

// startLab starts wiemu serve with the given configuration.
func startLab(ctx context.Context, wiemu string, environ, files []string) (_ *Lab, err error) {
	dir, err := os.MkdirTemp("", "wiemu-conformance-")
	if err != nil {
		return nil, err
	}
	l := &Lab{
		wiemu: wiemu, dir: dir, said: &bytes.Buffer{}, ended: make(chan error, 1),
		environ: slices.Concat(environ, []string{"WIEMU_STATE_DIR=" + filepath.Join(dir, "state")}),
	}
	args := []string{"serve"}
	for _, file := range files {
		args = append(args, "-f", file)
	}
	l.server = exec.Command(wiemu, args...)
	l.server.Dir, l.server.Env = dir, l.environ
	l.server.Stderr = l.said
	stdout, err := l.server.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := l.server.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", wiemu, err), os.RemoveAll(dir))
	}
	ready := make(chan struct{})
	go func() {
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), "ready;") {
				close(ready)
				break
			}
		}
		_, _ = io.Copy(io.Discard, stdout) // until it ends
		l.ended <- l.server.Wait()
	}()
	select {
	case <-ready:
	case err := <-l.ended:
		return nil, errors.Join(fmt.Errorf("wiemu serve ended early: %w\n%s", err, l.said), os.RemoveAll(dir))
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), l.Close())
	}
	states, err := userstate.Open(filepath.Join(dir, "state"))
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	s, running, err := states.Server()
	if err == nil && !running {
		err = errors.New("wiemu serve is ready but not to be found")
	}
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	l.Client = &control.Client{URL: s.URL, Token: s.Token}
	return l, nil
}

// Close ends the server and removes what it kept.
func (l *Lab) Close() error {
	err := l.server.Process.Signal(syscall.SIGTERM)
	select {
	case ended := <-l.ended:
		err = errors.Join(err, ended)
	case <-time.After(time.Minute): // wall time
		err = errors.Join(err, errors.New("wiemu serve did not end"), l.server.Process.Kill())
	}
	if err != nil {
		err = fmt.Errorf("end wiemu serve: %w\n%s", err, l.said)
	}
	return errors.Join(err, os.RemoveAll(l.dir))
}

// noProxy is shell that ends with a message if the environment names a proxy.
const noProxy = `! env | grep -iE '^(https?|all)_proxy=' >&2 || { echo 'expected no proxy variable' >&2; exit 1; }`

// command is wiemu run in this lab with further variables. It is asked to end when ctx does.
func (l *Lab) command(ctx context.Context, mode Mode, dir string, workload []string, run string, env ...string) *exec.Cmd {
	args := []string{"run"}
	for _, file := range l.named {
		args = append(args, "-f", file)
	}
	script := "exec " + run
	switch mode {
	case Transparent:
		script = noProxy + "\n" + script
	case Proxy:
		args = append(args, "--network", "proxy")
	case Isolate:
		args = append(args, "--isolate")
	case Lockstep: // not of this lab
	}
	args = append(append(append(append(args, workload...), "--", "env"), env...), "bash", "-c", script)
	cmd := exec.CommandContext(ctx, l.wiemu, args...)
	cmd.Dir, cmd.Env = dir, l.environ
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// rotate moves lab time until the token file of a workload is another one.
func (l *Lab) rotate(ctx context.Context, workload string) error {
	before, err := l.Events(ctx, "")
	if err != nil {
		return err
	}
	for range 12 {
		if _, err := l.Advance(ctx, "10m"); err != nil {
			return err
		}
		after, err := l.Events(ctx, lastID(before))
		if err != nil {
			return err
		}
		for _, e := range after {
			if e.Kind == journal.Projection && e.Workload == workload && e.Outcome == journal.OK {
				return nil
			}
		}
	}
	return errors.New("after two hours of lab time the token file is still the same")
}

func lastID(events []journal.Event) string {
	if len(events) == 0 {
		return ""
	}
	return events[len(events)-1].ID
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// lives plays the client's scenarios of lockstep/, in which the program client
// is this client. What must be true then is in the scenarios.
func (d *driver) lives(ctx context.Context, c Client, dir string) error {
	script := fmt.Sprintf("#!/usr/bin/env bash\ncd %s\nexec %s \"$@\"\n", quoted(dir), strings.TrimSpace(c.Run))
	out, err := d.play(ctx, c.Lockstep, script)
	if err != nil {
		return err
	}
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "✓") {
			d.say("    %s: %s", c.Name, strings.TrimSpace(line))
		}
	}
	return nil
}

// play runs scenarios of lockstep/, in which the program client is a script, and returns
// what wiemu said.
func (d *driver) play(ctx context.Context, scenarios []string, script string) (said string, err error) {
	bin, err := os.MkdirTemp("", "wiemu-conformance-")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(bin)) }()
	if err := os.WriteFile(filepath.Join(bin, "client"), []byte(script), 0o755); err != nil {
		return "", err
	}
	args := []string{"scenario", "run", "--parallel", "1"}
	for _, name := range scenarios {
		args = append(args, filepath.Join(d.root, "scenarios", "conformance", "lockstep", name+".yaml"))
	}
	ctx, cancel := context.WithTimeout(ctx, patience*time.Duration(len(scenarios)))
	defer cancel()
	cmd := exec.CommandContext(ctx, d.wiemu, args...)
	cmd.Dir = bin
	cmd.Env = slices.Concat(d.environ, []string{"WIEMU_STATE_DIR=" + filepath.Join(bin, "state"), "PATH=" + bin + string(os.PathListSeparator) + filepath.Dir(d.wiemu) + string(os.PathListSeparator) + os.Getenv("PATH")})
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("wiemu scenario run: %w\n%s", err, lastLines(string(out), 120))
	}
	return string(out), nil
}

// quoted is a text as one word of a shell.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// probeLockstep tells why this machine cannot put programs on the lab clock.
func (d *driver) probeLockstep() error {
	cmd := exec.Command(d.wiemu, "timeshift", "--probe")
	cmd.Env = d.environ
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("wiemu timeshift does not work here: %s", strings.TrimSpace(string(out)))
	}
	return nil
}
