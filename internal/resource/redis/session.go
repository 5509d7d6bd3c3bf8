package redis

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/internal/faultkind"
	"github.com/wiemu/wiemu/internal/hostmux"
	"github.com/wiemu/wiemu/internal/resource"
)

// loginTimeout is how long, in wall time, a client may take to authenticate.
const loginTimeout = 30 * time.Second

// writeTimeout is how long, in wall time, a client may take to take its answers; Redis ends the
// connection of one for which too much has gathered.
const writeTimeout = 10 * time.Second

// longestHold is how long a command holds the lab clock, in wall time: a script may not end.
const longestHold = time.Second

// What Redis says. Sources: redis/src/server.c (shared.noautherr), networking.c (helloCommand);
// WRONGPASS as Azure says it, after ERR and without the words "or user is disabled" of Redis: seen
// with go-redis (dapr/components-contrib#3554), with Lettuce (sonus21/rqueue#253) and in the README
// of a package for Node.js, of tokens that have expired and of users without a policy.
const (
	noAuth      = "NOAUTH Authentication required."
	noAuthHello = "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time"
	wrongPass   = "ERR WRONGPASS invalid username-password pair"
	loading     = "LOADING Redis is loading the dataset in memory"
	maxClients  = "ERR max number of clients reached"
	busy        = "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE." // shared.slowscripterr
)

// session is one connection of a client.
type session struct {
	*Caches
	ctx   context.Context
	end   context.CancelFunc
	conn  *tls.Conn
	host  string
	cache *cache

	write  sync.Mutex
	out    *bufio.Writer
	engine *engine
	multi  bool   // a transaction has begun, in which commands are queued
	queued bool   // one of them begins to listen to channels
	abort  string // how EXEC is answered, since a command of the transaction was rejected; "": by the engine

	user   *user // nil: not authenticated
	expiry clock.Timer
	script func() // lets other clients run scripts; nil: this one runs none
}

// user is who a session is authenticated as.
type user struct {
	call   *resource.Call
	policy policy
}

// request is a command that has arrived.
type request struct {
	args []string
	err  error  // instead: the client broke the protocol
	last bool   // nothing else has arrived yet
	end  func() // lets the lab clock go on

	waits bool // the engine may have the client wait for the answer
}

// isBlocking reports whether a command may have its client wait.
func isBlocking(args []string) bool {
	return len(args) > 0 && commands()[strings.ToLower(args[0])].is("blocking")
}

