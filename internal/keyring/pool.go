package keyring

import (
	"cmp"
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/wiemu/wiemu/internal/statedir"
)

// bits is the size of every key: what AKS signs with and what Entra ID accepts.
const bits = 2048

// PoolOptions configures a pool. The zero value suits a lab.
type PoolOptions struct {
	Ahead  int          // keys that are ready beyond those taken; defaults to 8 in a directory, 1 in memory
	Logger *slog.Logger // of problems with the directory; defaults to slog.Default()

	First []*rsa.PrivateKey // of a pool in memory: handed out before those that it makes
}

var errClosed = errors.New("the key pool is closed")

// Pool hands out RSA-2048 keys that were made ahead, because making one costs as
// much as 35 to 100 signatures. Every pool over the same directory, in whatever
// process, hands them out in the same order from the first on, so that the next
// lab pays for none. It is safe for concurrent use.
type Pool struct {
	cache    *keyCache
	recycled *recycled // instead of the cache: see Recycled

	mu     sync.Mutex
	next   int
	closed bool
}

// OpenPool opens the pool stored in dir (made 0700 if missing; one PKCS#8 PEM file
// a key, 0600), or a pool in memory if dir is "". It starts at once to load or
// make the two keys that every lab needs first, and after them those ahead, and
// returns without waiting for any.
func OpenPool(dir string, opts PoolOptions) (*Pool, error) {
	var files *statedir.Dir
	if dir != "" {
		var err error
		if files, err = statedir.Open(dir); err != nil {
			return nil, fmt.Errorf("key pool: %w", err)
		}
	}
	if opts.Ahead <= 0 {
		opts.Ahead = 8
		if dir == "" {
			opts.Ahead = 1
		}
	}
	opts.Logger = cmp.Or(opts.Logger, slog.Default())
	s := &keyCache{dir: files, ahead: opts.Ahead, log: opts.Logger, slots: map[int]*slot{}}
	p := s.lease()
	for index, key := range opts.First {
		given := &slot{done: make(chan struct{}), key: key}
		close(given.done)
		s.slots[index] = given
	}
	// An emulator starts with two rings, Entra's and one issuer's: both keys are
	// generated in parallel before they are requested.
	s.slot(0)
	s.slot(1)
	s.fillTo(opts.Ahead)
	return p, nil
}

// Lease returns a pool for another lab in this process. It starts again from the
// first key; files, keys in memory and the making of new ones are shared.
func (p *Pool) Lease() *Pool {
	if p.recycled != nil {
		return &Pool{recycled: p.recycled}
	}
	return p.cache.lease()
}

// Take returns the next key. It waits only where that key is not made yet; then
// keys that are taken at the same time are made at the same time. The key is
// shared with other leases and must not be changed.
func (p *Pool) Take(ctx context.Context) (*rsa.PrivateKey, error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, errClosed
	}
	index := p.next
	p.next++
	p.mu.Unlock()

	if p.recycled != nil {
		return p.recycled.key(index)
	}
	s := p.cache.slot(index)
	p.cache.fillTo(index + 1 + p.cache.ahead)
	select {
	case <-s.done:
		return s.key, s.err
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for key %d of the pool: %w", index, ctx.Err())
	}
}

// Taken is the number of keys that this pool has handed out: those of a lab, from
// the first on.
func (p *Pool) Taken() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.next
}

// Close ends this pool; the last close of a pool and its leases ends the making
// of keys. It waits for no key: one that is being made when the last pool closes
// is thrown away, and nothing is written after Close.
func (p *Pool) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.closed = true
		if p.cache != nil {
			p.cache.release()
		}
	}
	return nil
}

type keyCache struct {
	dir   *statedir.Dir // if nil, keys are in memory
	ahead int
	log   *slog.Logger

	mu      sync.Mutex
	users   int
	slots   map[int]*slot
	looked  int  // slots below this were made, or seen on disk, by fill
	wanted  int  // fill goes on to this one
	filling bool // fill runs

	disk sync.Mutex // held while a file is written, so that none is after the last Close
}

// slot is one key; its other fields are set before done is closed.
type slot struct {
	done chan struct{}
	key  *rsa.PrivateKey
	err  error
}

func (s *keyCache) lease() *Pool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users++
	return &Pool{cache: s}
}

func (s *keyCache) release() {
	s.disk.Lock()
	defer s.disk.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users--
	if s.users == 0 && s.dir != nil {
		_ = s.dir.Close() // a key that is being read now is not needed
	}
}

func (s *keyCache) unused() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.users == 0
}

// slot returns the slot of a key and starts to load or make the key unless that has begun.
func (s *keyCache) slot(index int) *slot {
	s.mu.Lock()
	defer s.mu.Unlock()
	sl, ok := s.slots[index]
	if !ok {
		sl = &slot{done: make(chan struct{})}
		s.slots[index] = sl
		go func() { // ends with the key: making one can not be interrupted
			defer close(sl.done)
			sl.key, sl.err = s.loadOrCreate(index)
		}()
	}
	return sl
}

func (s *keyCache) fillTo(wanted int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wanted = max(s.wanted, wanted)
	if !s.filling && s.looked < s.wanted {
		s.filling = true
		go s.fill()
	}
}

// fill makes the keys ahead, one at a time so that it never takes more than one
// core from callers that wait. Keys already on disk are not loaded before they are
// taken.
func (s *keyCache) fill() {
	for {
		s.mu.Lock()
		if s.users == 0 || s.looked >= s.wanted {
			s.filling = false
			s.mu.Unlock()
			return
		}
		index := s.looked
		s.looked++
		_, begun := s.slots[index]
		s.mu.Unlock()
		if !begun && s.stored(index) {
			continue
		}
		<-s.slot(index).done
	}
}
