//go:build amd64 || arm64

package timeshift

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// goProgram is the name under which the test's own program waits in every way that
// a Go program can; see testdata/waits.c.
const goProgram = "test: a Go program"

type goWait struct {
	name string
	wait func(time.Duration) error
}

func expired(ctx context.Context, cancel func()) error {
	defer cancel()
	<-ctx.Done()
	if ctx.Err() != context.DeadlineExceeded {
		return ctx.Err()
	}
	return nil
}

var goWaits = []goWait{
	{"time.Sleep", func(d time.Duration) error { time.Sleep(d); return nil }},
	{"time.NewTimer", func(d time.Duration) error { <-time.NewTimer(d).C; return nil }},
	{"time.AfterFunc", func(d time.Duration) error {
		done := make(chan bool)
		time.AfterFunc(d, func() { close(done) })
		<-done
		return nil
	}},
	{"time.NewTicker", func(d time.Duration) error { <-time.NewTicker(d).C; return nil }},
	{"time.Until", func(d time.Duration) error {
		end := time.Now().Add(d)
		for time.Until(end) > 0 {
			time.Sleep(time.Minute / 2)
		}
		return nil
	}},
	{"context.WithTimeout", func(d time.Duration) error { return expired(context.WithTimeout(context.Background(), d)) }},
	{"context.WithDeadline", func(d time.Duration) error {
		return expired(context.WithDeadline(context.Background(), time.Now().Round(0).Add(d))) // of the wall clock
	}},
	{"net.Conn.SetReadDeadline", func(d time.Duration) error {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			return err
		}
		if err := conn.SetReadDeadline(time.Now().Add(d)); err != nil {
			return err
		}
		if _, err := conn.Read(make([]byte, 1)); !os.IsTimeout(err) {
			return fmt.Errorf("expected a time-out, got %w", err)
		}
		return nil
	}},
	{"syscall.Nanosleep", func(d time.Duration) error {
		left := syscall.NsecToTimespec(d.Nanoseconds())
		for {
			if err := syscall.Nanosleep(&left, &left); err != syscall.EINTR {
				return err
			}
		}
	}},
	{"exec", func(d time.Duration) error { return exec.Command("sleep", fmt.Sprint(d.Seconds())).Run() }},
}

func goWaitsMain() {
	seconds, _ := strconv.Atoi(os.Args[1])
	began := time.Now()
	// The monotonic clock shows since when began was; here it starts with the wall clock.
	mono := func(now time.Time) float64 { return float64(began.Unix()) + now.Sub(began).Seconds() }
	fmt.Printf("begin %d %.9f\n", began.Unix(), mono(began))
	var all sync.WaitGroup
	for i, w := range goWaits {
		all.Go(func() {
			if err := w.wait(time.Duration(seconds+60*i) * time.Second); err != nil {
				fmt.Fprintln(os.Stderr, w.name, err)
				os.Exit(1)
			}
			now := time.Now()
			fmt.Printf("%s %d.%09d %.9f\n", w.name, now.Unix(), now.Nanosecond(), mono(now))
		})
	}
	all.Wait()
}

// setFilter gives a filter to all threads of this process.
func setFilter(p program) error {
	code := unix.SockFprog{Len: uint16(len(p)), Filter: &p[0]}
	if _, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&code))); errno != 0 {
		return errno
	}
	return nil
}
