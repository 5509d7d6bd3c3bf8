package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/wiemu/wiemu/emulator"
)

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
	next := filepath.Join(dir, "."+controlTokenFile+".new") // whole or not at all: we may be killed at any time
	if err := errors.Join(os.WriteFile(next, []byte(token+"\n"), 0o600), os.Rename(next, file)); err != nil {
		return "", fmt.Errorf("keep the control door's token: %w", err)
	}
	return token, nil
}

// controlTokenFile is in the state directory.
const controlTokenFile = "control-token"
