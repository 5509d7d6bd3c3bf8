package postgres

import (
	"bytes"
	"context"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/faultkind"
	"github.com/wiemu/wiemu/internal/hostmux"
	"github.com/wiemu/wiemu/internal/resource"
)

// adminShutdown is the SQLSTATE of sessions that a restart ends. Source: PostgreSQL documentation,
// appendix A; src/backend/tcop/postgres.c (ProcessInterrupts) for the text.
const adminShutdown = "57P01"

// isReady reports whether what PostgreSQL sends ends with ReadyForQuery, after which it is the
// client's turn.
func isReady(sent []byte) bool {
	return len(sent) >= 6 && bytes.HasPrefix(sent[len(sent)-6:], []byte("Z\x00\x00\x00\x05"))
}

// disturbed lets a fault hit a session to which the client has sent something, and reports whether
// that is its end, of which the client and the journal are told.
func (s *session) disturbed(ctx context.Context) (ended bool) {
	k := s.servers.kit
	if !k.Faults.Any() {
		return false
	}
	ctx = k.Faults.WithTrail(ctx)
	hit, ok := k.Hit(ctx, &s.call, faultkind.PostgresSessionEnded, nil)
	if !ok {
		return false
	}
	again := &relogin{login{Call: &resource.Call{Host: s.call.Host, Token: s.call.Token}, session: s, ctx: ctx}}
	const remedy = "A program has to take a connection that fails out of its pool, open another one, and do its transaction again."
	switch hit.Text("by") {
	case "token":
		failed := k.Login(ctx, s.conn, again.Call, again)
		if failed == nil {
			return false
		}
		s.fault = "a fault had its token looked at, which is not good any more"
		s.refuse(failed.Code, failed.Message, "", "")
		return true
	case "reset":
		s.fault = "a fault cut the connection"
		again.Caller = s.call.Caller
		k.Record(ctx, again.Call, again, &resource.Failure{Code: "ConnectionReset", Message: "the connection was reset", Meaning: "A fault cut the connection in the middle of the session.", Remedy: remedy})
		hostmux.Reset(s.conn)
		_ = s.client.Close() // without TLS's own end
		return true
	}
	failed := &resource.Failure{Code: adminShutdown, Message: "terminating connection due to administrator command", Meaning: "A fault: the server restarts, as it does for maintenance and after a failover, which ends its sessions.", Remedy: remedy}
	s.fault = "a fault ended it with " + failed.Code + ", " + failed.Message
	again.Caller = s.call.Caller
	k.Record(ctx, again.Call, again, failed)
	s.refuse(failed.Code, failed.Message, "", "")
	return true
}

// relogin looks at the token of a session again.
type relogin struct{ login }

// Allow implements resource.Access.
func (a *relogin) Allow(refused *resource.Refusal) *resource.Failure {
	_, failed := a.owner(refused)
	return failed
}

// Describe implements resource.Access.
func (a *relogin) Describe(e *journal.Event) string {
	e.Method = "SESSION"
	e.Detail["role"], e.Detail["database"] = a.role, a.database()
	return "go on as " + a.role + " in " + a.database()
}
