package blobs

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wiemu/wiemu/internal/resource/storage"
	"github.com/wiemu/wiemu/internal/resource/storage/rest"
)

// The kinds of blobs.
const (
	blockBlob  = "BlockBlob"
	appendBlob = "AppendBlob"
)

var blobOperations = map[string]operation{
	"PUT ":            (*call).put,
	"PUT block":       (*call).putBlock,
	"PUT blocklist":   (*call).putBlockList,
	"GET blocklist":   (*call).blockList,
	"PUT lease":       onBlob(leases, func(c *call) (answer, *storage.Error) { return c.blob.lease.act(c, c.blob.version, "blob") }),
	"GET ":            onBlob(reads, (*call).get),
	"GET metadata":    onBlob(reads, (*call).get),
	"GET tags":        onBlob(reads, func(c *call) (answer, *storage.Error) { return c.marshal(tagsOf(c.blob.tags)) }),
	"PUT appendblock": onBlob(writes, (*call).appendBlock),
	"PUT metadata":    onBlob(writes, (*call).setMetadata),
	"PUT properties":  onBlob(writes, (*call).setProperties),
	"PUT tags":        onBlob(writes, (*call).setTags),
	"PUT seal":        onBlob(writes, (*call).seal),
	"PUT tier":        onBlob(touches, (*call).setTier),
	"PUT snapshot":    onBlob(touches, (*call).snapshot),
	"PUT copy": onBlob(touches, func(*call) (answer, *storage.Error) { // copies are done at once
		return answer{}, rest.Fail(http.StatusConflict, "NoPendingCopyOperation", "There is currently no pending copy operation.")
	}),
	"DELETE ": onBlob(writes, (*call).delete),
}

// access is what an operation does to a blob that is there.
type access int

const (
	leases  access = iota
	reads          // a lease that is named has to be the blob's
	touches        // likewise, although something changes
	writes         // of a leased blob the lease has to be named; not for snapshots
)

// onBlob is an operation on a blob that is there, or on one of its snapshots.
func onBlob(a access, op operation) operation {
	return func(c *call) (answer, *storage.Error) {
		if when := c.target.Snapshot; when != "" {
			if a == leases || a == writes && c.r.Method != http.MethodDelete {
				return answer{}, rest.BadQuery()
			}
			c.blob = c.blob.at(when)
		}
		if c.blob == nil || c.blob.kind == "" {
			return answer{}, noBlob()
		}
		if a != leases {
			if failed := c.conditions(&c.blob.version); failed != nil {
				return answer{}, failed
			}
			if failed := c.blob.lease.check(c, "Blob", a == writes && c.target.Snapshot == ""); failed != nil {
				return answer{}, failed
			}
		}
		done, failed := op(c)
		if failed == nil && a == writes {
			c.blob.lease.written(c.now)
		}
		return done, failed
	}
}

// at returns a snapshot, nil if there is none of that time.
func (b *blob) at(when string) *blob {
	if b == nil {
		return nil
	}
	for _, s := range b.snapshots {
		if s.time == when {
			return s.blob
		}
	}
	return nil
}

// maxRangeSum is of how many bytes Get Blob gives the sum. Documented: Get Blob.
const maxRangeSum = 4 << 20

// get answers Get Blob, Get Blob Properties and Get Blob Metadata.
func (c *call) get() (answer, *storage.Error) {
	b, h := c.blob, c.w.Header()
	head := c.r.Method == http.MethodHead || c.query.Get("comp") == "metadata"
	if b.tier.name == "Archive" && !head {
		return answer{}, rest.Fail(http.StatusConflict, "BlobArchived", "This operation is not permitted on an archived blob.")
	}
	a := answer{status: http.StatusOK}
	asked := cmp.Or(c.r.Header.Get("x-ms-range"), c.r.Header.Get("Range"))
	first, last, ranged, failed := byteRange(asked, b.content.size)
	switch {
	case head:
		ranged = false
	case asked != "" && failed != nil:
		h.Set("Content-Range", "bytes */"+strconv.FormatInt(b.content.size, 10))
		return a, failed
	case ranged:
		a.status = http.StatusPartialContent
		a.body = b.content.span(first, last)
		h.Set("Content-Range", "bytes "+strconv.FormatInt(first, 10)+"-"+strconv.FormatInt(last, 10)+"/"+strconv.FormatInt(b.content.size, 10))
	default:
		a.body = b.content.clone()
	}
	if failed := c.rangeSums(a.body, ranged); failed != nil {
		h.Del("Content-Range")
		return a, failed
	}
	c.describe(b, ranged)
	length := a.body.size // 0 for the metadata, which is all in headers
	if c.r.Method == http.MethodHead {
		length = b.content.size
	}
	h.Set("Content-Length", strconv.FormatInt(length, 10))
	return a, nil
}

