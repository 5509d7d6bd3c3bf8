package timeline_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/timeline"
)

var update = flag.Bool("update", false, "write the golden files")

var start = time.Date(2026, time.January, 5, 8, 0, 0, 0, time.UTC)

// at is an event some time after the start.
func at(after time.Duration, e journal.Event) journal.Event {
	e.Time = start.Add(after)
	if e.Outcome == "" {
		e.Outcome = journal.OK
	}
	return e
}

// until is a time after the start.
func until(after time.Duration) *time.Time {
	t := start.Add(after)
	return &t
}

// number gives events their ids.
func number(events ...journal.Event) []journal.Event {
	for i := range events {
		events[i].ID = fmt.Sprint(i + 1)
	}
	return events
}

// day is a run in which everything happens once: a key is rotated, a token file
// renewed, an old token refused, a fault comes and goes.
func day() []journal.Event {
	key := func(after time.Duration, kid, from, stage string) journal.Event {
		return at(after, journal.Event{Kind: journal.KeyRotation, Component: "local", Kid: kid, Summary: "key " + kid + " is " + stage, Detail: map[string]string{"from": from, "stage": stage}})
	}
	file := func(after time.Duration, jti, kid string) journal.Event {
		return at(after, journal.Event{
			Kind: journal.Projection, Workload: "shop/web", JTI: jti, Kid: kid, ExpiresAt: until(after + time.Hour), Summary: "token file of shop/web written", Detail: map[string]string{"file": "/token"},
		})
	}
	asked := func(after time.Duration) journal.Event {
		return at(after, journal.Event{Kind: journal.Access, Outcome: journal.Denied, Resource: "key vault kv", Summary: "get secret by somebody without a token", Detail: map[string]string{"challenge": "true"}})
	}
	ended := func(after time.Duration, code string) journal.Event {
		return at(after, journal.Event{Kind: journal.Run, Workload: "shop/web", Summary: "program ended with exit code " + code, Detail: map[string]string{"exitCode": code}})
	}
	fault := func(after time.Duration, action string) journal.Event {
		return at(after, journal.Event{Kind: journal.Fault, Summary: "fault f1 " + action + ": throttled", Detail: map[string]string{"fault": "f1", "name": "throttled", "action": action}})
	}
	return number(
		at(0, journal.Event{Kind: journal.Directory, Workload: "shop/web", Summary: "web trusts shop/web"}),
		at(0, journal.Event{Kind: journal.Mint, Component: "local", Kid: "key-one-long", JTI: "j1", Summary: "token of shop/web"}),
		file(0, "j1", "key-one-long"),
		asked(0),
		at(0, journal.Event{Kind: journal.Discovery, Host: "local.oic.wiemu.test", Summary: "read the keys of local"}),
		at(0, journal.Event{
			Kind: journal.Exchange, Outcome: journal.Granted, Workload: "shop/web", Identity: "web", Resource: "https://vault.azure.net", JTI: "j1", Kid: "key-one-long", UTI: "u1", ExpiresAt: until(24 * time.Hour), Summary: "shop/web as web: a token for https://vault.azure.net",
		}),
		at(0, journal.Event{Kind: journal.Access, Outcome: journal.Granted, Resource: "key vault kv", UTI: "u1", Summary: "get secret by web"}),
		ended(0, "0"),
		key(0, "key-two-long", "", "published"),
		file(50*time.Minute, "j2", "key-one-long"),
		at(70*time.Minute, journal.Event{Kind: journal.Clock, Summary: "lab time advanced by 1h10m0s", Detail: map[string]string{"from": start.Format(time.RFC3339Nano)}}),
		key(70*time.Minute, "key-two-long", "published", "signing"),
		key(70*time.Minute, "key-one-long", "signing", "retired"),
		fault(70*time.Minute, "injected"),
		fault(70*time.Minute, "hit"),
		asked(70*time.Minute),
		at(70*time.Minute, journal.Event{
			Kind: journal.Exchange, Outcome: journal.Denied, Workload: "shop/web", Identity: "web", JTI: "j1", Kid: "key-one-long", Status: 401, Code: 700024, Error: "invalid_client",
			Summary: "shop/web as web: AADSTS700024: Client assertion is not within its valid time range",
			Checks: []journal.Check{
				{Name: "tenant", Presented: "t", Outcome: journal.Passed}, {Name: "issuer", Presented: "i", Outcome: journal.Passed},
				{Name: "subject", Presented: "s", Outcome: journal.Passed}, {Name: "audience", Presented: "a", Outcome: journal.Passed},
				{Name: "expiry", Expected: "a time after 09:10", Presented: "09:00", Outcome: journal.Failed},
			},
			Remedy: "Read the token file again.",
		}),
		ended(70*time.Minute, "1"),
		fault(70*time.Minute, "cleared"),
		key(3*time.Hour, "key-one-long", "retired", "removed"),
		at(3*time.Hour, journal.Event{Kind: journal.Clock, Component: "entra", Summary: "the clock of entra is 5m0s ahead of lab time"}),
		at(3*time.Hour, journal.Event{Kind: journal.Projection, Outcome: journal.Failed, Workload: "shop/web", Summary: "token file of shop/web not renewed", Detail: map[string]string{"file": "/token"}}),
	)
}

