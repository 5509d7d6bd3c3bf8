package gateway

import (
	"net/http"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/internal/journals"
)

// A host that clients send credentials to is let through only if it is meant, and
// never without a word. No refusal advises to.
func TestLoginHostsOutside(t *testing.T) {
	d := &outsideDial{to: startEcho(t)}
	j, err := journals.New(clock.Running(), journals.Options{})
	if err != nil {
		t.Fatal(err)
	}
	g, _ := started(t, Config{
		Dial: d.dial, Journal: j, AllowHosts: []string{".example", ".example.com", "one.login.test", ".zone.login.test"},
		Login: func(host string) bool {
			return host == "login.example.com" || strings.HasSuffix("."+host, ".login.test")
		},
	})
	proxy := strings.TrimPrefix(g.ProxyURL(), "http://")
	for _, test := range []struct {
		host   string
		status int
	}{
		{"www.example.com", 200},
		{"login.example.com", 403}, // within what is allowed, and not what is meant
		{"one.login.test", 200},
		{"two.login.test", 403},
		{"a.zone.login.test", 200},
	} {
		seen := len(j.Events())
		status, text := connectAt(t, proxy, test.host+":443")
		if status != test.status {
			t.Errorf("%s: %d %s", test.host, status, text)
		}
		told := ""
		for _, e := range j.Events()[seen:] {
			told += e.Summary + " " + e.Message + " " + e.Remedy
		}
		switch isLogin := test.host != "www.example.com"; {
		case test.status == http.StatusForbidden && (strings.Contains(text+told, "allow-host") || !strings.Contains(text, "a credential must not go there")):
			t.Errorf("%s: advised %s %s", test.host, text, told)
		case test.status == http.StatusOK && isLogin != strings.Contains(told, "was let through"):
			t.Errorf("%s: told %q", test.host, told)
		}
	}
}
