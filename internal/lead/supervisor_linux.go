//go:build amd64 || arm64

package lead

import (
	"encoding/json"
	"errors"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/wiemu/wiemu/internal/lead/shim"
	"github.com/wiemu/wiemu/internal/process"
	"github.com/wiemu/wiemu/internal/seccomp"
)

// The files that a supervisor inherits.
const (
	controlFile = 3 // to the Lead
	programFile = 4 // to the program's first process, or to its keeper
)

// order is a message of a Lead to its supervisor.
type order struct {
	Begin  *Options `json:"begin,omitempty"`  // first of all
	Signal int      `json:"signal,omitempty"` // for the program, if the supervisor is its parent
	End    bool     `json:"end,omitempty"`    // the program has ended, and the lab will answer for the names no more
}

// news is a message of a supervisor to its Lead.
type news struct {
	PID    int           `json:"pid,omitempty"` // of the program's first process
	Own    int           `json:"own,omitempty"` // of the supervisor, with the former
	Way    Way           `json:"way,omitempty"` // likewise
	Unled  *Unled        `json:"unled,omitempty"`
	Failed *shim.Failure `json:"failed,omitempty"`
	Ended  bool          `json:"ended,omitempty"` // the last one: after End, or when no process is left that is led
}

// supervisor is the process that decides for a program.
type supervisor struct {
	opts   Options
	parent *parent       // nil: it is not the program's
	begun  chan struct{} // closed when the program has been executed, or never will be

	mu      sync.Mutex // guards news
	news    *json.Encoder
	network *Network // nil: not yet
	ended   bool     // the Lead
}

// supervise is the supervisor's main. It goes on until the last process that the filter
// binds has ended, also without the Lead.
func supervise() int {
	control := os.NewFile(controlFile, "control")
	orders := json.NewDecoder(control)
	var first order
	if err := orders.Decode(&first); err != nil || first.Begin == nil {
		return process.Failed // the Lead has ended
	}
	s := &supervisor{opts: *first.Begin, begun: make(chan struct{}), news: json.NewEncoder(control)}
	program := programFile
	if s.opts.Ancestor {
		var err error
		if s.parent, program, err = becomeParent(programFile); err != nil {
			s.tell(news{Failed: shim.NewFailure("start the program", err), Ended: true})
			return process.Failed
		}
	}
	_ = os.Chdir("/") // not to keep a file system busy
	go s.obey(orders)
	s.serve(program)
	<-s.begun
	s.end()
	s.tell(news{Ended: true})
	if s.parent != nil {
		s.parent.wait() // until its keeper knows how it has ended
	}
	return 0
}

// obey does what the Lead orders, until it ends.
func (s *supervisor) obey(orders *json.Decoder) {
	for {
		var o order
		if err := orders.Decode(&o); err != nil {
			break
		}
		if o.Signal != 0 && s.parent != nil {
			s.parent.signal(unix.Signal(o.Signal))
		}
		if o.End {
			<-s.begun // or else the Lead has closed the program's end of the socket
			s.end()
			s.tell(news{Ended: true})
		}
	}
	s.end()
}

func (s *supervisor) tell(n news) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.news.Encode(n) // the Lead may have ended
}

// end is what happens when the Lead ends. It is idempotent.
func (s *supervisor) end() {
	s.mu.Lock()
	n := s.network
	s.ended = true
	s.mu.Unlock()
	if n != nil {
		n.End()
	}
	releaseOutput()
}

// releaseOutput has whoever reads what the program writes not wait for us.
func releaseOutput() {
	if null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0); err == nil {
		_ = unix.Dup3(int(null.Fd()), 2, 0)
		_ = null.Close()
	}
}

// serve takes over the program's first process, and decides until no process is left.
func (s *supervisor) serve(program int) {
	n, err := NewNetwork(s.opts, func(u Unled) { s.tell(news{Unled: &u}) })
	if err != nil {
		s.tell(news{Failed: shim.NewFailure("connect to the lab", err)})
		_ = unix.Close(program) // which has the shim end
		close(s.begun)
		return
	}
	met, failed, err := meet(program)
	if failed != nil {
		s.tell(news{Failed: failed})
	}
	if err != nil || failed != nil {
		_ = unix.Close(program)
		close(s.begun)
		return
	}
	n.Use(met.way, met.killable)
	s.mu.Lock()
	s.network = n
	ended := s.ended
	s.mu.Unlock()
	if ended {
		n.End()
	}
	s.tell(news{PID: met.pid, Own: os.Getpid(), Way: met.way})
	go s.heed(program)
	n.listen(met.listener)
}

// heed tells what else the shim has to say: that the program could not be executed.
func (s *supervisor) heed(program int) {
	defer close(s.begun)
	if m, _, err := shim.Hear(program); err == nil && m.Failed != nil {
		s.tell(news{Failed: m.Failed})
	}
	_ = unix.Close(program)
}

// listen answers until no process has the filter any more. Whoever waits for the next call is
// told of that since Linux 6.11; before, it is seen by polling alone, and that since Linux 5.9
// ("seccomp: notify about unused filter"). Before that nobody is told, so this does not return.
func (n *Network) listen(listener int) {
	seccomp.TakeTurns(listener)
	ended := make(chan struct{}, 2)
	go func() { n.answerAll(listener); ended <- struct{}{} }()
	go func() { awaitAbandoned(listener); ended <- struct{}{} }()
	<-ended
}

// answerAll answers until there will be no more calls, as far as the kernel tells.
func (n *Network) answerAll(listener int) {
	for {
		c := &call{listener: listener}
		switch seccomp.Receive(listener, &c.Notification) {
		case 0:
		case unix.EINTR, unix.ENOENT: // a thread was interrupted before we looked
			continue
		default:
			return
		}
		n.take(c, func() {})
	}
}

// take answers a call, at once or later; for done see Take.
func (n *Network) take(c *call, done func()) {
	v, later := n.decide(c)
	if later == nil {
		c.answer(v)
		done()
		return
	}
	receives := c.Number == unix.SYS_RECVFROM || c.Number == unix.SYS_RECVMSG || c.Number == unix.SYS_RECVMMSG
	if receives {
		done()
	}
	go func() {
		c.answer(later())
		if !receives {
			done()
		}
	}()
}

// awaitAbandoned returns when no process has a listener's filter any more.
func awaitAbandoned(listener int) {
	for {
		files := []unix.PollFd{{Fd: int32(listener)}} // without POLLIN: it is not woken by each call
		if _, err := unix.Poll(files, -1); err == nil || !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// answer answers a call, once.
func (c *call) answer(v verdict) {
	c.closeCopy()
	if v.gone {
		return
	}
	response := seccomp.Response{ID: c.ID}
	switch {
	case v.goOn:
		response.Flags = unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE
	case v.errno != 0:
		response.Errno = -int32(v.errno)
	default:
		response.Value = v.value
	}
	for seccomp.Send(c.listener, &response) == unix.EINTR {
		continue
	}
}
