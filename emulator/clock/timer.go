package clock

import (
	"container/heap"
	"time"
)

// due takes the earliest timer if its time has come; nil if there is none.
func (l *Lab) due() *timer {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting) == 0 || l.waiting[0].due.After(l.now()) {
		return nil
	}
	return heap.Pop(&l.waiting).(*timer)
}

// setAlarm arranges that a running clock fires its earliest timer; l.mu is held.
func (l *Lab) setAlarm() {
	if l.alarm != nil {
		l.alarm.Stop()
	}
	if l.setting.Speed != 0 && len(l.waiting) > 0 {
		l.alarm = time.AfterFunc(l.setting.until(l.waiting[0].due, l.now()), l.ring)
	}
}

// ring fires what is due on a running clock.
func (l *Lab) ring() {
	l.advance.Lock()
	defer l.advance.Unlock()
	for t := l.due(); t != nil; t = l.due() {
		t.f()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.setAlarm()
}

// timer is an entry of the heap.
type timer struct {
	lab      *Lab
	due      time.Time
	sequence uint64
	f        func()
	index    int // in the heap; -1 when taken out
}

// Stop takes the timer out of the clock.
func (t *timer) Stop() bool {
	t.lab.mu.Lock()
	defer t.lab.mu.Unlock()
	if t.index < 0 {
		return false
	}
	heap.Remove(&t.lab.waiting, t.index)
	return true
}

// timerHeap orders timers by due time, then by age.
type timerHeap []*timer

func (h timerHeap) Len() int { return len(h) }
func (h timerHeap) Less(i, j int) bool {
	if h[i].due.Equal(h[j].due) {
		return h[i].sequence < h[j].sequence
	}
	return h[i].due.Before(h[j].due)
}
func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}
func (h *timerHeap) Push(x any) {
	t := x.(*timer)
	t.index = len(*h)
	*h = append(*h, t)
}
func (h *timerHeap) Pop() any {
	last := len(*h) - 1
	t := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	t.index = -1
	return t
}
