package console_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// patience is how long a browser may take for anything: wall time.
const patience = 2 * time.Minute

// A tab is a page in a browser without a window.
type tab struct {
	t   testing.TB
	ctx context.Context

	mu      sync.Mutex
	trouble []string // console errors, exceptions, violated policies, dialogs
}

// shared is the browser of all tests, started by the first that needs one.
var shared struct {
	once sync.Once
	ctx  context.Context
	err  error

	mu    sync.Mutex
	close []func()
	idle  []*tab // whose tests have ended

	hangs atomic.Bool // it did not answer a test: no other test waits for it as long
}

func TestMain(m *testing.M) {
	code := m.Run()
	for _, end := range slices.Backward(shared.close) {
		end()
	}
	os.Exit(code)
}

func startBrowser(program string) {
	allocator, stop := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program), chromedp.WSURLReadTimeout(patience), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.Flag("hide-scrollbars", true),
	)...)
	var end func()
	shared.ctx, end = chromedp.NewContext(allocator)
	shared.close = append(shared.close, stop, end) // before any other
	begun := make(chan error, 1)
	go func() { begun <- chromedp.Do(shared.ctx) }()
	select {
	case shared.err = <-begun:
	case <-time.After(patience): // wall time: it is the browser's
		shared.err = fmt.Errorf("%s has not begun within %v", program, patience)
	}
}

// newBrowser returns a page that no test uses now, in a browser profile of its own: tests one after
// the other have the same, since another one costs more than what most of them do. Tests run beside
// each other, since most of their time they wait for the browser or the server. That a session
// is of one server its path and its cookie see to. Without chromium on the machine the test is
// left out, unless WIEMU_REQUIRE demands it.
func newBrowser(t testing.TB) *tab {
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
		t.Skip("there is no chromium to look at the console with")
	}
	shared.once.Do(func() { startBrowser(program) })
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	if shared.hangs.Load() {
		t.Fatal("the browser does not answer: see the test that failed first")
	}
	b := newTab(t)
	b.dark(false)
	b.size(1280, 900)
	t.Cleanup(func() {
		if t.Failed() {
			return // what it shows now, and does, is unknown
		}
		b.do(chromedp.Navigate("about:blank")) // it asks the server, which may end, for nothing more
		shared.mu.Lock()
		defer shared.mu.Unlock()
		shared.idle = append(shared.idle, b)
	})
	return b
}

// idleTab takes a tab that another test has left; nil if there is none.
func idleTab() (b *tab) {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if n := len(shared.idle) - 1; n >= 0 {
		b, shared.idle = shared.idle[n], shared.idle[:n]
	}
	return b
}

// newTab returns a tab that is idle, or else a new one.
func newTab(t testing.TB) *tab {
	t.Helper()
	if b := idleTab(); b != nil {
		b.t = t
		b.forget()
		return b
	}
	ctx, closeTab := chromedp.NewContext(shared.ctx, chromedp.WithNewBrowserContext())
	shared.mu.Lock()
	shared.close = append(shared.close, closeTab)
	shared.mu.Unlock()
	b := &tab{t: t, ctx: ctx}
	b.do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, log.Enable, cdp.Empty{})
		return err
	}))
	if err := chromedp.Listen(ctx, b.note); err != nil {
		t.Fatal(err)
	}
	return b
}

// note notes what goes wrong in the page.
func (b *tab) note(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		b.trouble = append(b.trouble, (&chromedp.ExceptionError{ExceptionDetails: e.ExceptionDetails}).Error())
	case *runtime.EventConsoleAPICalled:
		b.trouble = append(b.trouble, fmt.Sprint(e.Type, " ", e.Args))
	case *log.EventEntryAdded:
		b.trouble = append(b.trouble, string(e.Entry.Source)+": "+e.Entry.Text+" "+e.Entry.URL)
	case *page.EventJavascriptDialogOpening:
		b.trouble = append(b.trouble, "dialog: "+e.Message)
	}
}

