package nodeservice

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// Launcher is the name by which wiemu-server is the launcher of the API server.
const Launcher = "kube-apiserver"

// The launcher's variables, which the kubeadm patch sets.
const (
	issuerVariable   = "SERVICE_ACCOUNT_ISSUER"
	endpointVariable = "SERVICE_ACCOUNT_SIGNING_ENDPOINT" // if empty, the key files stay
)

// IsLauncher reports whether a program was called as the launcher.
func IsLauncher(command []string) bool {
	return len(command) > 0 && filepath.Base(command[0]) == Launcher
}

// Launch executes the real kube-apiserver, the next one in the PATH, with the cluster's tokens
// issued and signed as the environment says. It returns only if it cannot, and writes to stderr,
// the log of the API server's pod, what may become a problem.
//
// kubeadm always renders the two flags with key files, which exclude the one with an endpoint, and
// its patches can remove a flag only by its position, which depends on version and configuration.
func Launch(command []string, stderr io.Writer) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	program, path, err := next(self, os.Getenv("PATH"))
	if err != nil {
		return err
	}
	command, err = launched(command, os.Getenv(issuerVariable), os.Getenv(endpointVariable))
	if err != nil {
		return err
	}
	if socket := os.Getenv(endpointVariable); socket != "" {
		if _, err := os.Stat(socket); err != nil {
			fmt.Fprintf(stderr, "the signer of service-account tokens is not there yet (%v); kube-apiserver waits a minute for it. In the node, \"systemctl status %s\" says why\n", err, Unit)
		}
	}
	if err := os.Setenv("PATH", path); err != nil {
		return fmt.Errorf("set PATH: %w", err)
	}
	return fmt.Errorf("start %s: %w", program, syscall.Exec(program, command, os.Environ()))
}

// next returns the first API server in a PATH that is not this program itself, and the rest
// of the PATH.
func next(self, path string) (program, rest string, err error) {
	own, err := os.Stat(self)
	if err != nil {
		return "", "", fmt.Errorf("find this program: %w", err)
	}
	dirs := filepath.SplitList(path)
	for n, dir := range dirs {
		file := filepath.Join(cmp.Or(dir, "."), Launcher)
		info, err := os.Stat(file)
		if err != nil || info.IsDir() || info.Mode()&0o111 == 0 || os.SameFile(info, own) {
			continue
		}
		return file, strings.Join(dirs[n:], string(os.PathListSeparator)), nil
	}
	return "", "", fmt.Errorf("expected the real %s further down the PATH, found none: PATH is %q; the kubeadm patch that sets it may not fit this image", Launcher, path)
}

// Flags of the API server. Source: Kubernetes, pkg/kubeapiserver/options/authentication.go
const (
	issuerFlag     = "--service-account-issuer"
	keyFlag        = "--service-account-key-file"
	signingKeyFlag = "--service-account-signing-key-file"
	endpointFlag   = "--service-account-signing-endpoint"
)

// launched returns the API server's command line with issuer as the issuer of its tokens, and
// with the signing endpoint if there is one. A command line without flags for signing, such as
// one with --version, is not changed.
func launched(command []string, issuer, endpoint string) ([]string, error) {
	replaced := []string{issuerFlag}
	if endpoint != "" {
		replaced = append(replaced, keyFlag, signingKeyFlag, endpointFlag)
	}
	var out []string
	serves := false
	for n := 0; n < len(command); n++ {
		name, _, hasValue := strings.Cut(command[n], "=")
		name = strings.ReplaceAll(name, "_", "-") // component-base/cli/flag WordSepNormalizeFunc
		serves = serves || slices.Contains([]string{issuerFlag, keyFlag, signingKeyFlag, endpointFlag}, name)
		if n == 0 || !slices.Contains(replaced, name) {
			out = append(out, command[n])
			continue
		}
		if !hasValue {
			n++ // its value is an argument of its own
		}
	}
	if !serves {
		return command, nil
	}
	if issuer == "" {
		return nil, errors.New("the environment variable " + issuerVariable + " is not set: expected the URL of the cluster's issuer, which the kubeadm patch sets")
	}
	out = append(out, issuerFlag+"="+issuer)
	if endpoint != "" {
		out = append(out, endpointFlag+"="+endpoint)
	}
	return out, nil
}

// States of a systemd service (sd_notify(3)).
const (
	Ready    = "READY=1"
	Stopping = "STOPPING=1"
)

// Notify sends the state of the service to systemd. If NOTIFY_SOCKET is not set, it does nothing.
func Notify(state string) error {
	address := os.Getenv("NOTIFY_SOCKET")
	if address == "" {
		return nil
	}
	conn, err := net.Dial("unixgram", address)
	if err != nil {
		return fmt.Errorf("tell systemd %s: %w", state, err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(state)); err != nil {
		return fmt.Errorf("tell systemd %s: %w", state, err)
	}
	return nil
}
