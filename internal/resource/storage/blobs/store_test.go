package blobs

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/internal/resource/storage"
)

// Bytes are counted in when they come and out when they go, however they do.
func TestBytesAreCounted(t *testing.T) {
	s := New(clock.Stopped(time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)), "core.windows.net")
	if err := s.Open("orders"); err != nil {
		t.Fatal(err)
	}
	source := storage.Target{Account: "orders", Service: storage.Blob, Container: "inbox", Name: "a"}
	for _, step := range []struct {
		method, name, query, body string
		headers                   []string
		status                    int
		bytes                     int64 // afterwards
	}{
		{"PUT", "", "restype=container", "", nil, 201, 0},
		{"PUT", "a", "", "12345", []string{"x-ms-blob-type", "BlockBlob"}, 201, 5},
		{"PUT", "a", "", "123", []string{"x-ms-blob-type", "BlockBlob", "If-None-Match", "*"}, 409, 5},
		{"PUT", "a", "", "123", []string{"x-ms-blob-type", "BlockBlob"}, 201, 3},
		{"PUT", "a", "comp=block&blockid=AAAA", "1234567", nil, 201, 10},
		{"PUT", "a", "comp=block&blockid=AAAA", "12", nil, 201, 5},
		{"PUT", "a", "comp=block&blockid=AAAB", "1", nil, 201, 6},
		{"PUT", "a", "comp=blocklist", "<BlockList><Latest>AAAA</Latest></BlockList>", nil, 201, 2},
		{"PUT", "a", "comp=snapshot", "", nil, 201, 4},
		{"PUT", "a", "comp=metadata", "", []string{"x-ms-meta-k", "value"}, 200, 4},
		{"PUT", "a", "comp=metadata", "", nil, 200, 4},
		{"PUT", "a", "comp=properties", "", []string{"x-ms-blob-content-language", "de"}, 200, 4},
		{"PUT", "a", "comp=tags", "<Tags><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tags>", nil, 204, 4},
		{"PUT", "", "restype=container&comp=metadata", "", []string{"x-ms-meta-k", "value"}, 200, 4},
		{"PUT", "", "restype=container&comp=acl", "<SignedIdentifiers><SignedIdentifier><Id>i</Id></SignedIdentifier></SignedIdentifiers>", nil, 200, 4},
		{"PUT", "empty", "", "", []string{"x-ms-blob-type", "BlockBlob", "x-ms-meta-k", "v"}, 201, 4},
		{"PUT", "staged", "comp=block&blockid=AAAA", "", nil, 201, 4},
		{"DELETE", "empty", "", "", nil, 202, 4},
		{"PUT", "b", "", "", []string{"x-ms-copy-source", "https://orders.blob.core.windows.net/inbox/a"}, 202, 6},
		{"PUT", "log", "", "", []string{"x-ms-blob-type", "AppendBlob"}, 201, 6},
		{"PUT", "log", "comp=appendblock", "1234", nil, 201, 10},
		{"DELETE", "log", "", "", nil, 202, 6},
		{"DELETE", "a", "", "", []string{"x-ms-delete-snapshots", "only"}, 202, 4},
		{"PUT", "a", "comp=snapshot", "", nil, 201, 6},
		{"DELETE", "a", "", "", []string{"x-ms-delete-snapshots", "include"}, 202, 2},
		{"DELETE", "", "restype=container", "", nil, 202, 0},
	} {
		r := httptest.NewRequest(step.method, "https://orders.blob.core.windows.net/inbox/"+step.name+"?"+step.query, strings.NewReader(step.body))
		target := storage.Target{Account: "orders", Service: storage.Blob, Container: "inbox", Name: step.name}
		for i := 0; i+1 < len(step.headers); i += 2 {
			r.Header.Set(step.headers[i], step.headers[i+1])
			if step.headers[i] == "x-ms-copy-source" {
				target.Source = &source
			}
		}
		w := httptest.NewRecorder()
		s.Serve(w, r, target)
		content, all := stored(s)
		if w.Code != step.status || content != step.bytes || s.bytes != all {
			t.Errorf("%s %s %s: expected %d and %d bytes of content, found %d and %d, with %d of %d counted: %s", step.method, step.name, step.query, step.status, step.bytes, w.Code, content, s.bytes, all, w.Body)
		}
	}
	if s.bytes != 0 {
		t.Errorf("%d bytes are left of nothing", s.bytes)
	}
	s.bytes = maxTotal - 3
	r := httptest.NewRequest("PUT", "https://orders.blob.core.windows.net/inbox/a", strings.NewReader("1234"))
	w := httptest.NewRecorder()
	s.Serve(w, r, source)
	if w.Code != 413 || s.bytes != maxTotal-3 {
		t.Errorf("a full store: %d %s, %d bytes", w.Code, w.Body, s.bytes)
	}
}

