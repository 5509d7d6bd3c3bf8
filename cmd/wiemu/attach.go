package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/harness"
)

// attach is a session with the running server, whose wiemu.yaml counts: another
// one, named or found in this folder, is refused. Where -f names files that describe
// workloads, there are those and no others: a component of the same name that the
// server knows from elsewhere is somebody else. Without -f there are the server's, too,
// except the components that a radixconfig.yaml of this folder has, with or without an
// identity.
func (s *selection) attach(ctx context.Context, client *control.Client, files harness.Files) (*session, error) {
	if err := s.sameConfiguration(ctx, client, files); err != nil {
		return nil, err
	}
	x := &session{client: client, files: files, declared: files.Workloads()}
	if len(s.files) > 0 && files.DescribeWorkloads() {
		return x, nil
	}
	known, err := harness.Attached(ctx, client)
	if err != nil {
		return nil, err
	}
	for _, d := range known {
		if !files.HaveComponent(d.Workload.Component) {
			x.declared = append(x.declared, d)
		}
	}
	return x, nil
}

// sameConfiguration refuses a wiemu.yaml that says something else than the running
// server's: what it describes would not be there.
func (s *selection) sameConfiguration(ctx context.Context, client *control.Client, files harness.Files) error {
	if files.ConfigFile == "" {
		return nil
	}
	status, err := client.Status(ctx)
	if err != nil || status.Configuration == nil { // an emulator that does not tell, as in a cluster
		return err
	}
	different := config.DifferentSections(files.Digests(), status.Configuration)
	if len(different) == 0 {
		return nil
	}
	server := "without a wiemu.yaml"
	ways := []string{"restart wiemu serve with this file"}
	if s.hasOwn {
		ways = append(ways, "use --own, which starts a lab of this file for this run")
	}
	if status.ConfigFile != "" {
		server = "with " + status.ConfigFile
		ways = append(ways, "name the server's file: -f "+quoteIfNeeded(status.ConfigFile))
	} else {
		ways = append(ways, "name with -f the radixconfig.yaml alone, or run this in another folder")
	}
	return fmt.Errorf("%s: a server runs %s, and its configuration differs in %s; %s", files.ConfigFile, server, strings.Join(different, ", "), strings.Join(ways, "; or "))
}

// quoteIfNeeded makes a file's name one word of a shell.
func quoteIfNeeded(name string) string {
	if strings.ContainsAny(name, " \t'\"$`\\&;|<>()*?[]{}~#!") {
		return quote(name)
	}
	return name
}
