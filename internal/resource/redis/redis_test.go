package redis

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/alicebob/miniredis/v2/server"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/ca"
	"github.com/wiemu/wiemu/internal/faults"
	"github.com/wiemu/wiemu/internal/hostmux"
	"github.com/wiemu/wiemu/internal/journals"
	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/resource/internal/tokentest"
	"github.com/wiemu/wiemu/internal/roles"
	"github.com/wiemu/wiemu/internal/tenants"
)

const audience = "https://redis.azure.com"

// lab is a resource with caches, and what stands around it.
type lab struct {
	testing.TB
	clock     *clock.Lab
	journal   *journals.Journal
	faults    *faults.Set
	tokens    *tokentest.Service
	caches    *Caches
	authority *ca.Authority
	listener  net.Listener
}

func newLab(t testing.TB, caches ...Cache) *lab {
	t.Helper()
	l := &lab{TB: t, clock: clock.Stopped(tokentest.Start())}
	var err error
	if l.journal, err = journals.New(l.clock, journals.Options{}); err != nil {
		t.Fatal(err)
	}
	people, err := tenants.New(directory.Tenant{ID: tokentest.Tenant})
	if err != nil {
		t.Fatal(err)
	}
	l.tokens = tokentest.New(t, l.clock)
	l.faults = faults.New(l.clock, l.journal, 1)
	for n := range caches {
		caches[n].Tenant = tokentest.Tenant
	}
	settings := Settings(caches)
	made, err := Description().Open(resource.Kit{
		Tokens: resource.NewValidator(l.clock, l.tokens.Source(), resource.Options{}), Clock: l.clock, Directory: people, Journal: l.journal, Faults: l.faults, Roles: roles.New(roles.Config{Clock: l.clock}),
	}, &settings)
	if err != nil {
		t.Fatal(err)
	}
	l.caches = made.(*Caches)
	if l.authority, err = ca.Open("", l.clock, ca.Options{Names: []string{".redis.cache.windows.net", ".redis.azure.net"}}); err != nil {
		t.Fatal(err)
	}
	if l.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				l.caches.ServeStream(ctx, &hostmux.Connection{Conn: conn, Certificate: l.authority.GetCertificate, Begin: l.clock.Begin})
			}()
		}
	}()
	t.Cleanup(func() {
		cancel()
		_ = l.listener.Close()
		<-done
		if err := l.caches.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// client is one connection.
type client struct {
	testing.TB
	conn net.Conn
	in   *bufio.Reader
}

func (l *lab) dial(host string) *client {
	l.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(l.authority.RootPEM())
	conn, err := tls.Dial("tcp", l.listener.Addr().String(), &tls.Config{ServerName: host, RootCAs: roots})
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { _ = conn.Close() }) // closed by some tests
	return &client{l.TB, conn, bufio.NewReader(conn)}
}

// ask sends a command, and returns the whole answer with its line ends as blanks; "closed" if the
// connection ended instead.
func (c *client) ask(args ...string) string {
	c.Helper()
	if _, err := c.conn.Write(appendCommand(nil, args...)); err != nil {
		return "closed"
	}
	return c.read()
}

func (c *client) read() string {
	c.Helper()
	if err := c.conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil { // wall time: input and output
		c.Fatal(err)
	}
	reply, err := readReply(c.in)
	if err != nil {
		if strings.Contains(err.Error(), "timeout") {
			c.Fatal("expected an answer or an end, found neither")
		}
		return "closed"
	}
	return strings.TrimSpace(strings.ReplaceAll(string(reply), "\r\n", " "))
}

func (l *lab) logIn(host string) *client {
	l.Helper()
	c := l.dial(host)
	if got := c.ask("AUTH", tokentest.ObjectID, l.tokens.Mint(l.TB, audience, nil)); got != "+OK" {
		l.Fatal(got)
	}
	return c
}

func (l *lab) last() (last journal.Event) {
	for _, e := range l.journal.Events() {
		if e.Kind == journal.Access {
			last = e
		}
	}
	return last
}

const host = "cache.redis.cache.windows.net"

func TestLogins(t *testing.T) {
	l := newLab(t, Cache{Name: "cache"}, Cache{Name: "closed", Access: PolicyAssignments{}}, Cache{Name: "web", Region: "norwayeast", Access: PolicyAssignments{{Identity: tokentest.ClientID, Policy: "Data Reader"}}})
	good := l.tokens.Mint(t, audience, nil)
	for _, row := range []struct{ name, host, user, token, answer, meaning string }{
		{"granted", host, tokentest.ObjectID, good, "+OK", ""},
		{"by the slash", host, tokentest.ObjectID, l.tokens.Mint(t, audience+"/", nil), "+OK", ""},
		{"by the app id", host, tokentest.ObjectID, l.tokens.Mint(t, Description().AppID, nil), "+OK", ""},
		{"a managed one", "web.norwayeast.redis.azure.net", strings.ToUpper(tokentest.ObjectID), good, "+OK", ""},
		{"another resource's token", host, tokentest.ObjectID, l.tokens.Mint(t, "https://vault.azure.net", nil), "-" + wrongPass, "made for another resource"},
		{"by the client id", host, tokentest.ClientID, good, "-" + wrongPass, "is the client id"},
		{"as somebody else", host, "default", good, "-" + wrongPass, "has to be the object id"},
		{"an access key", host, tokentest.ObjectID, "c2VjcmV0", "-" + wrongPass, "not a signed JWT"},
		{"without a policy", "closed.redis.cache.windows.net", tokentest.ObjectID, good, "-" + wrongPass, "no data access policy"},
		{"no such cache", "other.redis.cache.windows.net", tokentest.ObjectID, good, "closed", "has no cache of the host"},
		{"of the other kind", "cache.redis.azure.net", tokentest.ObjectID, good, "closed", "has no cache of the host"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := l.dial(row.host).ask("AUTH", row.user, row.token); got != row.answer {
				t.Errorf("AUTH: %s", got)
			}
			if e := l.last(); e.Component != Name || e.Host != row.host || !strings.Contains(e.Meaning, row.meaning) || (e.Outcome == journal.Granted) != (row.meaning == "") {
				t.Errorf("%+v", e)
			}
			if row.answer == "closed" {
				return
			}
			hello := l.dial(row.host).ask("HELLO", "3", "AUTH", row.user, row.token, "SETNAME", "me")
			if granted := strings.HasPrefix(hello, "%"); granted != (row.meaning == "") || !granted && hello != row.answer {
				t.Errorf("HELLO: %s", hello)
			}
		})
	}
}

