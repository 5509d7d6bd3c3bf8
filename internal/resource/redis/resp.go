package redis

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// The limits of commands, as Redis has them: before a client has authenticated, and after.
// Source: redis/src/networking.c, processMultibulkBuffer; server.h, PROTO_INLINE_MAX_SIZE.
const (
	maxInline       = 64 << 10
	maxArguments    = 1 << 20
	maxBulk         = 512 << 20
	strangersArgs   = 10
	strangersBulk   = 16 << 10
	maxDepth        = 32 // of answers within answers
	readAtATime     = 64 << 10
	maxCommandBytes = 1 << 30 // of all arguments, such as Redis's client-query-buffer-limit
)

// protocolError is answered before the connection is closed.
type protocolError string

func (e protocolError) Error() string { return "Protocol error: " + string(e) }

// readLine reads up to CRLF, without it.
func readLine(r *bufio.Reader) (string, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		switch full := errors.Is(err, bufio.ErrBufferFull); {
		case full && len(line) > maxInline:
			return "", protocolError("too big inline request")
		case !full:
			return strings.TrimRight(string(line), "\r\n"), err
		}
	}
}

// readCommand reads a command of a client: an array of bulk strings, or words on a line. It
// returns none for an empty line. What it keeps in memory is what has arrived, whatever lengths
// are announced.
func readCommand(r *bufio.Reader, authenticated bool) ([]string, error) {
	first, err := readLine(r)
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(first, "*") {
		return strings.Fields(first), nil
	}
	count, err := strconv.Atoi(first[1:])
	switch {
	case err != nil || count > maxArguments:
		return nil, protocolError("invalid multibulk length")
	case count > strangersArgs && !authenticated:
		return nil, protocolError("unauthenticated multibulk length")
	}
	var args []string
	total := 0
	for range max(count, 0) {
		line, err := readLine(r)
		if err != nil {
			return nil, err
		}
		if !strings.HasPrefix(line, "$") {
			return nil, protocolError(fmt.Sprintf("expected '$', got '%.1s'", line))
		}
		size, err := strconv.Atoi(line[1:])
		total += max(size, 0)
		switch {
		case err != nil || size < 0 || size > maxBulk || total > maxCommandBytes:
			return nil, protocolError("invalid bulk length")
		case size > strangersBulk && !authenticated:
			return nil, protocolError("unauthenticated bulk length")
		}
		arg, err := readBulk(r, size)
		if err != nil {
			return nil, err
		}
		args = append(args, arg)
	}
	return args, nil
}

// readBulk reads so many bytes and CRLF.
func readBulk(r *bufio.Reader, size int) (string, error) {
	var b bytes.Buffer
	b.Grow(min(size, readAtATime))
	if _, err := io.CopyN(&b, r, int64(size)); err != nil {
		return "", err
	}
	if _, err := r.Discard(2); err != nil {
		return "", err
	}
	return b.String(), nil
}

// appendCommand writes a command as an array of bulk strings.
func appendCommand(b []byte, args ...string) []byte {
	b = fmt.Appendf(b, "*%d\r\n", len(args))
	for _, arg := range args {
		b = fmt.Appendf(b, "$%d\r\n", len(arg))
		b = append(append(b, arg...), "\r\n"...)
	}
	return b
}

// readReply reads one answer of an engine, whole and as it is. RESP2 and RESP3.
// Source: redis.io, "Redis serialization protocol specification".
func readReply(r *bufio.Reader) ([]byte, error) { return appendReply(nil, r, 0) }

func appendReply(b []byte, r *bufio.Reader, depth int) ([]byte, error) {
	if depth > maxDepth {
		return nil, protocolError("answers are too deep")
	}
	line, err := r.ReadBytes('\n') // an error may quote what a client sent
	if err != nil {
		return nil, err
	}
	if len(line) < 3 {
		return nil, protocolError("an empty answer")
	}
	b = append(b, line...)
	kind, text := line[0], strings.TrimRight(string(line[1:]), "\r\n")
	switch kind {
	case '+', '-', ':', '_', '#', ',', '(':
		return b, nil
	case '$', '!', '=', '*', '~', '>', '%', '|':
	default:
		return nil, protocolError(fmt.Sprintf("an answer of type %q", kind))
	}
	n, err := strconv.Atoi(text)
	if err != nil || n > maxBulk {
		return nil, protocolError("length " + text)
	}
	if kind == '$' || kind == '!' || kind == '=' {
		if n < 0 {
			return b, nil
		}
		w := bytes.NewBuffer(b)
		if _, err := io.CopyN(w, r, int64(n)+2); err != nil {
			return nil, err
		}
		return w.Bytes(), nil
	}
	if kind == '%' || kind == '|' {
		n *= 2
	}
	for range max(n, 0) {
		if b, err = appendReply(b, r, depth+1); err != nil {
			return nil, err
		}
	}
	if kind == '|' { // attributes come before what they are about
		return appendReply(b, r, depth+1)
	}
	return b, nil
}
