package tds

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Handler decides who may log in.
type Handler interface {
	// Authority returns where a client gets its token, as in STSURL of FEDAUTHINFO, and
	// what for, as in SPN.
	Authority(a Attempt) (sts, spn string)
	// Login decides on a login. An error that is an *Error or a *Route is answered;
	// any other one ends the connection.
	Login(ctx context.Context, a Attempt) (Session, error)
}

// Attempt is a login with all that is known of it.
type Attempt struct {
	*Login
	SNI    string // the name that the client asked for in TLS; often ""
	Strict bool   // TDS 8.0
	Token  string // "" for none
	Remote net.Addr

	SPID uint16 // of the session

	nonce []byte // of the client's PRELOGIN
}

// Session is a client that has logged in, and what it can ask for. It is a
// [Conversation], or a [Pipe] to another server.
type Session interface {
	// Close ends it; its client is gone.
	Close() error
}

// Conversation is a session that answers by itself.
type Conversation interface {
	Session
	// Database is the one that the session is in.
	Database() string
	// Begin is called before each request is answered, and the function that it returns
	// afterwards. An error is answered instead, and ends the session.
	Begin() (end func(), ended *Error)
	// Batch answers statements, and gives parameters that are Output the value that they have then.
	// An error that is no *Error is answered as one of number 50000.
	Batch(ctx context.Context, sql string, params []Param, out *Reply) error
	// Transaction begins, commits, rolls back or saves one.
	Transaction(kind Transaction, name string) error
	// InTransaction reports whether one is open, and RolledBack whether the last one that has
	// ended was rolled back.
	InTransaction() bool
	RolledBack() bool
	// Reset makes the session as it was after its login: a pool gives it to another part of
	// the program.
	Reset()
}

// Transaction is what a client wants of the transaction manager.
type Transaction int

// The requests that are answered (2.2.6.9).
const (
	Begin    Transaction = 5
	Commit   Transaction = 7
	Rollback Transaction = 8
	Save     Transaction = 9
)

// Route is an error of Handler.Login that sends the client elsewhere, as Azure's gateway
// does under the connection policy Redirect.
type Route struct {
	Host string
	Port uint16
}

// Error implements error.
func (r *Route) Error() string {
	return "redirected to " + net.JoinHostPort(r.Host, strconv.Itoa(int(r.Port)))
}

// Server answers connections.
type Server struct {
	Handler Handler
	Name    string // of the server, in errors
	TLS     *tls.Config

	// Heard is called when a client has said something, if it is not nil.
	Heard func()

	// LoginTimeout is how long a client may take for its login, and then for the answer, in wall
	// time, since it is about input and output. If 0, it is 30 seconds.
	LoginTimeout time.Duration
	// TokenTimeout is how long a client may take for the token that it was asked for, likewise:
	// it gets one from Entra ID then, which takes a JVM that has just started long on a busy
	// machine. If 0, it is three minutes.
	TokenTimeout time.Duration
}

const (
	loginTimeout = 30 * time.Second
	tokenTimeout = 3 * time.Minute
)

// version is what Azure SQL Database says of itself, 12.0.2000.
func version() [6]byte { return [6]byte{12, 0, 0x07, 0xD0, 0, 0} }

var sessions atomic.Uint32 // of this process, for their ids

// Serve answers one connection to its end and closes it. The error says why it ended; nil
// if the client was done.
func (s *Server) Serve(ctx context.Context, conn net.Conn) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })() // the lab ends
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(cmp.Or(s.LoginTimeout, loginTimeout))); err != nil {
		return err
	}
	w := newWire(conn)
	w.spid = uint16(51 + sessions.Add(1)%30000) // ids up to 50 are the server's own
	a := Attempt{Remote: conn.RemoteAddr(), SPID: w.spid}
	if _, err := w.r.Peek(1); errors.Is(err, io.EOF) { // it looked whether the port is open
		return nil
	}
	if s.Heard != nil {
		s.Heard()
	}
	said, err := s.prelogin(w, &a)
	if err != nil {
		return err
	}
	session, err := s.login(ctx, w, &a, said)
	if err != nil {
		return err
	}
	defer func() { _ = session.Close() }() // its client is gone
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return err
	}
	w.timeout = writeTimeout
	if p, ok := session.(*Pipe); ok {
		return p.run(ctx, w)
	}
	return (&conversation{server: s, wire: w, session: session.(Conversation)}).run(ctx)
}

