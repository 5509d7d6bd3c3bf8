package blobs

import (
	"cmp"
	"encoding/base64"
	"encoding/xml"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/wiemu/wiemu/internal/resource/storage"
	"github.com/wiemu/wiemu/internal/resource/storage/rest"
)

// Limits of blocks. Documented: Scalability and performance targets for Blob Storage.
const (
	maxBlocks = 50_000
	maxStaged = 100_000
)

// put answers Put Blob, and what makes a blob of another one: Copy Blob, Copy Blob From
// URL, Put Blob From URL.
func (c *call) put() (answer, *storage.Error) {
	if c.target.Source != nil {
		return c.copy()
	}
	kind := c.r.Header.Get("x-ms-blob-type")
	switch kind {
	case blockBlob:
	case appendBlob:
		if len(c.body) > 0 { // documented: it is made empty
			return answer{}, rest.BadHeader()
		}
	case "PageBlob":
		return answer{}, notStored("page blobs")
	case "":
		return answer{}, missingHeader()
	default:
		return answer{}, rest.BadHeader()
	}
	failed := c.replace(func(b *blob) {
		b.kind, b.content, b.properties = kind, contentOf(c.body), properties(c.r.Header, true)
		if kind == blockBlob {
			b.properties["Content-MD5"] = c.sums.md5
		}
	})
	if failed != nil {
		return answer{}, failed
	}
	c.tellSums(c.sums)
	return c.empty(http.StatusCreated)
}

// replace makes a blob, or makes the one that is there anew with its snapshots and lease,
// if conditions and lease allow it. fill gives it content and properties.
func (c *call) replace(fill func(*blob)) *storage.Error {
	before := c.blob
	var was *version
	if before != nil && before.kind != "" {
		was = &before.version
	}
	if failed := c.conditions(was); failed != nil {
		return failed
	}
	old := cmp.Or(before, &blob{})
	if failed := old.lease.check(c, "Blob", true); failed != nil {
		return failed
	}
	b := &blob{created: c.now, tier: tier{name: "Hot"}, snapshots: old.snapshots, lease: old.lease}
	b.lease.written(c.now)
	if was != nil {
		b.created = before.created
	}
	var failed *storage.Error
	if b.metadata, failed = rest.Metadata(c.r.Header); failed != nil {
		return failed
	}
	if b.tags, failed = tagsOfHeader(c.r.Header.Get("x-ms-tags")); failed != nil {
		return failed
	}
	if name := c.r.Header.Get("x-ms-access-tier"); name != "" {
		if failed := accessTier(name); failed != nil {
			return failed
		}
		b.tier = tier{name, c.now}
	}
	fill(b)
	more := b.size()
	if before != nil {
		more -= before.size()
	}
	if !c.hold(more) {
		return full()
	}
	c.touch(&b.version, c.now)
	c.insert(b)
	c.stamp(b.version)
	c.w.Header().Set("x-ms-request-server-encrypted", "true")
	return nil
}

// insert makes b the blob that the request names.
func (c *call) insert(b *blob) {
	if c.blob == nil {
		c.container.names = nil
	}
	c.container.blobs[c.target.Name], c.blob = b, b
}

// blockID refuses what cannot be a block's id: ids are Base64 of at most 64 bytes.
func blockID(id string) *storage.Error {
	raw, err := base64.StdEncoding.DecodeString(id)
	switch {
	case err != nil:
		return rest.Bad("InvalidBlockId", "Block ID is invalid. Block ID must be base64 encoded.")
	case len(raw) == 0, len(raw) > 64:
		return rest.BadQuery()
	}
	return nil
}

