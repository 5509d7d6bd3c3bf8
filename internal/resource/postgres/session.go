package postgres

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/hostmux"
	"github.com/wiemu/wiemu/internal/resource"
)

// loginTimeout is how long, in wall time, a client may take until it is logged in.
// Source: PostgreSQL's authentication_timeout.
const loginTimeout = time.Minute

// tokenTimeout is how long, in wall time, a client may take for its password, for which it may start a runtime
// and ask Entra ID first.
const tokenTimeout = 3 * time.Minute

// session is one connection of a client.
type session struct {
	servers *Servers
	client  *hostmux.Connection
	conn    net.Conn // of the client: TLS once that has begun

	server  *server // nil: there is none of that name
	startup startup
	call    resource.Call
	role    string // that was asked for
	behind  *pgconn.HijackedConn
	address *pgconn.Config            // of what is behind
	fault   string                    // that ended it
	key     atomic.Pointer[cancelKey] // by which cancel requests name it. If nil, it is not logged in
}

// cancelKey is what PostgreSQL gives each session.
type cancelKey struct {
	pid    uint32
	secret string
}

// serve talks with a client until one side ends.
func (s *session) serve(ctx context.Context) {
	_ = s.client.SetDeadline(time.Now().Add(loginTimeout)) // of a connection that is gone: the next read says so
	var err error
	s.conn, s.startup, err = greet(ctx, s.client, func(ctx context.Context, conn net.Conn) (net.Conn, error) {
		secured, err := s.client.StartTLS(ctx, conn, "postgresql")
		if err != nil {
			return conn, err
		}
		return secured, nil
	})
	// With TLS's own end of the stream, as PostgreSQL does (src/backend/libpq/pqcomm.c, socket_close):
	// libpq takes an end without it, after a cancel request, for a failure.
	defer func() { _ = s.conn.Close() }()
	s.call.Host = cmp.Or(s.client.Host, s.client.Only)
	name, _, _ := strings.Cut(s.call.Host, ".")
	s.server = s.servers.find(name)
	switch {
	case err != nil:
		s.broken(err)
	case s.startup.cancel != nil:
		s.cancel(ctx)
	default:
		s.logIn(ctx)
	}
}

// broken ends a connection that never came to a login.
func (s *session) broken(err error) {
	var u *unsupported
	found, ok := isMalformed(err)
	switch {
	case errors.As(err, &u):
		s.refuse("0A000", err.Error(), "", "")
		found = "protocol " + fmt.Sprint(u.major, ".", u.minor)
	case !ok:
		return // it went away, or broke off its handshake
	}
	s.record(journal.Failed, "a start-up that is not PostgreSQL's", map[string]string{"found": found})
}

// logIn takes a client through its login, and then to what is behind.
func (s *session) logIn(ctx context.Context) {
	s.role = given(s.startup.login.Parameters["user"])
	if s.role == "" {
		// Source of the text: PostgreSQL, src/backend/tcop/backend_startup.c.
		s.refuse(invalidAuthorization, "no PostgreSQL user name specified in startup packet", "", "")
		s.record(journal.Failed, "a start-up that names no user", nil)
		return
	}
	if s.startup.encrypted && s.server != nil {
		if err := s.askPassword(); err != nil {
			s.broken(err)
			return
		}
	}
	end := func() {}
	if s.client.Begin != nil {
		end = s.client.Begin() // the clock stands while the login is answered
	}
	defer end() // also after a panic; calling it twice is harmless
	l := &login{Call: &s.call, session: s, ctx: ctx}
	failed := s.servers.kit.Login(ctx, s.conn, &s.call, l)
	// Anew: what the login took wiemu, which may have started PostgreSQL, is not the client's time.
	_ = s.client.SetDeadline(time.Now().Add(loginTimeout)) // of a connection that is gone: the write says so
	var err error
	if failed != nil {
		if s.behind != nil { // it was let in before a fault hit
			_ = s.behind.Conn.Close()
		}
		s.refuse(failed.Code, failed.Message, l.detail, l.hint)
	} else {
		err = s.welcome()
	}
	end()
	if failed != nil || s.behind == nil {
		return
	}
	if err == nil {
		_ = s.client.SetDeadline(time.Time{}) // a session lasts as long as its connection, whatever becomes of the token
	}
	s.relay(ctx, err)
}

// askPassword asks for the token, in clear text, as Azure does.
func (s *session) askPassword() (err error) {
	var ask []pgproto3.BackendMessage
	if s.startup.negotiated {
		// The whole version, not the minor one alone, or libpq 18 gives up; and before the
		// password is asked for. Measured with libpq 18.
		ask = append(ask, &pgproto3.NegotiateProtocolVersion{NewestMinorProtocol: pgproto3.ProtocolVersion30, UnrecognizedOptions: s.startup.options})
	}
	if err := s.send(append(ask, &pgproto3.AuthenticationCleartextPassword{})...); err != nil {
		return err
	}
	_ = s.client.SetDeadline(time.Now().Add(tokenTimeout)) // of a connection that is gone: the read says so
	s.call.Token, err = readPassword(s.conn)
	if found, ok := isMalformed(err); ok {
		s.refuse("08P01", found, "", "")
	}
	return err
}