func TestBeforeALogin(t *testing.T) {
	l := newLab(t, Cache{Name: "cache"})
	c := l.dial(host)
	for _, row := range []struct{ command, answer string }{
		{"GET a", "-" + noAuth},
		{"PING", "-" + noAuth},
		{"HELLO 3", "-" + noAuthHello},
		{"HELLO 4", "-NOPROTO unsupported protocol version"},
		{"HELLO 3 WHAT", "-ERR Syntax error in HELLO option 'WHAT'"},
		{"AUTH", "-ERR wrong number of arguments for 'auth' command"},
		{"AUTH key", "-" + wrongPass},
		{"AUTH a b c", "-ERR syntax error"},
		{"QUIT", "+OK"},
		{"PING", "closed"},
	} {
		if got := c.ask(strings.Fields(row.command)...); got != row.answer {
			t.Errorf("%s: %s", row.command, got)
		}
	}
}

// A session ends with its token on the lab clock, unless it has authenticated again.
func TestASessionEndsWithItsToken(t *testing.T) {
	l := newLab(t, Cache{Name: "cache"})
	c, renewed := l.logIn(host), l.logIn(host)
	if got := c.ask("SET", "a", "1", "EX", "7200"); got != "+OK" {
		t.Fatal(got)
	}
	advance(t, l.clock, 55*time.Minute)
	if got := renewed.ask("AUTH", tokentest.ObjectID, l.tokens.Mint(t, audience, nil)); got != "+OK" {
		t.Fatal(got)
	}
	if got := renewed.ask("AUTH", tokentest.ObjectID, "bad"); got != "-"+wrongPass {
		t.Error(got)
	}
	if got := c.ask("GET", "a"); got != "$1 1" {
		t.Error(got)
	}
	advance(t, l.clock, 10*time.Minute)
	if got := c.read(); got != "closed" {
		t.Errorf("after its token: %s", got)
	}
	if e := l.last(); e.Error != "TokenExpired" || !strings.Contains(e.Remedy, "Send AUTH with a new token") {
		t.Errorf("%+v", e)
	}
	if got := renewed.ask("TTL", "a"); got != ":3300" {
		t.Errorf("what is left of two hours: %s", got)
	}
	advance(t, l.clock, 40*time.Minute)
	if got := renewed.ask("AUTH", tokentest.ObjectID, l.tokens.Mint(t, audience, nil)); got != "+OK" {
		t.Fatal(got)
	}
	advance(t, l.clock, 20*time.Minute)
	if got := renewed.ask("GET", "a"); got != "$-1" {
		t.Errorf("after two hours: %s", got)
	}
}

func advance(t *testing.T, c *clock.Lab, d time.Duration) {
	t.Helper()
	if err := c.Advance(t.Context(), d); err != nil {
		t.Fatal(err)
	}
}

