package timeline_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/websocket"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/timeline"
)

var screenshots = flag.String("screenshots", "", "directory for screenshots of the pages, to be looked at")

// A tab is a page in a browser without a window, driven over the DevTools
// protocol: https://chromedevtools.github.io/devtools-protocol/.
type tab struct {
	t       *testing.T
	conn    *websocket.Conn
	session string
	last    int
	trouble []string // console errors, exceptions, violated policies, dialogs
}

// patience is how long a browser may take for anything: wall time.
const patience = 60 * time.Second

// newTab starts a browser of its own. Without one the test is left out, unless
// WIEMU_REQUIRE demands it.
func newTab(t *testing.T) *tab {
	t.Helper()
	program := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if found, err := exec.LookPath(name); err == nil && program == "" {
			program = found
		}
	}
	if program == "" {
		if os.Getenv("WIEMU_REQUIRE") != "" {
			t.Fatal("there is no chromium, and WIEMU_REQUIRE demands it")
		}
		t.Skip("there is no chromium to look at the page with")
	}
	profile, err := os.MkdirTemp("", "wiemu-browser-")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--remote-debugging-port=0", "--remote-allow-origins=http://127.0.0.1", "--user-data-dir="+profile, "about:blank")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		_ = cmd.Wait()            // killed
		_ = os.RemoveAll(profile) // its children may be writing still
	})
	said := bufio.NewScanner(stderr)
	endpoint := ""
	for endpoint == "" && said.Scan() {
		_, endpoint, _ = strings.Cut(said.Text(), "DevTools listening on ")
	}
	if endpoint == "" {
		t.Fatal("the browser did not say where its DevTools are")
	}
	go func() {
		for said.Scan() { // until it ends, so that it never waits for us
		}
	}()
	conn, err := websocket.Dial(endpoint, "", "http://127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	tb := &tab{t: t, conn: conn}
	var target struct{ TargetID, SessionID string }
	tb.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	tb.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &target)
	tb.session = target.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log"} {
		tb.call(domain+".enable", nil, nil)
	}
	return tb
}

type message struct {
	ID        int             `json:"id,omitempty"`
	SessionID string          `json:"sessionId,omitempty"`
	Method    string          `json:"method,omitempty"`
	Params    json.RawMessage `json:"params,omitempty"`
	Result    json.RawMessage `json:"result,omitempty"`
	Error     json.RawMessage `json:"error,omitempty"`
}

// call asks the browser and decodes its answer.
func (tb *tab) call(method string, params, into any) {
	tb.t.Helper()
	tb.last++
	request := map[string]any{"id": tb.last, "method": method, "params": params}
	if params == nil {
		request["params"] = map[string]any{}
	}
	if tb.session != "" {
		request["sessionId"] = tb.session
	}
	if err := websocket.JSON.Send(tb.conn, request); err != nil {
		tb.t.Fatal(err)
	}
	answer := tb.receive(func(m message) bool { return m.ID == tb.last })
	if answer.Error != nil {
		tb.t.Fatalf("%s: %s", method, answer.Error)
	}
	if into != nil {
		if err := json.Unmarshal(answer.Result, into); err != nil {
			tb.t.Fatal(err)
		}
	}
}

// receive reads until a message is the right one, and notes what went wrong meanwhile.
func (tb *tab) receive(right func(message) bool) message {
	tb.t.Helper()
	if err := tb.conn.SetReadDeadline(time.Now().Add(patience)); err != nil { // wall time: it is the browser's
		tb.t.Fatal(err)
	}
	for {
		var m message
		if err := websocket.JSON.Receive(tb.conn, &m); err != nil {
			tb.t.Fatalf("the browser does not answer: %v", err)
		}
		switch m.Method {
		case "Runtime.exceptionThrown", "Page.javascriptDialogOpening", "Log.entryAdded", "Runtime.consoleAPICalled":
			tb.trouble = append(tb.trouble, m.Method+" "+string(m.Params))
		}
		if right(m) {
			return m
		}
	}
}

// open shows a page and waits until it is there.
func (tb *tab) open(file, fragment string) {
	tb.t.Helper()
	tb.call("Page.navigate", map[string]any{"url": "about:blank"}, nil)
	address := url.URL{Scheme: "file", Path: file, Fragment: fragment}
	tb.call("Page.navigate", map[string]any{"url": address.String()}, nil)
	for tb.eval("location.protocol + document.readyState") != "file:complete" {
		tb.wait()
	}
	tb.wait()
}

// wait lets the page draw a frame.
func (tb *tab) wait() {
	tb.t.Helper()
	tb.eval("new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(() => r(1))))")
}

