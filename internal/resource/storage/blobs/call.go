package blobs

import (
	"cmp"
	"encoding/xml"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/wiemu/wiemu/internal/resource/storage"
	"github.com/wiemu/wiemu/internal/resource/storage/rest"
)

// call is one request.
type call struct {
	*Store
	w      http.ResponseWriter
	r      *http.Request
	target storage.Target
	query  url.Values
	now    time.Time

	body     []byte
	sums     sums
	document document // if the body is one
	reserved int64    // for the body
	from     source

	account   *account
	container *container // nil if there is none
	blob      *blob      // nil if there is none; the snapshot if the request names one
}

// sums are what the body adds up to; empty if nobody asked.
type sums struct{ md5, crc64 string }

// document is what a body of XML says, which is read before the store is locked.
type document struct {
	failed *storage.Error // it cannot be read

	blocks     commitList
	tags       map[string]string
	acl        string
	properties rest.Properties
}

// maxBlockList has room for 50,000 blocks with ids of 64 bytes, indented.
const maxBlockList = 8 << 20

// maxBody is the longest body that the operation takes.
func (c *call) maxBody() int64 {
	switch c.query.Get("comp") {
	case "blocklist":
		return maxBlockList
	case "tags", "acl", "properties":
		return rest.MaxDocument
	}
	return storage.MaxBody
}

func (c *call) readDocument() (d document) {
	if c.r.Method != http.MethodPut {
		return d
	}
	switch c.query.Get("comp") {
	case "blocklist":
		d.blocks, d.failed = readCommitList(c.body)
	case "tags":
		d.tags, d.failed = tagsOfXML(c.body)
	case "acl":
		d.acl, d.failed = rest.Policies(c.body)
	case "properties":
		d.properties, d.failed = rest.ReadProperties(c.body, storage.Blob)
	}
	return d
}

// answer is what is sent when the store is unlocked again; headers are set already.
type answer struct {
	status int
	body   content
}

// operation is what a request asks for.
type operation func(*call) (answer, *storage.Error)

// Serve implements storage.Backend.
func (s *Store) Serve(w http.ResponseWriter, r *http.Request, t storage.Target) {
	c := &call{Store: s, w: w, r: r, target: t, query: r.URL.Query()}
	a, failed := c.serve()
	switch {
	case failed == nil:
		w.WriteHeader(a.status)
		if r.Method != http.MethodHead {
			_, _ = a.body.WriteTo(w) // the client has gone: there is nobody to tell
		}
	case failed.Status == http.StatusNotModified:
		w.Header().Set("x-ms-error-code", failed.Code)
		w.WriteHeader(failed.Status)
	default:
		storage.WriteError(w, r, storage.Blob, c.now, *failed)
	}
}

