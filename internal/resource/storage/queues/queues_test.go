package queues_test

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/internal/resource/storage"
	"github.com/wiemu/wiemu/internal/resource/storage/queues"
)

type lab struct {
	t     *testing.T
	clk   *clock.Lab
	store *queues.Store
}

func start() time.Time { return time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC) }

// newLab has account orders with queue jobs.
func newLab(t *testing.T) *lab {
	t.Helper()
	clk := clock.Stopped(start())
	l := &lab{t, clk, queues.New(clk, "core.windows.net")}
	if err := l.store.Open("orders"); err != nil {
		t.Fatal(err)
	}
	l.want(201, l.ask("PUT", "/jobs", ""))
	return l
}

func (l *lab) ask(method, target, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "https://orders.queue.core.windows.net"+target, strings.NewReader(body))
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	queue, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	w := httptest.NewRecorder()
	l.store.Serve(w, r, storage.Target{Account: "orders", Service: storage.Queue, Container: queue, Name: rest})
	return w
}

func (l *lab) want(status int, w *httptest.ResponseRecorder) *httptest.ResponseRecorder {
	l.t.Helper()
	if w.Code != status {
		l.t.Fatalf("expected %d, found %d %v %s", status, w.Code, w.Header(), w.Body)
	}
	return w
}

func (l *lab) refused(t *testing.T, status int, code string, w *httptest.ResponseRecorder) {
	t.Helper()
	if got := w.Header().Get("x-ms-error-code"); w.Code != status || got != code {
		t.Errorf("expected %d %s, found %d %s %s", status, code, w.Code, got, w.Body)
	}
}

func (l *lab) advance(d time.Duration) {
	l.t.Helper()
	if err := l.clk.Advance(l.t.Context(), d); err != nil {
		l.t.Fatal(err)
	}
}

type message struct {
	MessageID       string `xml:"MessageId"`
	InsertionTime   string
	ExpirationTime  string
	PopReceipt      string
	TimeNextVisible string
	DequeueCount    int
	MessageText     string
}

func body(text string) string {
	return "<QueueMessage><MessageText>" + text + "</MessageText></QueueMessage>"
}

func (l *lab) messages(w *httptest.ResponseRecorder) []message {
	l.t.Helper()
	var list struct {
		XMLName xml.Name  `xml:"QueueMessagesList"`
		All     []message `xml:"QueueMessage"`
	}
	if err := xml.Unmarshal(bytes.TrimPrefix(w.Body.Bytes(), []byte("\ufeff")), &list); err != nil {
		l.t.Fatalf("%v: %s", err, w.Body)
	}
	return list.All
}

func (l *lab) put(text, parameters string) message {
	l.t.Helper()
	return l.messages(l.want(201, l.ask("POST", "/jobs/messages?"+parameters, body(text))))[0]
}

// get returns the texts that Get Messages answers.
func (l *lab) get(parameters string) (texts []string, all []message) {
	l.t.Helper()
	all = l.messages(l.want(200, l.ask("GET", "/jobs/messages?"+parameters, "")))
	for _, m := range all {
		texts = append(texts, m.MessageText)
	}
	return texts, all
}

func (l *lab) count() string {
	return l.want(200, l.ask("GET", "/jobs?comp=metadata", "")).Header().Get("x-ms-approximate-messages-count")
}

// raw returns what a header has under a name that is not canonical.
func raw(h http.Header, name string) []string { return h[name] }

func one(m message) string {
	return "/jobs/messages/" + m.MessageID + "?popreceipt=" + url.QueryEscape(m.PopReceipt)
}