func TestPolicies(t *testing.T) {
	l := newLab(t,
		Cache{Name: "reader", Access: PolicyAssignments{{Identity: "*", Policy: "Data Reader"}}},
		Cache{Name: "contributor", Access: PolicyAssignments{{Identity: "*", Policy: "Data Contributor"}}},
		Cache{Name: "owner", Access: PolicyAssignments{{Identity: "*", Policy: "Data Owner"}}},
		Cache{Name: "custom", Policies: map[string]string{"app": "+@read +set +mset +eval ~app:* %R~shared:*"}, Access: PolicyAssignments{{Identity: "*", Policy: "app"}}},
	)
	const noKey = "-NOPERM No permissions to access a key"
	not := func(command string) string {
		return fmt.Sprintf("-NOPERM User %s has no permissions to run the '%s' command", tokentest.ObjectID, command)
	}
	for _, row := range []struct{ cache, command, answer string }{
		{"reader", "GET a", "$-1"},
		{"reader", "SET a 1", not("set")},
		{"reader", "PING", "+PONG"},
		{"reader", "CLIENT SETNAME x", "+OK"},
		{"reader", "FLUSHALL", not("flushall")},
		{"contributor", "SET a 1", "+OK"},
		{"contributor", "KEYS *", not("keys")},
		{"contributor", "FLUSHALL", not("flushall")},
		{"contributor", "INFO", not("info")},
		{"owner", "SET a 1", "+OK"},
		{"owner", "FLUSHALL", "+OK"},
		{"owner", "CONFIG GET x", "-ERR unknown command 'CONFIG', with args beginning with: 'GET' 'x'"},
		{"owner", "NONSENSE", "-ERR unknown command 'NONSENSE', with args beginning with:"},
		{"custom", "SET app:a/b 1", "+OK"},
		{"custom", "SET other 1", noKey},
		{"custom", "MSET app:b 1 other 2", noKey},
		{"custom", "GET shared:x", "$-1"},
		{"custom", "SET shared:x 1", noKey},
		{"custom", "DEL app:a", not("del")},
		{"custom", "EVAL x 1 other", noKey},
		{"custom", "MGET app:a/b shared:y", "*2 $1 1 $-1"},
	} {
		if got := l.logIn(row.cache + ".redis.cache.windows.net").ask(strings.Fields(row.command)...); got != row.answer {
			t.Errorf("%s: %s: %s", row.cache, row.command, got)
		}
		if denied := strings.HasPrefix(row.answer, "-NOPERM"); denied && (l.last().Error != "NOPERM" || !strings.Contains(l.last().Meaning, "data access policy")) {
			t.Errorf("%s: %+v", row.command, l.last())
		}
	}
}

// What a policy does not permit, a script does not do either, and options name keys, too.
func TestWaysAroundAPolicy(t *testing.T) {
	l := newLab(t,
		Cache{Name: "contributor", Access: PolicyAssignments{{Identity: "*", Policy: "Data Contributor"}}},
		Cache{Name: "custom", Policies: map[string]string{"app": "+@all -@dangerous +sort ~app:*"}, Access: PolicyAssignments{{Identity: "*", Policy: "app"}}},
	)
	const noKey = "-NOPERM No permissions to access a key"
	for _, row := range []struct {
		cache, answer string
		commands      [][]string
	}{
		{"contributor", "has no permissions to run the 'flushall' command", [][]string{{"EVAL", "return redis.call('flushall')", "0"}}},
		{"contributor", "has no permissions to run the 'keys' command", [][]string{{"MULTI"}, {"EVAL", "return redis.pcall('KEYS', '*')", "0"}, {"EXEC"}}},
		{"contributor", "$1 1", [][]string{{"EVAL", "redis.call('SET', KEYS[1], '1') return redis.call('GET', KEYS[1])", "1", "a"}}},
		{"contributor", "has no permissions to run the 'client|kill' command", [][]string{{"CLIENT", "KILL", "127.0.0.1:1"}}},
		{"contributor", "-ERR unknown command 'CLUSTER'", [][]string{{"CLUSTER", "RESET"}}},
		{"contributor", "-ERR unknown command 'NONSENSE', with args beginning with: 'a  b'", [][]string{{"NONSENSE", "a\r\nb"}}},
		{"custom", "ACL failure in script: No permissions to access a key", [][]string{{"EVAL", "return redis.call('GET', 'other')", "1", "app:a"}}},
		{"custom", noKey, [][]string{{"LCS", "app:a", "other"}}},
		{"custom", noKey, [][]string{{"SORT", "app:a", "STORE", "other"}}},
		{"custom", noKey, [][]string{{"GEORADIUS", "app:a", "0", "0", "1", "km", "storeDist", "other"}}},
		{"custom", "+OK", [][]string{{"MULTI"}, {"SET", "app:a", "1"}, {"EXEC"}}},
		{"custom", "-EXECABORT Transaction discarded", [][]string{{"MULTI"}, {"SET", "app:b", "1"}, {"SET", "other", "1"}, {"EXEC"}}},
		{"custom", "$-1", [][]string{{"GET", "app:b"}}},
		{"custom", "*1 +OK", [][]string{{"MULTI"}, {"GET", "other"}, {"DISCARD"}, {"MULTI"}, {"SET", "app:a", "1"}, {"EXEC"}}},
	} {
		c := l.logIn(row.cache + ".redis.cache.windows.net")
		got := ""
		for _, command := range row.commands {
			got = c.ask(command...)
		}
		if !strings.Contains(got, row.answer) {
			t.Errorf("%s: %q: %s", row.cache, row.commands, got)
		}
		if strings.Contains(row.answer, "no permissions to run") && (l.last().Error != "NOPERM" || !strings.Contains(l.last().Meaning, "Data Contributor")) {
			t.Errorf("%q: %+v", row.commands, l.last())
		}
	}
}

