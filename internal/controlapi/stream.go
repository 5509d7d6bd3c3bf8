package controlapi

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/internal/hostmux"
)

// upgradeProtocol is what a connection becomes that a stream takes over; see
// control.Client.Stream.
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

// InMemory returns a client for a lab of this process: the same requests and
// answers without a network. answer answers as the lab's control listener does.
func InMemory(token string, answer http.Handler) *control.Client {
	return &control.Client{URL: "http://control.wiemu.test", Token: token, Transport: inMemory{answer}}
}

type inMemory struct{ answer http.Handler }

// RoundTrip implements http.RoundTripper. It returns when the handler has answered,
// which heeds the request's context wherever it waits.
func (m inMemory) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, context.Cause(r.Context())
	}
	return hostmux.Answer(m.answer, hostmux.Received(r)), nil
}
