package console_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/heapprofiler"
	"github.com/chromedp/cdproto/memory"
	cdpruntime "github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/systeminfo"
	"github.com/chromedp/chromedp"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/session"
)

// BenchmarkFirstPaint loads the console in a browser that runs already, with nothing of it in a
// cache, and reports medians over the loads: when something is painted first, and when the
// workloads are; when the browser began to ask for what the page is made of, and when it had what
// the first paint waits for; and what is the same or nearly so on a busy machine: how many
// requests there are until the workloads are shown, for how many of them the first paint waits,
// and how long all processes of the browser have computed for a load.
func BenchmarkFirstPaint(b *testing.B) {
	s := labOf(b, nil)
	page := open(b, s)
	pages := eval[string](page, "location.href.replace(/#.*/, '')")
	var first, all, began, blocked, requests, blocking []float64
	computed := page.computed()
	for b.Loop() {
		page.do(chromedp.Navigate("about:blank"), chromedp.Navigate(pages))
		painted := eval[[]float64](page, `(async () => {
			const frame = () => new Promise(requestAnimationFrame);
			while (!document.querySelector('article')) await frame();
			await frame(); // it has been drawn
			while (!performance.getEntriesByName('first-contentful-paint').length) await frame();
			const parts = performance.getEntriesByType('resource');
			const awaited = parts.filter((p) => p.renderBlockingStatus === 'blocking');
			return [performance.getEntriesByName('first-contentful-paint')[0].startTime, performance.now(),
				Math.min(...parts.map((p) => p.startTime)), Math.max(...awaited.map((p) => p.responseEnd)), parts.length, awaited.length];
		})()`)
		first, all = append(first, painted[0]), append(all, painted[1])
		began, blocked = append(began, painted[2]), append(blocked, painted[3])
		requests, blocking = append(requests, painted[4]), append(blocking, painted[5])
	}
	b.ReportMetric(1000*(page.computed()-computed)/float64(len(first)), "cpu-ms/load")
	b.ReportMetric(median(first), "ms/first-paint")
	b.ReportMetric(median(all), "ms/workloads")
	b.ReportMetric(median(began), "ms/first-request")
	b.ReportMetric(median(blocked), "ms/awaited")
	b.ReportMetric(median(requests), "requests/load")
	b.ReportMetric(median(blocking), "awaited/first-paint")
}

func median(of []float64) float64 {
	slices.Sort(of)
	return of[len(of)/2]
}

// BenchmarkAnHourOfEvents shows Live while a lab goes on for an hour of its time at 50 events a
// second, as fast as the page takes them, and reports what that leaves in memory: of the page's
// JavaScript after a garbage collection, of the process that renders it with everything that a
// browser needs for a page, and of this one, which is the lab. With -short it is five minutes.
func BenchmarkAnHourOfEvents(b *testing.B) {
	const second = 50
	hour := 3600
	if testing.Short() {
		hour = 300
	}
	for b.Loop() {
		l := newLoad(b)
		l.watch("live")
		before := l.page.weigh()
		for at := 0; at < hour; at += l.batch / second {
			l.push()
			l.advance(b, fmt.Sprintf("%ds", l.batch/second))
		}
		after := l.page.weigh()
		l.page.quiet()
		b.ReportMetric(after.heap/1e6, "MB/heap")
		b.ReportMetric(before.heap/1e6, "MB/heap-before")
		b.ReportMetric(after.process/1e6, "MB/renderer")
		b.ReportMetric(before.process/1e6, "MB/renderer-before")
		b.ReportMetric(after.nodes, "nodes")
		var lab runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&lab)
		b.ReportMetric(float64(lab.HeapAlloc)/1e6, "MB/lab")
	}
}

// A load is a lab in which much happens, and a page that shows it.
type load struct {
	lab   *session.Session
	page  *tab
	batch int             // how many events are recorded at a time: fewer than the lab keeps
	kinds []journal.Event // one of each kind that workloads cause, with its checks
	n     int
}

// newLoad has the events of a workload that is refused and of one that reads a secret.
func newLoad(t testing.TB) *load {
	l := &load{lab: labOf(t, nil), batch: 1000}
	exchange(t, l.lab, web("dev"))
	exchange(t, l.lab, web("prod"))
	for _, e := range l.lab.Journal().Events() {
		if e.Kind == journal.Mint || e.Kind == journal.Exchange || e.Kind == journal.Access || e.Kind == journal.Projection {
			l.kinds = append(l.kinds, e)
		}
	}
	l.page = open(t, l.lab)
	eval[bool](l.page, "import('./lab.js').then((m) => { window.lab = m; return true; })")
	return l
}

// watch shows a page and waits until it has every event until now.
func (l *load) watch(page string) {
	l.page.t.Helper()
	l.page.goTo(page)
	l.arrived()
}

