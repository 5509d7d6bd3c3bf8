//go:build amd64 || arm64

package timeshift

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/wiemu/wiemu/internal/seccomp"
)

// timerfds are the timers of timerfd_create(2) that programs have set. The kernel is told of
// a time far away, by which we know the timer again, and we make its file readable when lab
// time says so. The file is fetched from the program for that each time: keeping it would
// keep it in the program's epoll(7) after the program has closed it.
type timerfds struct {
	clocks *clocks
	waits  *waits
	far    int64 // the kernel's monotonic time to which marks are added
	err    error // why they are not shifted

	mu   sync.Mutex // held while one is looked at or changed
	mark int64      // of the newest
}

// A timerfd is a timer that is set.
type timerfd struct {
	timers   *timerfds
	pid, fd  int
	clock    int32
	interval int64 // nanoseconds of lab time; 0: it expires once
	mark     int64 // above 0
}

// markLength is how far apart timers are for the kernel, and how exactly it tells.
const markLength = int64(time.Minute)

func newTimerfds(c *clocks, ws *waits) *timerfds {
	return &timerfds{clocks: c, waits: ws, far: kernelTime(clockMonotonic) + farAway.Nanoseconds(), err: canSetTicks()}
}

// canSetTicks looks whether this kernel lets us say how often a timer has expired
// (CONFIG_CHECKPOINT_RESTORE).
func canSetTicks() error {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC)
	if err != nil {
		return err
	}
	defer closeFile(fd)
	return setTicks(fd, 1)
}

// setTicks makes a file readable: its timer has expired so often. Source: fs/timerfd.c.
func setTicks(fd int, ticks uint64) error {
	const setTicksRequest = 0x40085400 // TFD_IOC_SET_TICKS
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), setTicksRequest, uintptr(unsafe.Pointer(&ticks))); errno != 0 {
		return fmt.Errorf("make a timer expire: %w", errno)
	}
	return nil
}

// fetch returns a copy of a program's file, which the caller closes.
func fetch(pid, fd int) (int, error) {
	process, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return 0, fmt.Errorf("pidfd_open(2): %w", err)
	}
	defer closeFile(process)
	file, err := unix.PidfdGetfd(process, fd, 0)
	if err != nil {
		return 0, fmt.Errorf("pidfd_getfd(2): %w", err)
	}
	return file, nil
}

// closeFile closes a file of which nothing was written.
func closeFile(fd int) { _ = unix.Close(fd) }

// set does what timerfd_settime(2) does with the file of a program, and returns what was set
// before. If ok is false, the kernel shall do it itself, which knows what is wrong; err says
// why it follows the machine's clock then.
func (ts *timerfds) set(pid, fd int, absolute bool, to unix.ItimerSpec) (old unix.ItimerSpec, ok bool, err error) {
	if ts.err != nil {
		return old, false, ts.err
	}
	value, validValue := nanoseconds(to.Value)
	interval, validInterval := nanoseconds(to.Interval)
	if !validValue || !validInterval {
		return old, false, nil
	}
	ts.mu.Lock()
	defer ts.mu.Unlock()
	file, err := fetch(pid, fd)
	if errors.Is(err, unix.EBADF) {
		return old, false, nil
	}
	if err != nil {
		return old, false, err
	}
	defer closeFile(file)
	id, _, isTimer := stateOf(file)
	if !isTimer || !isWall(id) && !isMonotonic(id) {
		return old, false, nil
	}
	was := ts.known(file, id)
	if was != nil {
		old = was.left(ts.clocks.lab())
		ts.waits.forget(was.key())
	}
	if value == 0 {
		return old, unix.TimerfdSettime(file, 0, &unix.ItimerSpec{}, nil) == nil, nil
	}
	t := &timerfd{timers: ts, pid: pid, fd: fd, clock: id, interval: interval}
	if was != nil {
		t.mark = was.timer.key().timerfd
	} else {
		ts.mark++
		t.mark = ts.mark
	}
	far := unix.ItimerSpec{Value: unix.NsecToTimespec(ts.far + t.mark*markLength - kernelTime(t.kernelClock()))}
	if err := unix.TimerfdSettime(file, 0, &far, nil); err != nil {
		return old, false, err
	}
	w := &wait{ours: true, timer: t, due: addCapped(ts.clocks.lab(), value)}
	if absolute {
		w.due = ts.clocks.labAt(id, value)
	}
	ts.waits.add(w)
	if w.due <= ts.clocks.lab() {
		t.tick(w, file)
	}
	return old, true, nil
}

// get does what timerfd_gettime(2) does, and reports false if the kernel shall do it.
func (ts *timerfds) get(pid, fd int) (unix.ItimerSpec, bool) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.err != nil {
		return unix.ItimerSpec{}, false
	}
	file, err := fetch(pid, fd)
	if err != nil {
		return unix.ItimerSpec{}, false
	}
	defer closeFile(file)
	id, _, isTimer := stateOf(file)
	if !isTimer {
		return unix.ItimerSpec{}, false
	}
	was := ts.known(file, id)
	if was == nil {
		return unix.ItimerSpec{}, false
	}
	return was.left(ts.clocks.lab()), true
}

