package rest

import (
	"encoding/xml"
	"testing"

	"github.com/wiemu/wiemu/internal/resource/storage"
)

// What is taken of a document is given back so that it can be read again, and is the same.
func FuzzPolicies(f *testing.F) {
	for _, body := range []string{
		"", "<SignedIdentifiers/>", "<SignedIdentifiers><SignedIdentifier><Id>a</Id><AccessPolicy><Start>2026-01-01</Start><Permission>rwd</Permission></AccessPolicy></SignedIdentifier></SignedIdentifiers>",
		"<SignedIdentifiers><SignedIdentifier><Id></Id></SignedIdentifier></SignedIdentifiers>", "<SignedIdentifiers><a:b/>", "<SignedIdentifiers><!-- - --><![CDATA[x]]></SignedIdentifiers>", "<Tags/>", "\ufeff",
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		given, failed := Policies(body)
		if failed != nil {
			if given != "" || failed.Status < 400 || failed.Code == "" {
				t.Errorf("%q is refused with %+v, %q", body, failed, given)
			}
			return
		}
		if again, failed := Policies([]byte(given)); failed != nil || again != given {
			t.Errorf("%q is given back as %q, and that as %q, %v", body, given, again, failed)
		}
	})
}

func FuzzProperties(f *testing.F) {
	for _, body := range []string{
		"<StorageServiceProperties/>", "<StorageServiceProperties><Cors><CorsRule><AllowedOrigins>*</AllowedOrigins></CorsRule></Cors><Logging>a &amp; b</Logging></StorageServiceProperties>",
		"<StorageServiceProperties><Speed/></StorageServiceProperties>", "<StorageServiceProperties><Cors>", "<x/>", "",
		"<StorageServiceProperties><DefaultServiceVersion>2026-01-01</DefaultServiceVersion></StorageServiceProperties>",
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, s := range []storage.Service{storage.Blob, storage.Queue} {
			set, failed := ReadProperties(body, s)
			if failed != nil {
				continue
			}
			given := set.Document(s)
			var any struct {
				XMLName xml.Name
			}
			if err := xml.Unmarshal([]byte(given), &any); err != nil {
				t.Errorf("%q is given back as %q: %v", body, given, err)
			}
			if again, failed := ReadProperties([]byte(given), s); len(given) <= MaxDocument && (failed != nil || again.Document(s) != given) {
				t.Errorf("%q is given back as %q, and that as %q, %v", body, given, again.Document(s), failed)
			}
		}
	})
}
