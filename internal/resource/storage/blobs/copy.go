package blobs

import (
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/wiemu/wiemu/internal/resource/storage"
	"github.com/wiemu/wiemu/internal/resource/storage/rest"
)

// copyState says from where a blob was copied. Copies are done when their request is.
type copyState struct {
	id, source, ended string
	size              int64
}

func (s *copyState) progress() string {
	n := strconv.FormatInt(s.size, 10)
	return n + "/" + n
}

func (s *copyState) describe(h http.Header) {
	h.Set("x-ms-copy-id", s.id)
	h.Set("x-ms-copy-status", "success")
	h.Set("x-ms-copy-source", s.source)
	h.Set("x-ms-copy-progress", s.progress())
	h.Set("x-ms-copy-completion-time", s.ended)
}

// source finds what x-ms-copy-source names; that the caller may read it is checked.
func (c *call) source() (*blob, *storage.Error) {
	t := c.target.Source
	if at, err := url.Parse(c.r.Header.Get("x-ms-copy-source")); err == nil && at.Query().Has("versionid") {
		return nil, notStored("versions")
	}
	var b *blob
	if a := c.accounts[t.Account]; a != nil {
		if k := a.containers[t.Container]; k != nil {
			b = k.blobs[t.Name]
		}
	}
	if t.Snapshot != "" {
		b = b.at(t.Snapshot)
	}
	switch {
	case b == nil || b.kind == "":
		return nil, rest.Fail(http.StatusNotFound, "CannotVerifyCopySource", "The specified blob does not exist.")
	case b.tier.name == "Archive":
		return nil, rest.Fail(http.StatusConflict, "BlobArchived", "This operation is not permitted on an archived blob.")
	}
	if id := c.r.Header.Get("x-ms-source-lease-id"); id != "" && (!b.lease.locked(c.now) || !strings.EqualFold(id, b.lease.id)) {
		return nil, rest.Fail(http.StatusPreconditionFailed, "LeaseIdMismatchWithBlobOperation", "The lease ID specified did not match the lease ID for the blob.")
	}
	return b, c.sourceConditions(&b.version)
}

// source is what is read of another blob, and what it adds up to.
type source struct {
	etag  string // of the blob
	part  content
	sums  sums
	added bool
}

// sourceSums compares what a part of a source adds up to with what the client says. Unless it
// was added up already, it fails, which serve makes up for.
func (c *call) sourceSums(from *blob, part content) (sums, *storage.Error) {
	if c.from.etag != from.etag {
		c.from = source{etag: from.etag, part: part}
		return sums{}, rest.Internal()
	}
	of := c.from.sums
	wantMD5, wantCRC := c.r.Header.Get("x-ms-source-content-md5"), c.r.Header.Get("x-ms-source-content-crc64")
	switch {
	case wantMD5 != "" && wantMD5 != of.md5:
		return of, rest.Bad("Md5Mismatch", "The MD5 value specified in the request did not match with the MD5 value calculated by the server.")
	case wantMD5 == "" && wantCRC != "" && wantCRC != of.crc64:
		return of, rest.Bad("Crc64Mismatch", "The CRC64 value specified in the request did not match with the CRC64 value calculated by the server.")
	}
	return of, nil
}

// addUp adds up what is read of the source: its MD5 if the client says one, else its CRC64.
// That takes seconds for 2 GiB.
func (c *call) addUp() {
	if c.from.added = true; c.r.Header.Get("x-ms-source-content-md5") != "" {
		c.from.sums.md5 = c.from.part.md5()
	} else {
		c.from.sums.crc64 = c.from.part.crc64()
	}
}

// copy answers Copy Blob, Copy Blob From URL (x-ms-requires-sync) and Put Blob From URL
// (x-ms-blob-type).
func (c *call) copy() (answer, *storage.Error) {
	h := c.r.Header
	put, sync := h.Get("x-ms-blob-type") != "", h.Get("x-ms-requires-sync") == "true"
	from, failed := c.source()
	if failed != nil {
		return answer{}, failed
	}
	switch {
	case put && (h.Get("x-ms-blob-type") != blockBlob || from.kind != blockBlob), sync && from.kind != blockBlob:
		return answer{}, wrongKind()
	case !put && c.blob != nil && c.blob.kind != "" && c.blob.kind != from.kind: // documented: Copy Blob
		return answer{}, wrongKind()
	case h.Get("x-ms-copy-source-tag-option") == "COPY" && h.Get("x-ms-tags") != "":
		return answer{}, rest.Bad("BothUserTagsAndSourceTagsCopyPresentException", "x-ms-tags header must not be present with x-ms-copy-source-tag-option as COPY.") // Azurite's
	}
	content := from.content.clone()
	var of sums
	if put || sync {
		if of, failed = c.sourceSums(from, content); failed != nil {
			return answer{}, failed
		}
	}
	state := &copyState{id: uuid.NewString(), source: h.Get("x-ms-copy-source"), ended: c.now.Format(http.TimeFormat), size: content.size}
	failed = c.replace(func(b *blob) {
		b.kind, b.content, b.committed, b.appends = from.kind, content, from.committed, from.appends
		b.properties = map[string]string{"Content-Type": "application/octet-stream"}
		if !put || h.Get("x-ms-copy-source-blob-properties") != "false" {
			maps.Copy(b.properties, from.properties)
		}
		maps.Copy(b.properties, given(h, false))
		if len(b.metadata) == 0 && !put {
			b.metadata = from.metadata
		}
		if h.Get("x-ms-copy-source-tag-option") == "COPY" {
			b.tags = from.tags
		}
		if !put {
			b.copied = state
		}
	})
	if failed != nil {
		return answer{}, failed
	}
	c.tellSums(of)
	if put {
		return c.empty(http.StatusCreated)
	}
	c.w.Header().Set("x-ms-copy-id", state.id)
	c.w.Header().Set("x-ms-copy-status", "success")
	return c.empty(http.StatusAccepted)
}
