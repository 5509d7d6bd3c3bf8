package main

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/wiemu/wiemu/emulator"
	"github.com/wiemu/wiemu/emulator/statedir"
)

// controlToken is the bearer token of the control and cluster doors: what the
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
		return "", fmt.Errorf("read the control door's token: %w", err)
	}
	token := emulator.NewToken()
	if err := files.WriteFile(controlTokenFile, []byte(token+"\n")); err != nil {
		return "", fmt.Errorf("keep the control door's token: %w", err)
	}
	return token, nil
}

// controlTokenFile is in the state directory.
const controlTokenFile = "control-token"
