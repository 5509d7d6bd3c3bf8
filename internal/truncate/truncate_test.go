package truncate_test

import (
	"testing"

	"github.com/wiemu/wiemu/internal/truncate"
)

func TestTruncate(t *testing.T) {
	for _, c := range []struct {
		text         string
		most         int
		bytes, runes string
	}{
		{"", 0, "", ""},
		{"abc", 3, "abc", "abc"},
		{"abcd", 3, "abc…", "abc…"},
		{"aöü", 3, "aö…", "aöü"},
		{"aöü", 2, "a…", "aö…"},
		{"ö", 0, "…", "…"},
	} {
		if found := truncate.Bytes(c.text, c.most); found != c.bytes {
			t.Errorf("%q to %d bytes: expected %q, found %q", c.text, c.most, c.bytes, found)
		}
		if found := truncate.Runes(c.text, c.most); found != c.runes {
			t.Errorf("%q to %d runes: expected %q, found %q", c.text, c.most, c.runes, found)
		}
	}
}
