//go:build unix

package main

import (
	"fmt"
	"os"
	"syscall"
)

func become(program string, args []string) error {
	return fmt.Errorf("start %s: %w", program, syscall.Exec(program, append([]string{program}, args...), os.Environ()))
}