// do does actions, and fails if one takes too long.
func (b *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	done := make(chan error, 1)
	go func() { done <- chromedp.Do(b.ctx, actions...) }()
	select {
	case err := <-done:
		if err != nil {
			b.fatal(err)
		}
	case <-time.After(patience): // wall time: it is the browser's
		shared.hangs.Store(true)
		b.fatal("the browser takes longer than " + patience.String())
	}
}

// fatal ends the test with what the page shows.
func (b *tab) fatal(why any) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 5*time.Second) // wall time
	defer cancel()
	shown, _ := chromedp.Run(ctx, chromedp.Evaluate[string]("document.body.innerText"))
	b.t.Fatalf("%v; the page shows:\n%s\ntrouble: %s", why, shown, b.troubles())
}

// eval evaluates an expression, which may be a promise.
func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.fatal(fmt.Errorf("%s: %w", expression[:min(len(expression), 200)], err))
	}
	return value
}

// until waits until an expression is true.
func (b *tab) until(what, expression string) {
	b.t.Helper()
	awaited[bool](b, what, "Boolean("+expression+")")
}

// awaited waits until an expression is something, and returns that. The page itself looks every few
// milliseconds, which costs less than asking it.
func awaited[T any](b *tab, what, expression string) T {
	b.t.Helper()
	look := fmt.Sprintf(`(async () => {
		let why = '';
		for (const begun = performance.now(); performance.now() - begun < 2000; await new Promise((next) => setTimeout(next, 10))) {
			try {
				const found = %s;
				if (found) return {found};
				why = '';
			} catch (error) { why = String(error); }
		}
		return {why};
	})()`, expression)
	ctx, cancel := context.WithTimeout(b.ctx, patience/2) // wall time: the browser's
	defer cancel()
	why := ""
	for ctx.Err() == nil {
		answer, err := chromedp.Run(ctx, chromedp.Evaluate[struct {
			Found *T     `json:"found"`
			Why   string `json:"why"` // the expression cannot be evaluated
		}](look, chromedp.EvalAwaitPromise))
		if err == nil && answer.Found != nil {
			return *answer.Found
		}
		if err != nil { // another page is being loaded
			answer.Why = err.Error()
			time.Sleep(10 * time.Millisecond) // wall time
		}
		if ctx.Err() == nil {
			why = answer.Why
		}
	}
	b.fatal(what + ": " + expression + " " + why)
	panic("unreachable")
}

// sees waits until an element shows a text.
func (b *tab) sees(selector, text string) {
	b.t.Helper()
	b.until(fmt.Sprintf("expected %q in %s", text, selector), fmt.Sprintf("[...document.querySelectorAll(%q)].some((e) => e.innerText.includes(%q))", selector, text))
}

// goTo opens a page of the console.
func (b *tab) goTo(page string) {
	b.t.Helper()
	eval[string](b, fmt.Sprintf("location.hash = %q", "#/"+page))
	b.until("page "+page, "document.querySelector('main h1') !== null")
}

// click clicks on what has a text, as a user does: with the mouse.
func (b *tab) click(selector, text string) {
	b.t.Helper()
	find := fmt.Sprintf("[...document.querySelectorAll(%q)].find((e) => e.offsetParent !== null && !e.disabled && (e.innerText.trim() === %[2]q || e.getAttribute('aria-label') === %[2]q))", selector, text)
	b.clickAt(fmt.Sprintf("%s %q to click on", selector, text), find)
}

// clickOn clicks on the first element of a selector.
func (b *tab) clickOn(selector string) {
	b.t.Helper()
	b.clickAt(selector+" to click on", fmt.Sprintf("document.querySelector(%q)", selector))
}

// clickAt clicks on the element that an expression finds, near its beginning.
func (b *tab) clickAt(what, find string) {
	b.t.Helper()
	at := awaited[[]float64](b, what, fmt.Sprintf(`((e) => {
		if (!e) return null;
		e.scrollIntoView({ block: 'center', behavior: 'instant' });
		const r = e.getClientRects()[0];
		return [r.x + Math.min(r.width, 300) / 2, r.y + r.height / 2];
	})(%s)`, find))
	b.do(chromedp.MouseClickXY(at[0], at[1]))
}

