package config

import (
	"fmt"
	"net/url"
)

// checkReach says what is wrong with how an issuer is reached: only external
// ones are reached over the network.
func (i Issuer) checkReach(p *problems, at string) {
	for _, f := range []struct{ name, value string }{{"server", i.Server}, {"ca", i.CA}, {"bearerTokenFile", i.BearerTokenFile}} {
		if f.value != "" && !i.External {
			p.add(at+"."+f.name, "nothing, unless the issuer is external", f.value, "add external: true, or remove it")
		}
	}
	if u, err := url.Parse(i.Server); i.Server != "" && (err != nil || u.Scheme != "https" || u.Host == "" || u.Path != "" && u.Path != "/" || u.RawQuery != "") {
		p.add(at+".server", "https://HOST:PORT", i.Server, "the path is that of the URL")
	}
	if i.CacheLifetime < 0 {
		p.add(at+".cacheLifetime", "a duration from 1s", fmt.Sprint(i.CacheLifetime), "")
	}
}