var about = timeline.About{Title: "old-token", Description: "A program keeps its token.", Verdict: "passed"}

func draw(t testing.TB, format timeline.Format, a timeline.About, events []journal.Event) string {
	t.Helper()
	var b bytes.Buffer
	if err := timeline.Write(&b, format, a, events); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestADayAsSVG(t *testing.T) {
	got := draw(t, timeline.SVG, about, day())
	golden := filepath.Join("testdata", "day.svg")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.ReplaceAll(string(want), "><", ">\n<"), strings.ReplaceAll(got, "><", ">\n<")); diff != "" {
		t.Errorf("picture (-want +got), go test -update accepts it; look at it:\n%s", diff)
	}
}

// Every kind of event has a lane, with its shape.
func TestWhatIsDrawn(t *testing.T) {
	svg := draw(t, timeline.SVG, about, day())
	for what, want := range map[string]string{
		"a key before it signs":          `class="published"`,
		"a key that signs":               `class="signing"`,
		"a key that signs no more":       `class="retired"`,
		"the end of a key":               `class="removed"`,
		"a token in a file":              `class="current"`,
		"the rest of its lifetime":       `class="rest"`,
		"a token that is there too long": `class="expired"`,
		"a grant":                        `class="granted"`,
		"a refusal":                      `class="denied"`,
		"a question without a token":     `class="challenge"`,
		"an access token":                `class="token"`,
		"the clock going on":             `class="advanced"`,
		"a clock that was set":           `class="turned"`,
		"a fault":                        `class="injected"`,
		"what it hit":                    `class="fault"`,
		"a program":                      `class="ended"`,
		"a program that failed":          `class="broke"`,
		"how far the clock was moved":    `>+1h10m<`,
		"the times":                      `>09:10<`,
		"how long after the start":       `>+1h10m<`,
		"a legend":                       `>key retired, still published<`,
		"the outcome":                    `>✓ passed · 2 refusals<`,
	} {
		if !strings.Contains(svg, want) {
			t.Errorf("%s is not drawn: no %s", what, want)
		}
	}
}

