package sql

import (
	"fmt"
	"slices"
	"sync"
)

// The limits of a lab. A gateway has places for 512 connections, and others than clients of
// databases need some.
const (
	// maxLogins is how many connections may be without a login. Each has loginTimeout of package
	// tds for it, in wall time.
	maxLogins = 128
	// maxSessions is how many may be logged in, for as long as they like. It is the limit of a
	// database of the service tier Basic. Source: learn.microsoft.com,
	// azure-sql/database/resource-limits-dtu-single-databases.
	maxSessions = 300
)

// clients counts the connections of a lab. The zero value has none.
type clients struct {
	mu       sync.Mutex
	waiting  []*listener // without a login, the one that came first is first
	sessions int
	crowded  bool // since the last time that nobody waited, one had to go
}

// arrive counts a connection. It returns the one that has to go, if there are too many: the
// first that has not said anything, or the new one if all have. isFirst says that it is the first
// for a while.
func (c *clients) arrive(l *listener) (gone *listener, isFirst bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.waiting) >= maxLogins {
		isFirst, c.crowded = !c.crowded, true
		n := slices.IndexFunc(c.waiting, func(w *listener) bool { return !w.heard })
		if n < 0 {
			return l, isFirst
		}
		gone = c.waiting[n]
		c.waiting = slices.Delete(c.waiting, n, n+1)
	}
	c.waiting = append(c.waiting, l)
	return gone, isFirst
}

// hear takes down that a connection has said something.
func (c *clients) hear(l *listener) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l.heard = true
}

// enter makes a connection a session, if there are not too many.
func (c *clients) enter(l *listener) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sessions >= maxSessions {
		return false
	}
	c.sessions++
	l.entered = true
	c.answered(l)
	return true
}

// leave forgets a connection that has ended.
func (c *clients) leave(l *listener) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l.entered {
		c.sessions--
	}
	c.answered(l)
}

// answered is called with the lock held.
func (c *clients) answered(l *listener) {
	c.waiting = slices.DeleteFunc(c.waiting, func(w *listener) bool { return w == l })
	c.crowded = c.crowded && len(c.waiting) > 0
}

// errCrowded is why a connection was ended.
var errCrowded = fmt.Errorf("more than %d connections were without a login", maxLogins)
