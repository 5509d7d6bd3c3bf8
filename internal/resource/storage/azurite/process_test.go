package azurite

import (
	"slices"
	"strings"
	"testing"
)

// Azurite is started so that it tells nobody of its use, takes what SDKs send, and logs no
// headers; what the configuration names comes first.
func TestArguments(t *testing.T) {
	for _, row := range []struct {
		command []string
		first   []string
	}{
		{[]string{"azurite"}, nil},
		{[]string{"node", "azurite.js"}, []string{"azurite.js"}},
		{[]string{"npx", "--yes", "azurite@3.35"}, []string{"--yes", "azurite@3.35"}},
	} {
		given := slices.Clone(row.command)
		got := arguments(row.command)
		if !slices.Equal(row.command, given) {
			t.Errorf("%q: the command is changed to %q", given, row.command)
		}
		if len(got) < len(row.first) || !slices.Equal(got[:len(row.first)], row.first) {
			t.Fatalf("%q: %q; want %q first", row.command, got, row.first)
		}
		ours := got[len(row.first):]
		for _, flag := range []string{"--silent", "--inMemoryPersistence", "--disableTelemetry", "--skipApiVersionCheck", "--loose"} {
			if !slices.Contains(ours, flag) {
				t.Errorf("%q: %q; want %s", row.command, ours, flag)
			}
		}
		if slices.ContainsFunc(ours, func(a string) bool { return a == "-d" || strings.HasPrefix(a, "--debug") }) {
			t.Errorf("%q: %q; want no --debug", row.command, ours)
		}
		for _, service := range []string{"blob", "queue", "table"} {
			if host := slices.Index(ours, "--"+service+"Host"); host < 0 || ours[host+1] != "127.0.0.1" {
				t.Errorf("%q: %q; want --%sHost 127.0.0.1", row.command, ours, service)
			}
			if port := slices.Index(ours, "--"+service+"Port"); port < 0 || ours[port+1] != "0" {
				t.Errorf("%q: %q; want --%sPort 0", row.command, ours, service)
			}
		}
	}
}
