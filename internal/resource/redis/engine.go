package redis

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// logInto authenticates at a real Redis and selects the database of its URL.
func logInto(conn net.Conn, u *url.URL) error {
	if err := conn.SetDeadline(time.Now().Add(dialTimeout)); err != nil { // wall time: input and output
		return err
	}
	r := bufio.NewReader(conn)
	ask := func(args ...string) error {
		if _, err := conn.Write(appendCommand(nil, args...)); err != nil {
			return err
		}
		reply, err := readReply(r)
		if err == nil && reply[0] == '-' {
			err = fmt.Errorf("%s: %s", args[0], bytes.TrimSpace(reply[1:]))
		}
		return err
	}
	if password, ok := u.User.Password(); ok {
		auth := []string{"AUTH", u.User.Username(), password}
		if auth[1] == "" {
			auth = []string{"AUTH", password}
		}
		if err := ask(auth...); err != nil {
			return err
		}
	}
	if db := strings.Trim(u.Path, "/"); db != "" {
		if err := ask("SELECT", db); err != nil {
			return err
		}
	}
	return conn.SetDeadline(time.Time{})
}

// engine is a connection to what stores the content, on behalf of one client.
type engine struct {
	conn    net.Conn
	replies chan []byte   // to commands, in order; closed when the connection has ended
	ended   chan struct{} // closed when nobody takes replies any more
	end     sync.Once

	asked      atomic.Bool // a command about channels was sent
	subscribed atomic.Bool // in RESP2, so that their messages arrive between replies

	mu        sync.Mutex
	missing   int           // confirmations of the last command about channels
	confirmed chan struct{} // closed when none is missing
}

// awaitConfirmations is called before a command about channels is sent. What it returns is closed
// when as many pushes have answered it; an UNSUBSCRIBE of everything is awaited for its first one alone.
// An error is a reply, as to any command.
func (e *engine) awaitConfirmations(n int) <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.missing, e.confirmed = n, make(chan struct{})
	return e.confirmed
}

func (e *engine) confirm() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.missing--; e.missing == 0 {
		close(e.confirmed)
	}
}

// newEngine reads from conn. What arrives unasked, such as messages of channels, is given to
// push; replies to commands are handed to replies.
func newEngine(conn net.Conn, push func([]byte)) *engine {
	e := &engine{conn: conn, replies: make(chan []byte), ended: make(chan struct{})}
	go func() {
		defer close(e.replies)
		r := bufio.NewReader(conn)
		for {
			reply, err := readReply(r)
			if err != nil {
				return
			}
			if e.isPush(reply) {
				push(reply)
				continue
			}
			select {
			case e.replies <- reply:
			case <-e.ended:
				return
			}
		}
	}()
	return e
}

// close is harmless on nil.
func (e *engine) close() {
	if e == nil {
		return
	}
	e.end.Do(func() {
		close(e.ended)
		_ = e.conn.Close() // nobody listens any more
	})
}

// isSubscribing reports whether a command is answered by pushes alone.
func isSubscribing(args []string) bool {
	switch strings.ToLower(args[0]) {
	case "subscribe", "psubscribe", "ssubscribe":
		return len(args) > 1
	case "unsubscribe", "punsubscribe", "sunsubscribe":
		return true
	}
	return false
}

// isPush reports whether an answer is to no command: a push of RESP3, or in RESP2 what channels
// send.
func (e *engine) isPush(reply []byte) bool {
	isRESP3 := reply[0] == '>'
	if !isRESP3 && (reply[0] != '*' || !e.asked.Load()) {
		return false
	}
	lines := bytes.SplitN(reply, []byte("\r\n"), 4)
	if len(lines) < 3 {
		return isRESP3
	}
	switch string(lines[2]) {
	case "message", "pmessage", "smessage":
		return isRESP3 || e.subscribed.Load()
	case "subscribe", "psubscribe", "ssubscribe", "unsubscribe", "punsubscribe", "sunsubscribe":
		// *3, the name, the channel, and how many it has.
		last := bytes.LastIndex(bytes.TrimSuffix(reply, []byte("\r\n")), []byte("\r\n")) + 2
		if string(lines[0][1:]) != "3" || reply[last] != ':' {
			return isRESP3
		}
		e.subscribed.Store(!isRESP3 && string(reply[last:]) != ":0\r\n")
		e.confirm()
		return true
	}
	return isRESP3
}