// A program is drawn from its start to its end, or as far as the picture goes.
func TestProgramsThatWereStarted(t *testing.T) {
	run := func(after time.Duration, summary string, detail map[string]string) journal.Event {
		return at(after, journal.Event{Kind: journal.Run, Workload: "shop/web", Summary: summary, Detail: detail})
	}
	got := draw(t, timeline.SVG, about, number(
		run(0, "one started", map[string]string{"program": "one"}),
		run(0, "two started", map[string]string{"program": "two"}),
		run(time.Minute, "curl ended with exit code 0", map[string]string{"exitCode": "0"}),
		run(time.Hour, "one ended with exit code 3", map[string]string{"program": "one", "exitCode": "3"}),
		run(2*time.Hour, "curl ended with exit code 0", map[string]string{"exitCode": "0"}),
	))
	for what, times := range map[string]int{`class="running"`: 3, `class="broke"`: 2, `class="ended"`: 3, "program runs: 2026-01-05 08:00:00 two started": 1} { // one of each in the legend
		if n := strings.Count(got, what); n != times {
			t.Errorf("%s is drawn %d times, want %d:\n%s", what, n, times, got)
		}
	}
}

func TestThePageIsSelfContained(t *testing.T) {
	page := draw(t, timeline.HTML, about, day())
	doc := parse(t, page)
	var policy, style, script string
	for n := range doc.Descendants() {
		for _, a := range n.Attr {
			switch {
			case a.Key == "src", a.Key == "srcset", strings.HasPrefix(a.Key, "on"), a.Key == "style",
				a.Key == "href" && !strings.HasPrefix(a.Val, "#"), n.Data == "link", n.Data == "iframe":
				t.Errorf("<%s %s=%q> in a page that needs no network and no inline handlers", n.Data, a.Key, a.Val)
			case a.Val == "Content-Security-Policy":
				policy = attribute(n, "content")
			}
		}
		switch {
		case n.Type == html.ElementNode && n.Data == "style":
			style = text(n)
		case n.Type == html.ElementNode && n.Data == "script" && attribute(n, "type") == "":
			script = text(n)
		}
	}
	if !strings.HasPrefix(policy, "default-src 'none'; ") {
		t.Errorf("policy %q", policy)
	}
	for name, content := range map[string]string{"style-src": style, "script-src": script} {
		sum := sha256.Sum256([]byte(content))
		if want := name + " 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; len(content) < 500 || !strings.Contains(policy, want) {
			t.Errorf("policy %q does not let through the page's own %s: %s", policy, name, want)
		}
	}
	for _, forbidden := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "fetch(", "XMLHttpRequest", "import("} {
		if strings.Contains(script, forbidden) {
			t.Errorf("the script uses %s", forbidden)
		}
	}
}

// Without scripts the picture is there, and each refusal leads to its explanation.
func TestThePageWithoutScripts(t *testing.T) {
	doc := parse(t, draw(t, timeline.HTML, timeline.About{Title: "t", Verdict: "failed", Failures: []string{"expectation failed"}}, day()))
	var links, told []string
	picture := false
	for n := range doc.Descendants() {
		switch {
		case n.Data == "a":
			links = append(links, attribute(n, "href"))
		case n.Data == "svg" && attribute(n, "role") == "img":
			picture = true
		case n.Data == "div" && attribute(n, "class") == "why" && attribute(n, "id") != "why":
			told = append(told, "#"+attribute(n, "id"))
			if all := text(n); told[0] == "#refusal-1" && len(told) == 1 {
				for _, want := range []string{"✓ 4 checks passed", "✗ expiry", "expected  a time after 09:10", "What to change: Read the token file again."} {
					if !strings.Contains(all, want) {
						t.Errorf("the explanation has no %q:\n%s", want, all)
					}
				}
			}
		}
	}
	slices.Sort(links)
	if !picture || len(told) != 2 || cmp.Diff(told, links) != "" {
		t.Errorf("picture %v, explanations %v, links to them %v", picture, told, links)
	}
}

func TestRefusalsThatSayTheSameAreToldOnce(t *testing.T) {
	var events []journal.Event
	for i := range 300 {
		events = append(events, at(time.Duration(i)*time.Second, journal.Event{Kind: journal.Exchange, Outcome: journal.Denied, Workload: "shop/web", Summary: "AADSTS700213: no"}))
	}
	page := draw(t, timeline.HTML, about, number(events...))
	if n := strings.Count(page, `<div id="refusal-`); n != 1 || !strings.Contains(page, "<b>300 times</b>") {
		t.Errorf("%d explanations", n)
	}
}

