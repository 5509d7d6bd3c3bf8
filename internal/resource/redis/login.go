package redis

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/resource"
)

// auth answers AUTH.
func (n *session) auth(args []string, flush bool) bool {
	switch len(args) {
	case 2: // an access key, which does not open a cache here
		return n.logIn("", args[1], flush, func() bool { return n.say([]byte("+OK\r\n"), flush) })
	case 3:
		return n.logIn(args[1], args[2], flush, func() bool { return n.say([]byte("+OK\r\n"), flush) })
	case 1:
		return n.refuse("ERR wrong number of arguments for 'auth' command", flush)
	}
	return n.refuse("ERR syntax error", flush)
}

// hello answers HELLO: with AUTH, once the client is authenticated.
func (n *session) hello(r request, gone <-chan struct{}) bool {
	forwarded, name, token, auth := []string{"HELLO"}, "", "", false
	for i := 1; i < len(r.args); i++ {
		switch {
		case i == 1:
			forwarded = append(forwarded, r.args[1])
		case strings.EqualFold(r.args[i], "AUTH") && i+2 < len(r.args):
			name, token, auth = r.args[i+1], r.args[i+2], true
			i += 2
		case strings.EqualFold(r.args[i], "SETNAME") && i+1 < len(r.args):
			forwarded = append(forwarded, "SETNAME", r.args[i+1])
			i++
		default:
			return n.refuse(fmt.Sprintf("ERR Syntax error in HELLO option '%s'", r.args[i]), r.last)
		}
	}
	if len(r.args) > 1 && r.args[1] != "2" && r.args[1] != "3" {
		return n.refuse("NOPROTO unsupported protocol version", r.last)
	}
	greet := func() bool { return n.forward(request{args: forwarded, last: r.last, end: r.end}, gone) }
	switch {
	case auth:
		return n.logIn(name, token, r.last, greet)
	case n.user == nil:
		return n.refuse(noAuthHello, r.last)
	}
	return greet()
}

// logIn authenticates a client, or again: then as who it was stays, if it is refused.
func (n *session) logIn(name, token string, flush bool, accepted func() bool) bool {
	if now := n.at(n.host); n.engine == nil || now == nil || now.memory == n.cache.memory && now.URL == n.cache.URL {
		n.cache = now // as it is configured now; if its content has moved, that is for those who connect again
	}
	call := &resource.Call{Host: n.host, Token: token}
	login := &login{Call: call, session: n, name: name}
	failed := n.kit.Login(n.ctx, n.conn, call, login)
	if failed != nil {
		if failed.Code == "ConnectionReset" || n.cache == nil {
			return false
		}
		return n.refuse(failed.Message, flush)
	}
	if n.expiry != nil {
		n.expiry.Stop()
	}
	n.user = &user{call, login.policy}
	if n.conn.SetReadDeadline(time.Time{}) != nil {
		return false
	}
	left := call.Caller.ExpiresAt.Sub(n.kit.Clock.Now())
	n.expiry = n.kit.Clock.AfterFunc(left, func() { n.expire(call) })
	return accepted()
}

// expire ends a connection with its token. Source: learn.microsoft.com, "Use Microsoft Entra ID
// for cache authentication"; Azure/azure-sdk-for-js#24791: the server closes a connection whose
// token expires, unless it was sent a new one by AUTH.
func (n *session) expire(call *resource.Call) {
	n.kit.Record(n.ctx, call, &use{session: n, action: "stay connected"}, resource.Fail(0, "TokenExpired", "the connection was closed",
		"The token with which the connection was authenticated has expired, and a cache ends a connection with its token.",
		"Send AUTH with a new token on each connection some minutes before the old one expires; redis-entraid, redis-authx-entraid, go-redis-entraid and Microsoft.Azure.StackExchangeRedis do."))
	_ = n.conn.Close() // the client learns it from its next read
	n.end()            // a command that waits, such as BLPOP, has nobody to wait for
}

