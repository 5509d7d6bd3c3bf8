package journals

import "testing"

// What is left of a line is what the expression leaves of the whole of it.
func FuzzTimes(f *testing.F) {
	for _, text := range []string{
		`{"lab":"2026-01-05T08:00:00Z","wall":"2026-01-05T08:00:00.123456789Z"}`,
		`{"detail":{"left":"1h0m0s","late":"-1.5s","took":"12ms","soon":"3µs"}}`,
		`"AADSTS700024: … Current time: 1/5/2026 8:00:00 AM, assertion valid from 01/05/2026 …"`,
		`"a2026-01-05T08:00:00Zb" "12026-01-05T08:00:00Z" "5s" "5sec" "x5s" "\u003c5s"`,
		`"10.0.0.1:443" "sha256:12ms34"`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if found, expected := withoutTimes(text), times().ReplaceAllString(text, "TIME"); found != expected {
			t.Errorf("%q: expected %q, found %q", text, expected, found)
		}
	})
}