// Thousands of events stay a file that a browser opens at once.
func TestLongJournals(t *testing.T) {
	var events []journal.Event
	for i := range 30_000 {
		after := time.Duration(i) * 3 * time.Second
		e := journal.Event{Kind: journal.Exchange, Outcome: journal.Granted, Workload: "shop/web", Identity: "web", Resource: "https://vault.azure.net", UTI: fmt.Sprint("u", i), ExpiresAt: until(after + 24*time.Hour), Summary: "granted"}
		if i%100 == 0 {
			e = journal.Event{Kind: journal.Exchange, Outcome: journal.Denied, Workload: "shop/web", Summary: fmt.Sprintf("refused, kind %d", i/100%150), Meaning: strings.Repeat("m", 300)}
		}
		events = append(events, at(after, e))
	}
	events = number(events...)
	page, svg := draw(t, timeline.HTML, about, events), draw(t, timeline.SVG, about, events)
	if len(page) > 8<<20 || len(svg) > 200<<10 {
		t.Errorf("%d bytes of HTML and %d of SVG", len(page), len(svg))
	}
	for _, want := range []string{"The run has 30000 events, of which 20000 are drawn", "… and 50 more kinds of refusal", "are without a full explanation here", "300 refusals"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if !strings.Contains(svg, " tokens</text>") {
		t.Error("access tokens of the same time are not drawn as one")
	}
}

// A week in which nothing but token files is renewed does not press together what
// happened before and after it.
func TestTokenFilesThatAreRenewedForAWeek(t *testing.T) {
	var events []journal.Event
	exchanges := func(after time.Duration) {
		for range 8 {
			events = append(events, at(after, journal.Event{Kind: journal.Exchange, Outcome: journal.Granted, Workload: "shop/web", Summary: "granted"}))
		}
	}
	exchanges(0)
	for i := range 400 {
		after := time.Duration(i+1) * 25 * time.Minute
		events = append(events, at(after, journal.Event{Kind: journal.Projection, Workload: "shop/web", ExpiresAt: until(after + time.Hour), Summary: "written"}))
	}
	exchanges(7 * 24 * time.Hour)
	svg := draw(t, timeline.SVG, about, number(events...))
	if n := strings.Count(svg, `<circle class="granted"`); n != 16+1 { // and the legend's
		t.Errorf("%d of 16 exchanges are drawn by themselves", n-1)
	}
}

func TestNothingHappened(t *testing.T) {
	for _, format := range timeline.Formats() {
		if got := draw(t, format, about, nil); !strings.Contains(got, "nothing happened") {
			t.Errorf("%s of an empty journal: %s", format, got)
		}
	}
	var formatError bytes.Buffer
	if err := timeline.Write(&formatError, "png", about, nil); err == nil || !strings.Contains(err.Error(), `expected html or svg, found "png"`) {
		t.Errorf("png: %v", err)
	}
}

func TestTheIndexLeadsToFailuresFirst(t *testing.T) {
	var b bytes.Buffer
	if err := timeline.WriteIndex(&b, []timeline.Entry{{"a.html", about}, {"b.html", timeline.About{Title: "<b>", Verdict: "failed"}}}); err != nil {
		t.Fatal(err)
	}
	var links []string
	for n := range parse(t, b.String()).Descendants() {
		if n.Data == "a" {
			links = append(links, attribute(n, "href")+" "+text(n))
		}
	}
	if diff := cmp.Diff([]string{"b.html ✗ <b>", "a.html ✓ old-token"}, links); diff != "" {
		t.Errorf("links (-want +got):\n%s", diff)
	}
}

// hostile are texts that want out of where they are put.
var hostile = []string{
	`</script><script>alert(1)</script>`, `--><img src=x onerror=alert(1)>`, `"><svg onload=alert(1)>`, `'; alert(1); '`,
	`</title></svg></style></pre></details>`, "<!--<script>", "]]>", "\u2028\u2029", "\x00\x1b[31m\u202e", "&lt;b&gt;&#x22;", "{{.}}", "\xff\xfe", "${alert(1)}",
}

func TestHostileTexts(t *testing.T) {
	for _, s := range hostile {
		check(t, s)
	}
}

func FuzzTexts(f *testing.F) {
	for _, s := range hostile {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) { check(t, s) })
}

