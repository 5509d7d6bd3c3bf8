package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/docker/cli/cli/flags"
	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/internal/cli"
	"github.com/wiemu/wiemu/internal/compose/overlay"
	"github.com/wiemu/wiemu/internal/compose/stack"
	"github.com/wiemu/wiemu/internal/docker"
)

// composed is which project a command is about, and what it gets.
type composed struct {
	source     overlay.Source
	config     []string
	identities []string
	options    overlay.Options
	server     string   // program that becomes the emulator's image
	read       []string // files that the overlay was made of
}

func newCompose() *cobra.Command {
	var c composed
	var file string
	cmd := &cobra.Command{
		Use:   "compose",
		Short: "Give a docker-compose project workload identity, without editing it",
		Long: `Generate a compose file that goes behind yours: the emulator as a service of its own, and
for every service with an identity the AZURE_* variables, its token file in a volume that
is kept fresh, the emulated hosts as network aliases, and trust in the lab's CA. Your
files are only read. Run both with docker compose, or with wiemu compose up, which needs
no compose plugin.

A service has an identity by its label dev.wiemu.identity, by --identity, or because its
environment has an AZURE_CLIENT_ID. An identity is one of
  NAME, NAME@ENVIRONMENT               a workload of wiemu.yaml or radixconfig.yaml
  NAMESPACE/SERVICEACCOUNT             with the client id of those files, or of AZURE_CLIENT_ID
  NAMESPACE/SERVICEACCOUNT/CLIENTID
  CLIENTID                             of those files; else wiemu makes up a service account
  none
With the label dev.wiemu.clock: lockstep a service also runs on the lab clock, which
wiemu clock moves.`,
		Example: `  wiemu compose -f docker-compose.yml -o wiemu-overlay.yml
  docker compose -f docker-compose.yml -f wiemu-overlay.yml up
  wiemu compose up -f docker-compose.yml --config wiemu.yaml --identity web=shop/web-sa
  wiemu explain --last --compose shop-wiemu
  wiemu compose down -f docker-compose.yml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := c.generate(cmd, nil)
			if err != nil {
				return err
			}
			if file == "-" {
				_, err = cmd.OutOrStdout().Write(o.YAML)
				return err
			}
			if c.isRead(file) {
				return fmt.Errorf("-o %s: expected another file than those that are read; it would be lost", file)
			}
			if err := os.WriteFile(file, o.YAML, 0o600); err != nil {
				return fmt.Errorf("write the overlay: %w", err)
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "wrote %s for %s; type: docker compose%s -f %[1]s up\n", file, servicesOf(o), c.fileFlags())
			return nil
		},
	}
	// The compose engine logs what it also returns, or tells as a step.
	cmd.PersistentPreRun = func(*cobra.Command, []string) { flags.SetLogLevel("error") }
	c.addFlags(cmd)
	cmd.Flags().StringVarP(&file, "output-file", "o", "-", "where to write the overlay; - is standard output")
	cmd.AddCommand(newComposeUp(), newComposeDown())
	return cmd
}

func (c *composed) addSource(cmd *cobra.Command) {
	cmd.Flags().StringArrayVarP(&c.source.Files, "file", "f", nil, "compose file; repeatable (default: compose.yaml or docker-compose.yml here)")
	cmd.Flags().StringVarP(&c.source.Name, "project-name", "p", "", "name of the project")
	cmd.Flags().StringArrayVar(&c.source.Profiles, "profile", nil, "profile of services to be active; repeatable")
	cmd.Flags().StringArrayVar(&c.source.EnvFiles, "env-file", nil, "file with variables of the compose files, instead of .env; repeatable")
}

func (c *composed) addFlags(cmd *cobra.Command) {
	c.addSource(cmd)
	cmd.Flags().StringArrayVar(&c.config, "config", nil, "wiemu.yaml or radixconfig.yaml; repeatable (default: those two of this directory, where they exist)")
	cmd.Flags().StringArrayVar(&c.identities, "identity", nil, "SERVICE=IDENTITY, instead of what labels say; repeatable")
	cmd.Flags().StringVar(&c.options.Image, "image", "", "image of the emulator (default: one made of wiemu-server, which is beside wiemu)")
	cmd.Flags().StringVar(&c.server, "server", "", "wiemu-server for Linux, of which the emulator's image is made (default: beside wiemu)")
	cmd.Flags().StringVar(&c.options.Service, "service", "wiemu", "name of the emulator's service")
	cmd.Flags().Uint16Var(&c.options.ControlPort, "control-port", 0, "port of this machine's loopback for the control endpoint (default: a free one)")
}

func (c *composed) isRead(file string) bool {
	target, err := os.Stat(file)
	return err == nil && slices.ContainsFunc(c.read, func(name string) bool {
		info, err := os.Stat(name)
		return err == nil && os.SameFile(info, target)
	})
}

func (c *composed) fileFlags() string {
	var b strings.Builder
	for _, f := range c.source.Files {
		b.WriteString(" -f " + f)
	}
	return b.String()
}

func servicesOf(o overlay.Overlay) string {
	names := make([]string, len(o.Services))
	for i, s := range o.Services {
		names[i] = s.Name + " (" + s.Workload.Namespace + "/" + s.Workload.ServiceAccount + ")"
	}
	return strings.Join(names, ", ")
}

// generate makes the overlay. If e is nil, an engine is opened only where one is needed.
func (c *composed) generate(cmd *cobra.Command, e *stack.Engine) (overlay.Overlay, error) {
	ctx := cmd.Context()
	files, err := cli.ReadFiles(cmd, c.config)
	cli.TellWarnings(cmd, files.Warnings)
	if err != nil {
		return overlay.Overlay{}, err
	}
	cli.TellUnread(cmd.ErrOrStderr(), files)
	if files.ConfigFile != "" {
		if files.ConfigFile, err = filepath.Abs(files.ConfigFile); err != nil {
			return overlay.Overlay{}, err
		}
	}
	c.options.Files = files
	if c.options.Identities, err = splitIdentities(c.identities); err != nil {
		return overlay.Overlay{}, err
	}
	project, err := overlay.Load(ctx, c.source)
	if err != nil {
		return overlay.Overlay{}, err
	}
	c.read = slices.Concat(project.ComposeFiles, c.source.EnvFiles, c.config)
	if e == nil {
		if e, err = stack.Open(ctx, nil); err == nil {
			defer func() { _ = e.Close() }() // it was only asked
		} else if c.options.Image == "" {
			return overlay.Overlay{}, fmt.Errorf("the emulator's image is made in Docker: %w; or name an image with --image", err)
		}
	}
	if e != nil {
		c.options.Inspect = func(ctx context.Context, image string) (docker.Image, error) {
			return docker.Inspect(ctx, e.Client(), image)
		}
	}
	c.options.Programs = cmd.Flags().Changed("image")
	if c.options.Image == "" {
		if c.options.Image, err = docker.ServerImage(ctx, e.Client(), c.server); err != nil {
			return overlay.Overlay{}, err
		}
	}
	o, err := overlay.Generate(ctx, project, c.options)
	for _, r := range o.Remarks {
		fmt.Fprintln(cmd.ErrOrStderr(), "wiemu: warning:", r)
	}
	return o, err
}

func splitIdentities(given []string) (map[string]string, error) {
	all := map[string]string{}
	for _, g := range given {
		service, identity, ok := strings.Cut(g, "=")
		if !ok || service == "" || identity == "" {
			return nil, cli.Usagef("--identity: expected SERVICE=IDENTITY, such as web=shop/web-sa, found %q", g)
		}
		all[service] = identity
	}
	return all, nil
}

// ephemeral tells the project that wiemu runs from docker compose's, which stays as it is.
const ephemeral = "-wiemu"

// name decides what the project that wiemu runs is called.
func (c *composed) name(ctx context.Context) error {
	if c.source.Name != "" {
		return nil
	}
	project, err := overlay.Load(ctx, c.source)
	if err != nil {
		return err
	}
	c.source.Name = project.Name + ephemeral
	return nil
}

func newComposeUp() *cobra.Command {
	var c composed
	var detach bool
	cmd := &cobra.Command{
		Use:   "up [flags] [SERVICE...]",
		Short: "Run a compose project with the overlay, without the compose plugin",
		Long: `Run a compose project with the overlay that wiemu compose generates, by the compose
engine that is in wiemu. It shows what the services say until all of them have ended, or
until Ctrl-C, and then removes the project's containers, networks and volumes. The exit
code is that of the first service that failed. With --detach it goes on running until
wiemu compose down.

The project is called NAME-wiemu, so that one of docker compose beside it keeps its
containers and volumes.`,
		Example: `  wiemu compose up -f docker-compose.yml
  wiemu compose up -f docker-compose.yml --detach web
  wiemu clock advance 25h --compose shop-wiemu`,
		RunE: func(cmd *cobra.Command, services []string) (err error) {
			ctx := cmd.Context()
			if err := c.name(ctx); err != nil {
				return err
			}
			steps := cli.NewSteps(cmd.ErrOrStderr())
			defer steps.End()
			began := time.Now() // wall time: the last line says how long the user waited
			e, err := stack.Open(ctx, progressOf(steps))
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, e.Close()) }()
			o, err := c.generate(cmd, e)
			if err != nil {
				return err
			}
			file, remove, err := stack.WriteTemp(o)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, remove()) }()
			if len(services) > 0 {
				services = append(services, c.options.Service)
			}
			project, err := e.Load(ctx, c.source, file, services)
			if err != nil {
				return err
			}
			if err := e.Up(ctx, project); err != nil {
				steps.End()
				return cli.Interrupted(cmd, err)
			}
			steps.End()
			fmt.Fprintf(cmd.ErrOrStderr(), "project %s runs after %.1fs; control it with --compose %[1]s\n", project.Name, time.Since(began).Seconds())
			if detach {
				return nil
			}
			logs := &serviceLogs{out: cmd.OutOrStdout(), err: cmd.ErrOrStderr()}
			code, err := e.Follow(ctx, project, c.options.Service, logs)
			if ctx.Err() != nil {
				code, err = 130, nil // a shell's for Ctrl-C
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "removing project %s\n", project.Name)
			if err := errors.Join(err, e.Down(context.WithoutCancel(ctx), project.Name)); err != nil {
				return err
			}
			return cli.PassOn(code)
		},
	}
	c.addFlags(cmd)
	cmd.Flags().BoolVarP(&detach, "detach", "d", false, "return when everything runs, and leave it running")
	return cmd
}

func newComposeDown() *cobra.Command {
	var c composed
	cmd := &cobra.Command{
		Use:   "down",
		Short: "Remove what wiemu compose up --detach left running",
		Long: `Remove a project's containers, networks and volumes. It is not an error when there are
none.`,
		Example: `  wiemu compose down -f docker-compose.yml
  wiemu compose down --project-name shop-wiemu`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if err := c.name(cmd.Context()); err != nil {
				return err
			}
			steps := cli.NewSteps(cmd.ErrOrStderr())
			defer steps.End()
			e, err := stack.Open(cmd.Context(), progressOf(steps))
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, e.Close()) }()
			return e.Down(cmd.Context(), c.source.Name)
		},
	}
	c.addSource(cmd)
	return cmd
}

// progressOf shows the steps of the compose engine: all on a terminal, finished ones in a log.
func progressOf(steps *cli.Steps) func(stack.Progress) {
	return func(p stack.Progress) {
		if p.Done || p.Err || steps.OnTerminal() {
			steps.Step(p.What + " " + strings.ToLower(p.How))
		}
	}
}

// serviceLogs writes what services say, each line behind the container's name.
type serviceLogs struct {
	out, err io.Writer

	mu sync.Mutex
}

func (l *serviceLogs) Log(container, message string)    { l.write(l.out, container, message) }
func (l *serviceLogs) Err(container, message string)    { l.write(l.err, container, message) }
func (l *serviceLogs) Status(container, message string) { l.write(l.err, container, message) }

func (l *serviceLogs) write(to io.Writer, container, message string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(message) {
		fmt.Fprintf(to, "%s | %s\n", container, strings.TrimRight(line, "\r\n"))
	}
}
