package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/internal/ca"
	"github.com/wiemu/wiemu/internal/lab"
	"github.com/wiemu/wiemu/internal/nodeservice"
	"github.com/wiemu/wiemu/internal/server"
	"github.com/wiemu/wiemu/internal/session"
	"github.com/wiemu/wiemu/internal/statedir"
)

// patience bounds what waits for the network or for answers under way (wall time).
const patience = 3 * time.Second

type settings struct {
	file, state, lab string
	start            string
	seed             uint64
	vaults           string // file
	lockstep         string // directory
	controlURL       string
	healthy          string // address
	console, link    string // host:port, as browsers reach the control endpoint
	cluster          inCluster
}

func parse(args []string) (s settings, err error) {
	flags := flag.NewFlagSet("wiemu-server", flag.ContinueOnError)
	flags.StringVar(&s.file, "f", "", "wiemu.yaml (default: the built-in defaults)")
	flags.StringVar(&s.state, "state", "", "directory that keeps, from run to run and whatever ends them, the CA, the signing keys, the control endpoint's token, and what became of the directory at run time, which wins over wiemu.yaml (default: nothing is kept)")
	flags.StringVar(&s.lab, "lab", "", "directory for what workloads need: trust (ca.pem, the lab's root, and roots.pem and truststore.p12, with the public ones) and tokens/NAMESPACE_SERVICEACCOUNT/azure-identity-token (default: a temporary one)")
	flags.StringVar(&s.start, "start", "", "lab time at first, such as 2026-01-05T09:00:00Z, which then stands still (default: the machine's, which runs)")
	flags.Uint64Var(&s.seed, "seed", 0, "decides about faults with a probability (default: one is chosen)")
	flags.StringVar(&s.vaults, "vaults", "", "file that wiemu writes for containers: which key vaults are mounted for workloads of wiemu.yaml, in mounts of -lab, and as variables in mounted of -lab, which the program in -lockstep sets (DIR/wiemu-server mounted FILE -- COMMAND)")
	flags.StringVar(&s.lockstep, "lockstep", "", "directory, mounted into containers, for what programs need that run on the lab clock: a copy of this program, which runs them (DIR/wiemu-server timeshift -- COMMAND), and how it reaches the lab clock, with a token that opens nothing else")
	flags.StringVar(&s.controlURL, "control-url", "", "with -lockstep: where other containers reach the control endpoint, such as http://control.wiemu.test:9444 (default: where it listens)")
	flags.StringVar(&s.healthy, "healthy", "", "instead of serving, check that the gateway at this host:port answers and, with -lab, that what workloads need is there")
	flags.StringVar(&s.console, "console", "", "print a link that opens the console, once, in a browser that reaches the control endpoint at this host:port, such as 127.0.0.1:9444 by docker run -p 127.0.0.1:9444:9444 or kubectl port-forward")
	flags.StringVar(&s.link, "link", "", "instead of serving, print another link to the console of the server whose state is in -state and whose control endpoint answers at this host:port")
	s.cluster.add(flags)
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	if s.vaults != "" && s.lab == "" {
		return s, errors.New("-vaults: expected -lab, the directory in which other containers find what is mounted, found nothing; add -lab DIR")
	}
	return s, s.cluster.checkWebhook()
}

func serve(args []string) (err error) {
	s, err := parse(args)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if s.healthy != "" {
		return s.checkHealth(ctx)
	}
	if s.link != "" {
		return printAnotherLink(ctx, s.state, s.link)
	}
	return s.serve(ctx)
}

