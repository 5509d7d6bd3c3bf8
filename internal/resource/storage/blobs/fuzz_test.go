package blobs

import (
	"encoding/base64"
	"maps"
	"net/url"
	"testing"
)

func FuzzCommitList(f *testing.F) {
	for _, body := range []string{
		`<?xml version="1.0" encoding="utf-8"?><BlockList><Latest>AAAA</Latest><Committed> AAAA </Committed></BlockList>`,
		"<BlockList/>", "<BlockList><Latest/></BlockList>", "<BlockList><Latest>AAAA", "<BlockList><Latest><Latest>AAAA</Latest></Latest></BlockList>", "",
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		list, failed := readCommitList(body)
		if failed != nil {
			return
		}
		for _, b := range list.Blocks {
			if raw, err := base64.StdEncoding.DecodeString(b.ID); err != nil || len(raw) == 0 || len(raw) > 64 {
				t.Errorf("block id %q", b.ID)
			}
			if from := b.XMLName.Local; from != "Latest" && from != "Committed" && from != "Uncommitted" {
				t.Errorf("from %q", from)
			}
		}
	})
}

func FuzzByteRange(f *testing.F) {
	for _, header := range []string{"bytes=0-499", "bytes=500-", "bytes=-5", "bytes=5-2", "bytes=0-99999999999999999999", "items=1-2", ""} {
		f.Add(header, int64(100))
	}
	f.Fuzz(func(t *testing.T, header string, size int64) {
		if size < 0 {
			return
		}
		first, last, ok, failed := byteRange(header, size)
		if ok && (failed != nil || first < 0 || last < first || last >= size) {
			t.Errorf("%q of %d: %d to %d, %v", header, size, first, last, failed)
		}
	})
}

func FuzzBlockID(f *testing.F) {
	for _, id := range []string{"AAAA", "", "!", "AA==", "AAAA\n", base64.StdEncoding.EncodeToString(make([]byte, 65))} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		if raw, err := base64.StdEncoding.DecodeString(id); blockID(id) == nil && (err != nil || len(raw) == 0 || len(raw) > 64) {
			t.Errorf("%q is taken", id)
		}
	})
}

func FuzzMarker(f *testing.F) {
	f.Add("a\x00b/ü", "2026")
	f.Fuzz(func(t *testing.T, name, marker string) {
		if got, ok := readMarker(position{name: name, snapshot: "~"}.marker()); !ok || got.name != name || got.snapshot != "~" {
			t.Errorf("%q came back as %v", name, got)
		}
		_, _ = readMarker(marker)
	})
}

// Tags that are taken are within the service's limits, and the same in a header and in XML.
func FuzzTags(f *testing.F) {
	for _, body := range []string{
		"<Tags><TagSet><Tag><Key>stage</Key><Value>new one</Value></Tag></TagSet></Tags>", "<Tags/>", "<Tags><TagSet><Tag><Key></Key></Tag></TagSet></Tags>",
		"<Tags><TagSet><Tag><Key>a</Key></Tag><Tag><Key>a</Key></Tag></TagSet></Tags>", "<Tags><TagSet>", "a=1", "",
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		tags, failed := tagsOfXML(body)
		if failed != nil {
			return
		}
		if len(tags) > maxTags {
			t.Errorf("%d tags", len(tags))
		}
		header := url.Values{}
		for k, v := range tags {
			if k == "" || len(k) > maxTagName || len(v) > maxTagValue {
				t.Errorf("%q=%q", k, v)
			}
			header.Set(k, v)
		}
		if again, failed := tagsOfHeader(header.Encode()); failed != nil || !maps.Equal(again, tags) {
			t.Errorf("%q of XML, %q, %v of a header", tags, again, failed)
		}
	})
}
