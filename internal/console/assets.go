package console

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"embed"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strings"
)

// packed are the files of the directory pages, each compressed with gzip, so that programs
// which link the console stay small. TestPagesArePacked writes them: see CONTRIBUTING.md.
//
//go:embed packed
var packed embed.FS

// types are those of the files: what the machine's own table says does not matter.
var types = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}

// servePage answers with a file of the pages; that without a name is index.html.
func servePage(w http.ResponseWriter, r *http.Request, name string) {
	name = cmp.Or(name, "index.html")
	data, err := fs.ReadFile(packed, "packed/"+name+".gz")
	switch {
	case err != nil:
		refuse(w, http.StatusNotFound, "The console has no such page.")
		return
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		refuse(w, http.StatusMethodNotAllowed, "This page can be read alone.")
		return
	}
	w.Header().Set("Content-Type", types[path.Ext(name)])
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(data) // it fails if the client is gone
		return
	}
	if plain, err := gzip.NewReader(bytes.NewReader(data)); err == nil { // it is: it was packed
		_, _ = io.Copy(w, plain)
	}
}
