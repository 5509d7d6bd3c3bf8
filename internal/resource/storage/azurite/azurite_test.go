package azurite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/internal/resource/storage"
)

// command is the Azurite of this machine: what WIEMU_AZURITE names, which may be a program
// with arguments.
func command(t *testing.T) []string {
	t.Helper()
	named := os.Getenv("WIEMU_AZURITE")
	if named == "" {
		if os.Getenv("WIEMU_REQUIRE") != "" {
			t.Fatal("WIEMU_AZURITE names no Azurite, and WIEMU_REQUIRE is set")
		}
		t.Skip("left out: WIEMU_AZURITE names no Azurite; make azurite installs one")
	}
	return strings.Fields(named)
}

type lab struct {
	*Azurite
	t *testing.T
}

// start begins a new Azurite with accounts orders, with container inbox, and reports.
func begin(t *testing.T) *lab {
	t.Helper()
	a, err := Start(t.Context(), command(t), []string{"orders", "reports"}, clock.Stopped(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	l := &lab{a, t}
	for _, account := range []string{"orders", "reports"} {
		l.want(201, l.as(account, storage.Blob, "PUT", "/inbox?restype=container", ""))
	}
	return l
}

// recorder is what the account passes to a backend: its answer has some headers already.
type recorder struct {
	*httptest.ResponseRecorder
	meaning string
}

func (r *recorder) Explain(meaning, _ string) { r.meaning = meaning }

func (l *lab) ask(method, target, body string, headers ...string) *recorder {
	return l.as("orders", storage.Blob, method, target, body, headers...)
}

func (l *lab) as(account string, s storage.Service, method, target, body string, headers ...string) *recorder {
	r := httptest.NewRequest(method, "https://"+account+"."+string(s)+".core.windows.net"+target, strings.NewReader(body))
	r.RequestURI = target
	r.Header.Set("x-ms-version", "2026-10-06") // newer than Azurite
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	t := targetOf(account, s, r.URL)
	if source := r.Header.Get("x-ms-copy-source"); source != "" {
		u, err := url.Parse(source)
		if err != nil {
			l.t.Fatal(err)
		}
		from, _, _ := strings.Cut(u.Host, ".")
		of := targetOf(from, s, u)
		t.Source = &of
	}
	w := &recorder{ResponseRecorder: httptest.NewRecorder()}
	for name, value := range map[string]string{"x-ms-request-id": "the account's", "x-ms-version": "2026-10-06", "Server": "the account's", "Date": "the lab's"} {
		w.Header().Set(name, value)
	}
	l.Serve(w, r, t)
	return w
}

func targetOf(account string, s storage.Service, u *url.URL) storage.Target {
	container, name, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	if s == storage.Table { // as the account has it
		if container, _, _ = strings.Cut(container, "("); container == "$batch" || container == "Tables" {
			container = ""
		}
	}
	return storage.Target{Account: account, Service: s, Container: container, Name: name, Snapshot: u.Query().Get("snapshot")}
}

func (l *lab) want(status int, w *recorder) *recorder {
	l.t.Helper()
	if w.Code != status {
		l.t.Fatalf("expected %d, found %d %v %s", status, w.Code, w.Header(), w.Body)
	}
	return w
}

func (l *lab) put(name, text string, headers ...string) {
	l.t.Helper()
	l.want(201, l.ask("PUT", "/inbox/"+name, text, append([]string{"x-ms-blob-type", "BlockBlob"}, headers...)...))
}

func (l *lab) text(name string) string {
	l.t.Helper()
	return l.want(200, l.ask("GET", "/inbox/"+name, "")).Body.String()
}

// Azurite is asked for what the account has allowed, in whatever way it was written.
func TestAzuriteIsAskedForWhatWasAllowed(t *testing.T) {
	a := &Azurite{clock: clock.Stopped(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)), addresses: map[storage.Service]string{}, keys: map[string][]byte{}}
	for _, row := range []struct {
		service         storage.Service
		sent            string
		container, name string // as the account has it
		path, query     string
	}{
		{storage.Blob, "/inbox/dir/a%20b//%2525?comp=tags", "inbox", "dir/a b//%25", "/inbox/dir/a%20b//%2525", "comp=tags"},
		{storage.Blob, "/inbox%2Fsecret", "$root", "inbox/secret", "/$root/inbox/secret", ""},
		{storage.Blob, "//inbox/secret?comp=list", "", "inbox/secret", "/", "comp=list"},
		{storage.Blob, "/inbox/a?comp=tags&comp=", "inbox", "a", "/inbox/a", "comp=tags"},
		{storage.Queue, "/jobs/messages?peekonly=true&peekonly=false", "jobs", "messages", "/jobs/messages", "peekonly=true"},
		{storage.Table, "/people(PartitionKey='p',RowKey='r%2Fs')", "people", "", "/people(PartitionKey='p',RowKey='r%2Fs')", ""},
	} {
		r := httptest.NewRequest("GET", "https://orders."+string(row.service)+".core.windows.net"+row.sent, nil)
		target := storage.Target{Account: "orders", Service: row.service, Container: row.container, Name: row.name}
		if row.container == "" { // of the account: there is no more to it
			target.Name = ""
		}
		r = r.WithContext(context.WithValue(r.Context(), targetKey{}, target))
		out := r.Clone(r.Context())
		a.rewrite(&httputil.ProxyRequest{In: r, Out: out})
		if out.URL.Opaque != row.path || out.URL.RawQuery != row.query {
			t.Errorf("%s: expected %s?%s, found %s?%s", row.sent, row.path, row.query, out.URL.Opaque, out.URL.RawQuery)
		}
	}
	for _, row := range []struct {
		service         storage.Service
		sent, container string
		source          *storage.Target
	}{
		{storage.Queue, "/jobs%2Fmessages", "jobs/messages", nil},
		{storage.Table, "//people", "", nil},
		{storage.Blob, "/inbox/copy", "inbox", &storage.Target{Account: "orders", Service: storage.Blob, Container: "a/b", Name: "c"}},
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("DELETE", "https://orders."+string(row.service)+".core.windows.net"+row.sent, nil)
		a.Serve(w, r, storage.Target{Account: "orders", Service: row.service, Container: row.container, Source: row.source})
		if w.Code != 400 || w.Header().Get("x-ms-error-code") != "InvalidUri" {
			t.Errorf("%s: %d %s", row.sent, w.Code, w.Body)
		}
	}
}

// Each row of the traps of Azurite, against a real one.
func TestTraps(t *testing.T) {
	l := begin(t)
	t.Run("names", func(t *testing.T) {
		for _, name := range []string{"a", "dir/a%20b+c%2525/%C3%BC//Q%3F%23&x.TXT", "/begins", "it's(1)!*", "a%2Fb", "~-_.", "%5Bx%5D", "a=b"} {
			l.put(name, name)
			if got := l.text(name); got != name {
				t.Errorf("%s: found %q", name, got)
			}
		}
	})
	t.Run("headers are sorted as Azurite does", func(t *testing.T) {
		random := rand.New(rand.NewPCG(1, 2))
		for range 30 {
			headers := []string{"x-ms-meta-MixedCase", " two  spaces ", "x-ms-meta-a_b", "1", "x-ms-meta-a1", "2"}
			for range 6 {
				name := ""
				for range 1 + random.IntN(4) {
					name += string("ab_12Z"[random.IntN(6)])
				}
				headers = append(headers, "x-ms-meta-a"+name, fmt.Sprint(random.IntN(9)))
			}
			l.put("m", "x", headers...)
		}
		w := l.want(200, l.ask("HEAD", "/inbox/m", ""))
		if got := w.Header()["x-ms-meta-mixedcase"]; !slices.Equal(got, []string{"two  spaces"}) { //nolint:staticcheck // as it is sent
			t.Errorf("metadata: %v", w.Header())
		}
	})
	t.Run("headers with bytes that are not ASCII", func(t *testing.T) { l.put("latin", "x", "x-ms-meta-k", "\xfc\xc3\xbc") })
	t.Run("answers are the account's", func(t *testing.T) {
		w := l.want(404, l.ask("GET", "/inbox/none", ""))
		for name, want := range map[string]string{"Date": "the lab's", "Server": "the account's", "X-Ms-Version": "2026-10-06"} {
			if got := w.Header().Values(name); !slices.Equal(got, []string{want}) {
				t.Errorf("%s: %q", name, got)
			}
		}
		id := w.Header().Values("x-ms-request-id")
		if len(id) != 1 || !strings.Contains(w.Body.String(), "RequestId:"+id[0]) || w.Header().Get("x-ms-error-code") != "BlobNotFound" {
			t.Errorf("%v %s", w.Header(), w.Body)
		}
	})
	t.Run("a parameter that is not escaped", func(t *testing.T) {
		l.want(201, l.ask("PUT", "/inbox/blocks?comp=block&blockid=MQ==", "one"))
		l.want(201, l.ask("PUT", "/inbox/blocks?comp=blocklist", "<BlockList><Latest>MQ==</Latest></BlockList>"))
		if got := l.text("blocks"); got != "one" {
			t.Errorf("found %q", got)
		}
		if body := l.want(200, l.ask("GET", "/inbox?restype=container&comp=list&prefix=it's(1)&include=metadata&include=tags", "")).Body.String(); !strings.Contains(body, "<Name>it&apos;s(1)!*</Name>") && !strings.Contains(body, "<Name>it's(1)!*</Name>") {
			t.Errorf("listing: %s", body)
		}
	})
	t.Run("copies", func(t *testing.T) {
		l.put("a%20b", "hello", "x-ms-blob-content-type", "text/css")
		const source = "https://orders.blob.core.windows.net/inbox/a%20b"
		when := l.want(201, l.ask("PUT", "/inbox/a%20b?comp=snapshot", "")).Header().Get("x-ms-snapshot")
		for _, row := range []struct {
			name, account, target string
			headers               []string
			status                int
			code, text            string
		}{
			{"within an account", "orders", "copy", []string{"x-ms-copy-source", source}, 202, "", "hello"},
			{"to another account", "reports", "copy", []string{"x-ms-copy-source", source}, 202, "", "hello"},
			{"of a snapshot", "orders", "of", []string{"x-ms-copy-source", source + "?snapshot=" + when}, 202, "", "hello"},
			{"at once", "orders", "sync", []string{"x-ms-copy-source", source, "x-ms-requires-sync", "true"}, 202, "", "hello"},
			{"Put Blob From URL", "orders", "put", []string{"x-ms-copy-source", source, "x-ms-blob-type", "BlockBlob"}, 201, "", "hello"},
			{"Put Blob From URL, another account", "reports", "put", []string{"x-ms-copy-source", source, "x-ms-blob-type", "BlockBlob"}, 201, "", "hello"},
			{"another sum, in Azurite's words", "orders", "no", []string{"x-ms-copy-source", source, "x-ms-blob-type", "BlockBlob", "x-ms-source-content-md5", "b5bP3+XMxifK3yS0FyXKpA=="}, 400, "InvalidOperation", ""},
			{"another version", "orders", "no", []string{"x-ms-copy-source", source, "x-ms-blob-type", "BlockBlob", "x-ms-source-if-match", `"0x1"`}, 412, "SourceConditionNotMet", ""},
			{"no source", "orders", "no", []string{"x-ms-copy-source", source + "c", "x-ms-blob-type", "BlockBlob"}, 404, "CannotVerifyCopySource", ""},
			{"Put Block From URL", "reports", "block?comp=block&blockid=MQ%3D%3D", []string{"x-ms-copy-source", source, "x-ms-source-range", "bytes=1-3"}, 201, "", ""},
			{"a part that is not there", "orders", "block?comp=block&blockid=MQ%3D%3D", []string{"x-ms-copy-source", source, "x-ms-source-range", "bytes=9-"}, 416, "InvalidRange", ""},
		} {
			t.Run(row.name, func(t *testing.T) {
				w := l.as(row.account, storage.Blob, "PUT", "/inbox/"+row.target, "", row.headers...)
				if w.Code != row.status || w.Header().Get("x-ms-error-code") != row.code {
					t.Fatalf("expected %d %s, found %d %v %s", row.status, row.code, w.Code, w.Header(), w.Body)
				}
				if row.text == "" {
					return
				}
				got := l.want(200, l.as(row.account, storage.Blob, "GET", "/inbox/"+row.target, ""))
				if got.Body.String() != row.text || got.Header().Get("Content-Type") != "text/css" {
					t.Errorf("found %q %v", got.Body, got.Header())
				}
			})
		}
		l.want(201, l.as("reports", storage.Blob, "PUT", "/inbox/block?comp=blocklist", "<BlockList><Latest>MQ==</Latest></BlockList>"))
		if got := l.as("reports", storage.Blob, "GET", "/inbox/block", "").Body.String(); got != "ell" {
			t.Errorf("block from URL: %q", got)
		}
	})
	t.Run("queues", func(t *testing.T) {
		l.want(201, l.as("orders", storage.Queue, "PUT", "/jobs", ""))
		l.want(201, l.as("orders", storage.Queue, "POST", "/jobs/messages?messagettl=60", "<QueueMessage><MessageText>one</MessageText></QueueMessage>"))
		if body := l.want(200, l.as("orders", storage.Queue, "GET", "/jobs/messages", "")).Body.String(); !strings.Contains(body, "<MessageText>one</MessageText>") {
			t.Errorf("messages: %s", body)
		}
	})
	t.Run("tables", func(t *testing.T) {
		table := func(method, target, body string, headers ...string) *recorder {
			return l.as("orders", storage.Table, method, target, body, append([]string{"Accept", "application/json;odata=minimalmetadata", "Content-Type", "application/json", "DataServiceVersion", "3.0"}, headers...)...)
		}
		l.want(201, table("POST", "/Tables", `{"TableName":"people"}`))
		l.want(201, table("POST", "/people", `{"PartitionKey":"p","RowKey":"it's","Age":5}`))
		if body := l.want(200, table("GET", "/people(PartitionKey='p',RowKey='it''s')", "")).Body.String(); !strings.Contains(body, `"Age":5`) {
			t.Errorf("entity: %s", body)
		}
		if body := l.want(200, table("GET", "/people()?$filter=Age%20ge%205%20and%20PartitionKey%20eq%20'p'&$top=1", "")).Body.String(); !strings.Contains(body, `"RowKey":"it's"`) {
			t.Errorf("query: %s", body)
		}
		const boundary, set = "batch_1", "changeset_1"
		part := func(row string) string {
			entity := `{"PartitionKey":"p","RowKey":"` + row + `"}`
			return "--" + set + "\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\nPOST https://orders.table.core.windows.net/people HTTP/1.1\r\nContent-Type: application/json\r\nAccept: application/json;odata=minimalmetadata\r\nDataServiceVersion: 3.0\r\nContent-Length: " + fmt.Sprint(len(entity)) + "\r\n\r\n" + entity + "\r\n"
		}
		w := l.want(202, l.as("orders", storage.Table, "POST", "/$batch", "--"+boundary+"\r\nContent-Type: multipart/mixed; boundary="+set+"\r\n\r\n"+part("1")+part("2")+"--"+set+"--\r\n--"+boundary+"--\r\n", "Content-Type", "multipart/mixed; boundary="+boundary, "Accept", "application/json;odata=minimalmetadata", "DataServiceVersion", "3.0"))
		if n := strings.Count(w.Body.String(), "HTTP/1.1 201"); n != 2 {
			t.Errorf("transaction: %d of 2 were done: %s", n, w.Body)
		}
	})
	t.Run("a large blob streams", func(t *testing.T) {
		big := strings.Repeat("0123456789abcdef", 1<<20)
		l.put("big", big)
		if got := l.text("big"); got != big {
			t.Errorf("%d bytes came back of %d", len(got), len(big))
		}
		if got := l.want(206, l.ask("GET", "/inbox/big", "", "x-ms-range", "bytes=5-9")).Body.String(); got != big[5:10] {
			t.Errorf("range: %q", got)
		}
	})
	if err := l.Open("orders"); err != nil {
		t.Error(err)
	}
	if err := l.Open("later"); err == nil || !strings.Contains(err.Error(), "backend: memory") {
		t.Errorf("an account that was not there: %v", err)
	}
}

// Azurite is killed, once in the middle of an upload: the client is answered as by a
// service that fails, and the journal is told why.
func TestKilled(t *testing.T) {
	l := begin(t)
	body, upload := io.Pipe()
	r := httptest.NewRequest("PUT", "https://orders.blob.core.windows.net/inbox/a", body)
	r.RequestURI, r.ContentLength = "/inbox/a", 64<<20
	r.Header.Set("x-ms-version", "2025-11-05")
	r.Header.Set("x-ms-blob-type", "BlockBlob")
	w := &recorder{ResponseRecorder: httptest.NewRecorder()}
	served := make(chan struct{})
	go func() {
		defer close(served)
		l.Serve(w, r, targetOf("orders", storage.Blob, r.URL))
	}()
	if _, err := upload.Write(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	l.process.signal(os.Kill)
	<-l.process.gone
	go func() { _, _ = upload.Write(make([]byte, 63<<20)); _ = upload.Close() }() // the client goes on
	select {
	case <-served:
	case <-time.After(20 * time.Second):
		t.Fatal("the upload hangs")
	}
	for _, got := range []*recorder{w, l.ask("GET", "/inbox/a", ""), l.ask("HEAD", "/inbox/a", "")} {
		if got.Code != 500 || got.Header().Get("x-ms-error-code") != "InternalError" {
			t.Errorf("found %d %v %s", got.Code, got.Header(), got.Body)
		}
		if !strings.Contains(got.meaning, "has ended: signal: killed") {
			t.Errorf("the journal is told %q", got.meaning)
		}
	}
	if body := l.ask("GET", "/inbox/a", "").Body.String(); !strings.HasPrefix(body, "\ufeff<?xml") || !strings.Contains(body, "<Code>InternalError</Code>") {
		t.Errorf("body: %s", body)
	}
	table := l.as("orders", storage.Table, "GET", "/Tables", "")
	if !strings.HasPrefix(table.Body.String(), `{"odata.error":{"code":"InternalError"`) {
		t.Errorf("table: %s", table.Body)
	}
}

func TestNotInstalled(t *testing.T) {
	for _, row := range []struct {
		name    string
		command []string
		want    string
	}{
		{"no such program", []string{"azurite-is-not-installed"}, `start Azurite as azurite-is-not-installed: exec: "azurite-is-not-installed": executable file not found in $PATH; npm install -g azurite installs it`},
		{"it ends, as 3.36 does on Node 20", []string{"sh", "-c", "echo 'SyntaxError: the Node is too old' >&2; exit 3"}, "Azurite ended while it started (exit status 3): SyntaxError: the Node is too old; npm install -g azurite installs it (3.36 and later need Node 22, azurite@3.35 runs on Node 20)"},
		{"it ends well", []string{"true"}, "Azurite ended while it started (exit status 0): it said nothing"},
	} {
		t.Run(row.name, func(t *testing.T) {
			a, err := Start(t.Context(), row.command, []string{"orders"}, clock.Running())
			if err == nil {
				_ = a.Close()
				t.Fatal("expected an error")
			}
			if !strings.Contains(err.Error(), row.want) {
				t.Errorf("expected %q in %q", row.want, err)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel) // wall time: a child process
	if _, err := Start(ctx, []string{"sh", "-c", "sleep 100"}, nil, clock.Running()); !errors.Is(err, context.Canceled) {
		t.Errorf("it does not listen: %v", err)
	}
}

// listens is a program that says that it listens, as Azurite does, and goes on.
const listens = `for s in Blob Queue Table; do echo "Azurite $s service is successfully listening at http://127.0.0.1:1"; done; echo child $$; exec sleep 100`

func TestCloseEndsIt(t *testing.T) {
	a, err := Start(t.Context(), []string{"sh", "-c", listens}, nil, clock.Running())
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if got := a.process.ended(); got == nil {
		t.Error("it still runs")
	}
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, "https://orders.blob.core.windows.net/inbox/a", nil)
	r.RequestURI = "/inbox/a"
	if a.Serve(w, r, targetOf("orders", storage.Blob, r.URL)); w.Code != 500 {
		t.Errorf("found %d", w.Code)
	}
}