// serve reads the body first, which takes as long as the client takes, and does what is
// asked for with the store locked. What is read of another blob is added up while the store is
// unlocked; then everything is looked at again.
func (c *call) serve() (answer, *storage.Error) {
	failed := c.read()
	if failed == nil {
		failed = c.checkBody()
	}
	if failed == nil {
		c.document = c.readDocument()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bytes -= c.reserved
	c.now = c.clock.Now().UTC()
	if failed != nil {
		return answer{}, failed
	}
	a, failed := c.perform()
	for c.from.etag != "" && !c.from.added {
		c.mu.Unlock()
		c.addUp()
		c.mu.Lock()
		a, failed = c.perform()
	}
	return a, failed
}

// perform does what is asked for; the store is locked.
func (c *call) perform() (answer, *storage.Error) {
	if c.account = c.accounts[c.target.Account]; c.account == nil {
		return answer{}, rest.Fail(http.StatusNotFound, "ResourceNotFound", "The specified resource does not exist.")
	}
	c.blob = nil
	if c.container = c.account.containers[c.target.Container]; c.container != nil {
		c.blob = c.container.blobs[c.target.Name]
	}
	return c.operation()(c)
}

// operation is what the request asks for.
func (c *call) operation() operation {
	method, restype := c.r.Method, c.query.Get("restype")
	if method == http.MethodHead {
		method = http.MethodGet
	}
	what := method + " " + c.query.Get("comp")
	of := blobOperations
	switch {
	case method == http.MethodOptions:
		return (*call).preflight
	case restype == "account":
		return (*call).information
	case c.target.Container == "" || restype == "service":
		of = accountOperations
	case c.target.Name == "" && restype == "container":
		of = containerOperations
	case c.container == nil:
		return func(*call) (answer, *storage.Error) { return answer{}, noContainer() }
	case c.target.Name == "":
		return func(*call) (answer, *storage.Error) {
			return answer{}, rest.Bad("InvalidUri", "The requested URI does not represent any resource on the server.")
		}
	case c.query.Has("versionid") || c.query.Has("deletetype"):
		return func(*call) (answer, *storage.Error) {
			return answer{}, notStored("versions and nothing that is kept when it is deleted")
		}
	}
	if op := of[what]; op != nil {
		return op
	}
	return func(*call) (answer, *storage.Error) { return answer{}, notStored("such operation") }
}

// read takes the whole body into one buffer, which counts from the start.
func (c *call) read() *storage.Error {
	n := c.r.ContentLength
	switch {
	case n == 0 || c.r.Method == http.MethodGet || c.r.Method == http.MethodHead:
		return nil
	case n < 0:
		return rest.Fail(http.StatusLengthRequired, "MissingContentLengthHeader", "Content-Length HTTP header is missing.")
	case n > c.maxBody():
		return rest.TooLarge()
	case !c.reserve(n):
		return full()
	}
	c.reserved = n
	c.body = make([]byte, n)
	if _, err := io.ReadFull(c.r.Body, c.body); err != nil {
		return rest.Incomplete()
	}
	return nil
}

// reserve makes room for so many bytes, if there is.
func (s *Store) reserve(n int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hold(n)
}

// hold counts so many bytes more, if there is room; the store is locked.
func (s *Store) hold(n int64) bool {
	if s.bytes+n > maxTotal {
		return false
	}
	s.bytes += n
	return true
}

// checkBody adds up the body and compares with what the client says.
func (c *call) checkBody() *storage.Error {
	h, body := c.r.Header, contentOf(c.body)
	if h.Get("x-ms-structured-body") != "" {
		return rest.Bad("UnsupportedHeader", "One of the HTTP headers specified in the request is not supported.")
	}
	if h.Get("x-ms-encryption-key") != "" { // who stores with it expects that nobody reads without
		return notStored("customer-provided keys")
	}
	wantMD5, wantCRC := h.Get("Content-MD5"), h.Get("x-ms-content-crc64")
	isPut := c.query.Get("comp") == "" && h.Get("x-ms-blob-type") != ""
	if isPut { // documented: Put Blob
		wantMD5 = cmp.Or(wantMD5, h.Get("x-ms-blob-content-md5"))
	}
	if c.target.Source != nil { // they are about what the source has
		return nil
	}
	if h.Get("Content-MD5") != "" && wantCRC != "" { // the blob's own may be there
		return rest.Bad("BothCrc64AndMd5HeaderPresent", "Both x-ms-content-crc64 header and Content-MD5 header are present.")
	}
	if wantMD5 != "" || isPut {
		if c.sums.md5 = body.md5(); wantMD5 != "" && wantMD5 != c.sums.md5 {
			return rest.Bad("Md5Mismatch", "The MD5 value specified in the request did not match with the MD5 value calculated by the server.")
		}
	}
	if c.r.Method == http.MethodPut && c.target.Name != "" {
		if c.sums.crc64 = body.crc64(); wantCRC != "" && wantCRC != c.sums.crc64 {
			return rest.Bad("Crc64Mismatch", "The CRC64 value specified in the request did not match with the CRC64 value calculated by the server.")
		}
	}
	return nil
}

// tellSums says what the content that came adds up to. Documented: Put Block, "this header
// is returned only when the request has" Content-MD5, else the CRC64.
func (c *call) tellSums(of sums) {
	if of.md5 != "" {
		c.w.Header().Set("Content-MD5", of.md5)
	}
	if of.crc64 != "" {
		c.w.Header().Set("x-ms-content-crc64", of.crc64)
	}
}

// stamp sets ETag and Last-Modified.
func (c *call) stamp(v version) {
	c.w.Header()["ETag"] = []string{v.etag} // as Storage spells it
	c.w.Header().Set("Last-Modified", v.modified.Format(http.TimeFormat))
}

// empty is an answer without a body.
func (c *call) empty(status int) (answer, *storage.Error) {
	if status != http.StatusNoContent {
		c.w.Header().Set("Content-Length", "0")
	}
	return answer{status: status}, nil
}

// xml is an answer with a document.
func (c *call) xml(body string) (answer, *storage.Error) {
	all := rest.Document(body)
	c.w.Header().Set("Content-Type", "application/xml")
	c.w.Header().Set("Content-Length", strconv.Itoa(len(all)))
	return answer{status: http.StatusOK, body: contentOf(all)}, nil
}

func (c *call) marshal(v any) (answer, *storage.Error) {
	body, err := xml.Marshal(v)
	if err != nil {
		return answer{}, rest.Internal()
	}
	return c.xml(string(body))
}
