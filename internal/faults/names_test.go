package faults_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/internal/faultkind"
	"github.com/wiemu/wiemu/internal/faults"
)

// known is what a lab of one workload has.
func known() faults.Names {
	naming := func(id string, names ...string) faults.Naming {
		return faults.Naming{
			Aliases: func(asked string) []string {
				if strings.EqualFold(asked, id) {
					return names
				}
				return nil
			},
			Has: func(value string) bool {
				return slices.ContainsFunc(append(slices.Clone(names), id), func(known string) bool { return strings.EqualFold(known, value) })
			},
			Known: func() []string { return append(slices.Clone(names), id) },
		}
	}
	return faults.Names{
		Client:   naming("b96d264b-7053-4465-a4a7-32be5b0fec49", "shop-web"),
		Issuer:   naming("https://oidc.example/", "local"),
		Resource: naming("orders.vault.azure.net", "orders"),
		Workload: naming("shop/web-sa", "web"),
	}
}

func TestASelectorTakesNamesForIDs(t *testing.T) {
	call := faults.Subject{Client: "B96D264B-7053-4465-a4a7-32be5b0fec49", Workload: "shop/web-sa", Component: "keyvault", Host: "orders.vault.azure.net"}
	for _, test := range []struct {
		sel fault.Selector
		hit bool
	}{
		{fault.Selector{Client: "Shop-Web"}, true},
		{fault.Selector{Workload: "web"}, true},
		{fault.Selector{Resource: "orders"}, true},
		{fault.Selector{Client: "shop-web", Workload: "web", Resource: "keyvault"}, true},
		{fault.Selector{Client: "b96d264b-7053-4465-a4a7-32be5b0fec49"}, true},
		{fault.Selector{Client: "shop-web", Resource: "entra"}, false},
	} {
		l := justSet(t)
		names := known()
		names.Resource.Has = nil
		l.SetNames(names)
		if _, err := l.Inject(fault.Fault{Name: faultkind.Throttled, For: test.sel}); err != nil {
			t.Fatalf("%+v: %v", test.sel, err)
		}
		if _, hit := l.Hit(faultkind.AtRequest, call); hit != test.hit {
			t.Errorf("%+v: hit %v, want %v", test.sel, hit, test.hit)
		}
	}
}

func TestWhatASelectorNamesMustExist(t *testing.T) {
	for _, test := range []struct {
		sel  fault.Selector
		want string
	}{
		{fault.Selector{Client: "shop-wbe"}, "fault throttled: for.client: expected the client id or name of an application or managed identity, found shop-wbe; did you mean shop-web?"},
		{fault.Selector{Workload: "api"}, "for.workload: expected NAMESPACE/SERVICE-ACCOUNT or the name of a component or workload, found api; there is web, shop/web-sa"},
		{fault.Selector{Workload: "crm/web-sa"}, "found crm/web-sa; did you mean shop/web-sa?"},
		{fault.Selector{Resource: "oders"}, "found oders; did you mean orders?"},
		{fault.Selector{Issuer: "https://oidc.exmple/"}, "for.issuer: expected the URL or name of an issuer, found https://oidc.exmple/; did you mean https://oidc.example/?"},
	} {
		f := fault.Fault{Name: faultkind.Throttled, For: test.sel}
		before := justSet(t) // injected before everything is there
		if _, err := before.Inject(f); err != nil {
			t.Errorf("%+v: %v", test.sel, err)
		}
		before.SetNames(known())
		after := justSet(t)
		after.SetNames(known())
		_, err := after.Inject(f)
		for when, err := range map[string]error{"before": before.CheckNames(), "after": err} {
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%+v, injected %s it is known: %v, want %s", test.sel, when, err, test.want)
			}
		}
		if len(after.Active()) > 0 {
			t.Errorf("%+v is injected", test.sel)
		}
	}
	l := justSet(t)
	l.SetNames(known())
	if _, err := l.Inject(fault.Fault{Name: faultkind.Throttled, For: fault.Selector{Kid: "of a client's own key"}}); err != nil {
		t.Error(err)
	}
	if err := l.CheckNames(); err != nil {
		t.Error(err)
	}
}

func TestAHitNamesTheIdentityBesideItsID(t *testing.T) {
	s, _, j := newSet(t)
	names := known()
	s.SetNames(names)
	if _, err := s.Inject(fault.Fault{Name: faultkind.Throttled}); err != nil {
		t.Fatal(err)
	}
	s.Hit(faultkind.AtRequest, faults.Subject{Client: "b96d264b-7053-4465-a4a7-32be5b0fec49", Component: "graph"})
	events := j.Events()
	e := events[len(events)-1]
	if e.Identity != "shop-web" || !strings.Contains(e.Summary, "a call of shop-web (b96d264b-7053-4465-a4a7-32be5b0fec49) to graph") {
		t.Errorf("%+v", e)
	}
}

func TestWhatHitsNothingIsTold(t *testing.T) {
	l := justSet(t)
	if err := l.InjectChaos(7, []string{"keyvault"}); err != nil {
		t.Fatal(err)
	}
	l.ClearAll()
	if err := l.InjectChaos(7, []string{"keyvault"}); err != nil { // nobody expects that all of it hits
		t.Fatal(err)
	}
	var ids []string
	for _, f := range []fault.Fault{
		{Name: faultkind.JWKSShuffled},
		{Name: faultkind.Intermittent700213, When: fault.Limits{Nth: 2}},
		{Name: faultkind.Propagation},
	} {
		id, err := l.Inject(f)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	l.HitBy(faultkind.Intermittent700213, faults.Subject{}, nil)
	l.HitBy(faultkind.Propagation, faults.Subject{}, nil)
	var told []string
	for _, a := range l.Missed() {
		told = append(told, a.MissReason())
	}
	want := []string{
		"fault " + ids[0] + " hit nothing: jwks-shuffled; there was no call that it is for",
		"fault " + ids[1] + " hit nothing: intermittent-700213 --nth 2; there was 1 call that it is for, which it let through",
	}
	if !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}

// justSet is a set without its clock and journal.
func justSet(t *testing.T) *faults.Set {
	s, _, _ := newSet(t)
	return s
}
