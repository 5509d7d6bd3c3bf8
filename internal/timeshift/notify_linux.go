//go:build amd64 || arm64

package timeshift

import (
	"encoding/binary"
	"math"

	"golang.org/x/sys/unix"

	"github.com/wiemu/wiemu/internal/lead"
	"github.com/wiemu/wiemu/internal/seccomp"
)

// listeners is how many threads answer: more would wait for the same processors.
const listeners = 1

// listen answers the system calls that the kernel tells of.
func (s *supervisor) listen(fd int) {
	seccomp.TakeTurns(fd)
	for range listeners {
		go func() {
			for s.answerNext(fd) {
				continue
			}
		}()
	}
}

// answerNext waits for a system call and answers it; false when there will be no more.
func (s *supervisor) answerNext(fd int) bool {
	var q seccomp.Notification
	switch s.next(fd, &q) {
	case 0:
	case unix.EINTR, unix.ENOENT: // a thread was interrupted before we looked
		return true
	default:
		return false
	}
	if s.network != nil && lead.IsCall(q.Arch, q.Number) {
		s.network.answer(&q)
		return true
	}
	s.answering.Lock()
	defer s.answering.Unlock()
	// Before Linux 5.19 a signal may have interrupted it since, and answerNow answered.
	if !q.IsWaiting(fd) {
		return true
	}
	seccomp.Send(fd, s.decide(&q)) // fails if the thread is gone
	return true
}

// answerNow is what a system call returns of a thread that we have stopped in it.
func (s *supervisor) answerNow(q *seccomp.Notification) int64 {
	s.answering.Lock()
	defer s.answering.Unlock()
	r := s.decide(q)
	if r.Errno != 0 {
		return int64(r.Errno)
	}
	return r.Value
}

// answers reports whether we answer a system call, if it is about a clock that is shifted.
func answers(nr int32) bool {
	switch nr {
	case unix.SYS_CLOCK_GETTIME, unix.SYS_GETTIMEOFDAY, sysTime, unix.SYS_TIMERFD_SETTIME, unix.SYS_TIMERFD_GETTIME,
		sysAlarm, unix.SYS_SETITIMER, unix.SYS_GETITIMER, unix.SYS_TIMER_SETTIME, unix.SYS_TIMER_GETTIME, unix.SYS_TIMER_GETOVERRUN:
		return true
	}
	return false
}

// afterAnswer does something once the system call that is being answered is over.
func (s *supervisor) afterAnswer(do func()) {
	s.tracer.busy.Add(1)
	go func() {
		s.answering.Lock()
		defer s.answering.Unlock()
		do()
		s.tracer.busy.Add(-1)
	}()
}

// decide answers a system call, or lets the kernel go on with it.
func (s *supervisor) decide(q *seccomp.Notification) *seccomp.Response {
	tid := int(q.Thread)
	r := &seccomp.Response{ID: q.ID}
	// put writes words where a pointer leads.
	put := func(at uint64, words ...int64) {
		data := make([]byte, 0, 16)
		for _, w := range words {
			data = binary.LittleEndian.AppendUint64(data, uint64(w))
		}
		if s.threads.store(tid, at, data) != nil {
			r.Errno = -int32(unix.EFAULT)
		}
	}
	switch q.Number {
	case unix.SYS_CLOCK_GETTIME:
		s.read(tid)
		ns := s.clocks.read(int32(q.Args[0]))
		put(q.Args[1], ns/1e9, ns%1e9)
	case unix.SYS_GETTIMEOFDAY:
		s.read(tid)
		if q.Args[0] != 0 { // it may be asked for the time zone alone
			ns := s.clocks.read(clockRealtime)
			put(q.Args[0], ns/1e9, ns%1e9/1000)
		}
		if q.Args[1] != 0 {
			put(q.Args[1], 0) // struct timezone: UTC, as the kernel has it
		}
	case sysTime:
		s.read(tid)
		r.Value = s.clocks.read(clockRealtime) / 1e9
		if q.Args[0] != 0 { // OpenSSL reads what is written, not what is returned
			put(q.Args[0], r.Value)
		}
	case unix.SYS_TIMERFD_SETTIME, unix.SYS_TIMERFD_GETTIME:
		s.answerTimer(q, r)
	case sysAlarm, unix.SYS_SETITIMER, unix.SYS_GETITIMER, unix.SYS_TIMER_SETTIME, unix.SYS_TIMER_GETTIME, unix.SYS_TIMER_GETOVERRUN:
		s.answerSignalTimer(q, r)
	default:
		r.Flags = unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE
	}
	return r
}

// length reads how long a call waits, in nanoseconds; false: for ever, or nonsense,
// which the kernel answers.
func (s *supervisor) length(tid int, argument uint64, form timeForm) (int64, bool) {
	if form == millis {
		n := int64(int32(argument))
		return n * 1e6, n >= 0
	}
	var words [16]byte
	if n, err := s.threads.read(tid, argument, words[:]); err != nil || n != len(words) {
		return 0, false
	}
	seconds := int64(binary.LittleEndian.Uint64(words[:8]))
	part := int64(binary.LittleEndian.Uint64(words[8:]))
	if form == timeval {
		part *= 1000
	}
	if seconds < 0 || part < 0 || part >= 1e9 {
		return 0, false
	}
	if seconds >= math.MaxInt64/1_000_000_000 {
		return math.MaxInt64, true
	}
	return seconds*1e9 + part, true
}

// addCapped adds without overflow.
func addCapped(now, by int64) int64 {
	if by > math.MaxInt64-now {
		return math.MaxInt64
	}
	return now + by
}