// rangeSums adds up a part of a blob if the client asks for it.
func (c *call) rangeSums(part content, ranged bool) *storage.Error {
	wantMD5, wantCRC := c.r.Header.Get("x-ms-range-get-content-md5") == "true", c.r.Header.Get("x-ms-range-get-content-crc64") == "true"
	switch {
	case !wantMD5 && !wantCRC:
		return nil
	case wantMD5 && wantCRC:
		return rest.Bad("BothCrc64AndMd5RangeHeaderPresent", "Both x-ms-range-get-content-crc64 header and x-ms-range-get-content-md5 header are present.")
	case !ranged, part.size > maxRangeSum:
		return rest.BadHeader()
	case wantMD5:
		c.w.Header().Set("Content-MD5", part.md5())
	default:
		c.w.Header().Set("x-ms-content-crc64", part.crc64())
	}
	return nil
}

// describe sets the headers that say what a blob is. Those of a part of it have the MD5 of
// the whole under another name.
func (c *call) describe(b *blob, ranged bool) {
	h := c.w.Header()
	for name, value := range b.properties {
		if ranged && name == "Content-MD5" {
			name = "x-ms-blob-content-md5"
		}
		h.Set(name, value)
	}
	for parameter, name := range map[string]string{"rscc": "Cache-Control", "rscd": "Content-Disposition", "rsce": "Content-Encoding", "rscl": "Content-Language", "rsct": "Content-Type"} {
		if v := c.query.Get(parameter); v != "" { // of a SAS
			h.Set(name, v)
		}
	}
	rest.SetMetadata(h, b.metadata)
	if c.target.Snapshot == "" {
		b.lease.describe(h, c.now)
	}
	h.Set("Accept-Ranges", "bytes")
	h.Set("x-ms-blob-type", b.kind)
	h.Set("x-ms-creation-time", b.created.Format(http.TimeFormat))
	h.Set("x-ms-server-encrypted", "true")
	switch b.kind {
	case blockBlob:
		h.Set("x-ms-access-tier", b.tier.name)
		if b.tier.changed.IsZero() {
			h.Set("x-ms-access-tier-inferred", "true")
		} else {
			h.Set("x-ms-access-tier-change-time", b.tier.changed.Format(http.TimeFormat))
		}
	case appendBlob:
		h.Set("x-ms-blob-committed-block-count", strconv.Itoa(b.appends))
		if b.sealed {
			h.Set("x-ms-blob-sealed", "true")
		}
	}
	if len(b.tags) > 0 {
		h.Set("x-ms-tag-count", strconv.Itoa(len(b.tags)))
	}
	if b.copied != nil {
		b.copied.describe(h)
	}
	c.stamp(b.version)
}

func (c *call) setMetadata() (answer, *storage.Error) {
	m, failed := rest.Metadata(c.r.Header)
	if failed != nil {
		return answer{}, failed
	}
	if !c.hold(rest.SizeOf(m) - rest.SizeOf(c.blob.metadata)) {
		return answer{}, full()
	}
	c.blob.metadata = m
	return c.changed(http.StatusOK)
}

// changed is the answer after a change to a blob.
func (c *call) changed(status int) (answer, *storage.Error) {
	c.touch(&c.blob.version, c.now)
	c.stamp(c.blob.version)
	c.w.Header().Set("x-ms-request-server-encrypted", "true")
	return c.empty(status)
}

// setProperties sets all of them: those that the request leaves out are cleared.
func (c *call) setProperties() (answer, *storage.Error) {
	p := properties(c.r.Header, false)
	if !c.hold(rest.SizeOf(p) - rest.SizeOf(c.blob.properties)) {
		return answer{}, full()
	}
	c.blob.properties = p
	return c.changed(http.StatusOK)
}

