package redis

import (
	"fmt"

	"github.com/wiemu/wiemu/internal/resource"
)

// scriptBegins has what a script calls be judged by the policy of who runs it, as Redis does. In
// memory alone: nobody else sees inside of a script.
// It returns false if a script of another client does not end.
func (n *session) scriptBegins(name string) (ok bool) {
	m := n.cache.memory
	if m == nil || name != "exec" && !commands()[name].is("scripting") {
		return true
	}
	u := n.user
	n.script, ok = m.runScript(func(args []string) string {
		if isBlocked(args) {
			return unknownCommand(args)
		}
		return n.permits(u, args)
	})
	return ok
}

func (n *session) scriptEnded() {
	if n.script != nil {
		n.script()
		n.script = nil
	}
}

// scriptLeft is scriptEnded for a client that has gone, whose script may still run.
func (n *session) scriptLeft() {
	if n.script == nil {
		return
	}
	end := n.script
	n.script = nil
	if p, ok := n.engine.conn.(*pipe); ok {
		go func() { // which is as endless as the script is: nothing stops that
			<-p.far.closed
			end()
		}()
	}
}

// isBusy answers that a script of another client does not end. Source: redis/src/server.c, processCommand.
func (n *session) isBusy(name string, flush bool) bool {
	n.kit.Record(n.ctx, n.user.call, &use{session: n, action: name}, resource.Fail(0, "BUSY", busy,
		fmt.Sprintf("A script of another client has run for more than %s, and a cache does nothing else while a script runs.", busyAfter),
		"Look for a script with a loop that does not end. SCRIPT KILL does not end it here: start wiemu again."))
	n.spoil()
	return n.refuse(busy, flush)
}