// check puts a text wherever an event has one and finds nothing but text again.
func check(t *testing.T, s string) {
	t.Helper()
	s = strings.ToValidUTF8(s, "\uFFFD") // as it is after the journal's JSON
	var events []journal.Event
	for _, e := range day() {
		e.ID, e.Summary, e.Component, e.Workload, e.Kid, e.JTI, e.UTI = s, s, s, s, s, s, s
		e.Identity, e.Resource, e.Host, e.Message, e.Meaning, e.Remedy, e.Error = s, s, s, s, s, s, s
		for i := range e.Checks {
			e.Checks[i].Name, e.Checks[i].Expected, e.Checks[i].Presented, e.Checks[i].Note = s, s, s, s
		}
		detail := map[string]string{}
		for k, v := range e.Detail {
			if k == "file" || k == "name" || k == "fault" || k == "exitCode" {
				v = s
			}
			detail[k] = v
		}
		e.Detail = detail
		events = append(events, e)
	}
	events = append(events, at(4*time.Hour, journal.Event{Kind: journal.Kind(s), Outcome: journal.Outcome(s), Summary: s}))
	a := timeline.About{Title: s, Description: s, Verdict: s, Failures: []string{s}}
	checkPage(t, draw(t, timeline.HTML, a, events), s)
	checkSVG(t, draw(t, timeline.SVG, a, events))
}

func checkPage(t *testing.T, page, s string) {
	t.Helper()
	allowed := strings.Fields("html head meta title style body header div h1 h2 p span section pre main button ul li b details summary aside script svg g rect path circle text a")
	scripts := 0
	for n := range parse(t, page).Descendants() {
		if n.Type == html.CommentNode {
			t.Fatalf("a comment from %q", s)
		}
		if n.Type != html.ElementNode {
			continue
		}
		if !slices.Contains(allowed, n.Data) {
			t.Fatalf("<%s> from %q", n.Data, s)
		}
		for _, at := range n.Attr {
			if strings.HasPrefix(at.Key, "on") || at.Key == "src" || at.Key == "style" || at.Key == "href" && !strings.HasPrefix(at.Val, "#refusal-") {
				t.Fatalf("<%s %s=%q> from %q", n.Data, at.Key, at.Val, s)
			}
		}
		if n.Data == "script" {
			scripts++
			if attribute(n, "id") == "data" {
				checkData(t, text(n), s)
			}
		}
	}
	if scripts != 2 {
		t.Fatalf("%d scripts from %q", scripts, s)
	}
}

func checkData(t *testing.T, data, s string) {
	t.Helper()
	var got struct {
		Events []struct{ S string }
	}
	if err := json.Unmarshal([]byte(data), &got); err != nil {
		t.Fatalf("data with %q: %v", s, err)
	}
	if got.Events[0].S != s {
		t.Fatalf("%q came back as %q", s, got.Events[0].S)
	}
}

func checkSVG(t *testing.T, svg string) {
	t.Helper()
	allowed := strings.Fields("svg title style rect g text path circle")
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("not XML: %v", err)
		}
		if e, ok := token.(xml.StartElement); ok && !slices.Contains(allowed, e.Name.Local) {
			t.Fatalf("<%s>", e.Name.Local)
		}
	}
}

func parse(t *testing.T, page string) *html.Node {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func text(n *html.Node) string {
	var b strings.Builder
	for c := range n.Descendants() {
		if c.Type == html.TextNode {
			b.WriteString(c.Data)
		}
	}
	return b.String()
}
