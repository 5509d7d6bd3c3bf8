//go:build !linux

package main

import "errors"

func canBeOffline() error { return errors.ErrUnsupported }

func offline() { panic(errors.ErrUnsupported) }
