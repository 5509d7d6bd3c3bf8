//go:build !linux

package gateway

import "syscall"

// Where programs do not live on the lab clock, nobody needs to know.

func bytesReceived(syscall.RawConn) uint64 { return 0 }

func acknowledge(syscall.RawConn) {}

func connectionWaits(syscall.RawConn) bool { return false }