// A message that is taken comes back on the lab clock, unless it is deleted in time.
func TestMessagesComeBack(t *testing.T) {
	l := newLab(t)
	put := l.put("one &amp; &lt;two&gt;", "")
	if put.InsertionTime != "Sun, 01 Mar 2026 08:00:00 GMT" || put.ExpirationTime != "Sun, 08 Mar 2026 08:00:00 GMT" || put.TimeNextVisible != put.InsertionTime || put.PopReceipt == "" || put.MessageText != "" {
		t.Errorf("put: %+v", put)
	}
	if _, peeked := l.get("peekonly=true"); len(peeked) != 1 || peeked[0].PopReceipt != "" || peeked[0].DequeueCount != 0 || peeked[0].MessageText != "one & <two>" {
		t.Errorf("peek: %+v", peeked)
	}
	_, first := l.get("")
	if len(first) != 1 || first[0].DequeueCount != 1 || first[0].TimeNextVisible != "Sun, 01 Mar 2026 08:00:30 GMT" {
		t.Fatalf("get: %+v", first)
	}
	for _, parameters := range []string{"", "peekonly=true"} {
		if texts, _ := l.get(parameters); texts != nil {
			t.Errorf("taken, and still there with %q: %q", parameters, texts)
		}
	}
	if got := l.count(); got != "1" {
		t.Errorf("approximate count: %s", got)
	}
	l.advance(30 * time.Second)
	_, second := l.get("visibilitytimeout=60")
	if len(second) != 1 || second[0].DequeueCount != 2 || second[0].MessageID != first[0].MessageID {
		t.Fatalf("again: %+v", second)
	}
	l.refused(t, 404, "MessageNotFound", l.ask("DELETE", one(first[0]), "")) // somebody else has it now
	l.advance(60 * time.Second)
	l.want(204, l.ask("DELETE", one(second[0]), "")) // late, but nobody has taken it since
	l.refused(t, 404, "MessageNotFound", l.ask("DELETE", one(second[0]), ""))
	if got := l.count(); got != "0" {
		t.Errorf("approximate count: %s", got)
	}
}

func TestMessagesExpire(t *testing.T) {
	l := newLab(t)
	l.put("a minute", "messagettl=60")
	l.put("a week", "")
	l.put("for ever", "messagettl=-1")
	l.put("later", "visibilitytimeout=3600")
	for _, step := range []struct {
		after time.Duration
		want  []string
	}{
		{0, []string{"a minute", "a week", "for ever"}},
		{59 * time.Second, []string{"a minute", "a week", "for ever"}},
		{time.Second, []string{"a week", "for ever"}},
		{time.Hour - time.Minute, []string{"a week", "for ever", "later"}},
		{7*24*time.Hour - time.Hour, []string{"for ever"}},
		{10 * 365 * 24 * time.Hour, []string{"for ever"}},
	} {
		l.advance(step.after)
		if texts, _ := l.get("peekonly=true&numofmessages=32"); !slices.Equal(texts, step.want) {
			t.Errorf("at %v: expected %q, found %q", l.clk.Now(), step.want, texts)
		}
	}
}

func TestUpdates(t *testing.T) {
	l := newLab(t)
	l.put("one", "messagettl=3600")
	_, got := l.get("")
	w := l.want(204, l.ask("PUT", one(got[0])+"&visibilitytimeout=120", body("two")))
	if h := w.Header(); h.Get("x-ms-popreceipt") == got[0].PopReceipt || h.Get("x-ms-time-next-visible") != "Sun, 01 Mar 2026 08:02:00 GMT" {
		t.Errorf("update: %v", h)
	}
	l.refused(t, 404, "MessageNotFound", l.ask("PUT", one(got[0])+"&visibilitytimeout=0", ""))
	got[0].PopReceipt = w.Header().Get("x-ms-popreceipt")
	l.refused(t, 400, "OutOfRangeQueryParameterValue", l.ask("PUT", one(got[0])+"&visibilitytimeout=3601", ""))
	l.want(204, l.ask("PUT", one(got[0])+"&visibilitytimeout=0", "")) // without a body the text stays
	if texts, again := l.get(""); !slices.Equal(texts, []string{"two"}) || again[0].DequeueCount != 2 {
		t.Errorf("after the update: %+v", again)
	}
}

