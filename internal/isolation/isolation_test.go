package isolation

import "testing"

func TestParsePublication(t *testing.T) {
	for given, want := range map[string]Publication{
		"8080":              {"127.0.0.1:8080", 8080},
		"8080:80":           {"127.0.0.1:8080", 80},
		"127.0.0.2:8080:80": {"127.0.0.2:8080", 80},
		"0.0.0.0:8080:80":   {"0.0.0.0:8080", 80},
		"[::1]:8080:80":     {"[::1]:8080", 80},
		"0:80":              {"127.0.0.1:0", 80},
	} {
		if got, err := ParsePublication(given); err != nil || got != want {
			t.Errorf("%q: expected %v, found %v, %v", given, want, got, err)
		}
	}
	for _, given := range []string{"", "http", "0", "70000", "8080:", ":80", "8080:0", "localhost:8080:80", "1:2:3:4", "-1", "+80", "8080/udp"} {
		if got, err := ParsePublication(given); err == nil {
			t.Errorf("%q: expected an error, found %v", given, got)
		}
	}
}