// putBlock answers Put Block and Put Block From URL. A blob that has nothing but blocks
// that were put is seen by Get Block List alone.
func (c *call) putBlock() (answer, *storage.Error) {
	id := c.query.Get("blockid")
	if failed := blockID(id); failed != nil {
		return answer{}, failed
	}
	data, failed := c.payload()
	if failed != nil {
		return answer{}, failed
	}
	b := cmp.Or(c.blob, &blob{version: version{modified: c.now}, created: c.now})
	if b.kind != "" && b.kind != blockBlob {
		return answer{}, wrongKind()
	}
	if failed := b.lease.check(c, "Blob", true); failed != nil {
		return answer{}, failed
	}
	for other := range b.staged { // documented: all ids of a blob have the same length
		if len(other) != len(id) {
			return answer{}, rest.Bad("InvalidBlobOrBlock", "The specified blob or block content is invalid.")
		}
		break
	}
	_, again := b.staged[id]
	if !again && len(b.staged) == maxStaged {
		return answer{}, rest.Fail(http.StatusConflict, "BlockCountExceedsLimit", "The uncommitted block count cannot exceed the maximum limit of 100,000 blocks.")
	}
	more := int64(len(data) - len(b.staged[id]))
	if !again {
		more += blockCost
	}
	if c.blob == nil {
		more += b.size()
	}
	if !c.hold(more) {
		return answer{}, full()
	}
	if b.staged == nil {
		b.staged = map[string][]byte{}
	}
	b.staged[id] = data
	b.lease.written(c.now)
	c.insert(b)
	c.w.Header().Set("x-ms-request-server-encrypted", "true")
	return c.empty(http.StatusCreated)
}

// payload is what a block is made of: the body, or what x-ms-copy-source names.
func (c *call) payload() ([]byte, *storage.Error) {
	data, of := c.body, c.sums
	if c.target.Source != nil {
		from, failed := c.source()
		if failed != nil {
			return nil, failed
		}
		part := from.content.clone()
		if asked := c.r.Header.Get("x-ms-source-range"); asked != "" {
			first, last, _, failed := byteRange(asked, from.content.size)
			if failed != nil {
				return nil, failed
			}
			part = from.content.span(first, last)
		}
		if part.size > storage.MaxBody {
			return nil, rest.TooLarge()
		}
		if of, failed = c.sourceSums(from, part); failed != nil {
			return nil, failed
		}
		data = slices.Concat(part.parts...)
	}
	c.tellSums(of)
	return data, nil
}

// commitList is the body of Put Block List: which blocks make the blob, in order.
type commitList struct {
	XMLName xml.Name `xml:"BlockList"`
	Blocks  []struct {
		XMLName xml.Name // Committed, Uncommitted or Latest
		ID      string   `xml:",chardata"`
	} `xml:",any"`
}

func readCommitList(body []byte) (commitList, *storage.Error) {
	var list commitList
	if xml.Unmarshal(body, &list) != nil {
		return list, rest.BadXML()
	}
	for i := range list.Blocks {
		b := &list.Blocks[i]
		b.ID = strings.TrimSpace(b.ID)
		if !slices.Contains([]string{"Committed", "Uncommitted", "Latest"}, b.XMLName.Local) {
			return list, rest.BadXML()
		}
		if blockID(b.ID) != nil {
			return list, rest.Bad("InvalidBlockId", "Block ID is invalid. Block ID must be base64 encoded.")
		}
	}
	if len(list.Blocks) > maxBlocks {
		return list, rest.Bad("BlockListTooLong", "The block list may not contain more than 50,000 blocks.")
	}
	return list, nil
}

// putBlockList makes the blob of its blocks, which are the parts of its content from then
// on; blocks that were put and are not in the list are discarded.
func (c *call) putBlockList() (answer, *storage.Error) {
	if c.document.failed != nil {
		return answer{}, c.document.failed
	}
	if c.blob != nil && c.blob.kind == appendBlob {
		return answer{}, wrongKind()
	}
	chosen, failed := c.choose(c.document.blocks)
	if failed != nil {
		return answer{}, failed
	}
	failed = c.replace(func(b *blob) {
		b.kind, b.committed, b.properties = blockBlob, chosen, properties(c.r.Header, false)
		parts := make([][]byte, len(chosen))
		for i, k := range chosen {
			parts[i] = k.data
		}
		b.content = contentOf(parts...)
	})
	if failed != nil {
		return answer{}, failed
	}
	c.tellSums(c.sums)
	return c.empty(http.StatusCreated)
}

// choose finds the blocks of a list.
func (c *call) choose(list commitList) ([]block, *storage.Error) {
	committed := map[string][]byte{}
	var staged map[string][]byte
	if c.blob != nil {
		staged = c.blob.staged
		for _, k := range c.blob.committed {
			committed[k.id] = k.data
		}
	}
	chosen := make([]block, 0, len(list.Blocks))
	for _, b := range list.Blocks {
		data, found := staged[b.ID]
		if from := b.XMLName.Local; from == "Committed" || from == "Latest" && !found {
			data, found = committed[b.ID]
		}
		if !found {
			return nil, rest.Bad("InvalidBlockList", "The specified block list is invalid.")
		}
		chosen = append(chosen, block{b.ID, data})
	}
	return chosen, nil
}

