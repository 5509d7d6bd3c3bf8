//go:build !linux || !(amd64 || arm64)

// Package shim starts a program whose connections are led, which is done on Linux alone.
package shim