func (c *call) setTags() (answer, *storage.Error) {
	if c.document.failed != nil {
		return answer{}, c.document.failed
	}
	if !c.hold(rest.SizeOf(c.document.tags) - rest.SizeOf(c.blob.tags)) {
		return answer{}, full()
	}
	c.blob.tags = c.document.tags
	return c.empty(http.StatusNoContent)
}

func (c *call) seal() (answer, *storage.Error) {
	if c.blob.kind != appendBlob {
		return answer{}, wrongKind()
	}
	c.blob.sealed = true
	c.w.Header().Set("x-ms-blob-sealed", "true")
	return c.changed(http.StatusOK)
}

// accessTier reads the name of a tier of a block blob.
func accessTier(name string) *storage.Error {
	if !slices.Contains([]string{"Hot", "Cool", "Cold", "Archive"}, name) {
		return rest.BadHeader()
	}
	return nil
}

// setTier answers at once also for a blob that comes out of the archive, which takes Azure
// hours.
func (c *call) setTier() (answer, *storage.Error) {
	name := c.r.Header.Get("x-ms-access-tier")
	if name == "" {
		return answer{}, missingHeader()
	}
	if failed := accessTier(name); failed != nil {
		return answer{}, failed
	}
	if c.blob.kind != blockBlob {
		return answer{}, rest.Bad("AccessTierNotSupportedForBlobType", "The access tier is not supported for this blob type.") // Azurite's
	}
	status := http.StatusOK
	if c.blob.tier.name == "Archive" && name != "Archive" {
		status = http.StatusAccepted
	}
	c.blob.tier = tier{name, c.now}
	return c.empty(status)
}

const snapshotFormat = "2006-01-02T15:04:05.0000000Z"

func (c *call) snapshot() (answer, *storage.Error) {
	m, failed := rest.Metadata(c.r.Header)
	if failed != nil {
		return answer{}, failed
	}
	b := c.blob
	taken := *b
	taken.content, taken.snapshots, taken.staged, taken.lease = b.content.clone(), nil, nil, lease{}
	if len(m) > 0 {
		taken.metadata = m
	}
	if !c.hold(taken.size()) {
		return answer{}, full()
	}
	at := c.now.Truncate(100 * time.Nanosecond)
	if n := len(b.snapshots); n > 0 { // the lab clock may stand still
		if last, err := time.Parse(snapshotFormat, b.snapshots[n-1].time); err == nil && !at.After(last) {
			at = last.Add(100 * time.Nanosecond)
		}
	}
	when := at.Format(snapshotFormat)
	b.snapshots = append(b.snapshots, snapshot{when, &taken})
	c.w.Header().Set("x-ms-snapshot", when)
	c.w.Header().Set("x-ms-request-server-encrypted", "true")
	c.stamp(b.version)
	return c.empty(http.StatusCreated)
}

func (c *call) delete() (answer, *storage.Error) {
	whole := c.container.blobs[c.target.Name]
	include := strings.ToLower(c.r.Header.Get("x-ms-delete-snapshots"))
	switch {
	case include != "" && include != "include" && include != "only":
		return answer{}, rest.BadHeader()
	case c.target.Snapshot != "":
		if include != "" {
			return answer{}, rest.BadHeader()
		}
		c.bytes -= c.blob.size()
		whole.snapshots = slices.DeleteFunc(whole.snapshots, func(s snapshot) bool { return s.time == c.target.Snapshot })
	case include == "only":
		for _, s := range whole.snapshots {
			c.bytes -= s.blob.size()
		}
		whole.snapshots = nil
	case len(whole.snapshots) > 0 && include == "":
		return answer{}, rest.Fail(http.StatusConflict, "SnapshotsPresent", "This operation is not permitted because the blob has snapshots.")
	default:
		c.bytes -= whole.size()
		delete(c.container.blobs, c.target.Name)
		c.container.names = nil
	}
	c.w.Header().Set("x-ms-delete-type-permanent", "true")
	return c.empty(http.StatusAccepted)
}
