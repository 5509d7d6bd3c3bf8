//go:build amd64 || arm64

package timeshift

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/wiemu/wiemu/internal/process"
	"github.com/wiemu/wiemu/internal/seccomp"
)

// The files that a supervisor inherits.
const (
	ordersFile = 3 // to the Shift
	shimFile   = 4 // to the program's first process
)

// How long a turn may take (see turnLimit): long enough for whatever a program does before
// it waits again. A program that is still busy by then is taken to compute without end,
// and delays lab time only by busyTurnTimeout at each stop until it is idle again.
const (
	turnTimeout     = 30 * time.Second
	busyTurnTimeout = 200 * time.Millisecond
)

// supervisor is the process that traces a program and answers its questions.
type supervisor struct {
	clocks       *clocks
	threads      *threads
	waits        *waits
	timers       *timerfds
	signalTimers *signalTimers
	tracer       *tracer
	network      *network   // nil: nothing is led
	turns        sync.Mutex // held during one, guards wasBusy
	wasBusy      bool       // it was still busy at the end of its last turn
	begun        sync.Once
	page         *sharedPage // what programs read the time from, with patch and secret; nil if they ask
	patch        *vdsoPatch
	secret       uint64
	noPage       error         // why there is none
	arrival      time.Duration // see Options.Arrival
	questions    questions     // with arrival; s.turns is held
	running      chan struct{} // closed when the program has been executed, or never will be
	reads        atomic.Uint64
	ended        atomic.Uint64

	answering sync.Mutex // held while a system call is answered

	mu       sync.Mutex // guards answers and programs
	answers  *json.Encoder
	programs []Program
	kindOf   func(file string) string
	memo     map[string]string // kinds of programs by path; nil: not needed
}

