//go:build linux

// Command otheruser becomes another user when root starts it, as entrypoints of
// databases do, and then waits for a day.
package main

import (
	"fmt"
	"log"
	"os"
	"syscall"
	"time"
)

func main() {
	if os.Getuid() == 0 {
		const nobody = 65534
		if err := syscall.Setgid(nobody); err != nil {
			log.Fatal(err)
		}
		if err := syscall.Setuid(nobody); err != nil {
			log.Fatal(err)
		}
		log.Fatal(syscall.Exec(os.Args[0], os.Args, os.Environ()))
	}
	time.Sleep(24 * time.Hour)
	fmt.Println("a day has gone by for user", os.Getuid())
}