// blockList answers Get Block List, also of a blob that nobody else sees yet.
func (c *call) blockList() (answer, *storage.Error) {
	b := c.blob
	if c.target.Snapshot != "" {
		b = b.at(c.target.Snapshot)
	}
	if b == nil {
		return answer{}, noBlob()
	}
	if b.kind == appendBlob {
		return answer{}, wrongKind()
	}
	if failed := b.lease.check(c, "Blob", false); failed != nil {
		return answer{}, failed
	}
	type item struct {
		Name string `xml:"Name"`
		Size int    `xml:"Size"`
	}
	type items struct {
		Blocks []item `xml:"Block"`
	}
	var list struct {
		XMLName     xml.Name `xml:"BlockList"`
		Committed   *items   `xml:"CommittedBlocks"`
		Uncommitted *items   `xml:"UncommittedBlocks"`
	}
	which := strings.ToLower(cmp.Or(c.query.Get("blocklisttype"), "committed"))
	if !slices.Contains([]string{"committed", "uncommitted", "all"}, which) {
		return answer{}, rest.BadQuery()
	}
	if which != "uncommitted" {
		list.Committed = &items{}
		for _, k := range b.committed {
			list.Committed.Blocks = append(list.Committed.Blocks, item{k.id, len(k.data)})
		}
	}
	if which != "committed" {
		list.Uncommitted = &items{}
		for _, id := range slices.Sorted(maps.Keys(b.staged)) {
			list.Uncommitted.Blocks = append(list.Uncommitted.Blocks, item{id, len(b.staged[id])})
		}
	}
	if b.kind != "" {
		c.stamp(b.version)
	}
	c.w.Header().Set("x-ms-blob-content-length", strconv.FormatInt(b.content.size, 10))
	return c.marshal(list)
}

// appendBlock answers Append Block and Append Block From URL.
func (c *call) appendBlock() (answer, *storage.Error) {
	b, h := c.blob, c.r.Header
	offset := b.content.size
	switch {
	case b.kind != appendBlob:
		return answer{}, wrongKind()
	case b.sealed:
		return answer{}, rest.Fail(http.StatusConflict, "BlobIsSealed", "The specified blob is sealed and its contents can't be modified unless the blob is re-created after a delete.")
	case b.appends == maxBlocks:
		return answer{}, rest.Fail(http.StatusConflict, "BlockCountExceedsLimit", "The committed block count cannot exceed the maximum limit of 50,000 blocks.")
	}
	position, most := h.Get("x-ms-blob-condition-appendpos"), h.Get("x-ms-blob-condition-maxsize")
	if _, err := strconv.ParseInt(cmp.Or(position, "0"), 10, 64); err != nil {
		return answer{}, rest.BadHeader()
	}
	limit, err := strconv.ParseInt(cmp.Or(most, "0"), 10, 64)
	if err != nil {
		return answer{}, rest.BadHeader()
	}
	data, failed := c.payload()
	switch {
	case failed != nil:
		return answer{}, failed
	case position != "" && position != strconv.FormatInt(offset, 10):
		return answer{}, rest.Fail(http.StatusPreconditionFailed, "AppendPositionConditionNotMet", "The append position condition specified was not met.")
	case most != "" && offset+int64(len(data)) > limit:
		return answer{}, rest.Fail(http.StatusPreconditionFailed, "MaxBlobSizeConditionNotMet", "The max blob size condition specified was not met.")
	case len(data) == 0:
		return answer{}, rest.BadHeader() // documented: an empty block is refused
	case !c.hold(int64(len(data))):
		return answer{}, full()
	}
	b.content.append(data)
	b.appends++
	c.w.Header().Set("x-ms-blob-append-offset", strconv.FormatInt(offset, 10))
	c.w.Header().Set("x-ms-blob-committed-block-count", strconv.Itoa(b.appends))
	return c.changed(http.StatusCreated)
}
