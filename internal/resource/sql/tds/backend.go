package tds

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"github.com/wiemu/wiemu/internal/hostmux"
)

// Backend is a SQL Server that is logged in to with a SQL login.
type Backend struct {
	Address string // host:port
	TLS     *tls.Config
}

// LoginRefused is the answer of a backend that does not let somebody in.
type LoginRefused struct{ Err *Error }

// Error implements error.
func (r *LoginRefused) Error() string {
	return "the SQL Server refused the login: " + r.Err.Error()
}

// Pipe is a connection to a backend that has let somebody in: by Exec the caller's, or as a
// [Session] that of a client, whose packets go to the backend and back as they are.
type Pipe struct {
	// Begin is called before each request of the client goes to the backend, and the function
	// that it returns when the answer begins to come back; see Conversation. sql is the text
	// of a batch, or "" for other requests and those of more than maxBatch bytes. If answered,
	// the backend does not see the request, and its answer is failed, or if that is nil, that it
	// is done. If not, failed ends the session.
	Begin func(sql string) (end func(), answered bool, failed *Error)
	// Lost is called if the backend ended the connection.
	Lost func(error)

	name     string // of the server for the client
	wire     *wire
	greeting []byte
}

// Login logs in to the backend as another user with all else that the client's LOGIN7
// says, except that it has none of FEDAUTH, and of what the client's server would have to
// take part in. database replaces the client's. It returns a *LoginRefused if the backend
// refuses.
func (b Backend) Login(ctx context.Context, a Attempt, user, password, database string) (*Pipe, error) {
	conn, err := (&net.Dialer{Timeout: loginTimeout}).DialContext(ctx, "tcp", b.Address)
	if err != nil {
		return nil, fmt.Errorf("connect to the SQL Server: %w", err)
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	err = conn.SetDeadline(time.Now().Add(loginTimeout)) // wall time: it is about input and output
	var p *Pipe
	if err == nil {
		p, err = b.login(conn, a, user, password, database)
	}
	if err == nil {
		err = conn.SetDeadline(time.Time{})
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return p, nil
}

func (b Backend) login(conn net.Conn, a Attempt, user, password, database string) (*Pipe, error) {
	w := newWire(conn)
	if err := w.send(packetPrelogin, prelogin{}.answer([6]byte{16}, encryptOn, nil)); err != nil {
		return nil, fmt.Errorf("PRELOGIN to the SQL Server: %w", err)
	}
	m, err := w.read(maxLoginMessage)
	if err != nil {
		return nil, fmt.Errorf("PRELOGIN of the SQL Server: %w", err)
	}
	said, err := parsePrelogin(m.data)
	if err != nil {
		return nil, fmt.Errorf("PRELOGIN of the SQL Server: %w", err)
	}
	if said.encryption&0x0F == encryptNotSupported {
		return nil, errors.New("the SQL Server does not encrypt")
	}
	if err := w.connect(b.TLS); err != nil {
		return nil, fmt.Errorf("with the SQL Server: %w", err)
	}
	if err := w.send(packetLogin, a.as(user, password, database)); err != nil {
		return nil, fmt.Errorf("LOGIN7 to the SQL Server: %w", err)
	}
	if m, err = w.read(maxMessage); err != nil {
		return nil, fmt.Errorf("the SQL Server's answer to the login: %w", err)
	}
	greeting, refused, err := greetingFor(m.data, a)
	switch {
	case refused != nil:
		return nil, &LoginRefused{refused}
	case err != nil:
		return nil, fmt.Errorf("the SQL Server's answer to the login: %w", err)
	}
	return &Pipe{name: a.Server, wire: w, greeting: greeting}, nil
}

// as is the client's LOGIN7 for another user and database.
func (l *Login) as(user, password, database string) []byte {
	var features []byte
	for _, f := range l.features {
		switch f.id {
		case featureFedAuth, featureSessionRecovery, featureAzureSQL, featureDNSCaching, featureRouting:
			continue
		}
		features = binary.LittleEndian.AppendUint32(append(features, f.id), uint32(len(f.data)))
		features = append(features, f.data...)
	}
	features = append(features, 0xFF)
	head := make([]byte, loginFixed)
	copy(head, l.fixed)
	binary.LittleEndian.PutUint32(head[4:], version74)
	head[25] &^= 0x80 // no SSPI
	head[27] |= 0x10  // features
	var body []byte
	put := func(at int, b []byte) {
		binary.LittleEndian.PutUint16(head[at:], uint16(loginFixed+len(body)))
		binary.LittleEndian.PutUint16(head[at+2:], uint16(len(b)/2))
		body = append(body, b...)
	}
	put(36, toUTF16(l.Host))
	put(40, toUTF16(user))
	put(44, obscure(toUTF16(password)))
	put(48, toUTF16(l.App))
	put(52, toUTF16(l.Server))
	extension := len(body)
	put(56, make([]byte, 4))
	binary.LittleEndian.PutUint16(head[58:], 4)
	put(60, toUTF16(l.Library))
	put(64, toUTF16(l.Language))
	put(68, toUTF16(database))
	put(78, nil) // SSPI
	put(82, nil) // file to attach
	put(86, nil) // new password
	binary.LittleEndian.PutUint32(body[extension:], uint32(loginFixed+len(body)))
	all := append(append(head, body...), features...)
	binary.LittleEndian.PutUint32(all, uint32(len(all)))
	return all
}

// greetingFor makes the client's greeting of the backend's: FEDAUTH and what else the
// backend was not asked for is acknowledged here. refused is the first error in it.
func greetingFor(b []byte, a Attempt) (greeting []byte, refused *Error, err error) {
	acks, written := a.acknowledged(), false
	for len(b) > 0 {
		switch b[0] {
		case tokEnvChange, tokInfo, tokError, tokLoginAck:
			token, rest, err := sized(b)
			if err != nil {
				return nil, nil, err
			}
			if b[0] == tokError && refused == nil {
				refused = readError(token)
			}
			if b[0] != tokEnvChange || len(token) < 4 || token[3] != envRouting { // the backend's is not the client's
				greeting = append(greeting, token...)
			}
			b = rest
		case tokFeatureAck:
			theirs, rest, err := featureAcks(b[1:])
			if err != nil {
				return nil, nil, err
			}
			b, written = rest, true
			greeting = appendFeatureAck(greeting, merged(acks, theirs))
		case tokDone:
			if !written && len(acks) > 0 {
				greeting = appendFeatureAck(greeting, acks)
			}
			return append(greeting, b...), refused, nil
		default:
			return nil, nil, fmt.Errorf("token %#x", b[0])
		}
	}
	return nil, nil, errors.New("it has no end (DONE)")
}

// sized cuts the first token off, one that begins with its length.
func sized(b []byte) (token, rest []byte, err error) {
	if len(b) < 3 {
		return nil, nil, io.ErrUnexpectedEOF
	}
	n := 3 + int(binary.LittleEndian.Uint16(b[1:]))
	if n > len(b) {
		return nil, nil, io.ErrUnexpectedEOF
	}
	return b[:n], b[n:], nil
}

func readError(token []byte) *Error {
	r := &reader{b: token[3:]}
	return &Error{Number: int32(r.u32()), State: r.byte(), Class: r.byte(), Message: r.text16()}
}

// featureAcks reads a FEATUREEXTACK behind its first byte.
func featureAcks(b []byte) (all []feature, rest []byte, err error) {
	for len(b) > 0 && b[0] != 0xFF {
		if len(b) < 5 {
			return nil, nil, io.ErrUnexpectedEOF
		}
		n := int(binary.LittleEndian.Uint32(b[1:]))
		if n < 0 || n > len(b)-5 {
			return nil, nil, io.ErrUnexpectedEOF
		}
		all = append(all, feature{b[0], b[5 : 5+n]})
		b = b[5+n:]
	}
	if len(b) == 0 {
		return nil, nil, io.ErrUnexpectedEOF
	}
	return all, b[1:], nil
}

// merged are the acknowledgements of both; those of theirs replace ours.
func merged(ours, theirs []feature) []feature {
	all := append([]feature(nil), theirs...)
	for _, f := range ours {
		if !slices.ContainsFunc(theirs, func(other feature) bool { return other.id == f.id }) {
			all = append(all, f)
		}
	}
	return all
}

// Exec has the backend execute a batch that returns no rows. It returns the first error.
func (p *Pipe) Exec(sql string) error {
	if err := p.wire.conn.SetDeadline(time.Now().Add(loginTimeout)); err != nil {
		return err
	}
	headers := binary.LittleEndian.AppendUint32(nil, 22)
	headers = binary.LittleEndian.AppendUint32(headers, 18)
	headers = append(headers, 2, 0)               // of transactions
	headers = append(headers, make([]byte, 8)...) // none is open
	headers = append(headers, 1, 0, 0, 0)         // one request at a time
	if err := p.wire.send(packetBatch, append(headers, toUTF16(sql)...)); err != nil {
		return err
	}
	m, err := p.wire.read(maxMessage)
	if err != nil {
		return err
	}
	var failed error
	for b := m.data; len(b) > 0; {
		switch b[0] {
		case tokEnvChange, tokInfo, tokError:
			token, rest, err := sized(b)
			if err != nil {
				return err
			}
			if b[0] == tokError && failed == nil {
				failed = readError(token)
			}
			b = rest
		case tokDone, tokDoneProc, tokDoneInProc:
			if len(b) < 13 {
				return io.ErrUnexpectedEOF
			}
			b = b[13:]
		case tokReturnStatus:
			if len(b) < 5 {
				return io.ErrUnexpectedEOF
			}
			b = b[5:]
		default:
			return fmt.Errorf("token %#x in the SQL Server's answer", b[0])
		}
	}
	return failed
}

// Close ends the connection to the backend.
func (p *Pipe) Close() error { return p.wire.conn.Close() }

// run hands packets on until either side closes.
func (p *Pipe) run(ctx context.Context, client *wire) error {
	defer context.AfterFunc(ctx, func() { _ = p.Close() })()
	back := make(chan error, 1)
	answering := make(chan func(), 64) // what is to be called when an answer begins
	var caught *hostmux.Panic
	go func() {
		var err error
		caught = hostmux.Catch(func() { err = p.answers(client, answering) })
		_ = client.conn.Close() // then the client's reads end
		back <- err
	}()
	var err error
	here := hostmux.Catch(func() { err = p.requests(client, answering) })
	_ = p.Close()
	if lost := <-back; lost != nil && !errors.Is(lost, net.ErrClosed) { // before it was closed here
		p.Lost(lost)
	}
	for {
		select {
		case end := <-answering:
			end()
			continue
		default:
		}
		break
	}
	for _, c := range []*hostmux.Panic{here, caught} {
		if c != nil {
			panic(c)
		}
	}
	return err
}

// requests hands the client's packets to the backend.
func (p *Pipe) requests(client *wire, answering chan<- func()) error {
	first := true
	var reset byte // bits of requests that the backend has not seen
	for {
		packet, err := client.packet()
		if err != nil {
			return orderly(err)
		}
		packets := [][]byte{packet}
		if first && packet[0] != packetAttention {
			if packets, err = client.rest(packet); err != nil {
				return err
			}
			end, answered, failed := p.Begin(batchText(packets))
			switch {
			case answered:
				err := p.answer(client, packet, failed, 0)
				end()
				if err != nil {
					return err
				}
				reset |= packet[1] & (statusReset | statusResetSkip)
				continue
			case failed != nil:
				defer end()
				return errors.Join(p.answer(client, packet, failed, doneSevere), failed)
			}
			packet[1] |= reset
			reset = 0
			select {
			case answering <- end:
			default:
				end() // a client that sends without reading answers
			}
		}
		for _, packet := range packets {
			first = packet[1]&statusEnd != 0
			if _, err := p.wire.w.Write(packet); err != nil {
				return fmt.Errorf("the connection to the SQL Server: %w", err)
			}
		}
	}
}

// answer answers a request in place of the backend.
func (p *Pipe) answer(client *wire, packet []byte, failed *Error, status uint16) error {
	var b []byte
	if packet[1]&(statusReset|statusResetSkip) != 0 {
		b = appendEnv(b, envReset, []byte{0, 0})
	}
	if failed != nil {
		b, status = appendError(b, failed, p.name), status|doneError
	}
	if packet[0] == packetRPC {
		return client.send(packetReply, appendDone(append(b, tokReturnStatus, 0, 0, 0, 0), tokDoneProc, status, 0, 0))
	}
	return client.send(packetReply, appendDone(b, tokDone, status, 0, 0))
}

// answers hands the backend's packets to the client.
func (p *Pipe) answers(client *wire, answering <-chan func()) error {
	for {
		packet, err := p.wire.packet()
		if err != nil {
			return err
		}
		if _, err := client.Write(packet); err != nil {
			return net.ErrClosed // the client is gone, as its reader says
		}
		if packet[1]&statusEnd != 0 {
			select {
			case end := <-answering:
				end()
			default:
			}
		}
	}
}

// packet returns the next packet with its header.
func (w *wire) packet() ([]byte, error) {
	header, err := w.r.Peek(headerSize)
	if err != nil {
		if errors.Is(err, io.EOF) && len(header) > 0 {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	length := int(binary.BigEndian.Uint16(header[2:]))
	if length < headerSize {
		return nil, fmt.Errorf("a packet of %d bytes; its header alone has %d", length, headerSize)
	}
	packet := make([]byte, length)
	if _, err := io.ReadFull(w.r, packet); err != nil {
		return nil, unexpected(err)
	}
	return packet, nil
}

// maxBatch is how much of a request is read before it is decided who answers it.
const maxBatch = 1 << 20

// rest reads the other packets of a request that may be a batch, until it has maxBatch bytes.
func (w *wire) rest(packet []byte) (packets [][]byte, err error) {
	packets = [][]byte{packet}
	for size := len(packet); packet[1]&statusEnd == 0 && size < maxBatch && (packet[0] == packetBatch || packet[0] == packetRPC); size += len(packet) {
		if packet, err = w.packet(); err != nil {
			return nil, unexpected(err)
		}
		packets = append(packets, packet)
	}
	return packets, nil
}

// batchText is the text of a batch, or the statement of one with parameters; "" for anything else,
// and for what the client took back or has not sent whole.
func batchText(packets [][]byte) string {
	last := packets[len(packets)-1]
	if last[1]&statusEnd == 0 || last[1]&statusIgnore != 0 {
		return ""
	}
	var data []byte
	for _, packet := range packets {
		data = append(data, packet[headerSize:]...)
	}
	switch last[0] {
	case packetBatch:
		if b, err := skipHeaders(data); err == nil {
			return fromUTF16(b)
		}
	case packetRPC:
		calls, err := parseCalls(data)
		if err == nil && len(calls) == 1 && len(calls[0].params) > 0 && (calls[0].number == procExecuteSQL || procedures[calls[0].name] == procExecuteSQL) {
			sql, _ := calls[0].params[0].Value.(string) // "" if it is none
			return sql
		}
	}
	return ""
}
