package file

import (
	"context"
	"path/filepath"
)

// ReadContext returns what read returns, or the error of ctx if that has ended by then: opening or
// reading a pipe that has no writer may block forever. read then goes on in the background.
func ReadContext[T any](ctx context.Context, read func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := read()
		done <- result{value, err}
	}()
	var r result
	select {
	case r = <-done:
	case <-ctx.Done():
	}
	if err := ctx.Err(); err != nil {
		var none T
		return none, err
	}
	return r.value, r.err
}

// In returns the path of a file that is named relative to dir: name itself if it is
// absolute.
func In(dir, name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(dir, name)
}