// The engine in memory leaves scripts what Redis takes away: they would read wiemu's files.
func TestScriptsReadNoFiles(t *testing.T) {
	l := newLab(t, Cache{Name: "cache"})
	c := l.logIn(host)
	for _, script := range []string{
		"return select(2, loadfile('/etc/hostname'))", `return _G["load".."file"]("/etc/hostname")`, `getfenv(0)["do".."file"]("/etc/hostname")`,
		"require('x')", `return loadstring("return lo".."adfile")()`, "return package.path", "return debug.getregistry()",
	} {
		for _, command := range [][]string{{"EVAL", script, "0"}, {"EVAL_RO", script, "0"}, {"SCRIPT", "LOAD", script}} {
			if got := c.ask(command...); !strings.Contains(got, "by which a script could read files") {
				t.Errorf("%q: %s", command, got)
			}
		}
	}
	if got := c.ask("\u017fCRIPT", "LOAD", "return select(2, loadfile('/etc/hostname'))"); !strings.Contains(got, "-ERR unknown command") {
		t.Error(got) // a long s, whose capital is S
	}
	if got := c.ask("EVAL", "local reloaded, debugging = 1, 2; return reloaded + debugging", "0"); got != ":3" {
		t.Error(got)
	}
}

// A script that does not end keeps other clients from what is stored, who are told so; it keeps
// neither the lab clock, nor them, nor the end of the lab.
func TestAScriptThatDoesNotEnd(t *testing.T) {
	l := newLab(t, Cache{Name: "cache"})
	m := l.caches.at(host).memory
	m.busyAfter = 100 * time.Millisecond
	begun, release := make(chan bool), make(chan bool)
	m.Server().SetPreHook(func(p *server.Peer, name string, args ...string) bool {
		if name == "TIME" {
			begun <- true
			<-release
		}
		return m.called(p, name, args...)
	})
	runner, other, another := l.logIn(host), l.logIn(host), l.logIn(host)
	for _, c := range []*client{other, another} {
		if got := c.ask("GET", "a"); got != "$-1" {
			t.Fatal(got)
		}
	}
	if _, err := runner.conn.Write(appendCommand(nil, "EVAL", "return redis.call('TIME')[1]", "0")); err != nil {
		t.Fatal(err)
	}
	<-begun
	advance(t, l.clock, time.Minute)
	for _, command := range []string{"GET a", "SCRIPT KILL"} {
		if got := other.ask(strings.Fields(command)...); !strings.HasPrefix(got, "-BUSY Redis is busy running a script.") {
			t.Errorf("%s: %s", command, got)
		}
		if e := l.last(); e.Error != "BUSY" || !strings.Contains(e.Remedy, "a loop that does not end") {
			t.Errorf("%+v", e)
		}
	}
	if _, err := l.caches.Get("cache", "a"); err == nil || !strings.Contains(err.Error(), "BUSY") {
		t.Error(err)
	}
	if got := another.ask("QUIT"); got != "+OK" || another.read() != "closed" {
		t.Error(got)
	}
	_ = runner.conn.Close()
	if err := l.caches.Close(); err != nil { // does not wait for it
		t.Error(err)
	}
	close(release)
}

// deadlines is a connection that knows until when it reads.
type deadlines struct {
	net.Conn
	mu   sync.Mutex
	last time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last = t
	return d.Conn.SetReadDeadline(t)
}

// Who does not log in has to go after a time, whatever it sends instead, also after RESET.
func TestTheTimeForALogin(t *testing.T) {
	l := newLab(t, Cache{Name: "cache"})
	near, far := net.Pipe()
	served := &deadlines{Conn: far}
	go l.caches.ServeStream(t.Context(), &hostmux.Connection{Conn: served, Certificate: l.authority.GetCertificate, Begin: l.clock.Begin})
	secured := tls.Client(near, &tls.Config{ServerName: host, InsecureSkipVerify: true})
	c := &client{t, secured, bufio.NewReader(secured)}
	t.Cleanup(func() { _ = secured.Close() })
	limited := func() bool {
		served.mu.Lock()
		defer served.mu.Unlock()
		return served.last.After(time.Now())
	}
	for _, command := range []string{"BLPOP list 0", "PING"} {
		if got := c.ask(strings.Fields(command)...); got != "-"+noAuth || !limited() {
			t.Errorf("%s: %s, with an end: %t", command, got, limited())
		}
	}
	if got := c.ask("AUTH", tokentest.ObjectID, l.tokens.Mint(t, audience, nil)); got != "+OK" || limited() {
		t.Errorf("%s, with an end: %t", got, limited())
	}
	if got := c.ask("RESET"); got != "+RESET" || !limited() {
		t.Errorf("%s, with an end: %t", got, limited())
	}
}

func TestPoliciesThatAreNone(t *testing.T) {
	for _, row := range []struct{ text, problem string }{
		{"+@reads", "expected a category of all"},
		{"+nonsense", "expected a command of Redis, found +nonsense"},
		{"read", "expected rules such as +@read"},
		{"%X~a", "expected %R~, %W~ or %RW~ before a pattern, found %X~a"},
	} {
		if _, err := parsePolicy("p", row.text); err == nil || !strings.Contains(err.Error(), row.problem) {
			t.Errorf("%s: %v", row.text, err)
		}
	}
}

