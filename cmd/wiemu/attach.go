package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/internal/cli"
	"github.com/wiemu/wiemu/internal/controlapi"
	"github.com/wiemu/wiemu/internal/recording"
	"github.com/wiemu/wiemu/internal/run"
	"github.com/wiemu/wiemu/internal/servedir"
	"github.com/wiemu/wiemu/internal/session"
	"github.com/wiemu/wiemu/internal/userstate"
	"github.com/wiemu/wiemu/internal/workload"
)

// labTarget is a lab to ask: the running server, or one of this process.
type labTarget struct {
	client   *control.Client
	files    session.Files
	declared []workload.Spec // workloads to choose from: of the files, and perhaps the server's
	own      *run.Session    // nil: the server
}

// open returns the running server, or if there is none a lab of the files at hand.
func (s *selection) open(cmd *cobra.Command, stateDir string) (*labTarget, error) {
	files, err := s.read(cmd)
	if err != nil {
		return nil, err
	}
	client, err := runningServer(cmd, stateDir)
	if err != nil {
		return nil, err
	}
	if client != nil {
		return s.attach(cmd.Context(), client, files)
	}
	l, err := openSession(cmd.Context(), stateDir, files, nil, nil, nil)
	if err != nil {
		return nil, err
	}
	return &labTarget{client: l.Emulator().ControlClient(), files: files, declared: files.Workloads(), own: l}, nil
}

func (x *labTarget) close(ctx context.Context) {
	if x.own != nil {
		closeSession(ctx, x.own)
	}
}

// attach returns the running server, whose wiemu.yaml applies: another one, named or found in
// this folder, is an error. If -f names files that describe workloads, those are the ones to
// choose from: a component of the same name that the server has from elsewhere is another
// one. Without -f the server's workloads are added, except the components that a
// radixconfig.yaml of this folder has, with or without an identity.
func (s *selection) attach(ctx context.Context, client *control.Client, files session.Files) (*labTarget, error) {
	if err := s.sameConfiguration(ctx, client, files); err != nil {
		return nil, err
	}
	x := &labTarget{client: client, files: files, declared: files.Workloads()}
	if len(s.files) > 0 && files.DescribeWorkloads() {
		return x, nil
	}
	known, err := session.List(ctx, client)
	if err != nil {
		return nil, err
	}
	for _, d := range known {
		if !files.HaveComponent(d.Component) {
			x.declared = append(x.declared, d)
		}
	}
	return x, nil
}

// sameConfiguration refuses a wiemu.yaml that differs from the running server's.
func (s *selection) sameConfiguration(ctx context.Context, client *control.Client, files session.Files) error {
	if files.ConfigFile == "" {
		return nil
	}
	status, err := client.Status(ctx)
	if err != nil {
		return err
	}
	different := files.DifferencesFrom(status)
	if len(different) == 0 {
		return nil
	}
	server := "without a wiemu.yaml"
	ways := []string{"restart wiemu serve with this file"}
	if s.hasOwn {
		ways = append(ways, "use --own, which starts a separate lab with this file")
	}
	if status.ConfigFile != "" {
		server = "with " + status.ConfigFile
		ways = append(ways, "name the server's file: -f "+quoteIfNeeded(status.ConfigFile))
	} else {
		ways = append(ways, "name only the radixconfig.yaml with -f, or run this in another folder")
	}
	return fmt.Errorf("%s: a server is running %s, and its configuration differs in %s; %s", files.ConfigFile, server, strings.Join(different, ", "), strings.Join(ways, "; or "))
}

// quoteIfNeeded makes a file's name one word of a shell.
func quoteIfNeeded(name string) string {
	if strings.ContainsAny(name, " \t'\"$`\\&;|<>()*?[]{}~#!") {
		return quote(name)
	}
	return name
}

// pickInServer returns the running server and the workload that files and argument choose.
func (s *selection) pickInServer(cmd *cobra.Command, stateDir string, args []string) (*labTarget, workload.Spec, error) {
	files, err := s.read(cmd)
	if err != nil {
		return nil, workload.Spec{}, err
	}
	client, err := needServer(cmd, stateDir)
	if err != nil {
		return nil, workload.Spec{}, err
	}
	x, err := s.attach(cmd.Context(), client, files)
	if err != nil {
		return nil, workload.Spec{}, err
	}
	d, err := s.pick(x.files, x.declared, strings.Join(args, ""))
	return x, d, err
}

// openSession starts a lab of this process with everything that the files describe. If record is
// nil, the session is not recorded; if dir is nil, its files and addresses are new; if control is
// not nil, it adds paths to the control API.
func openSession(ctx context.Context, stateDir string, files session.Files, record *recording.Options, dir *servedir.Dir, control func(*controlapi.Server)) (*run.Session, error) {
	cli.TellUnread(os.Stderr, files)
	state, err := userstate.Open(stateDir)
	if err != nil {
		return nil, err
	}
	s, err := run.OpenSession(ctx, run.SessionOptions{
		State: state, Files: files, Record: record, Dir: dir, Control: control,
		Log:     slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
		OnError: tellError,
	})
	if err != nil {
		return nil, err
	}
	if why := s.Emulator().Authority().Renewed(); why != "" {
		fmt.Fprintln(os.Stderr, "wiemu: a new CA:", why)
	}
	return s, nil
}

// closeSession closes a session and writes what could not be cleaned up to standard error.
func closeSession(ctx context.Context, s *run.Session) {
	if err := s.Close(ctx); err != nil {
		tellError(err)
	}
}

func tellError(err error) { fmt.Fprintln(os.Stderr, "wiemu:", err) }
