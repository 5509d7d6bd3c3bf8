package console_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
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
	if status := get(t, c, s.url+s.console.Link().Path); status != http.StatusOK {
		t.Fatalf("the link is answered with %d", status)
	}
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
	if c := resp.Cookies()[0]; !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != console.Path || !strings.HasSuffix(s.url, strings.TrimPrefix(c.Name, "wiemu-console-")) {
		t.Errorf("the cookie is %s", c)
	}
	if resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != console.Path {
		t.Errorf("%s to %q, want the pages without the token in the address", resp.Status, resp.Header.Get("Location"))
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
	const api = console.Path + "api/v1/status"
	for _, test := range []struct {
		name         string
		client       *http.Client
		method, path string
		header       map[string]string
		want         int
	}{
		{"a page with a session", in, "GET", console.Path, nil, 200},
		{"a script with a session", in, "GET", console.Path + "console.js", nil, 200},
		{"a page without a session", http.DefaultClient, "GET", console.Path, nil, 401},
		{"a script without a session", http.DefaultClient, "GET", console.Path + "console.js", nil, 401},
		{"the API without a session", http.DefaultClient, "GET", api, nil, 401},
		{"events without a session", http.DefaultClient, "GET", console.Path + "events", nil, 401},
		{"another's cookie", http.DefaultClient, "GET", console.Path, map[string]string{"Cookie": "wiemu-console-" + mustURL(t, s.url).Port() + "=guess"}, 401},
		{"the API with a session", in, "GET", api, map[string]string{"Sec-Fetch-Site": "same-origin"}, 200},
		{"the API from another port of this host", in, "GET", api, map[string]string{"Sec-Fetch-Site": "same-site"}, 403},
		{"the API from another site", in, "GET", api, map[string]string{"Sec-Fetch-Site": "cross-site"}, 403},
		{"the API opened as a page", in, "GET", api, map[string]string{"Sec-Fetch-Site": "none"}, 403},
		{"events from another port of this host", in, "GET", console.Path + "events", map[string]string{"Sec-Fetch-Site": "same-site"}, 403},
		{"a change by a page of the console", in, "POST", api, map[string]string{"Origin": s.url}, 200},
		{"a change without an origin", in, "POST", api, nil, 403},
		{"a change from another origin", in, "POST", api, map[string]string{"Origin": "http://127.0.0.1:1"}, 403},
		{"a change from a page without an origin", in, "POST", api, map[string]string{"Origin": "null"}, 403},
		{"a change from the same name over TLS", in, "POST", api, map[string]string{"Origin": strings.Replace(s.url, "http:", "https:", 1)}, 403},
		{"a name that leads here", in, "GET", console.Path, map[string]string{"Host": "rebound.example:" + mustURL(t, s.url).Port()}, 421},
		{"a name that looks like an address", in, "GET", console.Path, map[string]string{"Host": "127.0.0.1.rebound.example"}, 421},
		{"localhost, whose cookies are its own", http.DefaultClient, "GET", console.Path, map[string]string{"Host": "localhost:" + mustURL(t, s.url).Port()}, 401},
		{"no such page", in, "GET", console.Path + "nothing.js", nil, 404},
		{"out of the pages", in, "GET", console.Path + "%2e%2e/%2e%2e/console.go", nil, 404},
		{"what is not of the API", in, "GET", console.Path + "api/console/", nil, 403},
		{"a page that is written to", in, "POST", console.Path, map[string]string{"Origin": s.url}, 405},
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

// What a page asks reaches the API with the bearer token, and without what is the browser's.
func TestThePagesAskTheControlAPI(t *testing.T) {
	s := serve(t, 0)
	in := s.browser(t)
	if status := send(t, in, http.MethodPost, s.url+console.Path+"api/v1/keys/a%2Fb/rotate?x=1", map[string]string{"Origin": s.url, "Upgrade": "wiemu-stream", "Connection": "Upgrade", "Authorization": "Bearer other"}); status != http.StatusOK {
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
		resp, err := in.Get(s.url + console.Path + path)
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
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at+console.Path+"events?after="+strings.Join(after, ""), nil)
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
	stream := follow(t, in, s.url, "")
	at := expect(stream, "reset", "a", "b", "ready")
	note("c")
	at = max(at, expect(stream, "c"))
	note("d")
	expect(follow(t, in, s.url, at), "d", "ready")
	expect(follow(t, in, s.url, "", at), "d", "ready")
	expect(follow(t, in, s.url, at, "another-run.1"), "d", "ready")
	note("e", "f", "g")
	expect(follow(t, in, s.url, at), "missed 1", "e", "f", "g", "ready")
	expect(follow(t, in, s.url, "another-run.2"), "reset", "missed 4", "e", "f", "g", "ready")
	expect(follow(t, in, s.url, "nonsense"), "reset", "missed 4", "e", "f", "g", "ready")
}

// Streams end when the console is closed, so that a server can.
func TestClosingEndsStreams(t *testing.T) {
	s := serve(t, 0)
	stream := follow(t, s.browser(t), s.url, "")
	next(t, stream, 2)
	s.console.Close()
	s.console.Close()
	for stream.Scan() {
	}
	if err := stream.Err(); err != nil {
		t.Error(err)
	}
}
