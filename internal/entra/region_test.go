package entra_test

import (
	"net/http"
	"testing"

	"github.com/wiemu/wiemu/internal/cloud"
	"github.com/wiemu/wiemu/internal/entra"
)

// A token for Graph names the region scope of its own cloud, not the public one's.
func TestRegionScopeIsTheClouds(t *testing.T) {
	for _, name := range cloud.Names() {
		in, _ := cloud.Named(name)
		l := newLab(t)
		l.service = entra.New(entra.Config{Directory: l.directory, Keys: l.keys, Clock: l.clock, Journal: l.journal, Cloud: in})
		l.handler = l.service.Handler()
		a := l.withSecret()
		a.host = in.Login
		a.form.Set("scope", "https://"+in.Graph+"/.default")
		got := l.send(t, a)
		if got.status != http.StatusOK {
			t.Fatalf("%s: %d %s", name, got.status, got.raw)
		}
		_, claims, _, _ := decode(t, got.Token)
		if found := claims["tenant_region_scope"]; found != in.RegionScope {
			t.Errorf("%s: expected tenant_region_scope %s, found %v", name, in.RegionScope, found)
		}
	}
}
