//go:build !linux || !(amd64 || arm64)

// Package seccomp has the instructions of seccomp filters, which Linux alone has.
package seccomp
