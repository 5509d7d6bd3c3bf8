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
	"github.com/wiemu/wiemu/harness/state"
)

// A Lab is a running wiemu serve with a state directory of its own.
type Lab struct {
	*control.Client
	wiemu   string
	dir     string
	environ []string
	server  *exec.Cmd
	said    *bytes.Buffer // by the server, once it has ended
	ended   chan error
}

// startLab starts wiemu serve with the radixconfig.yaml of the documentation
// and, if the client brings one, its wiemu.yaml.
func startLab(ctx context.Context, wiemu string, environ []string, radixconfig string, client Client) (_ *Lab, err error) {
	dir, err := os.MkdirTemp("", "wiemu-conformance-")
	if err != nil {
		return nil, err
	}
	l := &Lab{
		wiemu: wiemu, dir: dir, said: &bytes.Buffer{}, ended: make(chan error, 1),
		environ: slices.Concat(environ, []string{"WIEMU_STATE_DIR=" + filepath.Join(dir, "state")}),
	}
	args := []string{"serve", "-f", radixconfig}
	if own := filepath.Join(client.Dir, "wiemu.yaml"); exists(own) {
		args = append(args, "-f", own)
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
	states, err := state.Open(filepath.Join(dir, "state"))
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
	case <-time.After(10 * time.Second): // wall time
		err = errors.Join(err, errors.New("wiemu serve did not end"), l.server.Process.Kill())
	}
	if err != nil {
		err = fmt.Errorf("end wiemu serve: %w\n%s", err, l.said)
	}
	return errors.Join(err, os.RemoveAll(l.dir))
}

// command is wiemu run in this lab, with environment variables of its own on top.
// When ctx ends it is told to end.
func (l *Lab) command(ctx context.Context, mode Mode, dir string, workload []string, run string, env ...string) *exec.Cmd {
	args := []string{"run"}
	if mode == Isolate {
		args = append(args, "--isolate")
	}
	args = append(append(append(append(args, workload...), "--", "env"), env...), "bash", "-c", "exec "+run)
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
