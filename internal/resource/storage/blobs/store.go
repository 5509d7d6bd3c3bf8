// Package blobs stores the blobs of storage accounts in memory and answers as the Blob
// service does: containers, block and append blobs with their blocks, ranges, metadata,
// tags, tiers, snapshots, leases and copies, and the conditions of all of these. Leases
// end on the lab clock. It has no page blobs, versions, soft delete, immutability, queries,
// search by tags or keys of customers, and does not ask who calls: see package storage.
package blobs

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/internal/resource/storage"
	"github.com/wiemu/wiemu/internal/resource/storage/rest"
)

// maxTotal is how many bytes all blobs may have together, staged blocks, copies,
// snapshots, metadata and the bodies that are just being read included.
const maxTotal = 2 << 30

// deletionTime is how long the name of a deleted container is taken.
// Documented: Delete Container, "at least 30 seconds".
const deletionTime = 30 * time.Second

// Store is a storage.Backend in memory. It is safe for concurrent use.
type Store struct {
	clock  clock.Clock
	domain string

	mu       sync.Mutex
	accounts map[string]*account
	bytes    int64 // of all that is stored, and reserved for bodies that are being read
	ticks    int64 // of the latest ETag
}

// New returns an empty store for the accounts of a domain such as core.windows.net.
func New(clk clock.Clock, domain string) *Store {
	return &Store{clock: clk, domain: domain, accounts: map[string]*account{}}
}

// Open implements storage.Backend. A new account has no containers.
func (s *Store) Open(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accounts[name] = cmp.Or(s.accounts[name], &account{containers: map[string]*container{}, deleted: map[string]time.Time{}})
	return nil
}

// Drop implements storage.Backend.
func (s *Store) Drop(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.accounts[name]
	if a == nil {
		return
	}
	for _, c := range a.containers {
		s.bytes -= c.size()
		for _, b := range c.blobs {
			s.bytes -= b.size()
		}
	}
	delete(s.accounts, name)
}

type account struct {
	containers map[string]*container
	deleted    map[string]time.Time // when containers were deleted whose names may be taken
	properties rest.Properties
}

// version is what a change to a container or blob changes.
type version struct {
	etag     string // with quotes
	modified time.Time
}

type container struct {
	version
	metadata map[string]string
	lease    lease
	acl      string // XML, as it was set
	blobs    map[string]*blob
	names    []string // of blobs, sorted; nil if it has to be made again
}

// sorted returns the names of the blobs in order.
func (c *container) sorted() []string {
	if c.names == nil {
		c.names = slices.Sorted(maps.Keys(c.blobs))
	}
	return c.names
}

// A blob of the zero kind has staged blocks only, which Get Block List alone shows.
type blob struct {
	version
	kind       string // BlockBlob, AppendBlob or ""
	created    time.Time
	content    content
	properties map[string]string // by the header of a reply, such as Content-Type
	metadata   map[string]string
	tags       map[string]string
	tier       tier
	lease      lease
	copied     *copyState

	committed []block // of a block blob that Put Block List made; parts of content
	staged    map[string][]byte
	appends   int // of an append blob
	sealed    bool

	snapshots []snapshot // oldest first
}

type block struct {
	id   string
	data []byte
}

type snapshot struct {
	time string
	blob *blob
}

type tier struct {
	name    string
	changed time.Time // zero if nobody set it
}

// size is how many bytes the container counts for in Store.bytes, without its blobs.
func (c *container) size() int64 {
	return rest.Cost + rest.SizeOf(c.metadata) + int64(len(c.acl))
}

// blockCost is what each block counts for besides its bytes, with its id of up to 88.
const blockCost = 192

// size is how many bytes the blob counts for in Store.bytes.
func (b *blob) size() int64 {
	n := rest.Cost + b.content.size + rest.SizeOf(b.metadata) + rest.SizeOf(b.tags) + rest.SizeOf(b.properties) + int64(len(b.committed)+len(b.staged))*blockCost
	for _, data := range b.staged {
		n += int64(len(data))
	}
	for _, s := range b.snapshots {
		n += s.blob.size()
	}
	return n
}

// touch gives a new ETag, which nothing else has had, and the time of the change.
func (s *Store) touch(v *version, now time.Time) {
	s.ticks = max(s.ticks+1, ticks(now))
	*v = version{etag: fmt.Sprintf(`"0x%X"`, s.ticks), modified: now}
}

// ticks are the units of 100 ns since the year 1, as Storage counts time.
func ticks(t time.Time) int64 { return t.Unix()*1e7 + int64(t.Nanosecond()/100) + 621355968000000000 }

var _ storage.Backend = (*Store)(nil)
