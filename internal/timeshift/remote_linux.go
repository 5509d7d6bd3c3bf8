//go:build amd64 || arm64

package timeshift

import (
	"context"
	"encoding/json"
	"io"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/wiemu/wiemu/emulator/clock"
)

// Serve sends a clock to a Remote at the other end of a connection, until the connection
// ends, and takes part in its advances once somebody follows the Remote. Both must be on the
// same machine: they compare times by the kernel's monotonic clock.
func Serve(conn io.ReadWriteCloser, source Source) {
	l := newLink(conn, source)
	unwatch := l.watch(setOrder)
	l.listen()
	unwatch()
	_ = conn.Close()
}

// Remote is a Source with its clock in another process, which calls Serve.
type Remote struct {
	conn io.ReadWriteCloser
	done chan struct{}

	answers sync.Mutex // guards what is below
	out     *json.Encoder
	held    int

	mu        sync.Mutex // guards the fields below, and sends one change at a time
	now       reading
	watchers  []*remoteWatcher
	followers []*remoteFollower
}

type remoteWatcher struct{ f func(clock.Setting) }

type remoteFollower struct{ clock.Follower }

// Connect takes over the connection to a process that calls Serve, and returns once the
// setting of its clock has arrived. The caller closes the Remote.
func Connect(conn io.ReadWriteCloser) (*Remote, error) {
	r := &Remote{conn: conn, out: json.NewEncoder(conn), done: make(chan struct{})}
	orders := json.NewDecoder(conn)
	var first order
	if err := orders.Decode(&first); err != nil {
		_ = conn.Close()
		return nil, explain("follow the lab's clock", err)
	}
	if first.Set != nil {
		r.now = *first.Set
	}
	go r.listen(orders)
	return r, nil
}

// Ended is closed when the clock's process has ended or Close was called. The clock then
// keeps its last setting.
func (r *Remote) Ended() <-chan struct{} { return r.done }

// Close ends the connection.
func (r *Remote) Close() error {
	err := r.conn.Close()
	<-r.done
	return err
}

func (r *Remote) listen(orders *json.Decoder) {
	defer close(r.done)
	for {
		var o order
		if err := orders.Decode(&o); err != nil {
			return // the lab has ended: time stands or runs as it did
		}
		if o.Set != nil {
			r.set(*o.Set)
		}
		if o.Turn != 0 && r.say(r.answer(o)) != nil {
			return
		}
	}
}

func (r *Remote) say(a answer) error {
	r.answers.Lock()
	defer r.answers.Unlock()
	return r.out.Encode(a)
}

// Hold lets the clock stand still until release. The setting that says so arrives later.
func (r *Remote) Hold() (release func()) {
	r.hold(1)
	return sync.OnceFunc(func() { r.hold(-1) })
}

func (r *Remote) hold(by int) {
	r.answers.Lock()
	defer r.answers.Unlock()
	before := r.held > 0
	r.held += by
	if now := r.held > 0; now != before {
		_ = r.out.Encode(answer{Hold: &now}) // a lab that has ended holds nothing
	}
}

func (r *Remote) set(now reading) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = now
	for _, w := range r.watchers {
		w.f(now.setting())
	}
}

// answer lets the followers take their turns.
func (r *Remote) answer(o order) answer {
	r.mu.Lock()
	followers := slices.Clone(r.followers)
	r.mu.Unlock()
	var turns errgroup.Group
	for _, f := range followers {
		turns.Go(func() error { return f.Turn(context.Background(), time.Duration(o.Shortest)) })
	}
	a := answer{Turn: o.Turn, Quiet: turns.Wait() == nil}
	for _, f := range followers {
		if next, waits := f.Next(); waits && (a.Next == 0 || next.UnixNano() < a.Next) {
			a.Next = next.UnixNano()
		}
	}
	return a
}

// Setting is how the clock runs now.
func (r *Remote) Setting() clock.Setting {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now.setting()
}

// Skews says how far the programs' clocks are ahead of the lab's.
func (r *Remote) Skews() map[string]time.Duration {
	return map[string]time.Duration{clock.Workloads: time.Duration(r.now.Skew)} // r.mu is held: watchers alone ask
}

// Watch tells f the present setting and then every change, until stop.
func (r *Remote) Watch(f func(clock.Setting)) (stop func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := &remoteWatcher{f}
	r.watchers = append(r.watchers, w)
	f(r.now.setting())
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.watchers = slices.DeleteFunc(r.watchers, func(other *remoteWatcher) bool { return other == w })
	}
}

// Follow gives f its turn whenever the clock has moved, until leave.
func (r *Remote) Follow(f clock.Follower) (leave func()) {
	entry := &remoteFollower{f}
	r.mu.Lock()
	r.followers = append(r.followers, entry)
	first := len(r.followers) == 1
	r.mu.Unlock()
	if first {
		_ = r.say(answer{Joins: true}) // a lab that has ended has no advances
	}
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.followers = slices.DeleteFunc(r.followers, func(other *remoteFollower) bool { return other == entry })
	}
}