// Who asks about a cache that has just been deleted finds nothing in it.
func TestACacheThatWasDeleted(t *testing.T) {
	l := newLab(t, Cache{Name: "cache"})
	c := l.logIn(host)
	l.caches.Delete("cache")
	if got := c.ask("PING"); got != "closed" {
		t.Error(got)
	}
	tenant, _ := l.caches.Scope("cache")
	assigned, open := l.caches.Assignments("cache")
	if len(l.caches.Names()) != 0 || tenant != "" || len(assigned) != 0 || open {
		t.Errorf("%q, %q, %v, %v", l.caches.Names(), tenant, assigned, open)
	}
}

// A change of a cache counts at the next login of a connection that is open, which keeps its content.
func TestAChangeCountsAtTheNextLogin(t *testing.T) {
	l := newLab(t, Cache{Name: "cache"})
	c := l.logIn(host)
	if got := c.ask("SET", "a", "1"); got != "+OK" {
		t.Fatal(got)
	}
	again := func(policies PolicyAssignments) string {
		if err := l.caches.Put(Cache{Name: "cache", Tenant: tokentest.Tenant, Access: policies}); err != nil {
			t.Fatal(err)
		}
		return c.ask("AUTH", tokentest.ObjectID, l.tokens.Mint(t, audience, nil))
	}
	if got := again(PolicyAssignments{}); !strings.Contains(got, "WRONGPASS") {
		t.Error(got)
	}
	if got := again(PolicyAssignments{{Identity: "*", Policy: "Data Reader"}}); got != "+OK" {
		t.Error(got)
	}
	if got := c.ask("GET", "a"); got != "$1 1" {
		t.Error(got)
	}
	if got := c.ask("SET", "a", "2"); !strings.Contains(got, "NOPERM") {
		t.Error(got)
	}
}

// A command that is refused, about channels or with much text, is answered as any other.
func TestCommandsThatAreUnknown(t *testing.T) {
	behind := miniredis.NewMiniRedis()
	if err := behind.Start(); err != nil {
		t.Fatal(err)
	}
	defer behind.Close()
	l := newLab(t, Cache{Name: "cache"}, Cache{Name: "behind", URL: "redis://" + behind.Addr()})
	for _, host := range []string{host, "behind.redis.cache.windows.net"} {
		c := l.logIn(host)
		for _, row := range []struct {
			command []string
			answer  string
		}{
			{[]string{"SSUBSCRIBE", "news"}, "-ERR unknown command"},
			{[]string{"JSON.SET", "a", strings.Repeat("x", 10_000)}, "-ERR unknown command"},
			{[]string{"SET", "a", "1"}, "+OK"},
			{[]string{"SUBSCRIBE", "a", "b"}, "*3 $9 subscribe $1 a :1"},
		} {
			if got := c.ask(row.command...); !strings.HasPrefix(got, row.answer) {
				t.Errorf("%s: %.20q: %.200s", host, row.command, got)
			}
		}
		if got := c.read(); got != "*3 $9 subscribe $1 b :2" {
			t.Errorf("%s: %s", host, got)
		}
	}
}

// Messages of channels arrive between answers, and blocking commands do not hold the clock.
func TestChannelsAndBlockingCommands(t *testing.T) {
	l := newLab(t, Cache{Name: "cache"})
	subscriber, other := l.logIn(host), l.logIn(host)
	if got := subscriber.ask("SUBSCRIBE", "news"); got != "*3 $9 subscribe $4 news :1" {
		t.Fatal(got)
	}
	if got := other.ask("PUBLISH", "news", "hello"); got != ":1" {
		t.Fatal(got)
	}
	if got := subscriber.read(); got != "*3 $7 message $4 news $5 hello" {
		t.Error(got)
	}
	if got := subscriber.ask("UNSUBSCRIBE", "news"); got != "*3 $11 unsubscribe $4 news :0" {
		t.Error(got)
	}
	for _, row := range []struct{ command, answer string }{
		{"RPUSH list message x", ":2"},
		{"LRANGE list 0 -1", "*2 $7 message $1 x"}, // is no message
		{"MULTI", "+OK"}, {"SET a 1", "+QUEUED"}, {"EXEC", "*1 +OK"},
		{"DEL list", ":1"},
	} {
		if got := subscriber.ask(strings.Fields(row.command)...); got != row.answer {
			t.Errorf("%s: %s", row.command, got)
		}
	}
	if _, err := subscriber.conn.Write(appendCommand(nil, "BLPOP", "list", "0")); err != nil {
		t.Fatal(err)
	}
	advance(t, l.clock, time.Minute)
	if got := other.ask("RPUSH", "list", "now"); got != ":1" {
		t.Error(got)
	}
	if got := subscriber.read(); got != "*2 $4 list $3 now" {
		t.Error(got)
	}
}

