package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"

	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/internal/console"
)

// printLink prints a link to the console of a server, whose control endpoint browsers reach at an
// address.
func printLink(ctx context.Context, c *control.Client, address string) error {
	var link console.Link
	if err := c.Do(ctx, http.MethodPost, console.LinkPath, nil, &link); err != nil {
		return fmt.Errorf("ask for a link to the console: %w", err)
	}
	_, err := fmt.Printf("console http://%s%s\n", address, link.Path)
	return err
}

// printAnotherLink does so beside a server that runs: in its container, where its state is.
func printAnotherLink(ctx context.Context, state, address string) error {
	if state == "" {
		return errors.New("-link: expected -state with the directory of the server that runs, found none; without it only -console of the server prints a link")
	}
	if _, err := os.Stat(filepath.Join(state, controlTokenFile)); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("-link: expected the file %s in %s, found none; name the -state of the server that runs", controlTokenFile, state)
	}
	token, err := controlToken(state)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return printLink(ctx, &control.Client{URL: "http://" + address, Token: token}, address)
}
