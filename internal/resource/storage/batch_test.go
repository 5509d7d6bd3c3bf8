package storage_test

import (
	"fmt"
	"strings"
	"testing"
)

const batchURL = "https://orders" + domain + "/?comp=batch"

// batchOf writes requests as a batch, as SDKs do.
func batchOf(requests ...string) string {
	var b strings.Builder
	for n, r := range requests {
		fmt.Fprintf(&b, "--batch_1\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\nContent-ID: %d\r\n\r\n%s\r\n\r\n", n, r)
	}
	return b.String() + "--batch_1--\r\n"
}

const multipart = "multipart/mixed; boundary=batch_1"

// Each request of a batch goes through every check by itself.
func TestBatches(t *testing.T) {
	l := newLab(t, orders(delegated))
	other := "Authorization: Bearer " + l.tokenOf(other, otherObject)
	a := l.ask("POST", batchURL, l.token(), batchOf(
		"DELETE /inbox/hello.txt HTTP/1.1\r\nContent-Length: 0",
		"DELETE /inbox/none HTTP/1.1",
		"DELETE /inbox/a%20B/%C3%BC.txt HTTP/1.1\r\n"+other,
	), "Content-Type", multipart, "x-ms-client-request-id", "mine")
	if a.StatusCode != 202 {
		t.Fatalf("%d %s", a.StatusCode, a.text)
	}
	kind := a.Header.Get("Content-Type")
	boundary, ok := strings.CutPrefix(kind, "multipart/mixed; boundary=batchresponse_")
	parts := strings.Split(a.text, "--batchresponse_"+boundary)
	if !ok || len(parts) != 5 || parts[4] != "--\r\n" {
		t.Fatalf("%s %q", kind, a.text)
	}
	has(t, parts[1], "Content-Type: application/http\r\nContent-ID: 0\r\n\r\nHTTP/1.1 202 Accepted\r\n", "X-Ms-Request-Id: ")
	has(t, parts[2], "Content-ID: 1\r\n\r\nHTTP/1.1 404 Not Found\r\n", "X-Ms-Error-Code: BlobNotFound", "<Code>BlobNotFound</Code>")
	has(t, parts[3], "Content-ID: 2\r\n\r\nHTTP/1.1 403 Forbidden\r\n", "AuthorizationPermissionMismatch")
	for path, status := range map[string]int{"/inbox/hello.txt": 404, "/inbox/a%20B/%C3%BC.txt": 200} {
		if a := l.ask("GET", "https://orders"+domain+path, l.token(), ""); a.StatusCode != status {
			t.Errorf("%s: %d", path, a.StatusCode)
		}
	}
	var summaries []string
	for _, e := range l.journal.Events() {
		if e.Detail["batch"] != "" || e.Detail["operation"] == "Blob Batch" {
			summaries = append(summaries, fmt.Sprint(e.Detail["operation"], " ", e.Status, " ", e.Identity))
		}
	}
	if found := strings.Join(summaries, ", "); found != "Delete Blob 202 web, Delete Blob 404 web, Delete Blob 403 reports, Blob Batch 202 web" {
		t.Errorf("the journal has %s", found)
	}
}

// What is in boundaries and in values of headers is no part of how a batch is written: Azurite
// took it for that in several versions.
func TestBatchesWithColonsAndEqualSigns(t *testing.T) {
	for _, row := range []struct{ boundary, written string }{
		{"batch_1", "batch_1"},
		{"batch=1", `"batch=1"`},
		{"b:a=t/c+h?_'1'", `"b:a=t/c+h?_'1'"`},
		{"===============1234567890123456789==", `"===============1234567890123456789=="`}, // azure-storage-blob (Python)
	} {
		l := newLab(t, orders(delegated))
		snapshot := l.ask("PUT", blob+"?comp=snapshot", l.token(), "").Header.Get("x-ms-snapshot") // a time, with colons
		if snapshot == "" {
			t.Fatal("no snapshot was made")
		}
		body := strings.ReplaceAll(batchOf(
			"DELETE /inbox/hello.txt?snapshot="+snapshot+" HTTP/1.1\r\nx-ms-client-request-id: a:b=c\r\nIf-Match: \"0x1:2=3\"",
			"DELETE /inbox/hello.txt HTTP/1.1\r\nx-ms-date: Tue, 04 Mar 2031 05:06:07 GMT\r\nx-ms-delete-snapshots: include",
		), "batch_1", row.boundary)
		a := l.ask("POST", batchURL, l.token(), body, "Content-Type", "multipart/mixed; boundary="+row.written)
		if a.StatusCode != 202 {
			t.Errorf("%s: %d %s", row.boundary, a.StatusCode, a.text)
		}
		has(t, a.text, "HTTP/1.1 412 ", "a:b=c", "HTTP/1.1 202 ")
	}
}

