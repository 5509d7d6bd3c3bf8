package blobs

import (
	"encoding/base64"
	"encoding/xml"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/internal/resource/storage"
	"github.com/wiemu/wiemu/internal/resource/storage/rest"
)

// listing is a page.
type listing struct {
	XMLName    xml.Name `xml:"EnumerationResults"`
	Endpoint   string   `xml:"ServiceEndpoint,attr"`
	Container  string   `xml:"ContainerName,attr,omitempty"`
	Prefix     string   `xml:"Prefix,omitempty"`
	Marker     string   `xml:"Marker,omitempty"`
	MaxResults string   `xml:"MaxResults,omitempty"`
	Delimiter  string   `xml:"Delimiter,omitempty"`
	Containers *items   `xml:"Containers"`
	Blobs      *items   `xml:"Blobs"`
	Next       string   `xml:"NextMarker"`
}

type items struct {
	Items []any `xml:",any"`
}

// itemName is the name of a blob, percent-encoded if XML cannot hold it. Documented: List
// Blobs, since version 2021-02-12.
type itemName struct {
	Encoded string `xml:"Encoded,attr,omitempty"`
	Name    string `xml:",chardata"`
}

func nameOf(name string) itemName {
	if strings.ContainsFunc(name, func(r rune) bool { return r < ' ' && r != '\t' || r == 0xFFFE || r == 0xFFFF || r == 0xFFFD }) {
		return itemName{"true", url.PathEscape(name)}
	}
	return itemName{Name: name}
}

type listedPrefix struct {
	XMLName xml.Name `xml:"BlobPrefix"`
	Name    itemName `xml:"Name"`
}

type listedContainer struct {
	XMLName    xml.Name            `xml:"Container"`
	Name       string              `xml:"Name"`
	Properties containerProperties `xml:"Properties"`
	Metadata   *rest.Pairs         `xml:"Metadata"`
}

type containerProperties struct {
	Modified      string `xml:"Last-Modified"`
	Etag          string `xml:"Etag"` // with quotes, unlike a blob's
	LeaseStatus   string `xml:"LeaseStatus"`
	LeaseState    string `xml:"LeaseState"`
	LeaseDuration string `xml:"LeaseDuration,omitempty"`
	Scope         string `xml:"DefaultEncryptionScope"`
	DenyOverride  string `xml:"DenyEncryptionScopeOverride"`
	Policy        string `xml:"HasImmutabilityPolicy"`
	Hold          string `xml:"HasLegalHold"`
}

type listedBlob struct {
	XMLName    xml.Name       `xml:"Blob"`
	Name       itemName       `xml:"Name"`
	Snapshot   string         `xml:"Snapshot,omitempty"`
	Properties blobProperties `xml:"Properties"`
	Metadata   *rest.Pairs    `xml:"Metadata"`
	Tags       *tagSet        `xml:"Tags"`
}

// blobProperties are those that clients parse strictly (Java and Rust), in the order in
// which Storage has them.
type blobProperties struct {
	Created       string `xml:"Creation-Time"`
	Modified      string `xml:"Last-Modified"`
	Etag          string `xml:"Etag"` // without quotes
	Length        int64  `xml:"Content-Length"`
	Type          string `xml:"Content-Type,omitempty"`
	Encoding      string `xml:"Content-Encoding,omitempty"`
	Language      string `xml:"Content-Language,omitempty"`
	MD5           string `xml:"Content-MD5,omitempty"`
	CacheControl  string `xml:"Cache-Control,omitempty"`
	Disposition   string `xml:"Content-Disposition,omitempty"`
	BlobType      string `xml:"BlobType,omitempty"`
	Tier          string `xml:"AccessTier,omitempty"`
	Inferred      string `xml:"AccessTierInferred,omitempty"`
	TierChanged   string `xml:"AccessTierChangeTime,omitempty"`
	LeaseStatus   string `xml:"LeaseStatus,omitempty"` // not of a snapshot
	LeaseState    string `xml:"LeaseState,omitempty"`
	LeaseDuration string `xml:"LeaseDuration,omitempty"`
	CopyID        string `xml:"CopyId,omitempty"`
	CopySource    string `xml:"CopySource,omitempty"`
	CopyStatus    string `xml:"CopyStatus,omitempty"`
	CopyProgress  string `xml:"CopyProgress,omitempty"`
	CopyEnded     string `xml:"CopyCompletionTime,omitempty"`
	Encrypted     string `xml:"ServerEncrypted"`
	TagCount      int    `xml:"TagCount,omitempty"`
	Sealed        string `xml:"Sealed,omitempty"`
}

// page begins a listing: most is how many items it may have, start the first that it has.
func (c *call) page() (l listing, most int, start position, failed *storage.Error) {
	q := c.query
	l = listing{
		Endpoint: "https://" + c.target.Account + ".blob." + c.domain + "/", Container: c.target.Container,
		Prefix: q.Get("prefix"), Marker: q.Get("marker"), MaxResults: q.Get("maxresults"), Delimiter: q.Get("delimiter"),
	}
	if most, failed = rest.PageSize(q); failed != nil {
		return l, 0, start, failed
	}
	start, ok := readMarker(l.Marker)
	if !ok {
		return l, 0, start, rest.Bad("OutOfRangeInput", "One of the request inputs is out of range.")
	}
	if from := q.Get("startFrom"); from > start.name {
		start = position{name: from}
	}
	return l, most, start, nil
}

// position is where a page begins.
type position struct{ name, snapshot string }

// marker is opaque for clients, and may hold whatever names hold.
func (p position) marker() string {
	return base64.RawURLEncoding.EncodeToString([]byte(p.snapshot + "\x00" + p.name))
}

