package console_test

import (
	"bytes"
	"compress/gzip"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

var update = flag.Bool("update", false, "pack the pages again")

// The programs have the pages as they are in the directory pages.
func TestPagesArePacked(t *testing.T) {
	pages, err := filepath.Glob("pages/*")
	if err != nil || len(pages) == 0 {
		t.Fatal(pages, err)
	}
	if *update {
		if err := os.RemoveAll("packed"); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir("packed", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	total := 0
	for _, page := range pages {
		want, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join("packed", filepath.Base(page)+".gz")
		if *update {
			if err := os.WriteFile(file, pack(t, want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatalf("%v; go test ./internal/console -run TestPagesArePacked -update", err)
		}
		total += len(data)
		if !bytes.Equal(unpack(t, data), want) {
			t.Errorf("%s is not what is packed; go test ./internal/console -run TestPagesArePacked -update", page)
		}
	}
	index, err := os.ReadFile("pages/index.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range modules(t, "console.js", "workloads.js") { // of the page that is shown first
		if !bytes.Contains(index, []byte(`"`+name+`"`)) {
			t.Errorf("index.html does not load %s, so that it is asked for late", name)
		}
	}
	there, err := filepath.Glob("packed/*")
	if err != nil || len(there) != len(pages) {
		t.Errorf("%d files are packed, expected %d (%v)", len(there), len(pages), err)
	}
	const most = 250_000 // bytes of all pages over the wire
	if total > most {
		t.Errorf("the pages have %d bytes, expected at most %d", total, most)
	}
}

// modules are those of names and what they import, directly or not.
func modules(t *testing.T, names ...string) []string {
	t.Helper()
	for i := 0; i < len(names); i++ {
		text, err := os.ReadFile(filepath.Join("pages", names[i]))
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range regexp.MustCompile(`(?m)^import .* from '\./(\w+\.js)';$`).FindAllSubmatch(text, -1) {
			if name := string(found[1]); !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

func pack(t *testing.T, plain []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func unpack(t *testing.T, data []byte) []byte {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}