// ServeStream implements resource.StreamService.
func (s *Caches) ServeStream(ctx context.Context, c *hostmux.Connection) {
	secured, err := c.StartTLS(ctx, c)
	if err != nil {
		return // its client knows: the handshake was its own
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	n := &session{Caches: s, ctx: ctx, end: cancel, conn: secured, host: c.Host, cache: s.at(c.Host), out: bufio.NewWriter(secured)}
	defer n.close()
	if secured.SetReadDeadline(time.Now().Add(loginTimeout)) == nil { // wall time: input and output
		n.serve(c.Begin)
	}
}

func (n *session) close() {
	if n.expiry != nil {
		n.expiry.Stop()
	}
	n.engine.close() // which waits for a script that still runs, for a while
	n.scriptLeft()
	_ = n.conn.Close() // its client is gone, or learns it from its next read
}

// serve answers commands until the client, its token or the lab ends.
func (n *session) serve(begin func() func()) {
	requests, gone := make(chan request), make(chan struct{})
	authenticated := make(chan bool, 1) // what the reader has to know before the next command
	authenticated <- false
	var caught *hostmux.Panic
	go func() {
		defer close(gone)
		caught = hostmux.Catch(func() { n.read(begin, requests, authenticated) })
	}()
	for {
		select {
		case r := <-requests:
			goOn := func() bool {
				defer r.end() // also after a panic
				return n.answer(r, gone)
			}()
			if r.waits {
				_ = n.conn.SetReadDeadline(time.Unix(1, 0)) // the reader is to stop looking for the client's end
			}
			select {
			case authenticated <- n.user != nil:
			default:
			}
			if !goOn {
				return
			}
		case <-gone:
			if caught != nil {
				panic(caught) // here it ends this connection, and there it would end the process
			}
			return
		case <-n.ctx.Done():
			return
		}
	}
}

// read reads the client's commands one by one: the next one once the last is answered, since
// what a client may send depends on whether it has authenticated.
func (n *session) read(begin func() func(), requests chan<- request, authenticated <-chan bool) {
	in := bufio.NewReaderSize(n.conn, readAtATime)
	known, waited := false, false
	for {
		select {
		case known = <-authenticated:
		case <-n.ctx.Done():
			return
		}
		if waited && n.conn.SetReadDeadline(time.Time{}) != nil {
			return
		}
		var args []string
		var err error
		for len(args) == 0 && err == nil {
			args, err = readCommand(in, known)
		}
		var broken protocolError
		if err != nil && !errors.As(err, &broken) {
			return
		}
		// Who has not authenticated does not wait, and keeps the deadline of the login.
		r := request{args: args, err: err, last: in.Buffered() == 0, end: begin(), waits: known && isBlocking(args)}
		select {
		case requests <- r:
		case <-n.ctx.Done():
			r.end()
			return
		}
		if err != nil {
			return
		}
		waited = r.waits
		if _, err := in.Peek(1); err != nil && !isDeadline(err) { // also while the engine has the client wait
			return
		}
		for waited && in.Buffered() < in.Size() { // and behind further commands
			if _, err := in.Peek(in.Buffered() + 1); isDeadline(err) {
				break
			} else if err != nil {
				return
			}
		}
	}
}

func isDeadline(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// say writes an answer, and hands it over to the network if flush.
func (n *session) say(reply []byte, flush bool) bool {
	n.write.Lock()
	defer n.write.Unlock()
	if flush || len(reply) > n.out.Available() {
		_ = n.conn.SetWriteDeadline(time.Now().Add(writeTimeout)) // of a connection that is gone: the write says so
	}
	_, err := n.out.Write(reply)
	if err == nil && flush {
		err = n.out.Flush()
	}
	if err != nil {
		// A client that does not read; also if it was a message of a channel. Below TLS, which would
		// tell its end after the record that is lost: a bad MAC to the client.
		_ = n.conn.NetConn().Close()
	}
	return err == nil
}

func (n *session) refuse(text string, flush bool) bool {
	return n.say([]byte("-"+oneLine.Replace(text)+"\r\n"), flush)
}

// reject is refuse for a command that is not executed: the transaction that it is in will be aborted,
// and at once if the command is EXEC. Source: redis/src/server.c, rejectCommand.
func (n *session) reject(r request, gone <-chan struct{}, text string) bool {
	if n.multi && strings.EqualFold(r.args[0], "exec") {
		n.abort = "-EXECABORT Transaction discarded because of: " + oneLine.Replace(text) + "\r\n" // multi.c, execCommandAbort
		return n.forward(r, gone)
	}
	n.spoil()
	return n.refuse(text, r.last)
}

// spoil has the transaction of the connection be aborted, if there is one.
func (n *session) spoil() {
	if n.multi {
		n.abort = execAbort
	}
}

// oneLine keeps what a client has sent from being read as a second answer. Source:
// redis/src/networking.c, addReplyErrorFormat.
var oneLine = strings.NewReplacer("\r", " ", "\n", " ")

// answer answers a request; false ends the connection.
func (n *session) answer(r request, gone <-chan struct{}) bool {
	if r.err != nil {
		n.refuse("ERR "+r.err.Error(), true)
		return false
	}
	name := strings.ToLower(r.args[0])
	switch {
	case name == "auth":
		return n.auth(r.args, r.last)
	case name == "hello":
		return n.hello(r, gone)
	case name == "quit":
		n.say([]byte("+OK\r\n"), true)
		return false
	case n.user == nil:
		return n.refuse(noAuth, r.last)
	case name == "reset": // to a client that has just connected, with nothing begun at the engine
		n.engine.close()
		n.engine, n.user, n.multi, n.queued, n.abort = nil, nil, false, false, ""
		n.expiry.Stop()
		_ = n.conn.SetReadDeadline(time.Now().Add(loginTimeout)) // of a connection that is gone: the next read says so
		return n.say([]byte("+RESET\r\n"), r.last)
	case isBlocked(r.args):
		return n.reject(r, gone, unknownCommand(r.args))
	}
	if n.cache.memory != nil {
		if word := reachesFiles(r.args); word != "" {
			return n.reject(r, gone, "ERR the cache in memory runs no script with "+word+", by which a script could read files of wiemu's machine; give the cache the url: of a Redis")
		}
	}
	if refusal := n.permits(n.user, r.args); refusal != "" {
		return n.reject(r, gone, refusal)
	}
	if !n.cache.knows(r.args[0]) {
		return n.reject(r, gone, unknownCommand(r.args))
	}
	if failed, closed := n.kit.Disturb(n.ctx, n.conn, n.user.call, &use{session: n, action: name}); closed {
		return false
	} else if failed != nil {
		return n.reject(r, gone, failed.Message)
	}
	if goOn, hit := n.disturbed(r); hit {
		return goOn
	}
	if name == "cluster" {
		if reply, ok := n.cluster(r.args); ok {
			return n.say(reply, r.last)
		}
	}
	return n.forward(r, gone)
}

// disturbed answers instead of the engine if a fault of Redis's own says so.
func (n *session) disturbed(r request) (goOn, hit bool) {
	if !n.kit.Faults.Any() {
		return true, false
	}
	ctx := n.kit.Faults.WithTrail(n.ctx)
	is := func(kind string) bool {
		_, hit := n.kit.Hit(ctx, n.user.call, kind, nil)
		return hit
	}
	name := strings.ToLower(r.args[0])
	if is(faultkind.RedisConnectionEnded) {
		n.kit.Record(ctx, n.user.call, &use{session: n, action: name}, resource.Fail(0, "ConnectionClosed", "the connection was closed",
			"A fault ended the connection before its token has expired, as when a node of the cache fails over.",
			"A robust client connects again, with growing pauses, and logs in with a token that is still valid."))
		return false, true
	}
	keys := commands()[name].keysOf(r.args)
	if len(keys) == 0 || !is(faultkind.RedisMoved) {
		return true, false
	}
	text := fmt.Sprintf("MOVED %d %s:%d", slot(keys[0]), n.host, n.port())
	n.kit.Record(ctx, n.user.call, &use{session: n, action: name}, resource.Fail(0, "MOVED", text,
		"A fault took the place of the service's answer: the cache is a cluster, and the key is on another node.",
		"Use the client's cluster mode for a cache with the OSS cluster policy, or the Enterprise policy for a client without one."))
	n.spoil()
	return n.refuse(text, r.last), true
}

// permits asks the policy of a user, and writes down what it does not permit.
func (n *session) permits(u *user, args []string) (refusal string) {
	refusal = u.policy.permits(u.call.Caller.ObjectID, args)
	if strings.HasPrefix(refusal, "NOPERM") {
		n.denied(u, args, refusal)
	}
	return refusal
}

// forward has the engine answer.
func (n *session) forward(r request, gone <-chan struct{}) bool {
	if n.engine == nil && !n.connect() {
		return false
	}
	name := strings.ToLower(r.args[0])
	if !n.cache.tick(n.kit.Clock) || !n.scriptBegins(name) {
		return n.isBusy(name, r.last)
	}
	command := r.args
	if name == "exec" && n.abort != "" {
		command = []string{"DISCARD"} // the engine knows of no refusal
	}
	subscribing := isSubscribing(r.args)
	var confirmed <-chan struct{}
	if subscribing {
		n.engine.asked.Store(true)
	}
	if subscribing && !n.multi {
		confirmed = n.engine.awaitConfirmations(max(1, len(r.args)-1))
	}
	if name == "exec" && n.queued {
		n.engine.subscribed.Store(true) // before a message can arrive
	}
	hold := time.AfterFunc(longestHold, r.end)
	defer hold.Stop()
	if _, err := n.engine.conn.Write(appendCommand(nil, command...)); err != nil {
		return n.engineGone(err)
	}
	if r.waits {
		n.say(nil, true) // what was answered before; and the clock goes on while it waits
		r.end()
	}
	var late <-chan struct{} // of another's script
	if n.cache.memory != nil && n.script == nil {
		late = n.cache.memory.busy()
	}
	select {
	case <-confirmed:
		return n.say(nil, r.last)
	case reply, ok := <-n.engine.replies:
		if !ok {
			return n.engineGone(errors.New("it closed the connection"))
		}
		n.scriptEnded()
		return n.say(n.transaction(name, subscribing, reply), r.last)
	case <-late:
		n.isBusy(name, true)
		return false // what the engine answers later would be taken for the answer to something else
	case <-gone:
		return false
	case <-n.ctx.Done():
		return false
	}
}

// execAbort answers EXEC after another command was rejected. Source: redis/src/server.c, shared.execaborterr.
const execAbort = "-EXECABORT Transaction discarded because of previous errors.\r\n"

// transaction notes what an answer says of the transaction of the connection, and returns what the
// client is told. Commands that begin to listen to channels are queued in it, and answered within
// the answer to EXEC, as Redis has it.
func (n *session) transaction(name string, subscribing bool, reply []byte) []byte {
	switch {
	case name == "multi" && reply[0] == '+':
		n.multi = true
	case n.multi && subscribing && reply[0] == '+':
		n.queued = true
	case name == "exec" || name == "discard":
		if n.queued && (name == "discard" || reply[0] != '*' || reply[1] == '-') {
			n.engine.subscribed.Store(false) // RESP2 has no transactions of those who listen
		}
		if name == "exec" && n.abort != "" {
			reply = []byte(n.abort)
		}
		n.multi, n.queued, n.abort = false, false, ""
	}
	return reply
}

// connect connects to the engine.
func (n *session) connect() bool {
	if now := n.at(n.host); now == nil || now.memory != n.cache.memory {
		n.kit.Record(n.ctx, n.user.call, &use{session: n, action: "use the cache"}, resource.Fail(0, "ConnectionClosed", "the cache was deleted",
			"The cache was deleted, or replaced by another one, after the client logged in.", "Connect again if there is a cache of that name."))
		return false
	}
	conn, err := n.cache.dial(n.ctx)
	if err != nil {
		return n.engineGone(err)
	}
	n.engine = newEngine(conn, func(push []byte) { n.say(push, true) })
	return true
}

// engineGone ends a connection as Azure does when a node fails: clients see it closed, and
// connect again.
func (n *session) engineGone(err error) bool {
	n.kit.Record(n.ctx, n.user.call, &use{session: n, action: "use the cache"}, resource.Fail(0, "ConnectionClosed", err.Error(),
		"What stores the content of the cache could not be reached: "+err.Error()+".",
		"Start the Redis that url: of the cache in wiemu.yaml names, or leave url: out for one in memory."))
	return false
}

// denied writes down that a policy does not permit a command.
func (n *session) denied(u *user, args []string, refusal string) {
	p := u.policy
	n.kit.Record(n.ctx, u.call, &use{session: n, action: strings.ToLower(args[0])}, resource.Fail(0, "NOPERM", refusal,
		fmt.Sprintf("The data access policy %s (%s) does not permit it.", p.name, p.text),
		fmt.Sprintf("Assign the identity a policy that does, such as %s: access: of the cache in wiemu.yaml.", least(args))))
}