func readMarker(marker string) (position, bool) {
	if marker == "" {
		return position{}, true
	}
	raw, err := base64.RawURLEncoding.DecodeString(marker)
	when, name, found := strings.Cut(string(raw), "\x00")
	return position{name, when}, err == nil && found
}

// checkInclude refuses what no listing includes. What there is none of, such as versions,
// may be asked for.
func (c *call) checkInclude(known ...string) *storage.Error {
	for _, what := range storage.Include(c.query) {
		if what != "" && !slices.Contains(known, what) {
			return rest.BadQuery()
		}
	}
	return nil
}

func (c *call) includes(what string) bool { return slices.Contains(storage.Include(c.query), what) }

func (c *call) listContainers() (answer, *storage.Error) {
	l, most, start, failed := c.page()
	if failed == nil {
		failed = c.checkInclude("metadata", "deleted", "system")
	}
	if failed != nil {
		return answer{}, failed
	}
	l.Containers = &items{}
	for _, name := range slices.Sorted(maps.Keys(c.account.containers)) {
		if !strings.HasPrefix(name, l.Prefix) || name < start.name {
			continue
		}
		if len(l.Containers.Items) == most {
			l.Next = position{name: name}.marker()
			break
		}
		k := c.account.containers[name]
		item := listedContainer{Name: name, Properties: containerProperties{
			Modified: k.modified.Format(http.TimeFormat), Etag: k.etag,
			LeaseStatus: k.lease.status(c.now), LeaseState: k.lease.state(c.now), LeaseDuration: k.lease.length(c.now),
			Scope: "$account-encryption-key", DenyOverride: "false", Policy: "false", Hold: "false",
		}}
		if c.includes("metadata") {
			item.Metadata = (*rest.Pairs)(&k.metadata)
		}
		l.Containers.Items = append(l.Containers.Items, item)
	}
	return c.marshal(l)
}

// listBlobs answers List Blobs, flat or by a delimiter.
func (c *call) listBlobs() (answer, *storage.Error) {
	l, most, start, failed := c.page()
	if failed == nil {
		failed = c.checkInclude("snapshots", "metadata", "uncommittedblobs", "copy", "deleted", "tags", "versions", "deletedwithversions", "immutabilitypolicy", "legalhold", "permissions")
	}
	if failed != nil {
		return answer{}, failed
	}
	l.Blobs = &items{}
	// add appends an item that begins at p, and is false if the page ends before it.
	add := func(p position, item func() any) bool {
		if len(l.Blobs.Items) == most {
			l.Next = p.marker()
			return false
		}
		l.Blobs.Items = append(l.Blobs.Items, item())
		return true
	}
	names := c.container.sorted()
	from, _ := slices.BinarySearch(names, max(start.name, l.Prefix))
	group := ""
	for _, name := range names[from:] {
		b := c.container.blobs[name]
		if !strings.HasPrefix(name, l.Prefix) {
			break
		}
		if b.kind == "" && !c.includes("uncommittedblobs") {
			continue
		}
		if before, _, found := strings.Cut(name[len(l.Prefix):], l.Delimiter); found && l.Delimiter != "" {
			if of := l.Prefix + before + l.Delimiter; of != group {
				group = of
				if !add(position{name: name}, func() any { return listedPrefix{Name: nameOf(of)} }) {
					break
				}
			}
			continue
		}
		if !c.addBlob(name, b, start, add) {
			break
		}
	}
	return c.marshal(l)
}

// addBlob lists a blob, after its snapshots if they are asked for.
func (c *call) addBlob(name string, b *blob, start position, add func(position, func() any) bool) bool {
	if c.includes("snapshots") {
		for _, s := range b.snapshots {
			if name == start.name && s.time < start.snapshot {
				continue
			}
			if !add(position{name, s.time}, func() any { return c.listed(name, s.time, s.blob) }) {
				return false
			}
		}
	}
	return add(position{name, "~"}, func() any { return c.listed(name, "", b) }) // after every time
}

func (c *call) listed(name, when string, b *blob) listedBlob {
	p := b.properties
	item := listedBlob{Name: nameOf(name), Snapshot: when, Properties: blobProperties{
		Created: b.created.Format(http.TimeFormat), Modified: b.modified.Format(http.TimeFormat), Etag: strings.Trim(b.etag, `"`), Length: b.content.size,
		Type: p["Content-Type"], Encoding: p["Content-Encoding"], Language: p["Content-Language"], MD5: p["Content-MD5"],
		CacheControl: p["Cache-Control"], Disposition: p["Content-Disposition"], BlobType: b.kind, Encrypted: "true", TagCount: len(b.tags),
	}}
	q := &item.Properties
	switch b.kind {
	case "":
		q.BlobType = blockBlob // uncommitted
	case blockBlob:
		if q.Tier = b.tier.name; b.tier.changed.IsZero() {
			q.Inferred = "true"
		} else {
			q.TierChanged = b.tier.changed.Format(http.TimeFormat)
		}
	}
	if b.sealed {
		q.Sealed = "true"
	}
	if when == "" {
		q.LeaseStatus, q.LeaseState, q.LeaseDuration = b.lease.status(c.now), b.lease.state(c.now), b.lease.length(c.now)
	}
	if b.copied != nil && c.includes("copy") {
		q.CopyID, q.CopySource, q.CopyStatus, q.CopyProgress, q.CopyEnded = b.copied.id, b.copied.source, "success", b.copied.progress(), b.copied.ended
	}
	if c.includes("metadata") {
		item.Metadata = (*rest.Pairs)(&b.metadata)
	}
	if c.includes("tags") && len(b.tags) > 0 {
		item.Tags = new(tagsOf(b.tags))
	}
	return item
}
