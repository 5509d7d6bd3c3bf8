// Package queues stores the queues of storage accounts in memory and answers as the Queue
// service does. Messages become visible and expire on the lab clock. It does not ask who
// calls: see package storage.
package queues

import (
	"cmp"
	"encoding/xml"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/internal/resource/storage"
	"github.com/wiemu/wiemu/internal/resource/storage/rest"
)

// maxTotal is how many bytes all queues and messages may have together; Azure has no such limit.
const maxTotal = 256 << 20

// deletionTime is how long the name of a deleted queue is taken. Documented: Delete Queue,
// "at least 30 seconds".
const deletionTime = 30 * time.Second

// Store is a storage.Backend in memory. It is safe for concurrent use.
type Store struct {
	clock  clock.Clock
	domain string

	mu       sync.Mutex
	accounts map[string]*account
	bytes    int // of all queues and messages
	receipts uint64
}

// New returns an empty store for the accounts of a domain such as core.windows.net.
func New(clk clock.Clock, domain string) *Store {
	return &Store{clock: clk, domain: domain, accounts: map[string]*account{}}
}

// Open implements storage.Backend. A new account has no queues.
func (s *Store) Open(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accounts[name] = cmp.Or(s.accounts[name], &account{queues: map[string]*queue{}, deleted: map[string]time.Time{}})
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
	for _, q := range a.queues {
		s.bytes -= q.size()
		for _, m := range q.messages {
			s.bytes -= m.size()
		}
	}
	delete(s.accounts, name)
}

type account struct {
	queues     map[string]*queue
	deleted    map[string]time.Time // when queues were deleted whose names may be taken
	properties rest.Properties
}

type queue struct {
	metadata map[string]string
	acl      string     // XML, as it was set
	messages []*message // in the order in which they were put
}

// size is how many bytes the queue counts for, without its messages.
func (q *queue) size() int { return rest.Cost + int(rest.SizeOf(q.metadata)) + len(q.acl) }

type message struct {
	id, text string
	receipt  string // the latest pop receipt
	inserted time.Time
	expires  time.Time
	visible  time.Time // from when on it is
	dequeued int       // how many times
}

// call is one request.
type call struct {
	*Store
	w      http.ResponseWriter
	r      *http.Request
	target storage.Target
	query  url.Values
	body   []byte
	now    time.Time

	account *account
	queue   *queue // nil if there is none
}

// answer is a status with an XML document, or with nothing.
type answer struct {
	status   int
	document string
}