// A source is added up while nobody waits for the store: the operation is begun, and done anew
// with the sum; or once more, if the source has changed meanwhile.
func TestSourcesAreAddedUpUnlocked(t *testing.T) {
	s := New(clock.Stopped(time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)), "core.windows.net")
	if err := s.Open("orders"); err != nil {
		t.Fatal(err)
	}
	prepare := func(name, query, body string, headers ...string) (*call, *httptest.ResponseRecorder) {
		r, w := httptest.NewRequest("PUT", "https://orders.blob.core.windows.net/inbox/"+name+"?"+query, strings.NewReader(body)), httptest.NewRecorder()
		for i := 0; i+1 < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		return &call{Store: s, w: w, r: r, target: storage.Target{Account: "orders", Service: storage.Blob, Container: "inbox", Name: name}, query: r.URL.Query()}, w
	}
	put := func(body string) {
		c, _ := prepare("a", "", body, "x-ms-blob-type", "BlockBlob")
		if _, failed := c.serve(); failed != nil {
			t.Fatal(failed)
		}
	}
	c, _ := prepare("", "restype=container", "")
	if _, failed := c.serve(); failed != nil {
		t.Fatal(failed)
	}
	put("12345")
	c, w := prepare("b", "", "", "x-ms-copy-source", "https://orders.blob.core.windows.net/inbox/a", "x-ms-requires-sync", "true")
	c.target.Source = &storage.Target{Account: "orders", Service: storage.Blob, Container: "inbox", Name: "a"}
	for _, body := range []string{"123456", "1234567"} {
		if _, failed := c.perform(); failed == nil || c.from.added || c.blob != nil {
			t.Fatalf("before it was added up: %v, %+v", failed, c.from)
		}
		c.addUp()
		put(body)
	}
	a, failed := c.serve()
	if want := contentOf([]byte("1234567")).crc64(); failed != nil || a.status != 202 || w.Header().Get("x-ms-content-crc64") != want {
		t.Errorf("the copy: %d %v, sum %q, want %q", a.status, failed, w.Header().Get("x-ms-content-crc64"), want)
	}
}

// stored is what a store has: the bytes of content, and all that counts.
func stored(s *Store) (content, all int64) {
	for _, a := range s.accounts {
		for _, k := range a.containers {
			all += 512 + int64(len(k.acl)) + pairs(k.metadata)
			for _, b := range k.blobs {
				for _, snapshot := range b.snapshots {
					content += snapshot.blob.content.size
					all += own(snapshot.blob)
				}
				content += b.content.size
				for _, data := range b.staged {
					content += int64(len(data))
				}
				all += own(b)
			}
		}
	}
	return content, all
}

func own(b *blob) int64 {
	n := 512 + b.content.size + pairs(b.metadata) + pairs(b.tags) + pairs(b.properties) + int64(192*(len(b.committed)+len(b.staged)))
	for _, data := range b.staged {
		n += int64(len(data))
	}
	return n
}

func pairs(m map[string]string) (n int64) {
	for k, v := range m {
		n += int64(len(k + v))
	}
	return n
}