// control is the selector of the control that a label names.
func (b *tab) control(label string) string {
	b.t.Helper()
	mark := fmt.Sprintf(`(() => {
		document.querySelectorAll('[data-control]').forEach((e) => e.removeAttribute('data-control'));
		const e = [...document.querySelectorAll('input,select,textarea')].find((e) => e.offsetParent !== null && (e.getAttribute('aria-label') === %[1]q || [...e.labels].some((l) => l.innerText.replace(/ \*$/, '').trim() === %[1]q)));
		e?.setAttribute('data-control', '');
		return Boolean(e);
	})()`, label)
	b.until("a control labelled "+label, mark)
	return "[data-control]"
}

// types replaces what is in a text field.
func (b *tab) types(label, text string) {
	b.t.Helper()
	at := b.control(label)
	eval[bool](b, fmt.Sprintf("document.querySelector(%q).select() ?? true", at))
	b.do(chromedp.SendKeys(chromedp.CSS(at), "\b"+text))
}

// chooses selects the option whose text contains a text.
func (b *tab) chooses(label, text string) {
	b.t.Helper()
	at := b.control(label)
	b.until(fmt.Sprintf("option %q of %s", text, label), fmt.Sprintf(`(() => {
		const e = document.querySelector(%q);
		const o = [...e.options].find((o) => o.text.includes(%q));
		if (!o) return false;
		e.value = o.value;
		e.dispatchEvent(new Event('input', { bubbles: true }));
		e.dispatchEvent(new Event('change', { bubbles: true }));
		return true;
	})()`, at, text))
}

// uploads gives a file to what a label names.
func (b *tab) uploads(label, name, text string) {
	b.t.Helper()
	file := filepath.Join(b.t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
	b.do(chromedp.SetUploadFiles(chromedp.CSS(b.control(label)), []string{file}))
}

// presses presses keys, one after the other.
func (b *tab) presses(keys ...string) {
	b.t.Helper()
	for _, key := range keys {
		b.do(chromedp.KeyEvent(key))
	}
}

// focusedName is a JavaScript expression of how the focused element is called.
const focusedName = "(document.activeElement.getAttribute('aria-label') ?? document.activeElement.innerText.trim())"

// focused waits until the element of a name has the focus, and fails unless one sees that.
func (b *tab) focused(wanted string) {
	b.t.Helper()
	b.until(fmt.Sprintf("%q has the focus", wanted), fmt.Sprintf("%s === %q", focusedName, wanted))
	if !eval[bool](b, "document.activeElement.matches(':focus-visible') && getComputedStyle(document.activeElement).outlineStyle !== 'none'") {
		b.t.Errorf("%q has the focus, and does not look so", wanted)
	}
}

// tabTo presses Tab until the element of a name has the focus.
func (b *tab) tabTo(wanted string) {
	b.t.Helper()
	b.until(fmt.Sprintf("something called %q", wanted), fmt.Sprintf("[...document.querySelectorAll('a[href],button,summary,[tabindex=\"0\"]')].some((e) => e.offsetParent !== null && (e.getAttribute('aria-label') ?? e.innerText.trim()) === %q)", wanted))
	for range 150 {
		b.presses(kb.Tab)
		if eval[bool](b, fmt.Sprintf("%s === %q", focusedName, wanted)) {
			b.focused(wanted)
			return
		}
	}
	b.fatal(fmt.Sprintf("Tab does not lead to %q", wanted))
}

func (b *tab) troubles() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(b.trouble, "\n")
}

// quiet fails if anything went wrong in the page.
func (b *tab) quiet() {
	b.t.Helper()
	if said := b.troubles(); said != "" {
		b.t.Errorf("the browser complains: %s", said)
	}
}

// forget forgets complaints that were expected.
func (b *tab) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.trouble = nil
}

func (b *tab) dark(dark bool) {
	b.t.Helper()
	scheme := map[bool]string{true: "dark", false: "light"}[dark]
	b.do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
		return err
	}))
}

func (b *tab) size(width, height int64) { b.do(chromedp.EmulateViewport(width, height)) }