// What only looks like a message of a channel is an answer, and what follows an UNSUBSCRIBE at once
// is not taken for one.
func TestAnswersThatLookLikeMessages(t *testing.T) {
	l := newLab(t, Cache{Name: "cache"})
	c := l.logIn(host)
	c.ask("RPUSH", "list", "message", "a", "b")
	for _, protocol := range []string{"2", "3"} {
		if got := c.ask("HELLO", protocol); !strings.Contains(got, "proto") {
			t.Fatal(got)
		}
		push := map[string]string{"2": "*3", "3": ">3"}[protocol]
		for range 50 {
			if got := c.ask("SUBSCRIBE", "news"); got != push+" $9 subscribe $4 news :1" {
				t.Fatal(got)
			}
			if _, err := c.conn.Write(appendCommand(appendCommand(nil, "UNSUBSCRIBE"), "SUBSCRIBE", "more")); err != nil {
				t.Fatal(err)
			}
			if first, second := c.read(), c.read(); first != push+" $11 unsubscribe $4 news :0" || second != push+" $9 subscribe $4 more :1" {
				t.Fatal(first, second)
			}
			if got := c.ask("UNSUBSCRIBE"); got != push+" $11 unsubscribe $4 more :0" {
				t.Fatal(got)
			}
			if got := c.ask("LRANGE", "list", "0", "-1"); got != "*3 $7 message $1 a $1 b" {
				t.Fatal(got)
			}
		}
	}
}

// A command that waits ends with the token of its connection, also if another one was sent after it.
func TestNothingWaitsForAConnectionThatHasEnded(t *testing.T) {
	l := newLab(t, Cache{Name: "cache"})
	c := l.logIn(host)
	if _, err := c.conn.Write(appendCommand(appendCommand(nil, "BLPOP", "list", "0"), "PING")); err != nil {
		t.Fatal(err)
	}
	l.waitForClients(1)
	advance(t, l.clock, 2*time.Hour)
	if got := c.read(); got != "closed" {
		t.Error(got)
	}
	l.waitForClients(0)
}

// A client that has gone is noticed while it waits, whatever it has sent after, and what it has sent
// is answered if it stays.
func TestCommandsBehindOneThatWaits(t *testing.T) {
	l := newLab(t, Cache{Name: "cache"})
	other := l.logIn(host)
	other.ask("PING")
	send := func() *client {
		c := l.logIn(host)
		if _, err := c.conn.Write(appendCommand(appendCommand(appendCommand(nil, "BLPOP", "list", "0"), "PING"), "GET", "a")); err != nil {
			t.Fatal(err)
		}
		l.waitForClients(2)
		return c
	}
	c := send()
	other.ask("RPUSH", "list", "x", "y")
	for _, want := range []string{"*2 $4 list $1 x", "+PONG", "$-1"} {
		if got := c.read(); got != want {
			t.Errorf("found %s, want %s", got, want)
		}
	}
	if got := c.ask("BLPOP", "list", "0"); got != "*2 $4 list $1 y" {
		t.Error(got)
	}
	if got := c.ask("PING"); got != "+PONG" {
		t.Error(got)
	}
	_ = c.conn.Close()
	l.waitForClients(1)
	_ = send().conn.Close()
	l.waitForClients(1)
}

// Commands about channels are queued in a transaction.
func TestChannelsInATransaction(t *testing.T) {
	l := newLab(t, Cache{Name: "cache"})
	c, other := l.logIn(host), l.logIn(host)
	for _, row := range []struct{ command, answer string }{
		{"MULTI", "+OK"}, {"SUBSCRIBE news", "+QUEUED"}, {"DISCARD", "+OK"},
		{"RPUSH list message a b", ":3"}, {"LRANGE list 0 -1", "*3 $7 message $1 a $1 b"},
		{"MULTI", "+OK"}, {"SET a 1", "+QUEUED"}, {"SUBSCRIBE news", "+QUEUED"}, {"EXEC", "*2 +OK *3 $9 subscribe $4 news :1"},
	} {
		if got := c.ask(strings.Fields(row.command)...); got != row.answer {
			t.Errorf("%s: %s", row.command, got)
		}
	}
	if got := other.ask("PUBLISH", "news", "hello"); got != ":1" {
		t.Error(got)
	}
	if got := c.read(); got != "*3 $7 message $4 news $5 hello" {
		t.Error(got)
	}
	if got := c.ask("UNSUBSCRIBE", "news"); got != "*3 $11 unsubscribe $4 news :0" {
		t.Error(got)
	}
	if got := c.ask("LRANGE", "list", "0", "-1"); got != "*3 $7 message $1 a $1 b" {
		t.Error(got)
	}
}

// waitForClients waits until the engine has so many.
func (l *lab) waitForClients(want int) {
	l.Helper()
	m := l.caches.caches["cache"].memory
	clients := func() int {
		m.mu.Lock()
		defer m.mu.Unlock()
		return len(m.clients)
	}
	for range 1000 {
		if clients() == want {
			return
		}
		time.Sleep(10 * time.Millisecond) // wall time: input and output
	}
	l.Errorf("expected %d clients at the engine, found %d", want, clients())
}

