package azurite

import (
	"net/http"
	"strings"

	"github.com/wiemu/wiemu/internal/resource/storage"
)

// putFromURL answers Put Blob From URL, Put Block From URL and Append Block From URL, which
// Azurite does not know or does not do from another account: the source is read and put.
func (a *Azurite) putFromURL(w http.ResponseWriter, r *http.Request, t storage.Target) {
	source, err := a.readSource(r, *t.Source)
	if err != nil {
		a.unreachable(w, r, err)
		return
	}
	defer func() { _ = source.Body.Close() }() // it was read, or does not matter
	if failed := sourceFailure(source.StatusCode); failed != nil {
		storage.WriteError(w, r, storage.Blob, a.clock.Now(), *failed)
		return
	}
	put := r.Clone(r.Context())
	for name := range put.Header {
		if lower := strings.ToLower(name); strings.HasPrefix(lower, "x-ms-copy-source") || strings.HasPrefix(lower, "x-ms-source-") {
			put.Header.Del(name)
		}
	}
	if sum := r.Header.Get("x-ms-source-content-md5"); sum != "" {
		put.Header.Set("Content-MD5", sum) // Azurite compares it with what comes
	}
	if r.Header.Get("x-ms-blob-type") != "" && r.Header.Get("x-ms-copy-source-blob-properties") != "false" {
		for _, name := range []string{"Content-Type", "Content-Encoding", "Content-Language", "Cache-Control", "Content-Disposition"} {
			if v := source.Header.Get(name); v != "" && put.Header.Get("x-ms-blob-"+name) == "" {
				put.Header.Set("x-ms-blob-"+name, v)
			}
		}
	}
	put.Body, put.ContentLength = source.Body, source.ContentLength
	t.Source = nil
	a.Serve(w, put, t)
}

// readSource asks Azurite for what is copied, under the conditions of the request.
func (a *Azurite) readSource(r *http.Request, source storage.Target) (*http.Response, error) {
	get, err := http.NewRequestWithContext(r.Context(), http.MethodGet, a.sourceURL(source), nil)
	if err != nil {
		return nil, err
	}
	get.Header.Set("x-ms-version", "2021-12-02")
	if part := r.Header.Get("x-ms-source-range"); part != "" {
		get.Header.Set("x-ms-range", part)
	}
	for _, condition := range []string{"If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since"} {
		if v := r.Header.Get("x-ms-source-" + condition); v != "" {
			get.Header.Set(condition, v)
		}
	}
	return a.forward.Transport.RoundTrip(get)
}

// sourceFailure is how the service says what Azurite answered for the source.
func sourceFailure(status int) *storage.Error {
	switch status {
	case http.StatusOK, http.StatusPartialContent:
		return nil
	case http.StatusNotModified, http.StatusPreconditionFailed:
		return &storage.Error{Status: http.StatusPreconditionFailed, Code: "SourceConditionNotMet", Message: "The source condition specified using HTTP conditional header(s) is not met."}
	case http.StatusRequestedRangeNotSatisfiable:
		return &storage.Error{Status: status, Code: "InvalidRange", Message: "The range specified is invalid for the current size of the resource."}
	}
	return &storage.Error{Status: status, Code: "CannotVerifyCopySource", Message: "The specified blob does not exist."}
}