// eval evaluates an expression in the page.
func (tb *tab) eval(expression string) any {
	tb.t.Helper()
	var got struct {
		Result           struct{ Value any }
		ExceptionDetails json.RawMessage
	}
	tb.call("Runtime.evaluate", map[string]any{"expression": expression, "awaitPromise": true, "returnByValue": true}, &got)
	if got.ExceptionDetails != nil {
		tb.t.Fatalf("%s: %s", expression, got.ExceptionDetails)
	}
	return got.Result.Value
}

func (tb *tab) size(width, height int, phone bool) {
	tb.t.Helper()
	tb.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone}, nil)
}

func (tb *tab) dark(dark bool) {
	tb.t.Helper()
	scheme := map[bool]string{true: "dark", false: "light"}[dark]
	tb.call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
}

// mouse does something where the pointer is.
func (tb *tab) mouse(kind string, x, y, wheel float64) {
	tb.t.Helper()
	tb.call("Input.dispatchMouseEvent", map[string]any{"type": kind, "x": x, "y": y, "button": map[bool]string{true: "none", false: "left"}[kind == "mouseWheel"], "clickCount": 1, "deltaX": 0, "deltaY": wheel}, nil)
}

func (tb *tab) click(selector string) {
	tb.t.Helper()
	x, y := tb.middle(selector)
	tb.mouse("mousePressed", x, y, 0)
	tb.mouse("mouseReleased", x, y, 0)
	tb.wait()
}

func (tb *tab) middle(selector string) (x, y float64) {
	tb.t.Helper()
	at, ok := tb.eval(fmt.Sprintf(`(() => { const e = document.querySelector(%q); if (!e) return null; e.scrollIntoView({ block: 'nearest' }); const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; })()`, selector)).([]any)
	if !ok {
		tb.t.Fatalf("nothing is %s", selector)
	}
	return at[0].(float64), at[1].(float64)
}

func (tb *tab) touch(kind string, xs ...float64) {
	tb.t.Helper()
	points := []map[string]any{}
	for i, x := range xs {
		points = append(points, map[string]any{"x": x, "y": 330, "id": i})
	}
	tb.call("Input.dispatchTouchEvent", map[string]any{"type": kind, "touchPoints": points}, nil)
}

func (tb *tab) key(key string) {
	tb.t.Helper()
	tb.call("Input.dispatchKeyEvent", map[string]any{"type": "keyDown", "key": key, "text": map[bool]string{true: key, false: ""}[len(key) == 1]}, nil)
	tb.call("Input.dispatchKeyEvent", map[string]any{"type": "keyUp", "key": key}, nil)
	tb.wait()
}

// seen is how much of the axis is seen: 1 is all.
func (tb *tab) seen() float64 {
	tb.t.Helper()
	rects := `[...document.querySelectorAll('#picture rect.moved')].reduce((sum, r) => sum + r.width.baseVal.value, 0)`
	return tb.eval(rects).(float64)
}

func (tb *tab) shoot(name string) {
	tb.t.Helper()
	if *screenshots == "" {
		return
	}
	var got struct{ Data string }
	tb.call("Page.captureScreenshot", map[string]any{"format": "png"}, &got)
	data, err := base64.StdEncoding.DecodeString(got.Data)
	if err == nil {
		err = os.WriteFile(filepath.Join(*screenshots, name+".png"), data, 0o644)
	}
	if err != nil {
		tb.t.Fatal(err)
	}
}

// quiet fails if anything went wrong in the page.
func (tb *tab) quiet() {
	tb.t.Helper()
	tb.wait()
	if len(tb.trouble) > 0 {
		tb.t.Errorf("the browser complains: %s", strings.Join(tb.trouble, "\n"))
		tb.trouble = nil
	}
}

