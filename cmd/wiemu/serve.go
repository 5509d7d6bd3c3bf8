package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/internal/cli"
	"github.com/wiemu/wiemu/internal/recording"
	"github.com/wiemu/wiemu/internal/scenario"
	"github.com/wiemu/wiemu/internal/scenarioapi"
	"github.com/wiemu/wiemu/internal/servedir"
	"github.com/wiemu/wiemu/internal/userstate"
	"github.com/wiemu/wiemu/scenarios"
)

func newServe(stateDir *string) *cobra.Command {
	var s selection
	var allow []string
	var faults faultFlags
	var file string
	var keys, withConsole bool
	var as, fixed string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a lab as a server that other commands use",
		Long: `Run a lab until it is interrupted. While it runs, wiemu run, env, token, status,
kubeconfig, console, explain, clock, keys, fault, role, revoke, move and directory
export use this lab.

With --dir DIR the token files, the CA bundle and all other files that wiemu env names
are in DIR, at the same paths at each start; proxy, gateway and control API keep their
ports unless one is in use, and workloads that were attached are attached again. So a
.env file that an IDE reads stays valid. DIR is created (0700) if it is missing.`,
		Example: `  wiemu serve -f wiemu.yaml -f radixconfig.yaml
  wiemu serve -f app.yaml               # Kubernetes manifests: the workloads of their pods
  eval "$(wiemu env web --env dev)"     # in another terminal
  wiemu serve --dir ~/.wiemu-web        # the same paths and ports at each start
  wiemu env web --env dev -o dotenv > .env   # once
  wiemu serve --console                 # print a link to its web pages
  wiemu serve --record session.wiemu.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			files, err := s.read(cmd)
			if err != nil {
				return err
			}
			files.Config.AllowHosts = append(files.Config.AllowHosts, allow...)
			if err := faults.into(&files.Config); err != nil {
				return err
			}
			if err := applyAs(as, &files.Config); err != nil {
				return err
			}
			dir, err := userstate.Open(*stateDir)
			if err != nil {
				return err
			}
			var in *servedir.Dir
			if cmd.Flags().Changed("dir") {
				if in, err = openServeDir(fixed, cmd.ErrOrStderr()); err != nil {
					return err
				}
				defer cli.CleanUp(cmd, in.Close)
			}
			record, err := createRecording(file, keys)
			if err != nil {
				return err
			}
			defer record.Abandon()
			library := scenarioapi.New(cmd.Context(), func() ([]scenario.Scenario, error) { return scenario.LoadFS(scenarios.Library()) }, scenarioapi.Options{KeyDir: dir.KeyDir()})
			defer func() {
				if err := library.Close(); err != nil {
					tellError(err)
				}
			}()
			recorded := record.Options()
			if recorded == nil && withConsole {
				recorded = &recording.Options{Most: savedRequests, MostBytes: savedBytes}
			}
			own, err := openSession(cmd.Context(), *stateDir, files, recorded, in, library.Handle)
			if err != nil {
				return err
			}
			defer closeSession(cmd.Context(), own)
			if own.Recorder != nil {
				library.Record(own.Recorder)
			}
			e := own.Emulator()
			if err := faults.checkNames(e.Faults(), files.ConfigFile); err != nil {
				return err
			}
			tellSeed(cmd.ErrOrStderr(), e.Faults())
			tellOpen(cmd.ErrOrStderr(), files.Config)
			tellMisspeltRoles(cmd.ErrOrStderr(), files.Config)
			if in != nil {
				if err := in.Opened(cmd.Context(), e); err != nil {
					return err
				}
			}
			withdraw, err := dir.Announce(userstate.Server{URL: e.ControlURL(), Token: e.Token(), Run: own.RunID()})
			if err != nil {
				return err
			}
			own.KeepJournal = true
			defer cli.CleanUp(cmd, withdraw)
			out := cmd.OutOrStdout()
			fmt.Fprintf(out, "gateway   https://%s   (TLS: Entra ID, resources, issuers)\nproxy     %s\n", e.Address(), e.ProxyURL())
			for _, i := range e.Issuers() {
				fmt.Fprintf(out, "issuer    %s\ncluster   %s\n", i.URL(), e.ClusterURL(i.Name()))
			}
			for _, d := range files.Workloads() {
				fmt.Fprintf(out, "workload  %s/%s  client id %s\n", d.Namespace, d.ServiceAccount, d.ClientID)
			}
			if withConsole {
				link, err := consoleLink(cmd.Context(), &control.Client{URL: e.ControlURL(), Token: e.Token()})
				if err != nil {
					return err
				}
				fmt.Fprintf(out, "console   %s   (works once; wiemu console prints another)\n", link)
			}
			fmt.Fprintln(out, "ready; Ctrl-C ends it")
			<-cmd.Context().Done()
			tellMissed(cmd.ErrOrStderr(), e.Faults().Missed())
			return writeRecording(cmd.Context(), record, own.Recorder)
		},
	}
	s.addFileFlag(cmd)
	addAllowHost(cmd, &allow)
	faults.add(cmd)
	addAs(cmd, &as)
	cmd.Flags().StringVar(&fixed, "dir", "", "use this directory for the files of the lab, with the same paths and ports at each start")
	cmd.Flags().BoolVar(&withConsole, "console", false, "print a link that opens the console in a browser, and record the session in memory, so that it can be saved there; see wiemu console")
	cmd.Flags().StringVar(&file, "record", "", "record the session in this file when the server ends; see wiemu replay")
	cmd.Flags().BoolVar(&keys, "keys", false, "with --record: include private keys and secrets in the file")
	return cmd
}

// A session that is recorded in memory, so that its console can save it, may have so many requests,
// and with their answers and what happened beside them so many bytes.
const (
	savedRequests = 2_000
	savedBytes    = 32 << 20
)

func openServeDir(path string, notes io.Writer) (*servedir.Dir, error) {
	if path == "" {
		return nil, cli.Usagef("--dir: expected a directory, found an empty name")
	}
	dir, err := servedir.Open(path, notes)
	switch unusable := (*servedir.UnusableError)(nil); {
	case errors.As(err, &unusable):
		return nil, cli.Usagef("--dir %w", err)
	case err != nil:
		return nil, fmt.Errorf("--dir: %w", err)
	}
	return dir, nil
}