// nanoseconds converts a time, and reports whether the kernel accepts it.
func nanoseconds(t unix.Timespec) (int64, bool) {
	if t.Sec < 0 || t.Nsec < 0 || t.Nsec >= 1e9 {
		return 0, false
	}
	if t.Sec >= math.MaxInt64/1_000_000_000 {
		return math.MaxInt64, true
	}
	return t.Nano(), true
}

// stateOf reads the clock of a timer's file, and how often it has expired since it was read;
// false: it is another file. Source: proc_pid_fdinfo(5).
func stateOf(file int) (clock int32, ticks uint64, ok bool) {
	info, err := os.ReadFile("/proc/self/fdinfo/" + strconv.Itoa(file))
	if err != nil {
		return 0, 0, false
	}
	field := func(name string) (uint64, error) {
		_, rest, _ := bytes.Cut(info, []byte("\n"+name+": "))
		line, _, _ := bytes.Cut(rest, []byte("\n"))
		return strconv.ParseUint(string(line), 10, 64)
	}
	id, err := field("clockid")
	if err != nil {
		return 0, 0, false
	}
	ticks, _ = field("ticks")
	return int32(id), ticks, true
}

// known is the timer of a file, if it is set, and by us.
func (ts *timerfds) known(file int, clock int32) *wait {
	var now unix.ItimerSpec
	if unix.TimerfdGettime(file, &now) != nil {
		return nil
	}
	t := timerfd{clock: clock}
	// In between, some time goes by.
	away := now.Value.Nano() + kernelTime(t.kernelClock()) - ts.far + markLength/2
	if away < 0 {
		return nil
	}
	t.mark = away / markLength
	return ts.waits.timer(t.key())
}

// kernelClock is the clock by which the kernel measures a duration.
func (t *timerfd) kernelClock() int32 {
	if t.clock == clockBoottime || t.clock == clockBoottimeAlarm {
		return clockBoottime
	}
	return clockMonotonic
}

func (t *timerfd) key() waitKey { return waitKey{timerfd: t.mark} }

func (t *timerfd) period() int64 { return t.interval }

// isSet reports whether a timer is still what a program has set: neither closed nor changed.
func (t *timerfd) isSet(w *wait) bool {
	t.timers.mu.Lock()
	defer t.timers.mu.Unlock()
	file, err := fetch(t.pid, t.fd)
	if err != nil {
		return false
	}
	defer closeFile(file)
	return t.timers.known(file, t.clock) == w
}

// expire makes the file of a timer readable that is due.
func (t *timerfd) expire(w *wait) {
	ts := t.timers
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.waits.timer(t.key()) != w {
		return // the program has set it anew
	}
	file, err := fetch(t.pid, t.fd)
	if err == nil {
		defer closeFile(file)
	}
	if err != nil || ts.known(file, t.clock) != w {
		ts.waits.forget(t.key()) // the program has closed it
		return
	}
	t.tick(w, file)
}

// tick makes a file readable, and sets a timer with an interval again; timers.mu is held.
func (t *timerfd) tick(w *wait, file int) {
	ticks := uint64(1)
	_, unread, _ := stateOf(file)
	t.timers.waits.forget(t.key())
	if t.interval > 0 {
		more := (t.timers.clocks.lab() - w.due) / t.interval
		ticks += uint64(more) + unread
		t.timers.waits.add(&wait{ours: true, timer: t, due: addCapped(w.due, (more+1)*t.interval)})
	} else {
		_ = unix.TimerfdSettime(file, 0, &unix.ItimerSpec{}, nil) // it is ours
	}
	_ = setTicks(file, ticks)
}

// timerSpec reads a struct itimerspec: the interval, then the value.
func timerSpec(data []byte) (s unix.ItimerSpec) {
	word := func(i int) int64 { return int64(binary.LittleEndian.Uint64(data[8*i:])) }
	s.Interval.Sec, s.Interval.Nsec, s.Value.Sec, s.Value.Nsec = word(0), word(1), word(2), word(3)
	return s
}

// answerTimer answers timerfd_settime(2) and timerfd_gettime(2).
func (s *supervisor) answerTimer(q *seccomp.Notification, r *seccomp.Response) {
	const absolute, cancelOnSet, specLength = 1, 2, 32 // TFD_TIMER_ABSTIME, TFD_TIMER_CANCEL_ON_SET
	pid, fd := s.threads.processOf(int(q.Thread)), int(int32(q.Args[0]))
	byKernel := func() { r.Flags = unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE }
	to := q.Args[1]
	var spec unix.ItimerSpec
	if q.Number == unix.SYS_TIMERFD_GETTIME {
		var ok bool
		if spec, ok = s.timers.get(pid, fd); !ok {
			byKernel()
			return
		}
	} else {
		var data [specLength]byte
		if n, _ := s.threads.read(int(q.Thread), q.Args[2], data[:]); n != len(data) || q.Args[1]&^(absolute|cancelOnSet) != 0 {
			byKernel()
			return
		}
		old, ok, err := s.timers.set(pid, fd, q.Args[1]&absolute != 0, timerSpec(data[:]))
		if err != nil {
			s.note(pid, "its timers of timerfd_create(2) follow the machine's clock: "+err.Error())
		}
		if !ok {
			byKernel()
			return
		}
		spec, to = old, q.Args[3]
		if to == 0 {
			return
		}
	}
	s.writeSpec(q, r, to, spec, timespec)
}
