package blobs

import (
	"cmp"
	"encoding/xml"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/internal/resource/storage"
	"github.com/wiemu/wiemu/internal/resource/storage/rest"
)

// given are the properties that a request sets with x-ms-blob-content-type and the like, by the
// header of a reply. With plain, the headers without
// x-ms-blob- count where those with it are missing, as for Put Blob.
func given(h http.Header, plain bool) map[string]string {
	p := map[string]string{}
	for _, name := range []string{"Content-Type", "Content-Encoding", "Content-Language", "Content-MD5", "Cache-Control", "Content-Disposition"} {
		v := h.Get("x-ms-blob-" + name)
		if plain {
			v = cmp.Or(v, h.Get(name))
		}
		if v != "" {
			p[name] = v
		}
	}
	return p
}

// properties are those that a request gives a blob, with the default type.
func properties(h http.Header, plain bool) map[string]string {
	p := given(h, plain)
	p["Content-Type"] = cmp.Or(p["Content-Type"], "application/octet-stream")
	return p
}

// Limits of tags. Documented: Set Blob Tags.
const (
	maxTags     = 10
	maxTagName  = 128
	maxTagValue = 256
)

type tagSet struct {
	XMLName xml.Name `xml:"Tags"`
	Set     struct {
		Tags []tag `xml:"Tag"`
	} `xml:"TagSet"`
}

type tag struct {
	Key   string `xml:"Key"`
	Value string `xml:"Value"`
}

func tagsOf(m map[string]string) tagSet {
	var t tagSet
	for _, k := range slices.Sorted(maps.Keys(m)) {
		t.Set.Tags = append(t.Set.Tags, tag{k, m[k]})
	}
	return t
}

// tagsOfXML reads the body of Set Blob Tags.
func tagsOfXML(body []byte) (map[string]string, *storage.Error) {
	var t tagSet
	if xml.Unmarshal(body, &t) != nil {
		return nil, rest.BadXML()
	}
	return checkTags(t.Set.Tags)
}

// tagsOfHeader reads x-ms-tags.
func tagsOfHeader(header string) (map[string]string, *storage.Error) {
	query, err := url.ParseQuery(header)
	if err != nil {
		return nil, rest.BadHeader()
	}
	var all []tag
	for k, values := range query {
		for _, v := range values {
			all = append(all, tag{k, v})
		}
	}
	return checkTags(all)
}

// checkTags refuses what the service does not take. Codes: Azurite's StorageErrorFactory;
// InvalidTag is inferred.
func checkTags(all []tag) (map[string]string, *storage.Error) {
	m := map[string]string{}
	for _, t := range all {
		_, twice := m[t.Key]
		switch {
		case t.Key == "":
			return nil, rest.Bad("EmptyTagName", "The name of one of the tag key-value pairs is empty.")
		case twice:
			return nil, rest.Bad("DuplicateTagNames", "The tags specified contain duplicate names.")
		case len(t.Key) > maxTagName, len(t.Value) > maxTagValue, len(m) == maxTags:
			return nil, rest.Bad("TagsTooLarge", "The tags specified exceed the maximum permissible limit.")
		case !tagText(t.Key) || !tagText(t.Value):
			return nil, rest.Bad("InvalidTag", "The tags specified are invalid. It contains characters that are not permitted.")
		}
		m[t.Key] = t.Value
	}
	return m, nil
}

func tagText(s string) bool {
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 +-./:=_") == ""
}
