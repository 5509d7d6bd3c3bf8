// Package rest has what the stores of blobs and queues share of Storage's REST API:
// metadata, names, documents, the properties of a service and common errors. It stores
// nothing.
package rest

import (
	"encoding/xml"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/wiemu/wiemu/internal/resource/storage"
)

// The codes and messages of errors are those of Microsoft's own storage emulator
// (CommonStatusEntries, BlobStatusEntries, QueueStatusEntries), which was built from the
// service's code, and those of the REST reference, where nothing else is said.

// Fail returns an error.
func Fail(status int, code, message string) *storage.Error {
	return &storage.Error{Status: status, Code: code, Message: message}
}

// Bad returns an error of a request that is wrong by itself.
func Bad(code, message string) *storage.Error { return Fail(http.StatusBadRequest, code, message) }

// BadHeader is for a header that cannot be read.
func BadHeader() *storage.Error {
	return Bad("InvalidHeaderValue", "The value for one of the HTTP headers is not in the correct format.")
}

// BadQuery is for a parameter that cannot be read.
func BadQuery() *storage.Error {
	return Bad("InvalidQueryParameterValue", "Value for one of the query parameters specified in the request URI is invalid.")
}

// OutOfRange is for a parameter that is too small or too large.
func OutOfRange() *storage.Error {
	return Bad("OutOfRangeQueryParameterValue", "One of the query parameters specified in the request URI is outside the permissible range.")
}

// maxResults is how many items a page of a listing has at most. Documented: List Blobs, List
// Containers, List Queues.
const maxResults = 5000

// PageSize reads maxresults.
func PageSize(query url.Values) (int, *storage.Error) {
	asked := query.Get("maxresults")
	if asked == "" {
		return maxResults, nil
	}
	n, err := strconv.Atoi(asked)
	switch {
	case err != nil:
		return 0, BadQuery()
	case n < 1:
		return 0, OutOfRange()
	}
	return min(n, maxResults), nil
}

// MissingQuery is for a parameter that the operation needs.
func MissingQuery() *storage.Error {
	return Bad("MissingRequiredQueryParameter", "A query parameter that's mandatory for this request is not specified.")
}

// BadXML is for a body that is not the document that the operation takes.
func BadXML() *storage.Error {
	return Bad("InvalidXmlDocument", "XML specified is not syntactically valid.")
}

// Incomplete is for a body that ends before its Content-Length. Inferred.
func Incomplete() *storage.Error { return Bad("IncompleteBody", "The request body is incomplete.") }

// TooLarge is for a body that is longer than the operation takes.
func TooLarge() *storage.Error {
	return Fail(http.StatusRequestEntityTooLarge, "RequestBodyTooLarge", "The request body is too large and exceeds the maximum permissible limit.")
}

// Internal is for what should not happen.
func Internal() *storage.Error {
	return Fail(http.StatusInternalServerError, "InternalError", "Server encountered an internal error. Please try again after some time.")
}

// Document returns an XML document as the services send it, with a byte order mark.
func Document(body string) []byte {
	return []byte("\ufeff" + `<?xml version="1.0" encoding="utf-8"?>` + body)
}

// maxMetadata is how long names and values together may be. Documented: Setting and
// retrieving properties and metadata for Blob service resources.
const maxMetadata = 8 << 10

// Metadata reads x-ms-meta- headers. net/http loses the case of their names; they are
// returned in lower case.
func Metadata(h http.Header) (map[string]string, *storage.Error) {
	m, size := map[string]string{}, 0
	for name, values := range h {
		key, ok := strings.CutPrefix(strings.ToLower(name), "x-ms-meta-")
		switch {
		case !ok:
			continue
		case key == "":
			return nil, Bad("EmptyMetadataKey", "The key for one of the metadata key-value pairs is empty.")
		case !identifier(key):
			return nil, Bad("InvalidMetadata", "The metadata specified is invalid. It has characters that are not permitted.")
		}
		m[key] = strings.Join(values, ",")
		size += len(key) + len(m[key])
	}
	if size > maxMetadata {
		return nil, Bad("MetadataTooLarge", "The metadata specified exceeds the maximum permissible limit (8KB).")
	}
	return m, nil
}

// Cost is what each thing that is stored counts for besides what it holds, so that empty
// ones do not fill the memory.
const Cost = 512

// SizeOf is how many bytes names and values have.
func SizeOf(m map[string]string) (n int64) {
	for k, v := range m {
		n += int64(len(k) + len(v))
	}
	return n
}

// identifier says whether a name is one of C#, as names of metadata must be.
func identifier(name string) bool {
	for i, r := range name {
		if r != '_' && !unicode.IsLetter(r) && (i == 0 || !unicode.IsDigit(r)) {
			return false
		}
	}
	return true
}

// SetMetadata sets x-ms-meta- headers with the names as they are: net/http would write
// them in its own way.
func SetMetadata(h http.Header, m map[string]string) {
	for name, value := range m {
		h["x-ms-meta-"+name] = []string{value}
	}
}

// Pairs are elements that are named after what they hold, as metadata is in listings.
type Pairs map[string]string

// MarshalXML implements xml.Marshaler.
func (p Pairs) MarshalXML(e *xml.Encoder, start xml.StartElement) error {
	if err := e.EncodeToken(start); err != nil {
		return err
	}
	for _, k := range slices.Sorted(maps.Keys(p)) {
		if err := e.EncodeElement(p[k], xml.StartElement{Name: xml.Name{Local: k}}); err != nil {
			return err
		}
	}
	return e.EncodeToken(start.End())
}

// CheckName refuses names that a container or queue cannot have. Documented: Naming and
// referencing containers, blobs, and metadata; Naming queues and metadata. The spelling of
// the second text is the service's.
func CheckName(name string) *storage.Error {
	switch {
	case len(name) < 3 || len(name) > 63:
		return Bad("OutOfRangeInput", "The specified resource name length is not within the permissible limits.") // Azurite's
	case strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "", strings.HasPrefix(name, "-"), strings.HasSuffix(name, "-"), strings.Contains(name, "--"):
		return Bad("InvalidResourceName", "The specifed resource name contains invalid characters.") //nolint:misspell // the service's own spelling
	}
	return nil
}
