//go:build amd64 || arm64

package timeshift

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// The files that a supervisor inherits.
const (
	ordersFile = 3 // to the Shift
	shimFile   = 4 // to the program's first process
)

// How long a turn may take, of wall time: long enough for whatever a program does
// before it waits again, on a machine with much else to do. A program that has not
// come to rest by then computes without end, and holds lab time up no longer than
// a moment at each stop until it does.
const (
	patience   = 30 * time.Second
	impatience = 200 * time.Millisecond
)

// supervisor is the process that traces a program and answers its questions.
type supervisor struct {
	stop     *reading // of an Advance, which the program does not know of yet; of the goroutine that obeys
	clocks   *clocks
	threads  *threads
	waits    *waits
	tracer   *tracer
	turns    sync.Mutex // held during one, guards restless
	restless bool       // it was still busy at the end of its last turn
	begun    sync.Once
	running  chan struct{} // closed when the program has been executed, or never will be
	reads    atomic.Uint64
	ended    atomic.Uint64

	answering sync.Mutex // held by whoever answers a system call

	mu       sync.Mutex // guards answers and programs
	answers  *json.Encoder
	programs []Program
	memo     map[string]string // kinds of programs by path; nil: nobody wants to know
}

// supervise is the supervisor's main.
func supervise() int {
	stream := os.NewFile(ordersFile, "orders")
	orders := json.NewDecoder(stream)
	var first order
	if err := orders.Decode(&first); err != nil || first.Begin == nil {
		return shimFailed // nobody is there who could be told
	}
	s := &supervisor{clocks: newClocks(*first.Begin), threads: newThreads(), answers: json.NewEncoder(stream), running: make(chan struct{})}
	if first.Begin.Explain {
		s.memo = map[string]string{}
	}
	s.waits = newWaits(s.clocks, s.end)
	s.tracer = newTracer(s)
	go func() {
		s.meet(first.Begin.WallOnly)
		s.begin()
	}()
	for {
		var o order
		if err := orders.Decode(&o); err != nil {
			return 0 // the Shift has ended, and with us whatever is traced still (PTRACE_O_EXITKILL)
		}
		s.obey(o)
	}
}

func (s *supervisor) obey(o order) {
	if o.Set != nil && s.isStop(*o.Set) {
		s.stop = o.Set
	} else if o.Set != nil {
		s.set(*o.Set)
	}
	if o.Turn != 0 {
		if s.stop != nil {
			s.set(*s.stop)
		}
		go func() { // whoever orders may end meanwhile
			s.turns.Lock()
			defer s.turns.Unlock()
			s.say(answer{Turn: o.Turn, Quiet: s.turn(), Next: s.waits.next(o.Shortest)})
		}()
	}
	if o.End {
		go s.report()
	}
}

// report tells what was done, once it is known whether the program has started.
func (s *supervisor) report() {
	<-s.running
	s.mu.Lock()
	r := Report{Programs: s.programs, Reads: s.reads.Load(), Ended: s.ended.Load()}
	s.mu.Unlock()
	s.waits.mu.Lock()
	r.Waits = s.waits.count
	s.waits.mu.Unlock()
	s.say(answer{Report: &r})
}

func (s *supervisor) say(a answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.answers.Encode(a) // the end of whoever listens is ours, too: see supervise
}

// isStop tells whether a reading is a stop of an Advance: time has jumped, and stands
// still. The program learns of it at its turn, which follows, so that those of one
// lab do not act on it in whatever order they happen to wake.
func (s *supervisor) isStop(r reading) bool {
	const jump = int64(time.Millisecond)
	return r.Speed == 0 && r.Lab-s.clocks.lab() > jump
}

func (s *supervisor) set(r reading) {
	s.stop = nil
	s.clocks.set(r)
	s.waits.clockChanged()
}

// turn ends what is due, until nothing is and all is quiet.
func (s *supervisor) turn() (quiet bool) {
	limit := patience
	if s.restless {
		limit = impatience
	}
	end := time.Now().Add(limit)
	select {
	case <-s.running:
	case <-time.After(limit):
	}
	for ended := -1; ended != 0 && time.Now().Before(end); {
		ended = s.waits.endDue()
		quiet = s.threads.quiet(time.Until(end), &s.tracer.busy, s.waits.known)
	}
	s.restless = !quiet
	return quiet
}

// meet takes the program's first process on: traces it, and takes the file on
// which the kernel tells of its system calls.
func (s *supervisor) meet(wallOnly bool) {
	shim := shimFile
	fail := func(step string, err error) {
		f := failure{Step: step, Detail: err.Error()}
		var number unix.Errno
		if errors.As(err, &number) {
			f.Errno, f.Detail = int(number), ""
		}
		s.say(answer{Failed: &f})
	}
	hello, _ := json.Marshal(greeting{PID: os.Getpid(), WallOnly: wallOnly}) // two plain fields
	if err := unix.Send(shim, hello, unix.MSG_NOSIGNAL); err != nil {
		return // it will never start, which its starter knows
	}
	message, rights := make([]byte, 4<<10), make([]byte, unix.CmsgSpace(4))
	n, err := unix.Read(shim, message)
	if err != nil || n == 0 {
		return
	}
	pid, err := strconv.Atoi(string(message[:n]))
	if err != nil {
		fail("meet the program", fmt.Errorf("expected a process id, found %q", message[:n]))
		return
	}
	seized := s.tracer.start(pid)
	number := unix.Errno(0)
	if seized != nil {
		errors.As(seized, &number)
		fail(stepTrace, seized)
	}
	_ = unix.Send(shim, []byte(strconv.Itoa(int(number))), unix.MSG_NOSIGNAL)
	if seized != nil {
		return
	}
	for {
		n, rn, _, _, err := unix.Recvmsg(shim, message, rights, unix.MSG_CMSG_CLOEXEC)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n == 0 {
			return // the program has been executed, or the process has ended
		}
		if rn > 0 {
			if listener, err := receivedFile(rights[:rn]); err != nil {
				fail(stepFilter, err)
			} else {
				s.listen(listener)
			}
			continue
		}
		var f failure
		if json.Unmarshal(message[:n], &f) == nil {
			s.say(answer{Failed: &f})
		}
	}
}

func receivedFile(rights []byte) (int, error) {
	messages, err := unix.ParseSocketControlMessage(rights)
	if err != nil || len(messages) != 1 {
		return 0, fmt.Errorf("expected one message with a file: %w", err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return 0, fmt.Errorf("expected one file: %w", err)
	}
	return fds[0], nil
}

// end makes a wait return that is over.
func (s *supervisor) end(w *wait) {
	s.ended.Add(1)
	s.tracer.interrupt(w)
}

// maxPrograms bounds the report of shells that start programs all day.
const maxPrograms = 100

// begin says that the program has been executed, or will not be.
func (s *supervisor) begin() { s.begun.Do(func() { close(s.running) }) }

// executed notes a program for the report.
func (s *supervisor) executed(pid int, notes ...string) {
	path, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		return // it has ended
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.programs) == maxPrograms {
		return
	}
	kind, known := s.memo[path]
	if !known && s.memo != nil {
		kind = kindOf(fmt.Sprintf("/proc/%d/exe", pid))
		s.memo[path] = kind
	}
	s.programs = append(s.programs, Program{PID: pid, Path: path, Kind: kind, Note: notes})
}
