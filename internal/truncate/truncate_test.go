package truncate_test

import (
	"strings"
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

func TestTail(t *testing.T) {
	var said truncate.Tail
	if said.String() != "it said nothing" {
		t.Errorf("found %q", said.String())
	}
	for _, text := range []string{strings.Repeat("x", 5000), "\nthe\n", "end"} {
		if n, err := said.Write([]byte(text)); n != len(text) || err != nil {
			t.Fatal(n, err)
		}
	}
	if found := said.String(); !strings.HasSuffix(found, "xxx the end") || len(found) > 2<<10 {
		t.Errorf("found %d bytes, which end with %q", len(found), found[len(found)-20:])
	}
}