// serve opens the lab and closes it when ctx ends.
func (s settings) serve(ctx context.Context) (err error) {
	s.markStopped() // a server that was killed left its files
	if err := s.removeMounted(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.removeMounted()) }()
	var files session.Files
	if s.file != "" {
		if files, err = session.ReadFiles(".", []string{s.file}); err != nil {
			return err
		}
	}
	workloads, err := s.withVaults(files.Workloads())
	if err != nil {
		return err
	}
	opts := session.Options{Dir: s.lab, MountMode: mountMode, Bundle: ca.BundleOptions{SystemRoots: true}, Emulator: server.Options{
		Config: files.Configuration(), Options: lab.Options{ConfigFile: files.ConfigFile, StateDir: s.state, Seed: s.seed, Log: slog.New(slog.NewTextHandler(os.Stderr, nil))},
	}}
	if s.start != "" {
		at, err := time.Parse(time.RFC3339Nano, s.start)
		if err != nil {
			return fmt.Errorf("-start: expected a time such as 2026-01-05T09:00:00Z, found %q", s.start)
		}
		opts.Emulator.Clock = clock.Stopped(at)
	}
	if s.state != "" {
		if opts.Emulator.Token, err = controlToken(s.state); err != nil {
			return err
		}
		opts.Emulator.Keep = true
	}
	if err := s.cluster.prepare(&opts.Emulator); err != nil {
		return err
	}
	started, err := session.Start(ctx, opts)
	if err != nil {
		return err
	}
	defer closing(&err, started.Close)
	if s.lockstep != "" {
		e := started.Emulator()
		if err := publishLockstep(s.lockstep, control.Client{URL: cmp.Or(s.controlURL, e.ControlURL()), Token: e.ClockToken()}); err != nil {
			return err
		}
	}
	for _, d := range workloads {
		w, err := started.Workload(ctx, d)
		if err != nil {
			return err
		}
		if err := s.publishMounted(w); err != nil {
			return err
		}
		if w.Env.TokenFile != "" {
			fmt.Println("token ", w.Env.TokenFile)
		}
	}
	if err := started.Emulator().Faults().CheckNames(); err != nil {
		return err
	}
	leave, err := s.cluster.join(ctx, started, s.state, opts.Emulator.Log)
	if err != nil {
		return err
	}
	defer closing(&err, leave)
	warnOfPorts(started.Emulator(), opts.Emulator.Log)
	if s.console != "" {
		if err := printLink(ctx, started.Emulator().ControlClient(), s.console); err != nil {
			return err
		}
	}
	s.markReady(opts.Emulator.Log)
	defer s.markStopped()
	fmt.Printf("ready: gateway %s, proxy %s\n", started.Emulator().Address(), started.Emulator().ProxyURL())
	if err := nodeservice.Notify(nodeservice.Ready); err != nil {
		return err
	}
	<-ctx.Done()
	return nodeservice.Notify(nodeservice.Stopping)
}

// warnOfPorts warns of databases whose ports are not open although other machines or containers
// reach the gateway.
func warnOfPorts(e *server.Server, log *slog.Logger) {
	host, _, err := net.SplitHostPort(e.Address())
	if listen := e.Config().Listen; err != nil || listen.Streams != "" || net.ParseIP(host).IsLoopback() {
		return
	}
	for _, s := range e.Streams() {
		if s.Used() {
			log.Warn("listen.streams is not set, so that the ports of databases are reached through the proxy alone; write listen: {streams: 0.0.0.0}", "host", s.Hosts[0], "ports", s.Ports)
		}
	}
}

// closing adds the error of closing something, for which there is little time.
func closing(err *error, shut func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	*err = errors.Join(*err, shut(ctx))
}

// checkHealth succeeds when a TLS handshake with the gateway does and, with -lab, all workloads
// have been admitted.
func (s settings) checkHealth(ctx context.Context) error {
	if s.lab != "" {
		if _, err := os.Stat(s.readyFile()); err != nil {
			return fmt.Errorf("the server of -lab %s is not ready: %w", s.lab, err)
		}
	}
	address := s.healthy
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	dialer := tls.Dialer{
		NetDialer: &net.Dialer{},
		// Only whether the server answers matters; nothing is sent.
		Config: &tls.Config{InsecureSkipVerify: true, ServerName: "login.microsoftonline.com"},
	}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("the gateway at %s does not answer: %w", address, err)
	}
	return conn.Close()
}

// controlToken is the bearer token of the control and cluster endpoints: what the
// state directory holds, so that it is the same after a restart and whoever
// started us may choose it.
func controlToken(dir string) (string, error) {
	files, err := statedir.Open(dir)
	if err != nil {
		return "", fmt.Errorf("-state: %w", err)
	}
	defer files.Close()
	data, err := files.ReadFile(controlTokenFile)
	if err == nil {
		token := strings.TrimSpace(string(data))
		if token == "" {
			return "", fmt.Errorf("%s: expected a bearer token, found nothing; write one, or remove the file", files.Path(controlTokenFile))
		}
		return token, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read the control endpoint's token: %w", err)
	}
	token := server.NewToken()
	if err := files.WriteFile(controlTokenFile, []byte(token+"\n")); err != nil {
		return "", fmt.Errorf("keep the control endpoint's token: %w", err)
	}
	return token, nil
}

const controlTokenFile = "control-token"