// prelogin negotiates encryption: around all of it if the first byte is of TLS (3.3.5.1),
// else after PRELOGIN.
func (s *Server) prelogin(w *wire, a *Attempt) (prelogin, error) {
	first, err := w.r.Peek(1)
	if err != nil {
		return prelogin{}, err
	}
	const clientHello = 0x16
	if first[0] == clientHello {
		a.Strict = true
		config := s.TLS.Clone()
		config.NextProtos = []string{"tds/8.0"}
		state, err := w.accept(config, true)
		if err != nil {
			return prelogin{}, err
		}
		a.SNI = state.ServerName
	}
	m, err := w.read(maxLoginMessage)
	if err != nil {
		return prelogin{}, err
	}
	if m.kind != packetPrelogin {
		return prelogin{}, fmt.Errorf("the first packet is of type %#x; expected PRELOGIN (%#x)", m.kind, packetPrelogin)
	}
	said, err := parsePrelogin(m.data)
	if err != nil {
		return prelogin{}, err
	}
	a.nonce = said.nonce
	encryption, ok := said.negotiate()
	nonce := make([]byte, 32)
	_, _ = rand.Read(nonce) // it does not fail
	if err := w.send(packetReply, said.answer(version(), encryption, nonce)); err != nil {
		return prelogin{}, err
	}
	switch {
	case a.Strict: // what PRELOGIN says of encryption means nothing then
		return said, nil
	case !ok:
		return prelogin{}, errors.New("the client does not encrypt, which Azure SQL insists on")
	}
	config := s.TLS.Clone()
	config.MaxVersion = tls.VersionTLS12 // within TDS there is no TLS 1.3 (2.2.6.5)
	state, err := w.accept(config, false)
	a.SNI = state.ServerName
	return said, err
}

// login reads LOGIN7 and, of ADAL, the message with the token, and answers.
func (s *Server) login(ctx context.Context, w *wire, a *Attempt, said prelogin) (Session, error) {
	m, err := w.read(maxLoginMessage)
	if err != nil {
		return nil, err
	}
	if m.kind != packetLogin {
		return nil, fmt.Errorf("a packet of type %#x; expected LOGIN7 (%#x)", m.kind, packetLogin)
	}
	if a.Login, err = parseLogin(m.data); err != nil {
		return nil, err
	}
	if a.FedAuth != nil {
		if a.FedAuth.echo != (said.fedAuth && said.fedAuthValue&1 == 1) { // 3.3.5.5
			return nil, errors.New("FEDAUTH of LOGIN7 does not echo FEDAUTHREQUIRED of PRELOGIN")
		}
		if err := s.token(w, a); err != nil {
			return nil, err
		}
	}
	session, err := s.Handler.Login(ctx, *a)
	// Anew: what the login took the handler is not the client's time. Of a connection that is gone
	// the write says so.
	_ = w.conn.SetDeadline(time.Now().Add(cmp.Or(s.LoginTimeout, loginTimeout)))
	if err != nil {
		return nil, s.refuse(w, a, err)
	}
	greeting := s.greeting(a, session, w)
	if err := w.send(packetReply, greeting); err != nil {
		return nil, errors.Join(err, session.Close())
	}
	return session, nil
}

