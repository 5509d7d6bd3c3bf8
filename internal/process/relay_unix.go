//go:build unix

package process

import (
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// A relay hands the signals of a foreground command to it.
type relay struct {
	tree    *processTree
	signals chan os.Signal
	quit    chan struct{} // nil: not started
	done    chan struct{}
}

// listen begins to keep signals, so that none is lost or ends wiemu while the
// child starts.
func (t *processTree) listen() *relay {
	r := &relay{tree: t}
	if t.background {
		return r
	}
	r.signals = make(chan os.Signal, 16)
	// Notify, not Ignore: an ignored signal would stay ignored in the child.
	signal.Notify(r.signals, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGHUP, unix.SIGUSR1, unix.SIGUSR2)
	return r
}

func (r *relay) start() {
	if r.signals == nil {
		return
	}
	r.quit, r.done = make(chan struct{}), make(chan struct{})
	go func() {
		defer close(r.done)
		for {
			select {
			case s := <-r.signals:
				r.pass(s.(syscall.Signal))
			case <-r.quit:
				return
			}
		}
	}()
}

func (r *relay) pass(s syscall.Signal) {
	fromKeyboard := s == unix.SIGINT || s == unix.SIGQUIT
	switch {
	case !fromKeyboard:
		r.tree.relay(s)
	case r.tree.ownGroup:
		_ = unix.Kill(-r.tree.child.Pid, s) // as a terminal would
	case !inForeground():
		r.tree.relay(s) // it was meant for wiemu alone, so not from the keyboard
	}
}

func (t *processTree) relay(s syscall.Signal) {
	for _, w := range t.wrappers {
		if r, ok := w.(Relayer); ok && r.Relay(s) {
			return
		}
	}
	_ = t.child.Signal(s)
}

// inForeground reports whether the terminal's keys signal wiemu's process group,
// and with it the child.
func inForeground() bool {
	tty, err := os.OpenFile("/dev/tty", os.O_RDONLY|syscall.O_NOCTTY, 0)
	if err != nil {
		return false
	}
	defer tty.Close()
	group, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

func (r *relay) stop() {
	if r.signals != nil {
		signal.Stop(r.signals)
	}
	if r.quit != nil {
		close(r.quit)
		<-r.done
	}
}
