package console_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/console"
	"github.com/wiemu/wiemu/internal/journals"
)

// A served is a console with what its control API was asked.
type served struct {
	url     string
	pages   string // URL of the pages, with a slash; known when a browser has opened a link
	console *console.Console
	journal *journals.Journal
	asked   chan *http.Request
}

func serve(t *testing.T, keep int) *served {
	t.Helper()
	j, err := journals.New(clock.Stopped(time.Date(2026, 1, 15, 8, 0, 0, 0, time.UTC)), journals.Options{Keep: keep})
	if err != nil {
		t.Fatal(err)
	}
	s := &served{journal: j, asked: make(chan *http.Request, 16)}
	s.console = console.New(console.Options{Token: "secret", Journal: j, API: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { s.asked <- r })})
	server := httptest.NewServer(s.console)
	t.Cleanup(server.Close)
	t.Cleanup(s.console.Close)
	s.url = server.URL
	return s
}

// browser returns a client with a session.
func (s *served) browser(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &http.Client{Jar: jar}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+s.console.Link().Path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("the link is answered with %s", resp.Status)
	}
	s.pages = resp.Request.URL.String()
	return c
}

func get(t *testing.T, c *http.Client, at string) int {
	t.Helper()
	return send(t, c, http.MethodGet, at, nil)
}

