package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/harness/state"
)

func newServe(stateDir *string) *cobra.Command {
	var s selection
	var allow []string
	var wrong mishaps
	var file string
	var keys bool
	var as, fixed string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Keep a lab running; other commands attach to it",
		Long: `Keep a lab running until it is interrupted. While it runs, wiemu run, env, token,
status, kubeconfig, clock, keys and fault are about this lab.

With --dir DIR the token files, the CA bundle and all else that wiemu env names are in
DIR, at the same paths at each start; proxy, gateway and control address keep their
ports, unless one is taken, and workloads that were attached are attached again. So a
.env that an IDE reads stays true. DIR is made (0700) if there is none.`,
		Example: `  wiemu serve -f wiemu.yaml -f radixconfig.yaml
  wiemu serve -f app.yaml               # Kubernetes manifests: the workloads of their pods
  eval "$(wiemu env web --env dev)"     # in another terminal
  wiemu serve --dir ~/.wiemu-web        # the same paths and ports at each start
  wiemu env web --env dev -o dotenv > .env   # once
  wiemu serve --record session.wiemu.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			files, err := s.read(cmd)
			if err != nil {
				return err
			}
			files.Config.AllowHosts = append(files.Config.AllowHosts, allow...)
			if err := wrong.into(&files.Config); err != nil {
				return err
			}
			if err := applyAs(as, &files.Config); err != nil {
				return err
			}
			dir, err := state.Open(*stateDir)
			if err != nil {
				return err
			}
			var in *serveDir
			if cmd.Flags().Changed("dir") {
				if fixed == "" {
					return usagef("--dir: expected a directory, found an empty name")
				}
				if in, err = openServeDir(fixed, cmd.ErrOrStderr()); err != nil {
					return err
				}
				defer in.close()
			}
			record, err := newSessionFile(file, keys)
			if err != nil {
				return err
			}
			defer record.abandon()
			l, err := openLab(cmd.Context(), *stateDir, files, record.options(), in)
			if err != nil {
				return err
			}
			defer l.close(cmd.Context())
			e := l.Emulator()
			if err := wrong.checkNames(e.Faults(), files.ConfigFile); err != nil {
				return err
			}
			tellSeed(cmd.ErrOrStderr(), e.Faults())
			tellOpenVaults(cmd.ErrOrStderr(), files.Config)
			tellMisspeltRoles(cmd.ErrOrStderr(), files.Config)
			if in != nil {
				if err := in.opened(cmd.Context(), e); err != nil {
					return err
				}
			}
			withdraw, err := dir.Announce(state.Server{URL: e.ControlURL(), Token: e.Token(), Run: l.run.ID})
			if err != nil {
				return err
			}
			l.isRun = true
			defer func() {
				if err := withdraw(); err != nil {
					fmt.Fprintln(cmd.ErrOrStderr(), "wiemu: while cleaning up:", err)
				}
			}()
			out := cmd.OutOrStdout()
			fmt.Fprintf(out, "gateway   https://%s   (TLS: Entra ID, resources, issuers)\nproxy     %s\n", e.Address(), e.ProxyURL())
			for _, i := range e.Issuers() {
				fmt.Fprintf(out, "issuer    %s\ncluster   %s\n", i.URL(), e.ClusterURL(i.Name()))
			}
			for _, d := range files.Workloads() {
				fmt.Fprintf(out, "workload  %s/%s  client id %s\n", d.Workload.Namespace, d.Workload.ServiceAccount, d.Workload.ClientID)
			}
			fmt.Fprintln(out, "ready; Ctrl-C ends it")
			<-cmd.Context().Done()
			tellMissed(cmd.ErrOrStderr(), e.Faults().Missed())
			return record.write(cmd.Context(), l)
		},
	}
	s.addFileFlag(cmd)
	addAllowHost(cmd, &allow)
	wrong.add(cmd)
	addAs(cmd, &as)
	cmd.Flags().StringVar(&fixed, "dir", "", "keep the files of the lab in this directory, with the same paths and ports at each start")
	cmd.Flags().StringVar(&file, "record", "", "write the session into this file when it ends; see wiemu replay")
	cmd.Flags().BoolVar(&keys, "keys", false, "with --record: let the file carry private keys and secrets")
	return cmd
}