// token gets the client's token: by LOGIN7, or by asking for it.
func (s *Server) token(w *wire, a *Attempt) error {
	switch a.FedAuth.Library {
	case LibrarySecurityToken:
		a.Token = a.FedAuth.Token
	case LibraryADAL:
		sts, spn := s.Handler.Authority(*a)
		if err := w.send(packetReply, appendFedAuthInfo(nil, sts, spn)); err != nil {
			return err
		}
		if err := w.conn.SetDeadline(time.Now().Add(cmp.Or(s.TokenTimeout, tokenTimeout))); err != nil {
			return err
		}
		m, err := w.read(maxLoginMessage)
		if err != nil {
			return fmt.Errorf("no token came after FEDAUTHINFO: %w", err)
		}
		if m.kind != packetFedAuth {
			return fmt.Errorf("a packet of type %#x; expected the token (%#x)", m.kind, packetFedAuth)
		}
		if a.Token, err = parseFedAuthMessage(m.data); err != nil {
			return err
		}
	default:
		return fmt.Errorf("FEDAUTH by library %d; expected %d (security token) or %d (ADAL)", a.FedAuth.Library, LibrarySecurityToken, LibraryADAL)
	}
	a.Token = strings.TrimRight(a.Token, "\x00") // ODBC Driver 18 sends the terminating zero with it (ActiveDirectoryMsi)
	return nil
}

// loginLine is the line of errors of logins, as in answers of Azure SQL.
const loginLine = 65536

// refuse answers what Handler.Login returned in place of a session, and returns it.
func (s *Server) refuse(w *wire, a *Attempt, refused error) error {
	var b []byte
	var refusal *Error
	var route *Route
	switch {
	case errors.As(refused, &refusal):
		for e := refusal; e != nil; e = e.Next {
			e.Line = loginLine
			b = appendError(b, e, s.Name)
		}
		b = appendDone(b, tokDone, doneError, 0, 0)
	case errors.As(refused, &route):
		b = appendEnvText(nil, envDatabase, a.Database, "master")
		b = s.appendAck(b, a)
		b = appendRouting(b, route.Host, route.Port)
		b = a.appendFeatures(b)
		b = appendDone(b, tokDone, 0, 0, 0)
	default:
		return refused
	}
	return errors.Join(w.send(packetReply, b), refused)
}

func (s *Server) appendAck(b []byte, a *Attempt) []byte {
	speaks := uint32(version74)
	// SQL Server 2022 stays with 7.4 for a client whose LOGIN7 says that, though its TLS came first
	// (dotnet/SqlClient#1652, a report of its sys.dm_exec_connections). So does tiberius.
	if a.Strict && a.version() == version80 {
		speaks = version80
	}
	v := version()
	return appendLoginAck(b, speaks, "Microsoft SQL Server", [4]byte(v[:4]))
}

// acknowledged are the features that the client asked for and may use. What is not
// acknowledged, drivers do without (2.2.7.11).
func (a *Attempt) acknowledged() []feature {
	var all []feature
	for _, f := range a.features {
		switch f.id {
		case featureFedAuth:
			all = append(all, feature{f.id, a.nonce})
		case featureUTF8, featureAzureSQL, featureDNSCaching:
			all = append(all, feature{f.id, []byte{0}}) // known, and not in use
		}
	}
	return all
}

func (a *Attempt) appendFeatures(b []byte) []byte {
	if all := a.acknowledged(); len(all) > 0 {
		return appendFeatureAck(b, all)
	}
	return b
}

// greeting is the answer to a login, after which packets have the size that was asked for.
func (s *Server) greeting(a *Attempt, session Session, w *wire) []byte {
	if p, ok := session.(*Pipe); ok {
		return p.greeting
	}
	if w.size = a.PacketSize; w.size < minPacketSize || w.size > maxPacketSize {
		w.size = defaultPacketSize
	}
	const language = "us_english"
	database := session.(Conversation).Database()
	b := appendEnvText(nil, envDatabase, database, "master")
	b = appendError(b, &Error{Number: 5701, State: 2, Message: "Changed database context to '" + database + "'."}, s.Name)
	b = appendEnvBytes(b, envCollation, collation[:], nil)
	b = appendEnvText(b, envLanguage, language, "")
	b = appendError(b, &Error{Number: 5703, State: 1, Message: "Changed language setting to " + language + "."}, s.Name)
	b = s.appendAck(b, a)
	b = appendEnvText(b, envPacketSize, strconv.Itoa(w.size), strconv.Itoa(defaultPacketSize))
	b = a.appendFeatures(b)
	return appendDone(b, tokDone, 0, 0, 0)
}
