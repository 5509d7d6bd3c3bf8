// Package console serves the pages that show a running lab in a browser: workloads, trust,
// what happens, and what changes the lab. It is a face of the control API, which its pages
// ask for everything, and can do nothing that the API cannot. It decides who may see the
// pages; what they show and change is controlapi's.
package console

import (
	"crypto/rand"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/wiemu/wiemu/internal/journals"
)

// Path is where the console is on the control listener: the link is directly below it, the pages
// below a random name that each server draws. Browsers send cookies to every port of a host, so a
// server on another port could receive a session's cookie if a page made the browser request the
// cookie's path there. The cookie is limited to the random name, which only a session learns.
const Path = "/console/"

// Options say what a console shows.
type Options struct {
	API     http.Handler      // the control API, at /v1/
	Token   string            // its bearer token, which no browser sees
	Journal *journals.Journal // whose events are streamed
}

// Console serves the pages. A browser gets in by a link of [Console.Link], which works once
// and gives it the cookie of a session. It is safe for concurrent use.
type Console struct {
	opts    Options
	run     string // tells this journal's ordinals from those of an earlier server
	base    string // path of the pages: Path, a name that cannot be guessed, and a slash
	closing chan struct{}
	close   sync.Once
	streams chan struct{} // has an element for each stream that is open

	mu       sync.Mutex
	links    []string // tokens that were not used yet, oldest first
	sessions []string // tokens of cookies, oldest first
}

// How many links that were not used, and how many sessions, there are at a time; the oldest
// makes room.
const (
	maxLinks    = 16
	maxSessions = 64
)

// maxStreams is how many streams of events are open at a time. A browser has six connections to a
// server, whose listener has 512.
const maxStreams = 48

// New returns a console.
func New(opts Options) *Console {
	return &Console{opts: opts, run: rand.Text()[:8], base: Path + rand.Text() + "/", closing: make(chan struct{}), streams: make(chan struct{}, maxStreams)}
}

// LinkPath is where the control API gives out links; the answer is a Link.
const LinkPath = "/v1/console/link"

// Link opens the console once, in one browser.
type Link struct {
	Path string `json:"path"` // with its query, on the control listener
}

// Link returns a new link.
func (c *Console) Link() Link {
	token := rand.Text()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.links = append(c.links, token)
	c.links = c.links[max(0, len(c.links)-maxLinks):]
	return Link{openPath + "?" + url.Values{"token": {token}}.Encode()}
}

// Close ends the streams of events, which would keep a server from closing.
func (c *Console) Close() { c.close.Do(func() { close(c.closing) }) }

const openPath = Path + "open"

// Paths below that of the pages.
const (
	eventsPath = "events"
	apiPath    = "api"
)

// ServeHTTP answers requests below Path.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	secure(w.Header())
	page, below := strings.CutPrefix(r.URL.Path, c.base)
	switch {
	case !isHere(r):
		refuse(w, http.StatusMisdirectedRequest, "The console answers by the address of this machine at which it listens, such as 127.0.0.1, and not by what is in this address.")
	case r.URL.Path == openPath:
		c.open(w, r)
	case !below || !c.hasSession(r): // one answer, which does not tell whether the path is right
		refuse(w, http.StatusUnauthorized, "This browser is not signed in to the console, or the server has been started again. Run wiemu console, and open the link that it prints.")
	case page == eventsPath && isOwn(r):
		c.stream(w, r)
	case strings.HasPrefix(page, apiPath+"/v1/") && isOwn(r):
		c.ask(w, r)
	case page == eventsPath || strings.HasPrefix(page, apiPath+"/"):
		refuse(w, http.StatusForbidden, "Only a page of this console may ask for this.")
	default:
		servePage(w, r, page)
	}
}

// secure sets what a browser may do with an answer: run the scripts of this console alone,
// show it in no frame, and tell nobody where it came from. Trusted Types forbid all that makes
// markup of text.
func secure(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "+
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
}

func refuse(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n")) // it fails if the client is gone
}

// isHere reports whether a Host header is an address at which this server can be: of a connection
// to loopback it has to be a loopback address or localhost, of one to another address of this
// machine an address. A page of a stranger can make a name of its own lead to this machine (DNS
// rebinding), but not an address.
func isHere(r *http.Request) bool {
	u, err := url.Parse("//" + r.Host)
	if err != nil {
		return false
	}
	if strings.EqualFold(u.Hostname(), "localhost") {
		return true
	}
	address, err := netip.ParseAddr(u.Hostname())
	return err == nil && (address.Unmap().IsLoopback() || !toLoopback(r))
}

// toLoopback reports whether a request came to a loopback address; one in memory did.
func toLoopback(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return !ok || local.IP.IsLoopback()
}

// isOwn reports whether a page of this console asks. The cookie alone does not say so: to
// browsers all ports of a host are one site.
func isOwn(r *http.Request) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" {
		return false
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return r.Method == http.MethodGet || r.Method == http.MethodHead
	}
	return origin == "http://"+r.Host
}

// open exchanges the token of a link for a session.
func (c *Console) open(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		refuse(w, http.StatusMethodNotAllowed, "Open the link in a browser.")
		return
	}
	session, ok := c.redeem(r.URL.Query().Get("token"))
	if !ok {
		refuse(w, http.StatusUnauthorized, "This link has been used, or is of a server that was started before. Run wiemu console, which prints a new one.")
		return
	}
	http.SetCookie(w, &http.Cookie{Name: cookieName(r), Value: session, Path: c.base, HttpOnly: true, SameSite: http.SameSiteStrictMode})
	w.Header().Set("Location", c.base)
	w.WriteHeader(http.StatusSeeOther)
}

func (c *Console) redeem(token string) (session string, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.links, isToken(token))
	if i < 0 {
		return "", false
	}
	c.links = slices.Delete(c.links, i, i+1)
	session = rand.Text()
	c.sessions = append(c.sessions, session)
	c.sessions = c.sessions[max(0, len(c.sessions)-maxSessions):]
	return session, true
}

func (c *Console) hasSession(r *http.Request) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(r.CookiesNamed(cookieName(r)), func(cookie *http.Cookie) bool { // another port can set one of that name, too
		return slices.ContainsFunc(c.sessions, isToken(cookie.Value))
	})
}

func isToken(given string) func(string) bool {
	return func(token string) bool { return subtle.ConstantTimeCompare([]byte(given), []byte(token)) == 1 }
}

// cookieName has the port, since the cookies of a host are those of all its ports.
func cookieName(r *http.Request) string {
	u, err := url.Parse("//" + r.Host)
	if err != nil || u.Port() == "" {
		return "wiemu-console"
	}
	return "wiemu-console-" + u.Port()
}

// ask passes a request of a page on to the control API.
func (c *Console) ask(w http.ResponseWriter, r *http.Request) {
	q := r.Clone(r.Context())
	q.URL.Path = strings.TrimPrefix(r.URL.Path, c.base+apiPath)
	q.URL.RawPath = strings.TrimPrefix(r.URL.RawPath, c.base+apiPath)
	q.RequestURI = q.URL.RequestURI()
	q.Header.Set("Authorization", "Bearer "+c.opts.Token)
	for _, name := range []string{"Cookie", "Origin", "Referer", "Upgrade", "Connection"} {
		q.Header.Del(name)
	}
	c.opts.API.ServeHTTP(w, q)
}
