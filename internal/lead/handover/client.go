package handover

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"
)

// sendTimeout is how long either end may take to read a message, or to answer at first. It is
// wall time: input and output.
const sendTimeout = 5 * time.Second

// Client is the supervisor's end. Its methods may be called by several goroutines.
type Client struct {
	conn  *net.UnixConn
	send  sync.Mutex    // one message at a time
	ready chan struct{} // closed when the lab has counted this client
	done  chan struct{}

	mu      sync.Mutex
	last    uint64               // id of a question
	waiting map[uint64]chan bool // for the answers; nil when the lab is gone
}

// Dial connects to the lab whose socket has the address, and returns when that has counted
// the client: what it sends from then on is seen to arrive. Close the client.
func Dial(address string) (*Client, error) {
	if !supported {
		return nil, errUnsupported()
	}
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: address, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("connect to the lab: %w; does it still run, and in this network namespace?", err)
	}
	if err := isServed(conn); err != nil {
		return nil, errors.Join(fmt.Errorf("connect to the lab: %w", err), conn.Close())
	}
	c := &Client{conn: conn, ready: make(chan struct{}), done: make(chan struct{}), waiting: map[uint64]chan bool{}}
	go c.receive()
	select {
	case <-c.ready:
		return c, nil
	case <-c.done:
		err = errors.New("it takes no more supervisors")
	case <-time.After(sendTimeout): // wall time: input and output
		err = fmt.Errorf("it has not answered within %v", sendTimeout)
	}
	return nil, errors.Join(fmt.Errorf("connect to the lab: %w", err), c.Close())
}

// isServed says why the lab at the other end will not serve this process. It also keeps a
// program from being led to somebody else, who listens where a lab has ended.
func isServed(conn *net.UnixConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	user, err := userOf(raw)
	if err != nil {
		return err
	}
	if own := os.Geteuid(); !serves(user, own) {
		return fmt.Errorf("it is of the user %d, and serves that user and root, not the user %d: run both as the same user", user, own)
	}
	return nil
}

// serves reports whether the lab of a user serves processes of the user peer.
func serves(lab, peer int) bool { return peer == 0 || peer == lab }

// Close ends the connection to the lab. Connections that were handed over stay.
func (c *Client) Close() error {
	err := c.conn.Close()
	<-c.done
	return err
}

// Accept hands the lab a connection of TCP that by has made to a host, and closes the file.
func (c *Client) Accept(conn *os.File, to Target, by Program) error {
	defer func() { _ = conn.Close() }() // if it was sent, the lab has another reference to it
	if err := c.write(message{Verb: accept, To: to, By: by}, conn); err != nil {
		return fmt.Errorf("hand a connection to %s over to the lab: %w", to, err)
	}
	return nil
}

// Permits asks whether by may connect to an address outside the lab. A lab that is gone, or
// does not answer until ctx ends, permits nothing, and the error says so.
func (c *Client) Permits(ctx context.Context, to Target, by Program) (bool, error) {
	permitted, err := c.question(ctx, message{Verb: permits, To: to, By: by})
	if err != nil {
		return false, fmt.Errorf("ask whether %s may be reached: %w", to, err)
	}
	return permitted, nil
}

// Allows asks whether programs may connect to a host outside the lab, on whatever port. Nobody
// has tried to, by that. Its errors are as those of Permits.
func (c *Client) Allows(ctx context.Context, host string) (bool, error) {
	allowed, err := c.question(ctx, message{Verb: allows, To: Target{Host: host}})
	if err != nil {
		return false, fmt.Errorf("ask whether %s may be reached: %w", host, err)
	}
	return allowed, nil
}

// Settle returns when the receiver has everything that was sent before, or ctx has ended.
func (c *Client) Settle(ctx context.Context) error {
	if _, err := c.question(ctx, message{Verb: settled}); err != nil {
		return fmt.Errorf("wait until the lab has all connections: %w", err)
	}
	return nil
}

// question asks something, and returns whether the answer is yes.
func (c *Client) question(ctx context.Context, m message) (bool, error) {
	id, answer := c.ask()
	defer c.forget(id)
	if answer == nil {
		return false, ErrGone
	}
	m.ID = id
	if err := c.write(m, nil); err != nil {
		return false, err
	}
	select {
	case isYes, ok := <-answer:
		if !ok {
			return false, ErrGone
		}
		return isYes, nil
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
}

// ErrGone is the error of a client whose lab has ended, or takes no more messages. All other
// errors are about one message.
var ErrGone = errors.New("the lab has ended")

func (c *Client) write(m message, file *os.File) error {
	m.To.Host = canonical(m.To.Host)
	m.By.Executable, m.By.Name = cut(m.By.Executable), cut(m.By.Name)
	if err := m.check(); err != nil {
		return err
	}
	data, err := encode(m)
	if err != nil {
		return err
	}
	c.send.Lock()
	defer c.send.Unlock()
	if err := c.conn.SetWriteDeadline(time.Now().Add(sendTimeout)); err != nil { // wall time: input and output
		return fmt.Errorf("%w: %w", ErrGone, err)
	}
	if err := sendWith(c.conn, data, file); err != nil {
		_ = c.conn.Close() // half a message may be out: what follows would be taken for its rest
		return fmt.Errorf("%w: %w", ErrGone, err)
	}
	return nil
}

// canonical returns a host in lower case and without a final dot, and an address without a
// zone, an IPv4 address as such.
func canonical(host string) string {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().WithZone("").String()
	}
	return strings.TrimSuffix(strings.ToLower(host), ".")
}

// ask returns the id of a question and where its answer comes; nil if the lab is gone.
func (c *Client) ask() (id uint64, answer chan bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting == nil {
		return 0, nil
	}
	c.last++
	answer = make(chan bool, 1)
	c.waiting[c.last] = answer
	return c.last, answer
}

func (c *Client) forget(id uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.waiting, id)
}

// receive takes answers until the connection ends.
func (c *Client) receive() {
	defer close(c.done)
	defer c.gone()
	var received []byte
	isReady := false
	buffer := make([]byte, 4<<10)
	for {
		n, err := c.conn.Read(buffer)
		if err != nil {
			return
		}
		received = append(received, buffer[:n]...)
		for {
			var m message
			if m, received, err = decode(received); errors.Is(err, errIncomplete) {
				break
			} else if err != nil {
				return
			}
			if m.Verb == ready && !isReady {
				isReady = true
				close(c.ready)
			}
			c.answered(m)
		}
	}
}

func (c *Client) answered(m message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if answer := c.waiting[m.ID]; answer != nil {
		answer <- m.Verb == yes
		delete(c.waiting, m.ID)
	}
}

// gone tells everybody who waits that there will be no answer.
func (c *Client) gone() {
	_ = c.conn.Close() // so that nothing more is handed over
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, answer := range c.waiting {
		close(answer)
	}
	c.waiting = nil
}