// welcome tells the client what PostgreSQL said when it was logged in to.
func (s *session) welcome() error {
	out := []pgproto3.BackendMessage{&pgproto3.AuthenticationOk{}}
	for _, name := range slices.Sorted(maps.Keys(s.behind.ParameterStatuses)) {
		out = append(out, &pgproto3.ParameterStatus{Name: name, Value: s.behind.ParameterStatuses[name]})
	}
	return s.send(append(out, &pgproto3.BackendKeyData{ProcessID: s.behind.PID, SecretKey: s.behind.SecretKey}, &pgproto3.ReadyForQuery{TxStatus: s.behind.TxStatus})...)
}

// send writes to the client. After a write that failed nothing more is sent: TLS has counted the
// record that is lost, and its client would take the next one, such as the end of the stream, for
// one with a bad MAC.
func (s *session) send(messages ...pgproto3.BackendMessage) error {
	var out []byte
	for _, m := range messages {
		var err error
		if out, err = m.Encode(out); err != nil {
			return err
		}
	}
	_, err := s.conn.Write(out)
	if err != nil {
		_ = s.client.Close() // the connection below TLS
	}
	return err
}

// refuse says why there will be no session, as PostgreSQL does. The client may be gone.
func (s *session) refuse(code, text, detail, hint string) {
	_ = s.send(&pgproto3.ErrorResponse{Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: code, Message: text, Detail: detail, Hint: hint})
}

// relay copies both ways until one side ends. broken is why it cannot begin.
func (s *session) relay(ctx context.Context, broken error) {
	began := s.servers.kit.Clock.Now()
	up, down := &flow{from: s.conn, to: s.behind.Conn}, &flow{from: s.behind.Conn, to: s.conn}
	var answered atomic.Bool // PostgreSQL owes nothing
	answered.Store(true)
	if broken == nil {
		busy := &busy{begin: s.client.Begin, works: s.works}
		up.before = func(sent []byte) (more bool) {
			// Between the messages of an answer there is no place for another's.
			if answered.Swap(false) && s.disturbed(ctx) {
				return false
			}
			busy.asked()
			return true
		}
		down.before = func(sent []byte) (more bool) {
			answered.Store(isReady(sent))
			return true
		}
		down.after = func() {
			if answered.Load() {
				busy.answered()
			}
		}
		ended := make(chan bool, 2)
		go func() { down.copy(downBuffer); ended <- true }()
		go func() { up.copy(upBuffer); ended <- true }()
		<-ended
		defer s.client.Begin()() // the clock stands until the end is recorded
		_ = s.conn.Close()
		_ = s.behind.Conn.Close()
		<-ended
		busy.answered()
	} else {
		_ = s.behind.Conn.Close()
	}
	why := "the client closed it"
	if s.fault != "" {
		why = s.fault
	} else if broken != nil {
		why = "it could not be told that it is logged in: " + broken.Error()
	} else if code, message := fatal(down.last); code != "" {
		why = "PostgreSQL closed it with " + code + ", " + message
	} else if down.ended && !up.terminated {
		why = "PostgreSQL closed it"
	}
	s.record(journal.OK, "the session of "+s.role+" ended: "+why, map[string]string{
		"role": s.role, "sent": fmt.Sprint(up.bytes), "received": fmt.Sprint(down.bytes), "lasted": s.servers.kit.Clock.Now().Sub(began).Round(time.Millisecond).String(),
	})
}

// flow copies one way.
type flow struct {
	from, to   io.ReadWriter
	before     func(sent []byte) (more bool) // each write, which it can be the end of; if nil, nothing is done
	after      func()                        // each write; if nil, nothing is done
	bytes      int64
	ended      bool // the sender closed its side
	terminated bool // the last message that was copied is a client's Terminate
	last       []byte
}

// terminate is the message with which a client ends its session.
const terminate = "X\x00\x00\x00\x04"

// How much is copied at once: what a unix socket holds, of which more is there the longer the
// client takes. (Its PostgreSQL needs some MB for each session.)
const (
	upBuffer   = 64 << 10
	downBuffer = 256 << 10
)

func (f *flow) copy(most int) {
	buffer := make([]byte, most)
	for {
		n, err := f.from.Read(buffer)
		if n > 0 {
			if f.before != nil && !f.before(buffer[:n]) {
				return
			}
			if _, err := f.to.Write(buffer[:n]); err != nil {
				return
			}
			f.bytes += int64(n)
			f.last = buffer[:n]
			f.terminated = bytes.HasSuffix(f.last, []byte(terminate))
			if f.after != nil {
				f.after()
			}
		}
		if err != nil {
			f.ended = !errors.Is(err, net.ErrClosed) // an end, or a reset if it had not read everything
			return
		}
	}
}

