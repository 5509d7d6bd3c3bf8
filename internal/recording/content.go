package recording

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/lazyregexp"
	"github.com/wiemu/wiemu/internal/resource/storage"
	"github.com/wiemu/wiemu/internal/resource/table"
)

// What goes into and out of storage accounts. It may be long and is somebody's data, so of it
// there are length and sum alone, and a replay sends other bytes of the same length. What
// says how it is put together, such as a list of blocks, is recorded as it is.

// content takes the length and sum of a body while it goes by.
type content struct {
	length int64
	sum    hash.Hash
	text   []byte // of the first maxTold bytes, if it is told
	told   bool
}

// maxTold is how long a body is that is recorded as it is, in bytes.
const maxTold = 64 << 10

// structural are the operations of storage whose bodies say how content is put together,
// or who may have it.
var structural = []string{"acl", "batch", "blocklist", "properties", "tags", "userdelegationkey"}

func newContent(told bool) *content { return &content{sum: sha256.New(), told: told} }

func (c *content) Write(p []byte) (int, error) {
	c.length += int64(len(p))
	if c.told {
		c.text = append(c.text, p[:min(len(p), max(0, maxTold-len(c.text)))]...)
	}
	return c.sum.Write(p)
}

// whole returns the body, if it is told and not too long.
func (c *content) whole() (string, bool) {
	return string(c.text), c.told && c.length <= maxTold
}

func (c *content) hex() string {
	if c.length == 0 {
		return ""
	}
	return hex.EncodeToString(c.sum.Sum(nil))
}

// streams reports whether requests for a host come as they are sent, and are not read before
// they are answered.
func (r *Recorder) streams(host string) bool {
	d, _ := table.Instance(r.lab.Emulator().Cloud(), host)
	return d != nil && d.Verbatim
}

// listen has a request's body counted while its handler reads it.
func listen(q *http.Request) *content {
	c := newContent(slices.Contains(structural, q.URL.Query().Get("comp")))
	q.Body = struct {
		io.Reader
		io.Closer
	}{io.TeeReader(q.Body, c), q.Body}
	return c
}

// storageHeaders are the headers of requests to storage that its answers depend on, and
// storageHeadersOf their beginnings. Others may be secret, such as x-ms-source-encryption-key,
// or say what is in the content, which a replay does not have.
var (
	storageHeaders = []string{
		"Range", "X-Ms-Access-Tier", "X-Ms-Blob-Append-Offset", "X-Ms-Blob-Cache-Control", "X-Ms-Blob-Condition-Appendpos", "X-Ms-Blob-Condition-Maxsize",
		"X-Ms-Blob-Content-Disposition", "X-Ms-Blob-Content-Encoding", "X-Ms-Blob-Content-Language", "X-Ms-Blob-Content-Length", "X-Ms-Blob-Content-Type",
		"X-Ms-Blob-Public-Access", "X-Ms-Blob-Sequence-Number", "X-Ms-Blob-Type", "X-Ms-Copy-Action", "X-Ms-Copy-Source", "X-Ms-Copy-Source-Blob-Properties",
		"X-Ms-Copy-Source-Tag-Option", "X-Ms-Default-Encryption-Scope", "X-Ms-Delete-Snapshots", "X-Ms-Delete-Type-Permanent", "X-Ms-Encryption-Algorithm", encryptionKey,
		"X-Ms-Encryption-Scope", "X-Ms-Legal-Hold", "X-Ms-Page-Write", "X-Ms-Proposed-Lease-Id", "X-Ms-Range", "X-Ms-Range-Get-Content-Crc64",
		"X-Ms-Range-Get-Content-Md5", "X-Ms-Rehydrate-Priority", "X-Ms-Requires-Sync", "X-Ms-Seal-Blob", "X-Ms-Sequence-Number-Action",
		"X-Ms-Source-Lease-Id", "X-Ms-Source-Range", "X-Ms-Structured-Body", "X-Ms-Tags",
	}
	storageHeadersOf = []string{"If-", "X-Ms-If-", "X-Ms-Immutability-Policy-", "X-Ms-Lease-", "X-Ms-Meta-", "X-Ms-Source-If-"}
)