// supervise is the supervisor's main.
func supervise(kindOf func(file string) string) int {
	// Who waits for orders is to hold up nobody else (GOMAXPROCS is 1): the runtime waits for a
	// file that does not block, and its scheduler is not asked for another thread.
	_ = unix.SetNonblock(ordersFile, true) // without it, it is slower
	stream := os.NewFile(ordersFile, "orders")
	orders := json.NewDecoder(stream)
	var first order
	if err := orders.Decode(&first); err != nil || first.Begin == nil {
		return process.Failed // the Shift has ended
	}
	s := &supervisor{threads: newThreads(), answers: json.NewEncoder(stream), running: make(chan struct{})}
	s.arrival = first.Begin.Arrival
	s.clocks = newClocks(*first.Begin, s.preparePage())
	if first.Begin.Explain && kindOf != nil {
		s.kindOf, s.memo = kindOf, map[string]string{}
	}
	s.waits = newWaits(s.clocks, s.end)
	s.timers = newTimerfds(s.clocks, s.waits)
	s.signalTimers = &signalTimers{clocks: s.clocks, waits: s.waits, after: s.afterAnswer}
	s.tracer = newTracer(s)
	starts := true
	if first.Begin.Lead != nil {
		n, err := newNetwork(*first.Begin.Lead)
		if err == nil {
			names := &lookups{clocks: s.clocks, open: n.AsksNow, hold: func(holds bool) { s.say(answer{Hold: &holds}) }, ran: s.ran}
			n.OnAsk(names.about)
			s.network = n
		} else {
			s.say(answer{Failed: &failure{Step: "connect to the lab", Detail: err.Error()}})
			_ = unix.Close(shimFile) // which has the program's process end
			starts = false
		}
	}
	go func() {
		if starts { // or shimFile is the number of whatever was opened since
			s.attach(first.Begin.WallOnly)
		}
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
	if o.Set != nil {
		s.set(*o.Set)
	}
	if o.Turn != 0 {
		go func() { // the Shift may end meanwhile
			s.turns.Lock()
			defer s.turns.Unlock()
			quiet, next := s.takeTurn(o.Shortest)
			s.say(answer{Turn: o.Turn, Quiet: quiet, Next: next})
		}()
	}
	if o.End {
		go s.report()
	}
}

// leftBehind is the note of a process that lives when the program has ended: see Close.
const leftBehind = "it was left running, and ends with the program: nobody tells it lab time any more"

// report tells what was done, once it is known whether the program has started.
func (s *supervisor) report() {
	<-s.running
	for _, pid := range s.threads.processes() {
		s.note(pid, leftBehind)
	}
	s.mu.Lock()
	r := Report{Programs: s.programs, Reads: s.reads.Load(), Ended: s.ended.Load()}
	s.mu.Unlock()
	s.waits.mu.Lock()
	r.Waits = s.waits.count
	s.waits.mu.Unlock()
	a := answer{Report: &r}
	if s.network != nil {
		led := s.network.end()
		a.Led = &led
	}
	s.say(a)
}

func (s *supervisor) say(a answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.answers.Encode(a) // if the Shift has ended, this process ends as well: see supervise
}

func (s *supervisor) set(r reading) {
	s.clocks.set(r)
	s.waits.clockChanged()
}

// mostRests limits how often a turn is repeated because a thread has left its wait just after the program
// was found at rest: a thread that runs every millisecond could cause that without end.
const mostRests = 100

// mostArrivals limits how often a program is given time for what may be on its way to it: again after
// something has come, which one that is sent something every millisecond could cause without end.
const mostArrivals = 10

// takeTurn gives the program a turn, and returns the lab time for which it waits then, which is asked for a
// moment later: a thread may have left its wait by then, and not have begun its next one. s.turns is held.
func (s *supervisor) takeTurn(shortest int64) (quiet bool, next int64) {
	for range mostRests {
		waits, left := mayWaitIn, uint64(0)
		if quiet, left = s.turn(); quiet {
			waits = s.threads.mayWaitIn()
		}
		if next = s.waits.next(shortest, waits); !quiet || s.waits.threadsLeft() == left {
			break
		}
	}
	return quiet, next
}

// turn ends what is due, until nothing is and the program is idle: left is how many threads had left
// their wait when it was.
func (s *supervisor) turn() (quiet bool, left uint64) {
	limit := turnTimeout
	if s.wasBusy {
		limit = busyTurnTimeout
	}
	until := newTurnLimit(limit, s.threads.usage)
	select {
	case <-s.running:
	case <-time.After(limit):
	}
	spinning := 0
	rest := func() {
		for ended := -1; ended != 0 && spinning == 0 && !until.isOver(); {
			ended = s.waits.endDue()
			s.waits.countNaps()
			quiet, spinning = s.threads.quiet(until.isOver, func() { left = s.waits.threadsLeft() }, s.isBusy, s.isAtRest)
		}
	}
	rest()
	for n := 0; quiet && s.arrival > 0 && n < mostArrivals; n++ {
		rested := s.threads.restedWith()
		time.Sleep(s.arrival)
		for s.questions.areOpen() && !until.isOver() {
			time.Sleep(lookupPoll)
		}
		if rest(); s.threads.restedAt(rested) {
			break
		}
	}
	if spinning != 0 {
		s.note(spinning, spinNote)
	}
	s.wasBusy = !quiet
	return quiet, left
}

// isAtRest reports whether a thread that is blocked in a system call waits there for something, and
// is not about to go on by itself; s.turns is held.
func (s *supervisor) isAtRest(tid int, nr int32, args [6]uint64) bool {
	if isSleep(nr) && s.waits.naps(tid) {
		return false
	}
	return s.known(tid, nr, args)
}

// ran is what the program has had of processors, and whether no thread of it waits for one, or
// for us.
func (s *supervisor) ran() (processor time.Duration, rests bool) {
	for _, use := range s.threads.usage() {
		processor += use.had
	}
	_, rests = s.threads.activity(s.known)
	return processor, rests
}

// attach takes over the program's first process: traces it, and takes the file on
// which the kernel tells of its system calls.
func (s *supervisor) attach(wallOnly bool) {
	shim := shimFile
	fail := func(step string, err error) {
		f := failure{Step: step, Detail: err.Error()}
		var number unix.Errno
		if errors.As(err, &number) {
			f.Errno, f.Detail = int(number), ""
		}
		s.say(answer{Failed: &f})
	}
	hs, _ := json.Marshal(handshake{PID: os.Getpid(), WallOnly: wallOnly, Secret: s.secret}) // plain fields
	if err := unix.Send(shim, hs, unix.MSG_NOSIGNAL); err != nil {
		return // it will never start, which its starter knows
	}
	message, rights := make([]byte, 4<<10), make([]byte, unix.CmsgSpace(4))
	n, err := unix.Read(shim, message)
	if err != nil || n == 0 {
		return
	}
	pid, err := strconv.Atoi(string(message[:n]))
	if err != nil {
		fail("connect to the program", fmt.Errorf("expected a process id, found %q", message[:n]))
		return
	}
	seized := s.tracer.start(pid)
	number := unix.Errno(0)
	if seized != nil {
		errors.As(seized, &number)
		fail(stepTrace, seized)
	}
	reply := attached{Errno: int(number)}
	if s.network != nil && seized == nil {
		reply.Way = s.network.choose(pid)
	}
	text, _ := json.Marshal(reply) // plain fields
	_ = unix.Send(shim, text, unix.MSG_NOSIGNAL)
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
			if listener, err := seccomp.ReceivedFile(rights[:rn]); err != nil {
				fail(stepFilter, err)
			} else {
				if s.network != nil {
					s.network.use(listener, string(message[:n]) == killableMessage)
				}
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

// end makes waits return that are over.
func (s *supervisor) end(due []*wait) {
	s.ended.Add(uint64(len(due)))
	s.tracer.interrupt(slices.DeleteFunc(due, func(w *wait) bool {
		if w.timer != nil {
			w.timer.expire(w)
		}
		return w.timer != nil
	}))
}

// maxPrograms bounds the report of shells that start programs all day.
const maxPrograms = 100

// begin says that the program has been executed, or will not be.
func (s *supervisor) begin() { s.begun.Do(func() { close(s.running) }) }

// note adds a note, once, to the program that a process executes: one that has been forked executes
// that of its parent.
func (s *supervisor) note(pid int, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for ; pid > 1; pid = parent(pid) {
		for i := len(s.programs) - 1; i >= 0; i-- {
			if p := &s.programs[i]; p.PID == pid {
				if !slices.Contains(p.Note, text) {
					p.Note = append(p.Note, text)
				}
				return
			}
		}
	}
}

// parent is the process whose child a process is, 0 if it has ended. Source: proc_pid_stat(5).
func parent(pid int) (ppid int) {
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if at := bytes.LastIndexByte(stat, ')'); at >= 0 { // the end of the name, which can be anything
		_, _ = fmt.Sscanf(string(stat[at+1:]), " %c %d", new(rune), &ppid)
	}
	return ppid
}

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
		kind = s.kindOf(fmt.Sprintf("/proc/%d/exe", pid))
		s.memo[path] = kind
	}
	s.programs = append(s.programs, Program{PID: pid, Path: path, Kind: kind, Note: notes})
}
