package blobs

import (
	"net/http"
	"strings"
	"time"

	"github.com/wiemu/wiemu/internal/resource/storage"
	"github.com/wiemu/wiemu/internal/resource/storage/rest"
)

// conditions checks If-Match and the like; v is nil where there is nothing. Documented:
// Specifying conditional headers for Blob service operations. For reads, all must hold, of
// If-None-Match and If-Modified-Since one; for writes, an ETag goes before a time.
func (c *call) conditions(v *version) *storage.Error {
	if c.r.Header.Get("x-ms-if-tags") != "" {
		return notStored("conditions on tags")
	}
	met := meets(c.r.Header, "", v)
	switch {
	case c.r.Method == http.MethodGet || c.r.Method == http.MethodHead:
		return met.read(c.r.Header)
	case c.r.Header.Get("If-None-Match") == "*" && v != nil:
		return rest.Fail(http.StatusConflict, "BlobAlreadyExists", "The specified blob already exists.")
	case (met.match != nil || met.unmodified != nil) && (met.noneMatch != nil || met.modified != nil):
		return rest.Bad("MultipleConditionHeadersNotSupported", "Multiple condition headers are not supported.")
	case !met.write():
		return conditionNotMet()
	}
	return nil
}

// sourceConditions checks their twins for what a copy is made of.
func (c *call) sourceConditions(v *version) *storage.Error {
	if c.r.Header.Get("x-ms-source-if-tags") != "" {
		return notStored("conditions on tags")
	}
	if !meets(c.r.Header, "x-ms-source-", v).write() {
		return rest.Fail(http.StatusPreconditionFailed, "SourceConditionNotMet", "The source condition specified using HTTP conditional header(s) is not met.")
	}
	return nil
}

// met says which conditions are; nil for one that was not made.
type met struct{ match, noneMatch, modified, unmodified *bool }

func meets(h http.Header, prefix string, v *version) met {
	var m met
	if tag := h.Get(prefix + "If-Match"); tag != "" {
		m.match = new(v != nil && matches(tag, v.etag))
	}
	if tag := h.Get(prefix + "If-None-Match"); tag != "" {
		m.noneMatch = new(v == nil || !matches(tag, v.etag))
	}
	if v == nil {
		return m
	}
	modified := v.modified.Truncate(time.Second) // as clients know it
	if t, err := http.ParseTime(h.Get(prefix + "If-Modified-Since")); err == nil {
		m.modified = new(modified.After(t))
	}
	if t, err := http.ParseTime(h.Get(prefix + "If-Unmodified-Since")); err == nil {
		m.unmodified = new(!modified.After(t))
	}
	return m
}

func no(condition *bool) bool { return condition != nil && !*condition }

func yes(condition *bool) bool { return condition != nil && *condition }

func (m met) read(h http.Header) *storage.Error {
	switch {
	case h.Get("If-None-Match") == "*":
		return rest.Bad("UnsatisfiableCondition", "The request includes an unsatisfiable condition for this operation.")
	case no(m.match) || no(m.unmodified):
		return conditionNotMet()
	case no(m.noneMatch) && !yes(m.modified), no(m.modified) && !yes(m.noneMatch):
		return notModified()
	}
	return nil
}

func (m met) write() bool {
	switch {
	case m.noneMatch != nil:
		return *m.noneMatch
	case m.match != nil:
		return *m.match
	}
	return !no(m.modified) && !no(m.unmodified)
}

func matches(header, etag string) bool {
	for one := range strings.SplitSeq(header, ",") {
		if one = strings.TrimSpace(one); one == "*" || strings.Trim(one, `"`) == strings.Trim(etag, `"`) {
			return true
		}
	}
	return false
}