// fatal returns the SQLSTATE and the text of the error with which PostgreSQL ended a session, if
// the last that it sent is one; else "". Source: PostgreSQL documentation, "Error and notice
// message fields".
func fatal(last []byte) (code, message string) {
	_, fields, ok := bytes.Cut(last, []byte("VFATAL\x00"))
	if !ok {
		return "", ""
	}
	for field := range bytes.SplitSeq(fields, []byte{0}) {
		switch {
		case len(field) > 1 && field[0] == 'C':
			code = string(field[1:])
		case len(field) > 1 && field[0] == 'M':
			message = string(field[1:])
		}
	}
	return code, message
}

// busy holds the lab clock while PostgreSQL owes an answer: from what the client sends until
// PostgreSQL is ready for more. It holds it for a second of wall time at most, since a query may wait
// for a lock that another client gives back at a later lab time; for longer, while PostgreSQL works at
// the answer, as on a machine that is busy with something else.
type busy struct {
	begin func() (end func()) // nil: no clock is held
	works func() bool         // whether PostgreSQL works at the answer

	mu    sync.Mutex
	done  func() // nil: nothing is owed
	late  *time.Timer
	began time.Time // with done
	rests int       // how often in a row it was seen not to work
}

const (
	longestHold = time.Second
	utmostHold  = 30 * time.Second
	workLook    = 20 * time.Millisecond // from one look whether it works to the next
	mostRests   = 5                     // who waits for a lock does not work at as many looks
)

func (b *busy) asked() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.begin == nil || b.done != nil {
		return
	}
	b.done, b.began, b.rests = b.begin(), time.Now(), 0
	if b.late == nil {
		b.late = time.AfterFunc(longestHold, b.overdue)
	} else {
		b.late.Reset(longestHold)
	}
}

// overdue ends the hold, unless PostgreSQL works.
func (b *busy) overdue() {
	b.mu.Lock()
	defer b.mu.Unlock()
	held := time.Since(b.began)
	if b.done == nil || held < longestHold { // that was another one's
		return
	}
	b.rests++
	if b.works() {
		b.rests = 0
	}
	if b.rests < mostRests && held < utmostHold {
		b.late.Reset(workLook)
		return
	}
	b.end()
}

func (b *busy) answered() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.done != nil {
		b.end()
	}
}

// end ends the hold; b.mu is held.
func (b *busy) end() {
	b.done()
	b.done = nil
	b.late.Stop()
}

// works reports whether the PostgreSQL behind works, as far as the operating system says it: one that
// wiemu has not started is not seen to. Source: proc_pid_stat(5).
func (s *session) works() bool {
	if s.server.URL != "" {
		return false
	}
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.behind.PID)) // nobody, if it has ended
	_, after, _ := bytes.Cut(stat, []byte(") "))
	return bytes.HasPrefix(after, []byte("R")) || bytes.HasPrefix(after, []byte("D")) // runs or may, or reads from a disk
}

// cancel hands a CancelRequest on to the PostgreSQL of the session that it is about. Nobody is
// told how it ended, as by the real one.
func (s *session) cancel(ctx context.Context) {
	wanted := *s.startup.cancel
	other := s.servers.session(wanted)
	if other == nil {
		s.record(journal.Failed, "a cancel request for a session that there is not", map[string]string{"process": fmt.Sprint(wanted.ProcessID)})
		return
	}
	s.server, s.call.Caller, s.call.Host, s.role = other.server, other.call.Caller, other.call.Host, other.role
	if err := other.cancelBehind(ctx, wanted); err != nil {
		s.record(journal.Failed, "a cancel request of "+s.role+" did not reach PostgreSQL: "+err.Error(), nil)
		return
	}
	s.record(journal.OK, "a cancel request of "+s.role, map[string]string{"role": s.role})
}

// session returns the session that a cancel request is about, nil if there is none.
func (s *Servers) session(c pgproto3.CancelRequest) *session {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for one := range s.sessions {
		if key := one.key.Load(); key != nil && *key == (cancelKey{c.ProcessID, string(c.SecretKey)}) {
			return one
		}
	}
	return nil
}

func (s *session) cancelBehind(ctx context.Context, c pgproto3.CancelRequest) error {
	ctx, stop := context.WithTimeout(ctx, connectTimeout)
	defer stop()
	network, address := pgconn.NetworkAddress(s.address.Host, s.address.Port)
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // it was sent
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline) // of a connection that is gone: the write says so
	message, err := c.Encode(nil)
	if err == nil {
		_, err = conn.Write(message)
	}
	if err == nil {
		_, _ = io.Copy(io.Discard, conn) // PostgreSQL closes it when it has taken the request
	}
	return err
}

// record writes something other than a login into the journal.
func (s *session) record(outcome journal.Outcome, what string, detail map[string]string) {
	k := s.servers.kit
	k.Journal.Record(journal.Event{
		Kind: journal.Access, Outcome: outcome, Component: k.Resource.Name, Resource: k.Resource.Title, Host: s.call.Host,
		Tenant: s.call.Caller.Tenant, ClientID: s.call.Caller.ClientID, ObjectID: s.call.Caller.ObjectID, Identity: s.call.Caller.Name, UTI: s.call.Caller.UTI,
		Summary: k.Resource.Title + ": " + what, Detail: detail,
	})
}
