// Command wiemu-server is the emulator alone, for images and clusters: the doors
// of a lab, and a token file for each workload of its wiemu.yaml.
//
//	wiemu-server -f wiemu.yaml -state /state -lab /lab
//	wiemu-server -healthy 127.0.0.1:443
//	wiemu-server timeshift -- COMMAND...     (from the directory of -lockstep)
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
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/wiemu/wiemu/emulator"
	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/keyring"
	"github.com/wiemu/wiemu/emulator/trust"
	"github.com/wiemu/wiemu/harness"
	"github.com/wiemu/wiemu/harness/timeshift"
)

// patience bounds what waits for the network or for answers under way (wall time).
const patience = 3 * time.Second

func main() {
	if timeshift.IsOwn() {
		timeshift.Main()
	}
	if len(os.Args) > 1 && os.Args[1] == "timeshift" {
		code, err := runLockstep(context.Background(), os.Args[2:])
		if err != nil {
			fmt.Fprintln(os.Stderr, "wiemu-server:", err)
		}
		os.Exit(code)
	}
	if err := run(os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "wiemu-server:", err)
		os.Exit(1)
	}
}

func run(args []string) (err error) {
	flags := flag.NewFlagSet("wiemu-server", flag.ContinueOnError)
	file := flags.String("f", "", "wiemu.yaml (default: the built-in defaults)")
	stateDir := flags.String("state", "", "directory that keeps the CA and the signing keys from run to run (default: none is kept)")
	labDir := flags.String("lab", "", "directory for what workloads need: trust (ca.pem, the lab's root, and roots.pem and truststore.p12, with the public ones) and tokens/NAMESPACE_SERVICEACCOUNT/azure-identity-token (default: a temporary one)")
	start := flags.String("start", "", "lab time at first, such as 2026-01-05T09:00:00Z, which then stands still (default: the machine's, which runs)")
	seed := flags.Uint64("seed", 0, "decides about faults with a probability (default: one is chosen)")
	lockstepDir := flags.String("lockstep", "", "directory, mounted into containers, for what programs need that run on the lab clock: a copy of this program, which runs them (DIR/wiemu-server timeshift -- COMMAND), and how it reaches the control door")
	reached := flags.String("control-url", "", "with -lockstep: where other containers reach the control door, such as http://control.wiemu.test:9444 (default: where it listens)")
	healthy := flags.String("healthy", "", "instead of serving, check that the gateway at this host:port answers")
	if err := flags.Parse(args); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if *healthy != "" {
		return checkHealth(ctx, *healthy)
	}
	var files harness.Files
	if *file != "" {
		if files, err = harness.ReadFiles(".", []string{*file}); err != nil {
			return err
		}
	}
	opts := harness.Options{Dir: *labDir, Bundle: trust.BundleOptions{SystemRoots: true}, Emulator: emulator.Options{Config: files.Configuration(), ConfigFile: files.ConfigFile, StateDir: *stateDir, Seed: *seed, Log: slog.New(slog.NewTextHandler(os.Stderr, nil))}}
	if *start != "" {
		at, err := time.Parse(time.RFC3339Nano, *start)
		if err != nil {
			return fmt.Errorf("-start: expected a time such as 2026-01-05T09:00:00Z, found %q", *start)
		}
		opts.Emulator.Clock = clock.Stopped(at)
	}
	if *stateDir != "" {
		if opts.Emulator.Token, err = controlToken(*stateDir); err != nil {
			return err
		}
		if opts.Emulator.Keys, err = keyring.OpenPool(filepath.Join(*stateDir, "keys"), keyring.PoolOptions{}); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, opts.Emulator.Keys.Close()) }()
	}
	lab, err := harness.Start(ctx, opts)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		err = errors.Join(err, lab.Close(ctx))
	}()
	if *lockstepDir != "" {
		e := lab.Emulator()
		if err := publishLockstep(*lockstepDir, control.Client{URL: cmp.Or(*reached, e.ControlURL()), Token: e.Token()}); err != nil {
			return err
		}
	}
	for _, d := range files.Workloads() {
		w, err := lab.Workload(ctx, d.Workload, d.Identity)
		if err != nil {
			return err
		}
		fmt.Println("token ", w.Environment.TokenFile)
	}
	fmt.Printf("ready: gateway %s, proxy %s\n", lab.Emulator().Address(), lab.Emulator().ProxyURL())
	<-ctx.Done()
	return nil
}

// controlToken is the bearer token of the control and cluster doors: what the
// state directory holds, so that it is the same after a restart and whoever
// started us may choose it.
func controlToken(dir string) (string, error) {
	file := filepath.Join(dir, controlTokenFile)
	data, err := os.ReadFile(file)
	if err == nil {
		token := strings.TrimSpace(string(data))
		if token == "" {
			return "", fmt.Errorf("%s: expected a bearer token, found nothing; write one, or remove the file", file)
		}
		return token, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read the control door's token: %w", err)
	}
	token := emulator.NewToken()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("keep the control door's token: %w", err)
	}
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("keep the control door's token: %w", err)
	}
	return token, nil
}

// controlTokenFile is in the state directory.
const controlTokenFile = "control-token"

// checkHealth succeeds when a TLS handshake with the gateway does.
func checkHealth(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	dialer := tls.Dialer{
		NetDialer: &net.Dialer{},
		// Only whether somebody answers is asked; nothing is sent.
		Config: &tls.Config{InsecureSkipVerify: true, ServerName: "login.microsoftonline.com"},
	}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("the gateway at %s does not answer: %w", address, err)
	}
	return conn.Close()
}