// encryptionKey is the header of a key of the customer's, which may be that of a real
// account's content. A store in memory refuses any.
const encryptionKey = "X-Ms-Encryption-Key"

// isStorageHeader reports whether an answer of a storage account depends on a header.
func isStorageHeader(name string) bool {
	return slices.Contains(storageHeaders, name) || slices.ContainsFunc(storageHeadersOf, func(start string) bool { return strings.HasPrefix(name, start) })
}

// sasSignature is that of a SAS, in a URL, also in one in XML.
var sasSignature = lazyregexp.New(`(?i)([?&;]sig=)([^&\s]*)`)

// withoutSignatures takes the signatures of SAS out of a text, but for those made here: one
// that was not made in the lab may open a real account.
func withoutSignatures(text string, made ...string) string {
	return sasSignature().ReplaceAllStringFunc(text, func(found string) string {
		parts := sasSignature().FindStringSubmatch(found)
		if slices.Contains(made, parts[2]) {
			return found
		}
		return parts[1] + "removed"
	})
}

// madeHere reports whether the SAS of a request was signed with a key that the lab gave out,
// or the one of the source of a copy.
func madeHere(e journal.Event, check string) bool {
	return slices.ContainsFunc(e.Checks, func(c journal.Check) bool { return c.Name == check && c.Outcome == journal.Passed })
}

// contentOf completes an input that was not read before it was answered. r.mu is held.
func (r *Recorder) contentOf(in *Input, seen *seen, e journal.Event) {
	if in.content == nil {
		return
	}
	var made []string
	if madeHere(e, "SAS signature") {
		in.Path = r.plain(in.ID, in.target)
		if parts := sasSignature().FindStringSubmatch(in.target); parts != nil {
			made = append(made, parts[2])
		}
	}
	in.BodyLength, in.BodySum = in.content.length, in.content.hex()
	if text, ok := in.content.whole(); ok { // the requests of a batch have signatures, too
		in.Body, in.BodyLength, in.BodySum = r.plain(in.ID, withoutSignatures(text, made...)), 0, ""
	}
	if source := in.source; source != "" && madeHere(e, "source: SAS signature") {
		in.Header["X-Ms-Copy-Source"] = []string{r.plain(in.ID, source)}
	}
	in.Outcome.Body = nil
	if !isMessage(in) { // whose length in XML depends on its characters
		in.Outcome.BodyLength, in.Outcome.BodySum = seen.content.length, seen.content.hex()
	}
}

func isMessage(in *Input) bool {
	path, _, _ := strings.Cut(in.Path, "?")
	return strings.Contains(in.Host, "."+string(storage.Queue)+".") && strings.Contains(path, "/messages")
}

// standInBody is what a replay sends in the place of content: other bytes of the same
// length, which are the same in each replay.
func standInBody(in *Input) string {
	const before, after = "<QueueMessage><MessageText>", "</MessageText></QueueMessage>"
	n := int(in.BodyLength)
	if isMessage(in) && n > len(before)+len(after) {
		return before + filler(in.BodySum, n-len(before)-len(after)) + after
	}
	return filler(in.BodySum, n)
}

func filler(sum string, n int) string {
	sum = cmp.Or(sum, "x")
	return strings.Repeat(sum, n/len(sum)+1)[:n]
}

// withoutBackend takes out of a configuration what stores the content of accounts on one
// machine, and PostgreSQL servers, whose logins are not replayed. A replay stores it in memory.
func withoutBackend(c *config.Config) {
	c.Resources = maps.Clone(c.Resources)
	delete(c.Resources, "storage")
	delete(c.Resources, "postgresServers")
}
