//go:build amd64 || arm64

package timeshift

import (
	"encoding/binary"
	"time"
)

// A program that reads the clock until it shows a time never comes to rest while lab time
// stands. It is told from one that computes by how often it reads the clock during a turn:
// programs that do something else in between stay far below these limits.
const (
	spinReads = 5_000_000 // of a process, of the clock page
	spinAsked = 200_000   // of a thread, by system calls, which take a hundred times as long
)

// spinNote is the note of a program that did that.
const spinNote = "it read the clock again and again while time stood still: it was not waited for then"

// A spinWatch looks for programs that spin during a turn. The zero value is ready.
type spinWatch struct {
	next  time.Time
	reads map[int]uint64 // by process, at the first look
	asked map[int]uint64 // by thread
}

// look returns the process that spins, 0 if there is none. Since it costs some system calls,
// it does so only once in a while (wall time), and not for programs that are soon at rest.
func (w *spinWatch) look(ts *threads) int {
	const interval = 50 * time.Millisecond
	now := time.Now()
	if w.next.IsZero() {
		w.next = now.Add(interval)
	}
	if now.Before(w.next) {
		return 0
	}
	w.next = now.Add(interval)
	reads, asked, processes := ts.clockReads()
	if w.reads == nil {
		w.reads, w.asked = reads, asked
		return 0
	}
	for pid, n := range reads {
		// A process that has just been executed or forked counts from what it was given.
		if first, ok := w.reads[pid]; !ok || n < first {
			w.reads[pid] = n
		} else if n-first > spinReads {
			return pid
		}
	}
	for tid, n := range asked {
		if n-w.asked[tid] > spinAsked {
			return processes[tid]
		}
	}
	return 0
}

// clockReads returns how often each process has read the clock page while time stood, and
// how often each thread of which process has asked for the time.
func (ts *threads) clockReads() (reads, asked map[int]uint64, processes map[int]int) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	reads, asked, processes = map[int]uint64{}, map[int]uint64{}, map[int]int{}
	for pid, at := range ts.counters {
		var word [8]byte
		m, err := ts.open(pid)
		if err != nil {
			continue // it has ended, or does not let us look
		}
		if n, _ := m.ReadAt(word[:], int64(at)); n == len(word) {
			reads[pid] = binary.LittleEndian.Uint64(word[:])
		}
	}
	for tid, t := range ts.byID {
		asked[tid], processes[tid] = t.asked, t.process
	}
	return reads, asked, processes
}

// read counts a clock read that the supervisor answers.
func (s *supervisor) read(tid int) {
	s.reads.Add(1)
	s.threads.mu.Lock()
	defer s.threads.mu.Unlock()
	if t := s.threads.byID[tid]; t != nil {
		t.asked++
	}
}
