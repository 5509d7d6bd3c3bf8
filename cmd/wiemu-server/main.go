// Command wiemu-server is the emulator alone, for images and clusters: the doors
// of a lab, and a token file for each workload of its wiemu.yaml.
//
//	wiemu-server -f wiemu.yaml -state /state -lab /lab
//	wiemu-server -healthy 127.0.0.1:443
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/wiemu/wiemu/emulator"
	"github.com/wiemu/wiemu/emulator/keyring"
	"github.com/wiemu/wiemu/emulator/trust"
	"github.com/wiemu/wiemu/harness"
)

// patience bounds what waits for the network or for answers under way (wall time).
const patience = 3 * time.Second

func main() {
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
	opts := harness.Options{Dir: *labDir, Bundle: trust.BundleOptions{SystemRoots: true}, Emulator: emulator.Options{Config: files.Configuration(), ConfigFile: files.ConfigFile, StateDir: *stateDir, Log: slog.New(slog.NewTextHandler(os.Stderr, nil))}}
	if *stateDir != "" {
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