func TestManyMessages(t *testing.T) {
	l := newLab(t)
	var all []string
	for n := range 70 {
		all = append(all, strconv.Itoa(n))
		l.put(all[n], "")
	}
	var got []string
	for range 3 {
		texts, _ := l.get("numofmessages=32")
		got = append(got, texts...)
	}
	if !slices.Equal(got, all) {
		t.Errorf("found %q", got)
	}
	l.want(204, l.ask("DELETE", "/jobs/messages", ""))
	if got := l.count(); got != "0" {
		t.Errorf("after it was cleared: %s", got)
	}
}

func TestQueues(t *testing.T) {
	l := newLab(t)
	l.want(204, l.ask("PUT", "/jobs", ""))
	l.refused(t, 409, "QueueAlreadyExists", l.ask("PUT", "/jobs", "", "x-ms-meta-k", "1"))
	l.want(204, l.ask("PUT", "/jobs?comp=metadata", "", "x-ms-meta-k", "1"))
	if h := l.want(200, l.ask("HEAD", "/jobs?comp=metadata", "")).Header(); !slices.Equal(raw(h, "x-ms-meta-k"), []string{"1"}) {
		t.Errorf("metadata: %v", h)
	}
	const policies = `<SignedIdentifiers><SignedIdentifier><Id>p</Id></SignedIdentifier></SignedIdentifiers>`
	l.want(204, l.ask("PUT", "/jobs?comp=acl", policies))
	if got := l.want(200, l.ask("GET", "/jobs?comp=acl", "")).Body.String(); !strings.Contains(got, policies) {
		t.Errorf("policies: %s", got)
	}
	l.want(202, l.ask("PUT", "/?restype=service&comp=properties", "<StorageServiceProperties><Cors><CorsRule/></Cors></StorageServiceProperties>"))
	if got := l.want(200, l.ask("GET", "/?restype=service&comp=properties", "")).Body.String(); !strings.Contains(got, "<Cors><CorsRule/></Cors>") || strings.Contains(got, "StaticWebsite") {
		t.Errorf("properties: %s", got)
	}
	for n := range 4 {
		l.want(201, l.ask("PUT", fmt.Sprintf("/queue-%d", n), ""))
	}
	for size := 1; size <= 6; size++ {
		var names []string
		for marker := ""; ; {
			var p struct {
				Names []string `xml:"Queues>Queue>Name"`
				Next  string   `xml:"NextMarker"`
			}
			w := l.want(200, l.ask("GET", fmt.Sprintf("/?comp=list&prefix=q&maxresults=%d&marker=%s", size, marker), ""))
			if err := xml.Unmarshal(bytes.TrimPrefix(w.Body.Bytes(), []byte("\ufeff")), &p); err != nil {
				t.Fatal(err)
			}
			names = append(names, p.Names...)
			if marker = p.Next; marker == "" {
				break
			}
		}
		if !slices.Equal(names, []string{"queue-0", "queue-1", "queue-2", "queue-3"}) {
			t.Errorf("pages of %d: %q", size, names)
		}
	}
	if got := l.ask("GET", "/?comp=list&include=metadata&prefix=jobs", "").Body.String(); !strings.Contains(got, "<Queue><Name>jobs</Name><Metadata><k>1</k></Metadata></Queue>") {
		t.Errorf("listing: %s", got)
	}
	l.put("one", "")
	l.want(204, l.ask("DELETE", "/jobs", ""))
	l.refused(t, 404, "QueueNotFound", l.ask("GET", "/jobs/messages", ""))
	l.refused(t, 409, "QueueBeingDeleted", l.ask("PUT", "/jobs", ""))
	l.advance(30 * time.Second)
	l.want(201, l.ask("PUT", "/jobs", ""))
	if got := l.count(); got != "0" {
		t.Errorf("a new queue of the old name: %s messages", got)
	}
}