// push records a batch of events, in turns, and waits until the page has them.
func (l *load) push() {
	l.page.t.Helper()
	for range l.batch {
		e := l.kinds[l.n%len(l.kinds)]
		l.n++
		e.Summary = fmt.Sprintf("%s, number %d", e.Summary, l.n)
		e.JTI, e.UTI, e.TraceID = fmt.Sprintf("%032d", l.n), fmt.Sprintf("%022d", l.n), fmt.Sprintf("%036d", l.n)
		l.lab.Journal().Record(e)
	}
	l.arrived()
}

func (l *load) arrived() {
	l.page.t.Helper()
	all := l.lab.Journal().Events()
	l.page.until("every event", fmt.Sprintf("Number(lab.events.all.at(-1)?.id) >= %s", all[len(all)-1].ID))
}

// advance moves the lab clock on.
func (l *load) advance(t testing.TB, by string) {
	t.Helper()
	if err := l.lab.Emulator().ControlClient().Do(t.Context(), http.MethodPost, "/v1/clock/advance", map[string]string{"by": by}, new(any)); err != nil {
		t.Fatal(err)
	}
}

// weight is what a page has in memory, in bytes.
type weight struct {
	heap    float64 // JavaScript's, after a garbage collection
	process float64 // resident, of the process that renders the page; 0: unknown
	nodes   float64 // of documents, also of those that nothing shows
}

func (b *tab) weigh() weight {
	b.t.Helper()
	for range 2 { // what the first makes unreachable by finalizing, the second collects
		if _, err := chromedp.Call(b.ctx, heapprofiler.CollectGarbage, cdp.Empty{}); err != nil {
			b.fatal(err)
		}
	}
	heap, err := chromedp.Call(b.ctx, cdpruntime.GetHeapUsage, cdp.Empty{})
	if err != nil {
		b.fatal(err)
	}
	counted, err := chromedp.Call(b.ctx, memory.GetDOMCounters, cdp.Empty{})
	if err != nil {
		b.fatal(err)
	}
	return weight{heap: heap.UsedSize, nodes: float64(counted.Nodes), process: b.renderer()}
}

// computed is the time, in seconds, that all processes of the browser have had of the machine.
func (b *tab) computed() (sum float64) {
	b.t.Helper()
	all, err := chromedp.CallBrowser(b.ctx, systeminfo.GetProcessInfo, cdp.Empty{})
	if err != nil {
		b.fatal(err)
	}
	for _, p := range all.ProcessInfo {
		sum += p.CPUTime
	}
	return sum
}

// renderer is the resident memory of the process that renders the page: the largest of those that do.
func (b *tab) renderer() (most float64) {
	b.t.Helper()
	all, err := chromedp.CallBrowser(b.ctx, systeminfo.GetProcessInfo, cdp.Empty{})
	if err != nil {
		b.fatal(err)
	}
	for _, p := range all.ProcessInfo {
		if p.Type != "renderer" {
			continue
		}
		data, _ := os.ReadFile(filepath.Join("/proc", strconv.FormatInt(p.ID, 10), "status"))
		for line := range strings.Lines(string(data)) {
			if text, ok := strings.CutPrefix(line, "VmRSS:"); ok {
				kilobytes, _ := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(text), " kB"), 64)
				most = max(most, 1024*kilobytes)
			}
		}
	}
	return most
}

// What a page keeps is bounded, by how much it is and by how many events it is, on whichever page it
// is: memory stays what it was when it kept the most.
func TestWhatAPageKeepsIsBounded(t *testing.T) {
	t.Parallel()
	l := newLoad(t)
	l.kinds = slices.DeleteFunc(l.kinds, func(e journal.Event) bool { return e.Kind != journal.Exchange }) // the largest
	l.batch = 1500
	l.watch("live")
	for range 4 {
		l.push()
	}
	full := l.page.weigh()
	l.page.sees("[role=status].hint", "earlier ones are not kept")
	l.batch = 500
	for _, page := range []string{"workloads", "resources", "live"} {
		l.watch(page)
		l.push()
	}
	after := l.page.weigh()
	kept, dropped := eval[int](l.page, "lab.events.all.length"), eval[int](l.page, "lab.events.dropped")
	if kept > 6000 || kept+dropped < l.n {
		t.Errorf("%d of %d large events are kept, and %d counted as gone; want 6,000 at most, and the rest counted", kept, l.n, dropped)
	}
	if after.heap > 100e6 {
		t.Errorf("the page has %.0f MB, want less than 100 MB", after.heap/1e6)
	}
	if after.nodes > 1.2*full.nodes+500 {
		t.Errorf("the page has %.0f nodes, and had %.0f when it kept as many events", after.nodes, full.nodes)
	}
	small := eval[int](l.page, "(() => { for (let n = 0; n < 12000; n++) lab.events.add({ id: `small-${n}`, kind: 'run', outcome: 'ok', time: '2026-01-15T08:00:00Z' }, 60); return lab.events.all.length; })()")
	if small < 10_000 || small > 11_000 {
		t.Errorf("%d small events are kept, want 10,000 to 11,000", small)
	}
	l.page.quiet()
}
