package lab

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/internal/file"
	"github.com/wiemu/wiemu/internal/metadata"
)

// issuerAccess says how the issuers of the configuration are reached and
// remembered, by URL. An issuer that only a federated credential names is
// reached as Entra ID would: at a public address, and trusting the system's CAs.
func (l *Lab) issuerAccess(opts Options) (map[string]metadata.Access, error) {
	all := map[string]metadata.Access{}
	for n, i := range l.config.Issuers {
		how := metadata.Access{CacheLifetime: i.CacheLifetime, RefetchAfter: i.RefetchAfter}
		if !i.External {
			all[i.URL] = how
			continue
		}
		to, err := reach(i, filepath.Dir(opts.ConfigFile), opts.Outside)
		if err != nil {
			return nil, fmt.Errorf("issuers[%d] (%s): %w", n, i.Name, err)
		}
		if how.Transport = to; opts.ObserveOutside != nil {
			how.Transport = opts.ObserveOutside(to)
		}
		all[i.URL] = how
	}
	return all, nil
}

// external carries requests for the documents of one issuer.
type external struct {
	host   string   // of the issuer's URL
	path   string   // of it, without a slash at the end
	server *url.URL // that is asked instead; may be nil
	token  string   // file; "": none
	http.RoundTripper
}

// reach makes the way to an external issuer. Files are looked up from dir.
func reach(i config.Issuer, dir string, outside http.RoundTripper) (http.RoundTripper, error) {
	at, err := url.Parse(i.URL)
	if err != nil {
		return nil, err
	}
	x := &external{host: at.Host, path: strings.TrimSuffix(at.EscapedPath(), "/"), RoundTripper: outside}
	if i.Server != "" {
		if x.server, err = url.Parse(i.Server); err != nil {
			return nil, err
		}
	}
	if i.BearerTokenFile != "" {
		x.token = file.In(dir, i.BearerTokenFile)
		if _, err := os.Stat(x.token); err != nil {
			return nil, fmt.Errorf("bearerTokenFile: %w", err)
		}
	}
	var roots *x509.CertPool
	if i.CA != "" {
		pem, err := os.ReadFile(file.In(dir, i.CA))
		if err != nil {
			return nil, fmt.Errorf("ca: %w", err)
		}
		if roots = x509.NewCertPool(); !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ca: %s holds no PEM certificate", i.CA)
		}
	}
	if outside == nil || roots != nil {
		x.RoundTripper = transportTo(rejectLinkLocal, roots)
	}
	return x, nil
}

// RoundTrip sends a request to the issuer's server. An API server has its
// issuer's documents at the root, whatever the path of the issuer's URL (AKS's has
// one; k8s.io/kubernetes, pkg/routes/openidmetadata.go), so that a server without
// that path is asked again without it.
func (x *external) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := x.send(r)
	if err != nil || x.server == nil || x.path == "" || resp.StatusCode != http.StatusNotFound && resp.StatusCode != http.StatusForbidden {
		return resp, err
	}
	root, inside := strings.CutPrefix(r.URL.EscapedPath(), x.path+"/")
	if !inside {
		return resp, nil
	}
	_ = resp.Body.Close() // of the answer that is not wanted
	r = r.Clone(r.Context())
	r.URL = r.URL.ResolveReference(&url.URL{Path: "/" + root})
	return x.send(r)
}

// send sends a request with the bearer token if it goes where that is meant for.
// The file is read each time: such tokens rotate.
func (x *external) send(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	if x.server != nil {
		r.URL.Scheme, r.URL.Host, r.Host = x.server.Scheme, x.server.Host, ""
	}
	if x.token != "" && (x.server != nil || strings.EqualFold(r.URL.Host, x.host)) {
		token, err := os.ReadFile(x.token)
		if err != nil {
			return nil, fmt.Errorf("bearerTokenFile: %w", err)
		}
		r.Header.Set("Authorization", "Bearer "+string(bytes.TrimSpace(token)))
	}
	return x.RoundTripper.RoundTrip(r)
}

// transportTo connects to addresses that are permitted, over TLS.
func transportTo(permitted func(netip.Addr) error, roots *x509.CertPool) http.RoundTripper {
	dialer := &net.Dialer{
		Timeout: 10 * time.Second, // wall time: input and output
		ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
			to, err := netip.ParseAddrPort(address)
			if err != nil {
				return err
			}
			return permitted(to.Addr().Unmap())
		},
	}
	return &http.Transport{
		DialContext: dialer.DialContext, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: 10 * time.Second, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true, // wall time, as above
	}
}

// rejectLinkLocal permits what a configuration may mean: also this machine and its
// networks, but no metadata service.
func rejectLinkLocal(to netip.Addr) error {
	if to.IsLinkLocalUnicast() || to.IsMulticast() || to.IsUnspecified() {
		return fmt.Errorf("%s is no address of an issuer", to)
	}
	return nil
}

// shared is the address space of carriers (RFC 6598), which Azure uses within, too.
var shared = netip.MustParsePrefix("100.64.0.0/10")

// requirePublicAddr permits public addresses: a federated credential must not make a
// way into this machine or its networks.
func requirePublicAddr(to netip.Addr) error {
	if to.IsLoopback() || to.IsPrivate() || shared.Contains(to) {
		return fmt.Errorf("%s is not a public address; if the issuer is meant to be there, add it to issuers in wiemu.yaml, with external: true", to)
	}
	return rejectLinkLocal(to)
}