// A client that does not take its answers loses its connection, and does not hold the clock. It is
// told nothing after what it has lost: it would take that for a record with a bad MAC.
func TestAClientThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		authority, err := ca.Open("", clock.Stopped(tokentest.Start()), ca.Options{Names: []string{".redis.cache.windows.net"}})
		if err != nil {
			t.Fatal(err)
		}
		near, far := net.Pipe()
		served := tls.Server(near, &tls.Config{GetCertificate: authority.GetCertificate})
		client := tls.Client(far, &tls.Config{ServerName: host, InsecureSkipVerify: true})
		n := &session{conn: served, out: bufio.NewWriter(served)}
		go func() {
			if !n.say([]byte("+OK\r\n"), true) {
				t.Error("an answer was not taken")
			}
			if n.say([]byte("+OK\r\n"), true) {
				t.Error("it took another one")
			}
			_ = n.conn.Close() // as when its service ends
		}()
		if _, err := io.ReadFull(client, make([]byte, 5)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(writeTimeout + time.Second) // of the bubble's time
		if _, err := client.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("found %v", err)
		}
	})
}

func TestFaults(t *testing.T) {
	l := newLab(t, Cache{Name: "cache"})
	for _, row := range []struct{ fault, login, get string }{
		{"server-error,for.resource=redis", "-" + loading, "-" + loading},
		{"throttled,for.resource=redis", "-" + maxClients, "-" + maxClients},
		{"connection-reset,for.resource=redis", "closed", "closed"},
		{"redis-moved,for.resource=redis", "+OK", "-MOVED 15495 " + host + ":6380"},
		{"redis-connection-ended,for.resource=redis", "+OK", "closed"},
		{"redis-moved,for.resource=keyvault", "+OK", "$-1"},
		{"throttled,for.resource=keyvault", "+OK", "$-1"},
	} {
		c := l.logIn(host)
		f, err := fault.Parse(row.fault)
		if err == nil {
			_, err = l.faults.Inject(f)
		}
		if err != nil {
			t.Fatal(err)
		}
		if got := c.ask("GET", "a"); got != row.get {
			t.Errorf("%s: GET: %s", row.fault, got)
		}
		if got := l.dial(host).ask("AUTH", tokentest.ObjectID, l.tokens.Mint(t, audience, nil)); got != row.login {
			t.Errorf("%s: AUTH: %s", row.fault, got)
		}
		l.faults.ClearAll()
	}
}

// A rejected EXEC ends its transaction. Source: redis/src/multi.c, execCommandAbort.
func TestARejectedExecEndsTheTransaction(t *testing.T) {
	l := newLab(t, Cache{Name: "cache"})
	c := l.logIn(host)
	for _, command := range [][]string{{"MULTI"}, {"SET", "a", "1"}} {
		c.ask(command...)
	}
	f, err := fault.Parse("server-error,for.resource=redis")
	if err == nil {
		_, err = l.faults.Inject(f)
	}
	if err != nil {
		t.Fatal(err)
	}
	if got := c.ask("EXEC"); got != "-EXECABORT Transaction discarded because of: "+loading {
		t.Errorf("EXEC: %s", got)
	}
	l.faults.ClearAll()
	for _, row := range []struct{ command, want string }{{"GET a", "$-1"}, {"MULTI", "+OK"}, {"SET a 2", "+QUEUED"}, {"EXEC", "*1 +OK"}, {"EXEC", "-ERR EXEC without MULTI"}} {
		if got := c.ask(strings.Fields(row.command)...); got != row.want {
			t.Errorf("%s: %s, want %s", row.command, got, row.want)
		}
	}
}

// Slots as redis.io has them in its cluster tutorial and specification.
func TestSlots(t *testing.T) {
	for key, want := range map[string]uint16{"foo": 12182, "hello": 866, "123456789": 12739, "{foo}:bar": 12182, "": 0} {
		if got := slot(key); got != want {
			t.Errorf("%q: %d, want %d", key, got, want)
		}
	}
	if slot("{user1000}.following") != slot("{user1000}.followers") || slot("foo{}{bar}") != crc16("foo{}{bar}")%slots || slot("foo{{bar}}zap") != slot("{bar") {
		t.Error("hash tags")
	}
}

// A real Redis behind, here a second miniredis over TCP, that dies in the middle or was never there.
func TestARedisBehind(t *testing.T) {
	behind := miniredis.NewMiniRedis()
	behind.RequireUserAuth("door", "secret")
	if err := behind.Start(); err != nil {
		t.Fatal(err)
	}
	l := newLab(t, Cache{Name: "cache", URL: "redis://door:secret@" + behind.Addr() + "/3"}, Cache{Name: "wrong", URL: "redis://door:other@" + behind.Addr()}, Cache{Name: "none", URL: "redis://127.0.0.1:1"})
	c := l.logIn(host)
	if got := c.ask("SET", "a", "1"); got != "+OK" {
		t.Fatal(got)
	}
	if got, err := behind.DB(3).Get("a"); got != "1" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	for _, name := range []string{"wrong", "none"} {
		if got := l.logIn(name+".redis.cache.windows.net").ask("GET", "a"); got != "closed" {
			t.Errorf("%s: %s", name, got)
		}
		if e := l.last(); e.Error != "ConnectionClosed" || !strings.Contains(e.Meaning, "could not be reached") {
			t.Errorf("%+v", e)
		}
	}
	if _, err := l.caches.Get("cache", "a"); err == nil || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), behind.Addr()) {
		t.Errorf("%v", err)
	}
	behind.Close()
	if got := c.ask("GET", "a"); got != "closed" {
		t.Errorf("after the engine's end: %s", got)
	}
}

