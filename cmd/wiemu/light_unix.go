//go:build light && unix

package main

import (
	"fmt"
	"os"
	"syscall"
)

// become replaces this process.
func become(program string, args []string) error {
	return fmt.Errorf("start %s: %w", program, syscall.Exec(program, args, os.Environ()))
}