func page(t *testing.T, events []journal.Event) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "page.html")
	if err := os.WriteFile(file, []byte(draw(t, timeline.HTML, about, events)), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

const why = `document.getElementById('panel').hidden ? '' : document.getElementById('panel').innerText`

func TestBrowser(t *testing.T) {
	tb := newTab(t)
	file := page(t, day())
	said := func(want string) {
		t.Helper()
		if got, _ := tb.eval(why).(string); !strings.Contains(got, want) {
			t.Errorf("the panel says %q, expected %q in it", got, want)
		}
	}

	tb.size(1400, 900, false)
	tb.dark(false)
	tb.open(file, "")
	tb.shoot("day-light")
	said("")

	// A click explains a refusal, and shows the token's way.
	tb.click(`#picture [data-e="16"]`)
	said("✗ expiry")
	said("What to change: Read the token file again.")
	if links := tb.eval(`document.querySelectorAll('#picture .link').length`).(float64); links != 3 {
		t.Errorf("%v lines for the token's way, expected key to file to two exchanges", links)
	}
	tb.shoot("day-refusal")
	tb.click("#before")
	said("get secret by somebody without a token")
	tb.key("n")
	said("AADSTS700024")
	tb.key("n")
	said("not renewed")
	tb.key("Escape")
	said("")

	// Wheel, keys and buttons zoom; a drag moves.
	before := tb.seen()
	x, y := tb.middle("#picture rect.moved")
	tb.mouse("mouseWheel", x, y, -400)
	tb.wait()
	wheel := tb.seen()
	tb.key("+")
	keys := tb.seen()
	tb.click("#in")
	if buttons := tb.seen(); before >= wheel || wheel >= keys || keys >= buttons {
		t.Errorf("at first %v pixels, after the wheel %v, after + %v, after the button %v: expected more and more", before, wheel, keys, buttons)
	}
	place := `document.querySelector('#picture rect.moved').x.baseVal.value`
	from := tb.eval(place).(float64)
	tb.mouse("mousePressed", x, y, 0)
	for i := range 5 {
		tb.call("Input.dispatchMouseEvent", map[string]any{"type": "mouseMoved", "x": x - float64(i*20), "y": y, "button": "left", "buttons": 1}, nil)
	}
	tb.mouse("mouseReleased", x-80, y, 0)
	tb.wait()
	if to := tb.eval(place).(float64); from-to < 60 || from-to > 100 {
		t.Errorf("dragged by 80 pixels, moved by %v", from-to)
	}
	said("") // a drag is no click
	tb.shoot("day-zoomed")
	tb.key("0")
	if all := tb.seen(); all != before {
		t.Errorf("everything is %v wide, before %v", all, before)
	}
	// What the page says of the axis is what is drawn, and no text of it is cut off.
	axis := func(when, want string) {
		t.Helper()
		if got := tb.eval(`[...document.querySelectorAll('#stretched, #straight')].filter((e) => !e.hidden).map((e) => e.id).join()`); got != want {
			t.Errorf("%s: the page says that time is %v, want %s", when, got, want)
		}
		for _, width := range []int{500, 800, 1180, 1500} {
			tb.size(width, 900, false)
			tb.wait()
			if out := tb.eval(`(() => { const svg = document.querySelector('#picture svg'), right = svg.getBoundingClientRect().right; return [...svg.querySelectorAll('text')].filter((t) => t.getBoundingClientRect().right > right).map((t) => t.textContent).join(' | '); })()`); out != "" {
				t.Errorf("%s, %d wide: beyond the right edge: %v", when, width, out)
			}
		}
		tb.size(1180, 900, false)
		tb.wait()
	}
	axis("at first", "stretched")
	tb.key("s")
	axis("to scale", "straight")
	tb.key("s")
	axis("again", "stretched")
	tb.key("s")
	if pressed := tb.eval(`document.getElementById('scale').getAttribute('aria-pressed')`); pressed != "true" {
		t.Errorf("to scale: %v", pressed)
	}
	tb.shoot("day-to-scale")

	// Light and dark: as the reader likes it, or as the button says.
	ground := `getComputedStyle(document.body).backgroundColor`
	light := tb.eval(ground)
	tb.dark(true)
	if dark := tb.eval(ground); dark == light {
		t.Errorf("dark is %v as light is", dark)
	}
	tb.shoot("day-dark")
	tb.click("#theme")
	if got := tb.eval(ground); got != light {
		t.Errorf("the button gives %v, expected %v", got, light)
	}
	tb.quiet()

	// The address names an event.
	tb.open(file, "e17")
	said("AADSTS700024")
	tb.open(file, "e%zz/v1-0/s/vx")
	said("")
	tb.quiet()
}

func TestBrowserOfAPhone(t *testing.T) {
	tb := newTab(t)
	tb.size(390, 844, true)
	tb.call("Emulation.setTouchEmulationEnabled", map[string]any{"enabled": true, "maxTouchPoints": 2}, nil)
	tb.open(page(t, day()), "")
	tb.shoot("phone")
	if wide := tb.eval(`document.documentElement.scrollWidth`).(float64); wide > 390 {
		t.Errorf("the page is %v pixels wide on a phone of 390", wide)
	}
	before := tb.seen()
	tb.touch("touchStart", 150, 200)
	for i := range 5 {
		tb.touch("touchMove", 150-float64(i*20), 200+float64(i*20))
	}
	tb.touch("touchEnd")
	tb.wait()
	if after := tb.seen(); after < before*1.5 {
		t.Errorf("two fingers moved apart, and %v pixels became %v", before, after)
	}
	tb.click("#all")
	tb.click("#refusal")
	tb.wait()
	tb.shoot("phone-refusal")
	mark := `(() => { const b = document.querySelector('#picture .chosen').getBoundingClientRect(), p = document.getElementById('panel').getBoundingClientRect(); return b.bottom <= p.top && b.top >= 0; })()`
	if tb.eval(mark) != true {
		t.Error("the panel hides the refusal that it explains")
	}
	tb.quiet()
}

// The picture is there without scripts, and a link opens the explanation.
func TestBrowserWithoutScripts(t *testing.T) {
	tb := newTab(t)
	tb.size(1400, 900, false)
	tb.call("Emulation.setScriptExecutionDisabled", map[string]any{"value": true}, nil)
	file := page(t, day())
	tb.call("Page.navigate", map[string]any{"url": "file://" + file}, nil)
	tb.receive(func(m message) bool { return m.Method == "Page.loadEventFired" })
	tb.shoot("without-scripts")
	tb.call("Page.navigate", map[string]any{"url": "file://" + file + "#refusal-1"}, nil)
	tb.shoot("without-scripts-refusal")
	tb.call("Emulation.setScriptExecutionDisabled", map[string]any{"value": false}, nil)
	if tb.eval(`document.querySelector('.tools').hidden && !!document.querySelector('#picture svg[role=img]')`) != true {
		t.Error("without scripts there are buttons, or there is no picture")
	}
	if tb.eval(`document.getElementById('refusal-1').checkVisibility()`) != true {
		t.Error("the link to an explanation does not open it")
	}
	tb.quiet()
}

// What events say is text, also in the panel and after a click on each of them.
func TestBrowserAndHostileTexts(t *testing.T) {
	tb := newTab(t)
	var events []journal.Event
	for i, s := range hostile {
		events = append(events, at(time.Duration(i)*time.Minute, journal.Event{
			Kind: journal.Exchange, Outcome: journal.Denied, Workload: strings.ToValidUTF8(s, "?"), Summary: strings.ToValidUTF8(s, "?"), Message: strings.ToValidUTF8(s, "?"), Kid: "k", JTI: "j",
		}))
	}
	tb.open(page(t, number(events...)), "")
	elements := `[...new Set([...document.querySelectorAll('*')].map((e) => e.localName))].sort().join(' ')`
	names := strings.Fields(tb.eval(elements).(string))
	for range hostile {
		tb.key("n")
	}
	if got, _ := tb.eval(why).(string); got == "" {
		t.Error("no refusal is explained")
	}
	for _, name := range []string{"img", "iframe", "b", "foreignobject"} {
		if slices.Contains(names, name) {
			t.Errorf("there is a <%s>", name)
		}
	}
	tb.quiet()
}

// Thousands of events are as few elements as fit on the screen.
func TestBrowserWithThousandsOfEvents(t *testing.T) {
	tb := newTab(t)
	var events []journal.Event
	for i := range 5_000 {
		after := time.Duration(i) * 19 * time.Second
		e := journal.Event{Kind: journal.Exchange, Outcome: journal.Granted, Workload: fmt.Sprint("shop/web", i%3), Identity: "web", Resource: "https://vault.azure.net", UTI: fmt.Sprint("u", i), ExpiresAt: until(after + time.Hour), Summary: "granted"}
		if i%97 == 0 {
			e = journal.Event{Kind: journal.Exchange, Outcome: journal.Denied, Workload: "shop/web1", Summary: "AADSTS90055: no"}
		}
		events = append(events, at(after, e))
	}
	tb.size(1400, 900, false)
	tb.open(page(t, number(events...)), "")
	tb.shoot("thousands")
	if n := tb.eval(`document.querySelectorAll('#picture *').length`).(float64); n > 4000 {
		t.Errorf("%v elements", n)
	}
	tb.click("#picture .granted") // a crowd
	if got, _ := tb.eval(why).(string); !strings.Contains(got, " events") {
		t.Errorf("the panel says %q", got)
	}
	tb.open(page(t, number(events...)), "e2329/v0.45-0.47")
	if got, _ := tb.eval(why).(string); !strings.Contains(got, "AADSTS90055") {
		t.Errorf("the panel says %q", got)
	}
	tb.shoot("thousands-zoomed")
	tb.quiet()
}