// What clients send that is no protocol ends their connection, whatever lengths they announce.
func TestAttacks(t *testing.T) {
	l := newLab(t, Cache{Name: "cache"})
	for _, row := range []struct{ sent, answer string }{
		{"*1\r\n$2147483648\r\n", "-ERR Protocol error: invalid bulk length"},
		{"*1\r\n$-5\r\n", "-ERR Protocol error: invalid bulk length"},
		{"*1\r\n$x\r\n", "-ERR Protocol error: invalid bulk length"},
		{"*1\r\n$20000\r\n", "-ERR Protocol error: unauthenticated bulk length"},
		{"*11\r\n", "-ERR Protocol error: unauthenticated multibulk length"},
		{"*2147483647\r\n", "-ERR Protocol error: invalid multibulk length"},
		{"*1\r\n:1\r\n", "-ERR Protocol error: expected '$', got ':'"},
		{strings.Repeat("x", maxInline+readAtATime) + "\r\n", "-ERR Protocol error: too big inline request"},
		{"\r\n\r\n*0\r\nPING\r\n", "-" + noAuth},
	} {
		c := l.dial(host)
		if _, err := c.conn.Write([]byte(row.sent)); err != nil {
			t.Fatal(err)
		}
		if got := c.read(); got != row.answer {
			t.Errorf("%.30q: %s", row.sent, got)
		}
	}
	c := l.logIn(host)
	before := heap()
	if _, err := c.conn.Write([]byte("*2\r\n$3\r\nGET\r\n$500000000\r\nabc")); err != nil {
		t.Fatal(err)
	}
	if grown := heap() - before; grown > 10<<20 {
		t.Errorf("an announced length of 500 MB costs %d bytes", grown)
	}
}

func heap() int64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// No goroutine stays of connections that say nothing, in the middle of anything.
func TestSilentConnectionsLeaveNothing(t *testing.T) {
	l := newLab(t, Cache{Name: "cache"})
	l.logIn(host).ask("PING")
	before := runtime.NumGoroutine()
	var conns []net.Conn
	for i := range 300 {
		conn, err := net.Dial("tcp", l.listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
		if i%3 == 0 {
			_, _ = conn.Write([]byte{22, 3, 1}) // half a handshake
		}
	}
	for range 20 {
		c := l.logIn(host)
		if _, err := c.conn.Write(appendCommand(nil, "BLPOP", "nothing", "0")); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c.conn)
	}
	for _, conn := range conns {
		_ = conn.Close()
	}
	for range 1000 {
		if runtime.NumGoroutine() <= before+5 {
			return
		}
		time.Sleep(10 * time.Millisecond) // wall time: goroutines end on their own
	}
	t.Errorf("%d goroutines, before %d", runtime.NumGoroutine(), before)
}

func FuzzReadCommand(f *testing.F) {
	for _, seed := range []string{"*2\r\n$3\r\nGET\r\n$1\r\na\r\n", "PING\r\n", "*1\r\n$2147483648\r\n", "*-1\r\n", "$3\r\nabc\r\n", "%1\r\n+a\r\n:1\r\n", "|1\r\n+a\r\n:1\r\n*0\r\n"} {
		f.Add([]byte(seed), true)
	}
	f.Fuzz(func(t *testing.T, data []byte, authenticated bool) {
		args, err := readCommand(bufio.NewReader(strings.NewReader(string(data))), authenticated)
		if err == nil && len(args) > 0 {
			p, _ := parsePolicy("p", "+@all ~app:*")
			p.permits("u", args)
			again, err := readCommand(bufio.NewReader(strings.NewReader(string(appendCommand(nil, args...)))), true)
			if err != nil || strings.Join(again, "\x00") != strings.Join(args, "\x00") {
				t.Errorf("%q, written and read again, is %q, %v", args, again, err)
			}
		}
		reply, err := readReply(bufio.NewReader(strings.NewReader(string(data))))
		if err == nil && !strings.HasPrefix(string(data), string(reply)) {
			t.Errorf("%q is not the beginning of %q", reply, data)
		}
	})
}

func BenchmarkGet(b *testing.B) {
	l := newLab(b, Cache{Name: "cache"})
	c := l.logIn(host)
	c.ask("SET", "a", "1")
	for b.Loop() {
		if got := c.ask("GET", "a"); got != "$1 1" {
			b.Fatal(got)
		}
	}
}