// send asks with further headers; Host is the request's.
func send(t *testing.T, c *http.Client, method, at string, header map[string]string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, at, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range header {
		if name == "Host" {
			req.Host = value
			continue
		}
		req.Header.Set(name, value)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

var unguessable = regexp.MustCompile(`^/console/[A-Z2-7]{26}/$`)

func TestALinkOpensTheConsoleOnce(t *testing.T) {
	s := serve(t, 0)
	link := s.url + s.console.Link().Path
	noRedirect := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := noRedirect.Get(link)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if len(resp.Cookies()) != 1 {
		t.Fatalf("%d cookies, want 1", len(resp.Cookies()))
	}
	pages := resp.Header.Get("Location")
	if c := resp.Cookies()[0]; !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != pages || !strings.HasSuffix(s.url, strings.TrimPrefix(c.Name, "wiemu-console-")) {
		t.Errorf("the cookie is %s", c)
	}
	if resp.StatusCode != http.StatusSeeOther || !unguessable.MatchString(pages) {
		t.Errorf("%s to %q, want a path that cannot be guessed, without the token", resp.Status, pages)
	}
	if other := serve(t, 0); other.browser(t) == nil || strings.HasSuffix(other.pages, pages) {
		t.Errorf("another server has its pages at %s, too", pages)
	}
	if status := get(t, http.DefaultClient, link); status != http.StatusUnauthorized {
		t.Errorf("the link opens another browser with %d, want 401", status)
	}
	if status := get(t, http.DefaultClient, s.url+console.Path+"open?token="); status != http.StatusUnauthorized {
		t.Errorf("no token is answered with %d, want 401", status)
	}
	oldest := s.url + s.console.Link().Path
	for range 20 {
		s.console.Link()
	}
	if status := get(t, http.DefaultClient, oldest); status != http.StatusUnauthorized {
		t.Errorf("a link that made room for newer ones is answered with %d, want 401", status)
	}
}

func TestWhoMayAskWhat(t *testing.T) {
	s := serve(t, 0)
	in := s.browser(t)
	pages := mustURL(t, s.pages).Path
	api := pages + "api/v1/status"
	cookie := in.Jar.Cookies(mustURL(t, s.pages))[0]
	for _, test := range []struct {
		name         string
		client       *http.Client
		method, path string
		header       map[string]string
		want         int
	}{
		{"a page with a session", in, "GET", pages, nil, 200},
		{"a script with a session", in, "GET", pages + "console.js", nil, 200},
		{"a page without a session", http.DefaultClient, "GET", pages, nil, 401},
		{"a script without a session", http.DefaultClient, "GET", pages + "console.js", nil, 401},
		{"the API without a session", http.DefaultClient, "GET", api, nil, 401},
		{"events without a session", http.DefaultClient, "GET", pages + "events", nil, 401},
		{"another's cookie", http.DefaultClient, "GET", pages, map[string]string{"Cookie": "wiemu-console-" + mustURL(t, s.url).Port() + "=guess"}, 401},
		{"the API with a session", in, "GET", api, map[string]string{"Sec-Fetch-Site": "same-origin"}, 200},
		{"the API from another port of this host", in, "GET", api, map[string]string{"Sec-Fetch-Site": "same-site"}, 403},
		{"the API from another site", in, "GET", api, map[string]string{"Sec-Fetch-Site": "cross-site"}, 403},
		{"the API opened as a page", in, "GET", api, map[string]string{"Sec-Fetch-Site": "none"}, 403},
		{"events from another port of this host", in, "GET", pages + "events", map[string]string{"Sec-Fetch-Site": "same-site"}, 403},
		{"a change by a page of the console", in, "POST", api, map[string]string{"Origin": s.url}, 200},
		{"a change without an origin", in, "POST", api, nil, 403},
		{"a change from another origin", in, "POST", api, map[string]string{"Origin": "http://127.0.0.1:1"}, 403},
		{"a change from a page without an origin", in, "POST", api, map[string]string{"Origin": "null"}, 403},
		{"a change from the same name over TLS", in, "POST", api, map[string]string{"Origin": strings.Replace(s.url, "http:", "https:", 1)}, 403},
		{"a name that leads here", in, "GET", pages, map[string]string{"Host": "rebound.example:" + mustURL(t, s.url).Port()}, 421},
		{"a name that looks like an address", in, "GET", pages, map[string]string{"Host": "127.0.0.1.rebound.example"}, 421},
		{"another address, at which this server cannot be", in, "GET", pages, map[string]string{"Host": "192.0.2.7:" + mustURL(t, s.url).Port()}, 421},
		{"another loopback address, whose cookies are its own", http.DefaultClient, "GET", pages, map[string]string{"Host": "[::1]:" + mustURL(t, s.url).Port()}, 401},
		{"no host", in, "GET", pages, map[string]string{"Host": ":" + mustURL(t, s.url).Port()}, 421},
		{"the cookie at the path that everybody knows", http.DefaultClient, "GET", console.Path, map[string]string{"Cookie": cookie.String()}, 401},
		{"the cookie at a path that was guessed", http.DefaultClient, "GET", console.Path + "AAAAAAAAAAAAAAAAAAAAAAAAAA/", map[string]string{"Cookie": cookie.String()}, 401},
		{"the cookie beside one that another port has set", http.DefaultClient, "GET", pages, map[string]string{"Cookie": cookie.Name + "=tossed; " + cookie.String()}, 200},
		{"localhost, whose cookies are its own", http.DefaultClient, "GET", pages, map[string]string{"Host": "localhost:" + mustURL(t, s.url).Port()}, 401},
		{"no such page", in, "GET", pages + "nothing.js", nil, 404},
		{"out of the pages", in, "GET", pages + "%2e%2e/%2e%2e/console.go", nil, 404},
		{"what is not of the API", in, "GET", pages + "api/console/", nil, 403},
		{"a page that is written to", in, "POST", pages, map[string]string{"Origin": s.url}, 405},
	} {
		if got := send(t, test.client, test.method, s.url+test.path, test.header); got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
	}
}

func mustURL(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// Of a connection to another address of the machine than loopback, any address is taken: it may
// be led there from another machine.
func TestWhereAListenerIsElsewhere(t *testing.T) {
	c := console.New(console.Options{})
	for _, test := range []struct {
		local net.Addr
		host  string
		want  int
	}{
		{&net.TCPAddr{IP: net.IPv4(10, 1, 2, 3)}, "192.0.2.7:9000", 401},
		{&net.TCPAddr{IP: net.IPv4(10, 1, 2, 3)}, "127.0.0.1:9000", 401},
		{&net.TCPAddr{IP: net.IPv4(10, 1, 2, 3)}, "rebound.example:9000", 421},
		{&net.TCPAddr{IP: net.IPv6loopback}, "[::ffff:127.0.0.1]:9000", 401},
		{&net.TCPAddr{IP: net.IPv6loopback}, "192.0.2.7:9000", 421},
		{nil, "192.0.2.7", 421},
	} {
		r := httptest.NewRequest(http.MethodGet, "http://"+test.host+console.Path, nil)
		if test.local != nil {
			r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, test.local))
		}
		w := httptest.NewRecorder()
		c.ServeHTTP(w, r)
		if w.Code != test.want {
			t.Errorf("%s at %v: %d, want %d", test.host, test.local, w.Code, test.want)
		}
	}
}

// What a page asks reaches the API with the bearer token, and without what is the browser's.
func TestThePagesAskTheControlAPI(t *testing.T) {
	s := serve(t, 0)
	in := s.browser(t)
	if status := send(t, in, http.MethodPost, s.pages+"api/v1/keys/a%2Fb/rotate?x=1", map[string]string{"Origin": s.url, "Upgrade": "wiemu-stream", "Connection": "Upgrade", "Authorization": "Bearer other"}); status != http.StatusOK {
		t.Fatal(status)
	}
	r := <-s.asked
	if r.Method != http.MethodPost || r.URL.EscapedPath() != "/v1/keys/a%2Fb/rotate" || r.RequestURI != "/v1/keys/a%2Fb/rotate?x=1" {
		t.Errorf("%s %s", r.Method, r.RequestURI)
	}
	if got := r.Header.Get("Authorization"); got != "Bearer secret" {
		t.Errorf("Authorization: %s", got)
	}
	for _, name := range []string{"Cookie", "Origin", "Upgrade"} {
		if got := r.Header.Get(name); got != "" {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// A browser may run the scripts of the console alone, and shows it in no frame.
func TestEveryAnswerSaysWhatABrowserMayDo(t *testing.T) {
	s := serve(t, 0)
	in := s.browser(t)
	for _, path := range []string{"", "console.js", "console.css", "icon.svg", "nothing", "api/v1/status", "open?token=x"} {
		at := s.pages + path
		if strings.HasPrefix(path, "open") {
			at = s.url + console.Path + path
		}
		resp, err := in.Get(at)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		for name, want := range map[string]string{"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cross-Origin-Resource-Policy": "same-origin"} {
			if got := resp.Header.Get(name); !strings.HasPrefix(got, want) {
				t.Errorf("%q: %s: %q, want %q", path, name, got, want)
			}
		}
		if policy := resp.Header.Get("Content-Security-Policy"); strings.Contains(policy, "unsafe") || !strings.Contains(policy, "frame-ancestors 'none'") {
			t.Errorf("%q: %s", path, policy)
		}
	}
}

// follow opens the stream and returns its lines.
func follow(t *testing.T, c *http.Client, at, lastID string, after ...string) *bufio.Scanner {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at+"events?after="+strings.Join(after, ""), nil)
	if err != nil {
		t.Fatal(err)
	}
	if lastID != "" {
		req.Header.Set("Last-Event-ID", lastID)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	if got := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK || got != "text/event-stream" {
		t.Fatal(resp.Status, got)
	}
	return bufio.NewScanner(resp.Body)
}

// next reads lines until there are n events with data, and returns each as name, id and data;
// that of journaled events is their summary.
func next(t *testing.T, lines *bufio.Scanner, n int) (found []string, lastID string) {
	t.Helper()
	name := ""
	for len(found) < n && lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ": ")
		switch field {
		case "event":
			name = value
		case "id":
			lastID = value
		case "data":
			if name == "" {
				var e journal.Event
				if err := json.Unmarshal([]byte(value), &e); err != nil {
					t.Fatal(err)
				}
				value = e.Summary
			}
			if name == "reset" { // the run, which is another each time
				value = ""
			}
			found = append(found, strings.TrimSpace(name+" "+value))
			name = ""
		}
	}
	if len(found) < n {
		t.Fatalf("the stream ends after %q: %v", found, lines.Err())
	}
	return found, lastID
}

func TestTheStreamGoesOnWhereItBroke(t *testing.T) {
	s := serve(t, 3)
	note := func(summaries ...string) {
		for _, summary := range summaries {
			s.journal.Record(journal.Event{Kind: journal.Run, Summary: summary})
		}
	}
	in := s.browser(t)
	expect := func(lines *bufio.Scanner, want ...string) string {
		t.Helper()
		got, last := next(t, lines, len(want))
		if strings.Join(got, ", ") != strings.Join(want, ", ") {
			t.Errorf("%q, want %q", got, want)
		}
		return last
	}
	note("a", "b")
	stream := follow(t, in, s.pages, "")
	at := expect(stream, "reset", "a", "b", "ready")
	note("c")
	at = max(at, expect(stream, "c"))
	note("d")
	expect(follow(t, in, s.pages, at), "d", "ready")
	expect(follow(t, in, s.pages, "", at), "d", "ready")
	expect(follow(t, in, s.pages, at, "another-run.1"), "d", "ready")
	note("e", "f", "g")
	expect(follow(t, in, s.pages, at), "missed 1", "e", "f", "g", "ready")
	expect(follow(t, in, s.pages, "another-run.2"), "reset", "missed 4", "e", "f", "g", "ready")
	expect(follow(t, in, s.pages, "nonsense"), "reset", "missed 4", "e", "f", "g", "ready")
}

// Streams end when the console is closed, so that a server can.
func TestClosingEndsStreams(t *testing.T) {
	s := serve(t, 0)
	in := s.browser(t)
	stream := follow(t, in, s.pages, "")
	next(t, stream, 2)
	s.console.Close()
	s.console.Close()
	for stream.Scan() {
	}
	if err := stream.Err(); err != nil {
		t.Error(err)
	}
}

// There are so many streams at a time, and one more is told why it gets none until one has ended.
func TestStreamsAreBounded(t *testing.T) {
	s := serve(t, 0)
	in := s.browser(t)
	const most = 48
	var bodies []io.Closer
	ask := func() (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.pages+"events", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := in.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode == http.StatusOK {
			bodies = append(bodies, resp.Body)
			return resp.StatusCode, ""
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(text)
	}
	t.Cleanup(func() {
		for _, b := range bodies {
			_ = b.Close()
		}
	})
	for n := range most {
		if status, text := ask(); status != http.StatusOK {
			t.Fatalf("stream %d: %d %s", n+1, status, text)
		}
	}
	if status, text := ask(); status != http.StatusServiceUnavailable || !strings.Contains(text, "Close one") {
		t.Fatalf("%d %s, want 503 with what to do", status, text)
	}
	if status := get(t, in, s.pages); status != http.StatusOK {
		t.Errorf("a page is answered with %d while the streams are taken", status)
	}
	_ = bodies[0].Close()
	for deadline := time.Now().Add(patience); ; { // wall time: until the server has seen it
		status, text := ask()
		if status == http.StatusOK {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("no stream is free after one has ended: %d %s", status, text)
		}
		time.Sleep(time.Millisecond) // leaves the processor to the server
	}
}
