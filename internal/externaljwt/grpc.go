package externaljwt

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
)

// gRPC's status codes. Source: github.com/grpc/grpc, doc/statuscodes.md.
const (
	codeOK                = 0
	codeInvalidArgument   = 3
	codeResourceExhausted = 8
	codeUnimplemented     = 12
	codeInternal          = 13
)

// maxMessage is how long a request may be: what gRPC's servers take by default.
const maxMessage = 4 << 20

// refusal is an error with a status of gRPC.
type refusal struct {
	code int
	text string
}

func (r *refusal) Error() string { return r.text }

func refuse(code int, format string, args ...any) error {
	return &refusal{code, fmt.Sprintf(format, args...)}
}

// procedure answers an encoded request by an encoded response. An error that is no
// refusal is told as an internal one.
type procedure func(ctx context.Context, request []byte) (response []byte, err error)

// procedures answers gRPC's unary calls over HTTP/2, by path. A server of three calls does
// with net/http what google.golang.org/grpc makes 2 MB of every binary for.
//
// Source: github.com/grpc/grpc, doc/PROTOCOL-HTTP2.md.
type procedures map[string]procedure

func (p procedures) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || !isGRPC(r.Header.Get("Content-Type")) {
		http.Error(w, "expected a POST of content type application/grpc", http.StatusUnsupportedMediaType)
		return
	}
	w.Header().Set("Content-Type", "application/grpc")
	response, err := p.call(r)
	code, text := codeOK, ""
	if known := (*refusal)(nil); errors.As(err, &known) {
		code, text = known.code, known.text
	} else if err != nil {
		code, text = codeInternal, err.Error()
	}
	w.WriteHeader(http.StatusOK)
	if err == nil {
		_, _ = w.Write(append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(response))), response...)) //nolint:gosec // far below 4 GB
	}
	w.Header().Set(http.TrailerPrefix+"Grpc-Status", strconv.Itoa(code))
	if text != "" {
		w.Header().Set(http.TrailerPrefix+"Grpc-Message", url.PathEscape(text))
	}
}

func (p procedures) call(r *http.Request) ([]byte, error) {
	call, ok := p[r.URL.Path]
	if !ok {
		return nil, refuse(codeUnimplemented, "unknown method %s", r.URL.Path)
	}
	request, err := readMessage(r.Body)
	if err != nil {
		return nil, err
	}
	return call(r.Context(), request)
}

// isGRPC reports whether a body is of gRPC with protocol buffers.
func isGRPC(contentType string) bool {
	return contentType == "application/grpc" || contentType == "application/grpc+proto"
}

// readMessage reads the one message of a unary call: a flag that it is compressed, its
// length in four bytes, and itself.
func readMessage(body io.Reader) ([]byte, error) {
	var prefix [5]byte
	if _, err := io.ReadFull(body, prefix[:]); err != nil {
		return nil, refuse(codeInternal, "expected a message: %v", err)
	}
	if prefix[0] != 0 {
		return nil, refuse(codeUnimplemented, "compressed messages are not supported")
	}
	size := binary.BigEndian.Uint32(prefix[1:])
	if size > maxMessage {
		return nil, refuse(codeResourceExhausted, "expected a message of at most %d bytes, found one of %d", maxMessage, size)
	}
	message := make([]byte, size)
	if _, err := io.ReadFull(body, message); err != nil {
		return nil, refuse(codeInternal, "expected a message of %d bytes: %v", size, err)
	}
	if n, _ := body.Read(make([]byte, 1)); n > 0 {
		return nil, refuse(codeInternal, "expected one message, found more")
	}
	return message, nil
}
