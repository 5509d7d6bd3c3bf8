package control

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
)

// upgradeProtocol is what a connection to the control listener becomes (RFC 9110
// §7.8) when it is used for something that goes both ways for a while.
const upgradeProtocol = "wiemu-stream"

// stream is a connection of which a beginning may have been read already.
type stream struct {
	net.Conn
	from *bufio.Reader
}

func (s stream) Read(p []byte) (int, error) { return s.from.Read(p) }

// FollowClock opens a connection on which a program of another process follows the lab
// clock. The clock's own token opens it, too.
func (c *Client) FollowClock(ctx context.Context) (io.ReadWriteCloser, error) {
	at, err := url.Parse(c.URL)
	if err != nil {
		return nil, fmt.Errorf("ask the lab at %s: %w", c.URL, err)
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", at.Host)
	if err != nil {
		return nil, fmt.Errorf("ask the lab at %s: %w", c.URL, err)
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })() // whoever waits for the answer
	from, err := c.upgrade(conn)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("ask the lab at %s: %w", c.URL, err), conn.Close())
	}
	return stream{conn, from}, nil
}

func (c *Client) upgrade(conn net.Conn) (*bufio.Reader, error) {
	req, err := http.NewRequest(http.MethodPost, c.URL+"/v1/clock/follow", nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.Token)
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", upgradeProtocol)
	if err := req.Write(conn); err != nil {
		return nil, err
	}
	from := bufio.NewReader(conn)
	resp, err := http.ReadResponse(from, req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		_ = resp.Body.Close()
		return nil, fmt.Errorf("expected status 101, found %s", resp.Status)
	}
	return from, nil
}