// login is the decision about a login.
type login struct {
	*resource.Call
	session *session
	name    string // of the user
	policy  policy
}

// Demand implements resource.Access.
func (l *login) Demand() (*resource.Want, *resource.Failure) {
	if l.session.cache == nil {
		return nil, resource.Fail(0, "NoSuchCache", "there is no such host",
			fmt.Sprintf("wiemu.yaml has no cache of the host %s; for a real one, the name would not resolve.", cmp.Or(l.Host, "that the client did not name")),
			"Add it to redis: in wiemu.yaml, as name: or name: and region:, or correct the host in the application's settings.")
	}
	return l.session.kit.Want(l.session.cache.Tenant), nil
}

// Allow implements resource.Access.
func (l *login) Allow(refused *resource.Refusal) *resource.Failure {
	if refused != nil {
		return &resource.Failure{Code: "WRONGPASS", Message: wrongPass, Meaning: refused.Meaning(), Remedy: refused.Remedy()}
	}
	if !l.Check("user name", l.Caller.ObjectID, cmp.Or(l.name, "none"), strings.EqualFold(l.name, l.Caller.ObjectID)) {
		meaning := "The user name of AUTH has to be the object id of the identity whose token is the password."
		if strings.EqualFold(l.name, l.Caller.ClientID) {
			meaning = "The user name of AUTH is the client id of the identity. It has to be its object id (principal id)."
		}
		return &resource.Failure{Code: "WRONGPASS", Message: wrongPass, Meaning: meaning, Remedy: "Use " + l.Caller.ObjectID + ", which the token has as its claim oid."}
	}
	p, source, ok := l.session.cache.policyOf(l.Caller.ClientID)
	if !l.Check("data access policy", "one that is assigned to "+l.Caller.ObjectID, cmp.Or(p.name, "none"), ok) {
		return resource.Fail(0, "WRONGPASS", wrongPass,
			"The identity is assigned no data access policy of the cache, so that the cache does not know the user.",
			fmt.Sprintf("Assign it one: access: [{identity: %s, policy: Data Contributor}] of the cache in wiemu.yaml; az redis access-policy-assignment create in Azure.", cmp.Or(l.Caller.Name, l.Caller.ClientID)))
	}
	l.policy = p
	if source != "" {
		l.Note(fmt.Sprintf("by %s: %s", source, p.name))
	} else {
		l.Note("the cache has no access: in wiemu.yaml, so every identity of its tenant is a Data Owner; a real cache knows only whom it has assigned a policy")
	}
	return nil
}

// Interrupt implements resource.Access.
func (l *login) Interrupt(status int, _ time.Duration) *resource.Failure { return interrupted(status) }

// Describe implements resource.Access.
func (l *login) Describe(*journal.Event) string { return "log in" }

// interrupted is how a cache refuses because of a fault.
func interrupted(status int) *resource.Failure {
	if status == 429 {
		return &resource.Failure{Code: "ERR", Message: maxClients, Meaning: "A fault took the place of the service's answer: too many clients.", Remedy: "A robust client connects again, with growing pauses, and has few connections."}
	}
	return &resource.Failure{Code: "LOADING", Message: loading, Meaning: "A fault took the place of the service's answer: the node has just started, as after maintenance.", Remedy: "A robust client tries again, with growing pauses."}
}

// use is what a session does after its login.
type use struct {
	*session
	action string
}

// Demand implements resource.Access.
func (u *use) Demand() (*resource.Want, *resource.Failure) { return nil, nil }

// Allow implements resource.Access.
func (u *use) Allow(*resource.Refusal) *resource.Failure { return nil }

// Interrupt implements resource.Access.
func (u *use) Interrupt(status int, _ time.Duration) *resource.Failure { return interrupted(status) }

// Describe implements resource.Access.
func (u *use) Describe(*journal.Event) string { return u.action }