// Of a batch that is not whole, nothing is done.
func TestBadBatches(t *testing.T) {
	gone := "DELETE /inbox/hello.txt HTTP/1.1"
	whole := batchOf(gone, gone)
	many := make([]string, 257)
	for n := range many {
		many[n] = gone
	}
	for _, row := range []struct {
		name, url, kind, body string
		status                int
		code                  string
	}{
		{"half of it", batchURL, multipart, whole[:len(whole)/2], 400, "InvalidInput"},
		{"without its end", batchURL, multipart, strings.TrimSuffix(whole, "--batch_1--\r\n"), 400, "InvalidInput"},
		{"of nothing", batchURL, multipart, "", 400, "InvalidInput"},
		{"without requests", batchURL, multipart, "--batch_1--\r\n", 400, "InvalidInput"},
		{"of another boundary", batchURL, "multipart/mixed; boundary=other", whole, 400, "InvalidInput"},
		{"of another type", batchURL, "application/json", whole, 400, "InvalidHeaderValue"},
		{"with a line that is none", batchURL, multipart, batchOf(gone, "hello"), 400, "InvalidInput"},
		{"with a URL", batchURL, multipart, batchOf(gone, "DELETE https://other.blob.core.windows.net/inbox/hello.txt HTTP/1.1"), 400, "InvalidInput"},
		{"with a length", batchURL, multipart, batchOf(gone, gone+"\r\nContent-Length: 999"), 400, "InvalidInput"},
		{"of texts", batchURL, multipart, strings.ReplaceAll(whole, "application/http", "text/plain"), 400, "InvalidInput"},
		{"that reads", batchURL, multipart, batchOf(gone, "GET /inbox/hello.txt HTTP/1.1"), 400, "InvalidInput"},
		{"that mixes", batchURL, multipart, batchOf(gone, "PUT /inbox/hello.txt?comp=tier HTTP/1.1\r\nx-ms-access-tier: Cool"), 400, "InvalidInput"},
		{"that leaves its container", "https://orders" + domain + "/outbox?restype=container&comp=batch", multipart, batchOf(gone), 400, "InvalidInput"},
		{"of too many", batchURL, multipart, batchOf(many...), 202, "ExceedsMaxBatchRequestCount"},
		{"too large", batchURL, multipart, batchOf(gone, gone+"\r\nx-a: "+strings.Repeat("x", 5<<20)), 413, "RequestBodyTooLarge"},
	} {
		t.Run(row.name, func(t *testing.T) {
			l := newLab(t, orders(delegated))
			a := l.ask("POST", row.url, l.token(), row.body, "Content-Type", row.kind)
			code := a.code()
			if row.status == 202 && strings.Count(a.text, "HTTP/1.1 400 ") == 1 && strings.Contains(a.text, "<Code>"+row.code+"</Code>") {
				code = row.code // of the one part of the answer
			}
			if a.StatusCode != row.status || code != row.code || l.last().Meaning == "" {
				t.Errorf("expected %d %s, found %d %s", row.status, row.code, a.StatusCode, a.text)
			}
			if a := l.ask("GET", blob, l.token(), ""); a.StatusCode != 200 {
				t.Errorf("a blob is gone")
			}
		})
	}
}
