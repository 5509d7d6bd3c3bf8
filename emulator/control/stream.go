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
	"strings"
)

// upgradeProtocol is what a connection to the control door becomes (RFC 9110
// §7.8) when it is used for something that goes both ways for a while.
const upgradeProtocol = "wiemu-stream"

// HandleStream adds a path whose connections serve takes over.
func (s *Server) HandleStream(path string, serve func(io.ReadWriteCloser)) {
	s.router.Methods(http.MethodPost).Path(path).HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.EqualFold(r.Header.Get("Upgrade"), upgradeProtocol) {
			http.Error(w, `{"error":"expected the header Upgrade: `+upgradeProtocol+`"}`, http.StatusUpgradeRequired)
			return
		}
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			http.Error(w, `{"error":"this connection cannot be taken over"}`, http.StatusInternalServerError)
			return
		}
		_, err = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+upgradeProtocol+"\r\n\r\n")
		if err != nil {
			_ = conn.Close()
			return
		}
		serve(stream{conn, buffered.Reader})
	})
}

// stream is a connection of which a beginning may have been read already.
type stream struct {
	net.Conn
	from *bufio.Reader
}

func (s stream) Read(p []byte) (int, error) { return s.from.Read(p) }

// Stream opens a connection that the server's HandleStream takes over.
func (c *Client) Stream(ctx context.Context, path string) (io.ReadWriteCloser, error) {
	door, err := url.Parse(c.URL)
	if err != nil {
		return nil, fmt.Errorf("ask the lab at %s: %w", c.URL, err)
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", door.Host)
	if err != nil {
		return nil, fmt.Errorf("ask the lab at %s: %w", c.URL, err)
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })() // whoever waits for the answer
	from, err := c.upgrade(conn, path)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("ask the lab at %s: %w", c.URL, err), conn.Close())
	}
	return stream{conn, from}, nil
}

func (c *Client) upgrade(conn net.Conn, path string) (*bufio.Reader, error) {
	req, err := http.NewRequest(http.MethodPost, c.URL+path, nil)
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