// Serve implements storage.Backend.
func (s *Store) Serve(w http.ResponseWriter, r *http.Request, t storage.Target) {
	c := &call{Store: s, w: w, r: r, target: t, query: r.URL.Query()}
	a, failed := c.serve()
	if failed != nil {
		storage.WriteError(w, r, storage.Queue, c.now, *failed)
		return
	}
	var body []byte
	if a.document != "" {
		body = rest.Document(a.document)
		w.Header().Set("Content-Type", "application/xml")
	}
	if a.status != http.StatusNoContent {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	w.WriteHeader(a.status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the client has gone: there is nobody to tell
	}
}

// maxBody is enough for a message that is escaped. Documented: Put Message, 64 KiB.
const maxBody = 512 << 10

func (c *call) serve() (answer, *storage.Error) {
	var failed *storage.Error
	if c.r.ContentLength > maxBody {
		failed = rest.TooLarge()
	} else if c.r.Body != nil {
		var err error
		if c.body, err = io.ReadAll(io.LimitReader(c.r.Body, maxBody)); err != nil {
			failed = rest.Incomplete()
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.clock.Now().UTC()
	if failed != nil {
		return answer{}, failed
	}
	if c.account = c.accounts[c.target.Account]; c.account == nil {
		return answer{}, rest.Fail(http.StatusNotFound, "ResourceNotFound", "The specified resource does not exist.")
	}
	if c.queue = c.account.queues[c.target.Container]; c.queue != nil {
		c.expire()
	}
	method := c.r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	what := method + " " + c.query.Get("comp")
	switch {
	case c.target.Container == "":
		return c.service(what)
	case what == "PUT " && c.target.Name == "":
		return c.create()
	case c.queue == nil:
		return answer{}, rest.Fail(http.StatusNotFound, "QueueNotFound", "The specified queue does not exist.")
	case c.target.Name != "":
		return c.messages(method)
	}
	return c.about(what)
}

// expire forgets the messages whose time is over.
func (c *call) expire() {
	c.queue.messages = slices.DeleteFunc(c.queue.messages, func(m *message) bool {
		over := !c.now.Before(m.expires)
		if over {
			c.bytes -= m.size()
		}
		return over
	})
}

func notKnown() *storage.Error {
	return rest.Fail(http.StatusMethodNotAllowed, "UnsupportedHttpVerb", "The resource doesn't support specified Http Verb.") // documented
}

func (c *call) service(what string) (answer, *storage.Error) {
	switch what {
	case "GET list":
		return c.list()
	case "GET properties":
		return answer{http.StatusOK, c.account.properties.Document(storage.Queue)}, nil
	case "PUT properties":
		set, failed := rest.ReadProperties(c.body, storage.Queue)
		if failed == nil {
			c.account.properties = c.account.properties.With(set)
		}
		return answer{status: http.StatusAccepted}, failed
	}
	return answer{}, notKnown()
}

// create answers Create Queue, also for a queue that is there with the same metadata.
func (c *call) create() (answer, *storage.Error) {
	m, failed := rest.Metadata(c.r.Header)
	if failed == nil {
		failed = rest.CheckName(c.target.Container)
	}
	deleted, isDeleted := c.account.deleted[c.target.Container]
	switch {
	case failed != nil:
		return answer{}, failed
	case c.queue != nil && maps.Equal(c.queue.metadata, m):
		return answer{status: http.StatusNoContent}, nil
	case c.queue != nil:
		return answer{}, rest.Fail(http.StatusConflict, "QueueAlreadyExists", "The specified queue already exists.")
	case isDeleted && c.now.Before(deleted.Add(deletionTime)):
		return answer{}, rest.Fail(http.StatusConflict, "QueueBeingDeleted", "The specified queue is being deleted.")
	}
	q := &queue{metadata: m}
	if failed := c.hold(q.size()); failed != nil {
		return answer{}, failed
	}
	delete(c.account.deleted, c.target.Container)
	c.account.queues[c.target.Container] = q
	return answer{status: http.StatusCreated}, nil
}

// about answers what is about a queue and not its messages.
func (c *call) about(what string) (answer, *storage.Error) {
	switch what {
	case "DELETE ":
		c.bytes -= c.queue.size()
		for _, m := range c.queue.messages {
			c.bytes -= m.size()
		}
		delete(c.account.queues, c.target.Container)
		c.account.deleted[c.target.Container] = c.now
		return answer{status: http.StatusNoContent}, nil
	case "GET metadata":
		rest.SetMetadata(c.w.Header(), c.queue.metadata)
		c.w.Header().Set("x-ms-approximate-messages-count", strconv.Itoa(len(c.queue.messages)))
		return answer{status: http.StatusOK}, nil
	case "PUT metadata":
		m, failed := rest.Metadata(c.r.Header)
		if failed == nil {
			failed = c.hold(int(rest.SizeOf(m) - rest.SizeOf(c.queue.metadata)))
		}
		if failed == nil {
			c.queue.metadata = m
		}
		return answer{status: http.StatusNoContent}, failed
	case "GET acl":
		return answer{http.StatusOK, cmp.Or(c.queue.acl, "<SignedIdentifiers />")}, nil
	case "PUT acl":
		acl, failed := rest.Policies(c.body)
		if failed == nil {
			failed = c.hold(len(acl) - len(c.queue.acl))
		}
		if failed == nil {
			c.queue.acl = acl
		}
		return answer{status: http.StatusNoContent}, failed
	}
	return answer{}, notKnown()
}

func (c *call) marshal(status int, v any) (answer, *storage.Error) {
	body, err := xml.Marshal(v)
	if err != nil {
		return answer{}, rest.Internal()
	}
	return answer{status, string(body)}, nil
}

var _ storage.Backend = (*Store)(nil)