func TestBadInput(t *testing.T) {
	l := newLab(t)
	m := l.put("one", "")
	for _, row := range []struct {
		name, method, target, body string
		headers                    []string
		status                     int
		code                       string
	}{
		{"a message that is no XML", "POST", "/jobs/messages", "one", nil, 400, "InvalidXmlDocument"},
		{"another document", "POST", "/jobs/messages", "<Message/>", nil, 400, "InvalidXmlDocument"},
		{"a message of more than 64 KiB", "POST", "/jobs/messages", body(strings.Repeat("x", 64<<10+1)), nil, 413, "RequestBodyTooLarge"},
		{"a body of 1 MiB", "POST", "/jobs/messages", body(strings.Repeat("x", 1<<20)), nil, 413, "RequestBodyTooLarge"},
		{"no life", "POST", "/jobs/messages?messagettl=0", body("x"), nil, 400, "InvalidQueryParameterValue"},
		{"a life that is no number", "POST", "/jobs/messages?messagettl=week", body("x"), nil, 400, "InvalidQueryParameterValue"},
		{"invisible for more than a week", "POST", "/jobs/messages?messagettl=-1&visibilitytimeout=604801", body("x"), nil, 400, "OutOfRangeQueryParameterValue"},
		{"invisible for its life", "POST", "/jobs/messages?messagettl=60&visibilitytimeout=60", body("x"), nil, 400, "InvalidQueryParameterValue"},
		{"33 messages", "GET", "/jobs/messages?numofmessages=33", "", nil, 400, "OutOfRangeQueryParameterValue"},
		{"no messages", "GET", "/jobs/messages?numofmessages=0", "", nil, 400, "OutOfRangeQueryParameterValue"},
		{"taken for no time", "GET", "/jobs/messages?visibilitytimeout=0", "", nil, 400, "OutOfRangeQueryParameterValue"},
		{"no pop receipt", "DELETE", "/jobs/messages/" + m.MessageID, "", nil, 400, "MissingRequiredQueryParameter"},
		{"another pop receipt", "DELETE", "/jobs/messages/" + m.MessageID + "?popreceipt=AAAA", "", nil, 400, "PopReceiptMismatch"},
		{"another message", "DELETE", "/jobs/messages/none?popreceipt=AAAA", "", nil, 404, "MessageNotFound"},
		{"an update that does not say until when", "PUT", one(m), "", nil, 400, "MissingRequiredQueryParameter"},
		{"a queue in capitals", "PUT", "/Jobs", "", nil, 400, "InvalidResourceName"},
		{"a queue of two letters", "PUT", "/ab", "", nil, 400, "OutOfRangeInput"},
		{"metadata with a hyphen", "PUT", "/jobs?comp=metadata", "", []string{"x-ms-meta-a-b", "1"}, 400, "InvalidMetadata"},
		{"another marker", "GET", "/?comp=list&marker=!", "", nil, 400, "InvalidMarker"},
		{"a page of none", "GET", "/?comp=list&maxresults=0", "", nil, 400, "OutOfRangeQueryParameterValue"},
		{"a queue that is not there", "GET", "/none/messages", "", nil, 404, "QueueNotFound"},
		{"neither a message nor messages", "GET", "/jobs/letters", "", nil, 400, "InvalidUri"},
		{"another method", "PATCH", "/jobs", "", nil, 405, "UnsupportedHttpVerb"},
		{"properties of blobs", "PUT", "/?restype=service&comp=properties", "<StorageServiceProperties><StaticWebsite/></StorageServiceProperties>", nil, 400, "UnsupportedXmlNode"},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := l.ask(row.method, row.target, row.body, row.headers...)
			l.refused(t, row.status, row.code, w)
			if w.Header().Get("Content-Type") != "application/xml" && w.Code != http.StatusNoContent {
				t.Errorf("content type: %v", w.Header())
			}
		})
	}
	if got := l.count(); got != "1" {
		t.Errorf("a refused request changed the queue: %s messages", got)
	}
}

// Policies and properties that nobody needs so long are refused.
func TestDocumentsThatAreTooLong(t *testing.T) {
	l := newLab(t)
	for _, target := range []string{"/jobs?comp=acl", "/?restype=service&comp=properties"} {
		l.refused(t, 413, "RequestBodyTooLarge", l.ask("PUT", target, strings.Repeat(" ", 64<<10+1)))
		l.refused(t, 400, "InvalidXmlDocument", l.ask("PUT", target, strings.Repeat(" ", 64<<10)))
	}
}
