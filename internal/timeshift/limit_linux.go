//go:build amd64 || arm64

package timeshift

import (
	"bytes"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// A turnLimit says when a turn has taken too long. Wall time counts, but for the time in which
// the program could not run because others had the processors: on a machine with forty jobs for
// two of them a Java program takes minutes to start, and it would be passed over while lab time
// moves on. Programs that wait for each other are no others.
type turnLimit struct {
	limit time.Duration               // wall time
	usage func() map[int]processorUse // of the program's threads
	began time.Time

	looked  time.Time
	before  map[int]processorUse
	had     time.Duration // processor time of all threads together
	waited  time.Duration // for a processor, of the thread that waited longest each time
	sharing int           // processors
}

// processorUse is what a thread has had of processors, and how long it has waited for one.
type processorUse struct{ had, waited time.Duration }

// utmost is by how much a turn takes longer than its limit at most.
const utmost = 10

func newTurnLimit(limit time.Duration, usage func() map[int]processorUse) *turnLimit {
	now := time.Now()
	return &turnLimit{limit: limit, usage: usage, began: now, looked: now, sharing: runtime.NumCPU()}
}

// isOver reports whether the turn has taken too long. It looks at the threads once in a while
// (wall time), since that costs some system calls.
func (l *turnLimit) isOver() bool {
	const interval = 50 * time.Millisecond
	now := time.Now()
	if now.Sub(l.looked) >= interval {
		l.looked = now
		l.look()
	}
	took := now.Sub(l.began)
	if took < l.limit {
		return false
	}
	passedOver := max(0, min(l.waited, took-l.had/time.Duration(l.sharing)))
	return took-passedOver >= l.limit || took >= utmost*l.limit
}

func (l *turnLimit) look() {
	usage, most := l.usage(), time.Duration(0)
	for tid, now := range usage {
		before, known := l.before[tid]
		if !known && l.before == nil {
			continue // the first look, which is soon after the beginning
		}
		l.had += now.had - before.had
		most = max(most, now.waited-before.waited)
	}
	l.before, l.waited = usage, l.waited+most
}

// usage returns what each thread has had of processors; nothing of those that have ended.
func (ts *threads) usage() map[int]processorUse {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	usage := make(map[int]processorUse, len(ts.byID))
	buffer := make([]byte, 128)
	for tid, t := range ts.byID {
		if t.open(tid) != nil {
			continue
		}
		n, err := unix.Pread(int(t.timeslices.Fd()), buffer, 0)
		if err != nil {
			continue
		}
		// Time on a processor, time waiting for one, timeslices. Source:
		// Documentation/scheduler/sched-stats.rst.
		if fields := bytes.Fields(buffer[:n]); len(fields) == 3 {
			had, _ := strconv.ParseInt(string(fields[0]), 10, 64)
			waited, _ := strconv.ParseInt(string(fields[1]), 10, 64)
			usage[tid] = processorUse{time.Duration(had), time.Duration(waited)}
		}
	}
	return usage
}
