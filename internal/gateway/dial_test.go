package gateway

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// A connection in memory is like one of a socket: both sides may write before they read, what was
// written before the end is read after it, and nothing is left of one that both sides have closed.
func TestPipe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // which waits for every goroutine
		a, b := newPipe()
		large := bytes.Repeat([]byte("x"), 3*pipeBuffer)
		go func() {
			for rest := large; len(rest) > 0; rest = rest[min(len(rest), 1000):] {
				if _, err := a.Write(rest[:min(len(rest), 1000)]); err != nil {
					t.Error(err)
				}
			}
			if err := a.Close(); err != nil {
				t.Error(err)
			}
		}()
		if _, err := b.Write([]byte("first")); err != nil {
			t.Error(err)
		}
		if got, err := io.ReadAll(b); err != nil || !bytes.Equal(got, large) {
			t.Errorf("read %d bytes, %v", len(got), err)
		}
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("read after Close: %v", err)
		}
		if _, err := a.Write(nil); !errors.Is(err, net.ErrClosed) {
			t.Errorf("write after Close: %v", err)
		}
		synctest.Wait()
		if _, err := b.Write([]byte("to nobody")); err == nil { // what is handed on fails, and then the next write
			synctest.Wait()
			if _, err := b.Write([]byte("to nobody")); err == nil {
				t.Error("write after the other side's end: no error")
			}
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A read ends at its deadline, and with the connection; what nobody reads is given up.
func TestPipeThatNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newPipe()
		_ = a.SetReadDeadline(time.Now().Add(time.Minute)) // a pipe's does not fail
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read beyond its deadline: %v", err)
		}
		_ = a.SetReadDeadline(time.Time{})
		read := make(chan error)
		go func() {
			_, err := a.Read(make([]byte, 1))
			read <- err
		}()
		if _, err := a.Write([]byte("to nobody")); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		_ = a.Close()
		if err := <-read; !errors.Is(err, net.ErrClosed) {
			t.Errorf("a read when the connection is closed: %v", err)
		}
		time.Sleep(2 * pipeLinger)
		if _, err := b.Read(make([]byte, 1)); err == nil {
			t.Error("the other side read what was given up")
		}
		_ = b.Close()
	})
}
