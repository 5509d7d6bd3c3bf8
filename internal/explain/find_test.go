package explain_test

import (
	"strings"
	"testing"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/explain"
)

func TestFindLooksAtTheNewestProgram(t *testing.T) {
	start := journal.Event{Kind: journal.Run, Outcome: journal.OK, Workload: "a/b", Summary: "started app"}
	ended := journal.Event{Kind: journal.Run, Outcome: journal.OK, Workload: "a/b", Summary: "ended", Detail: map[string]string{"exitCode": "1"}}
	notInjected := journal.Event{Kind: journal.Run, Outcome: journal.Failed, Workload: "a/b", Summary: "not injected"}
	minted := journal.Event{Kind: journal.Mint, Outcome: journal.OK, Workload: "a/b", Summary: "minted"}
	led := journal.Event{Kind: journal.Run, Outcome: journal.OK, Workload: "a/b", Summary: "started app", Detail: map[string]string{explain.DetailNetwork: explain.Led}}
	granted := journal.Event{Kind: journal.Exchange, Outcome: journal.Granted, Summary: "granted"}
	denied := journal.Event{Kind: journal.Exchange, Outcome: journal.Denied, Summary: "denied"}
	access := journal.Event{Kind: journal.Access, Outcome: journal.Granted, Summary: "access"}
	for name, c := range map[string]struct {
		all           []journal.Event
		want, meaning string
	}{
		"a refusal of the newest":                  {[]journal.Event{start, denied, granted, access}, "denied", ""},
		"no refusal":                               {[]journal.Event{start, granted, access}, "access", ""},
		"an earlier program's refusal":             {[]journal.Event{start, denied, start, granted}, "granted", ""},
		"no request":                               {[]journal.Event{start, denied, minted, start}, "started app", explain.NoRequest},
		"no request, and it ended":                 {[]journal.Event{start, denied, start, minted, ended}, "started app", explain.NoRequest},
		"no request, for it was given no identity": {[]journal.Event{start, denied, minted, notInjected, start}, "not injected", ""},
		"no program at all":                        {[]journal.Event{minted, denied, granted}, "denied", ""},
	} {
		e, found := explain.Find(c.all, "")
		if !found || e.Summary != c.want || e.Meaning != c.meaning {
			t.Errorf("%s: %v %q, meaning %q", name, found, e.Summary, e.Meaning)
		}
	}
	for _, c := range []struct {
		start journal.Event
		proxy bool // whether it is advised about
	}{{start, true}, {led, false}} {
		if e, _ := explain.Find([]journal.Event{c.start}, ""); e.Remedy == "" || strings.Contains(e.Remedy, "PROXY") != c.proxy {
			t.Errorf("%v: expected advice about the proxy: %v, found %q", c.start.Detail, c.proxy, e.Remedy)
		}
	}
	if e, found := explain.Find([]journal.Event{minted}, ""); found {
		t.Errorf("found %+v where nothing was asked", e)
	}
}
