package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/wiemu/wiemu/internal/file"
	"github.com/wiemu/wiemu/internal/process"
	"github.com/wiemu/wiemu/internal/session"
	"github.com/wiemu/wiemu/internal/workload"
)

// What is in the directory of -lab for other containers, besides what package session writes:
// mounted/POD/variables.json, the variables that the pod has of key vaults, by which its
// entrypoint becomes
//
//	wiemu-server mounted FILE -- ENTRYPOINT COMMAND...
//
// POD is the name of the directory of the pod's token file.
const (
	mountedDir  = "mounted"
	mountedFile = "variables.json"
)

// mountMode is the mode of mounted files: the driver's default, as the user of the other
// container is none of ours. Source: secrets-store-csi-driver-provider-azure, filePermission.
const mountMode fs.FileMode = 0o644

// withVaults returns workloads with the key vaults that -vaults has for them, in their order.
func (s settings) withVaults(all []workload.Spec) ([]workload.Spec, error) {
	if s.vaults == "" {
		return all, nil
	}
	data, err := os.ReadFile(s.vaults)
	var vaults [][]workload.KeyVault
	if err == nil {
		err = json.Unmarshal(data, &vaults)
	}
	if err != nil {
		return nil, fmt.Errorf("-vaults: read %s: %w", s.vaults, err)
	}
	if len(vaults) != len(all) {
		return nil, fmt.Errorf("-vaults: %s: expected an entry for each of the %d workloads of -f, found %d", s.vaults, len(all), len(vaults))
	}
	all = slices.Clone(all)
	for i := range all {
		all[i].KeyVaults = vaults[i]
	}
	return all, nil
}

// publishMounted writes the variables that a workload has of key vaults.
func (s settings) publishMounted(w *session.Workload) error {
	if s.vaults == "" || len(w.Env.Mounted) == 0 {
		return nil
	}
	data, err := json.Marshal(w.Env.Mounted)
	if err != nil {
		return err
	}
	dir := filepath.Join(s.lab, mountedDir, filepath.Base(filepath.Dir(w.Env.TokenFile)))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("-vaults: %w", err)
	}
	if err := file.Replace(filepath.Join(dir, mountedFile), bytes.NewReader(data), mountMode); err != nil {
		return fmt.Errorf("-vaults: %w", err)
	}
	return nil
}

// removeMounted removes what publishMounted wrote, now or in a run that was killed. The directories
// stay, as they may be volumes.
func (s settings) removeMounted() error {
	if s.lab == "" {
		return nil
	}
	written, err := filepath.Glob(filepath.Join(s.lab, mountedDir, "*", mountedFile))
	for _, name := range written {
		err = errors.Join(err, os.Remove(name))
	}
	if err != nil {
		return fmt.Errorf("-vaults: remove the values of secrets: %w", err)
	}
	return nil
}

// runMounted replaces this program by a command, with the variables of a file that
// publishMounted wrote. It returns if that cannot be done.
func runMounted(args []string) (exitCode int, err error) {
	if len(args) < 3 || args[1] != "--" {
		return process.Failed, errors.New("mounted: expected FILE -- and the command to run with the variables in FILE")
	}
	data, err := os.ReadFile(args[0])
	var variables []string
	if err == nil {
		err = json.Unmarshal(data, &variables)
	}
	if err != nil {
		return process.Failed, fmt.Errorf("mounted: variables of key vaults: %w; start this program beside a running wiemu-server -vaults", err)
	}
	command := process.Command{Args: args[2:], Env: process.SetVariables(os.Environ(), variables...)}
	path, err := process.Find(command)
	if refused := (*process.Error)(nil); errors.As(err, &refused) {
		return refused.Code, err
	}
	return process.NotExecutable, fmt.Errorf("mounted: %s: %w", path, syscall.Exec(path, command.Args, command.Env))
}

// readyFile says to -healthy that all workloads have been admitted: TLS handshakes succeed
// before.
func (s settings) readyFile() string { return filepath.Join(s.lab, "ready") }

// markReady writes the file that -healthy looks for.
func (s settings) markReady(log *slog.Logger) {
	if s.lab == "" {
		return
	}
	if err := os.WriteFile(s.readyFile(), nil, 0o644); err != nil { //nolint:gosec // another user may look
		log.Warn("-healthy with -lab will say that this server is not ready", "error", err)
	}
}

func (s settings) markStopped() {
	if s.lab != "" {
		_ = os.Remove(s.readyFile()) // there may be none
	}
}
