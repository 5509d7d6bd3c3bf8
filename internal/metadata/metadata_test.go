package metadata

import (
	"context"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/journals"
)

const (
	issuer       = "https://cluster.wiemu.test/a/"
	discoveryURL = "https://cluster.wiemu.test/a/.well-known/openid-configuration"
	jwksURL      = "https://cluster.wiemu.test/a/openid/v1/jwks"
)

// network is what answers, and how often it was asked.
type network struct {
	mu      sync.Mutex
	answers map[string]func() (*http.Response, error)
	asked   map[string]int
}

// cluster is a network on which everything is as it should be.
func cluster(kids ...string) *network {
	n := &network{answers: map[string]func() (*http.Response, error){}, asked: map[string]int{}}
	n.says(discoveryURL, discovery(nil))
	n.says(jwksURL, keys(kids...))
	return n
}

// discovery is a good discovery document with some members replaced; nil removes.
func discovery(replace map[string]string) string {
	members := map[string]string{
		"issuer": `"` + issuer + `"`, "jwks_uri": `"` + jwksURL + `"`, "response_types_supported": `["id_token"]`,
		"subject_types_supported": `["public"]`, "id_token_signing_alg_values_supported": `["RS256"]`,
	}
	for name, value := range replace {
		members[name] = value
	}
	var parts []string
	for name, value := range members {
		if value != "" {
			parts = append(parts, `"`+name+`":`+value)
		}
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func keys(kids ...string) string {
	var all []string
	for i, kid := range kids {
		public := rsa.PublicKey{N: new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), 2047), big.NewInt(int64(2*i+1))), E: 65537}
		all = append(all, fmt.Sprintf(`{"use":"sig","kty":"RSA","kid":%q,"alg":"RS256","n":%q,"e":"AQAB"}`, kid, base64.RawURLEncoding.EncodeToString(public.N.Bytes())))
	}
	return `{"keys":[` + strings.Join(all, ",") + `]}`
}

func (n *network) says(address, body string) {
	n.does(address, func() (*http.Response, error) { return response(200, body), nil })
}

func (n *network) does(address string, answer func() (*http.Response, error)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.answers[address] = answer
}

func response(status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
}

func (n *network) RoundTrip(r *http.Request) (*http.Response, error) {
	n.mu.Lock()
	n.asked[r.URL.String()]++
	answer, ok := n.answers[r.URL.String()]
	n.mu.Unlock()
	if !ok {
		return nil, errors.New("no such host")
	}
	return answer()
}

func source(n *network, opts Options) (*Source, *clock.Lab) {
	clk := clock.Stopped(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC))
	opts.Transport = n
	return New(clk, opts), clk
}

func advance(t *testing.T, clk *clock.Lab, d time.Duration) {
	t.Helper()
	if err := clk.Advance(context.Background(), d); err != nil {
		t.Fatal(err)
	}
}

func TestKeysAreRememberedForTheirLifetime(t *testing.T) {
	n := cluster("k1")
	s, clk := source(n, Options{})
	for range 3 {
		if _, err := s.Key(t.Context(), issuer, "k1"); err != nil {
			t.Fatal(err)
		}
	}
	n.says(jwksURL, keys("k2"))
	advance(t, clk, DefaultCacheLifetime-time.Second)
	if _, err := s.Key(t.Context(), issuer, "k1"); err != nil {
		t.Errorf("within the lifetime: %v", err)
	}
	advance(t, clk, time.Second)
	if _, err := s.Key(t.Context(), issuer, "k1"); !errors.Is(err, ErrNoSuchKey) || !strings.Contains(err.Error(), "it has k2") {
		t.Errorf("after it: %v", err)
	}
	if n.asked[discoveryURL] != 2 || n.asked[jwksURL] != 2 {
		t.Errorf("asked %v", n.asked)
	}
}

func TestAnUnknownKidIsAskedForAtMostOnceAMinute(t *testing.T) {
	n := cluster("k1")
	s, clk := source(n, Options{})
	expect := func(when string, asked int, want error) {
		t.Helper()
		for range 3 {
			if _, err := s.Key(t.Context(), issuer, "k2"); !errors.Is(err, want) {
				t.Errorf("%s: %v", when, err)
			}
		}
		if n.asked[jwksURL] != asked {
			t.Errorf("%s: asked %d times, want %d", when, n.asked[jwksURL], asked)
		}
	}
	expect("at first", 1, ErrNoSuchKey)
	n.says(jwksURL, keys("k2", "k1"))
	advance(t, clk, 59*time.Second)
	expect("after 59 s", 1, ErrNoSuchKey)
	advance(t, clk, time.Second)
	expect("after a minute", 2, nil)
	if _, err := s.Key(t.Context(), issuer, "k1"); err != nil {
		t.Errorf("the old key: %v", err)
	}
}

func TestAFailedRefetchKeepsWhatIsRemembered(t *testing.T) {
	n := cluster("k1")
	s, clk := source(n, Options{})
	if _, err := s.Keys(t.Context(), issuer); err != nil {
		t.Fatal(err)
	}
	n.does(jwksURL, func() (*http.Response, error) { return response(500, ""), nil })
	advance(t, clk, time.Minute)
	if _, err := s.Key(t.Context(), issuer, "k2"); !errors.Is(err, ErrNoSuchKey) || errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "status 500") {
		t.Errorf("unknown kid: %v", err)
	}
	if _, err := s.Key(t.Context(), issuer, "k1"); err != nil {
		t.Errorf("known kid: %v", err)
	}
	advance(t, clk, time.Hour)
	if _, err := s.Key(t.Context(), issuer, "k1"); !errors.Is(err, ErrUnreachable) {
		t.Errorf("when its lifetime is over: %v", err)
	}
}

func TestUnusableMetadata(t *testing.T) {
	for _, r := range []struct {
		when string
		do   func(*network)
		says string
	}{
		{"no such host", func(n *network) { delete(n.answers, discoveryURL) }, "no such host"},
		{"status 404", func(n *network) {
			n.does(discoveryURL, func() (*http.Response, error) { return response(404, ""), nil })
		}, "status 404, expected 200"},
		{"a redirect", func(n *network) {
			n.does(discoveryURL, func() (*http.Response, error) {
				r := response(302, "")
				r.Header.Set("Location", "http://169.254.169.254/")
				return r, nil
			})
		}, "redirects are not followed"},
		{"no JSON", func(n *network) { n.says(discoveryURL, "<html>") }, "not valid"},
		{"two issuers", func(n *network) {
			n.says(discoveryURL, strings.Replace(discovery(nil), "{", `{"issuer":"https://other.test/",`, 1))
		}, "duplicate key 'issuer'"},
		{"the issuer without its slash", func(n *network) {
			n.says(discoveryURL, discovery(map[string]string{"issuer": `"https://cluster.wiemu.test/a"`}))
		}, `issuer must be "https://cluster.wiemu.test/a/" exactly, it is "https://cluster.wiemu.test/a"`},
		{"no jwks_uri", func(n *network) { n.says(discoveryURL, discovery(map[string]string{"jwks_uri": ""})) }, "jwks_uri must be an https address"},
		{"a jwks_uri without TLS", func(n *network) {
			n.says(discoveryURL, discovery(map[string]string{"jwks_uri": `"http://cluster.wiemu.test/keys"`}))
		}, "jwks_uri must be an https address"},
		{"an empty authorization_endpoint", func(n *network) { n.says(discoveryURL, discovery(map[string]string{"authorization_endpoint": `""`})) }, "authorization_endpoint must not be empty"},
		{"no subject type", func(n *network) { n.says(discoveryURL, discovery(map[string]string{"subject_types_supported": `[]`})) }, "subject_types_supported must name"},
		{"no response type", func(n *network) { n.says(discoveryURL, discovery(map[string]string{"response_types_supported": ""})) }, "response_types_supported must name"},
		{"no algorithm", func(n *network) {
			n.says(discoveryURL, discovery(map[string]string{"id_token_signing_alg_values_supported": ""}))
		}, "id_token_signing_alg_values_supported must name"},
		{"an endless document", func(n *network) { n.says(discoveryURL, strings.Repeat(" ", DefaultMaxBytes)+"{}") }, "longer than 1048576 bytes"},
		{"a key set that is down", func(n *network) { delete(n.answers, jwksURL) }, "GET " + jwksURL},
		{"a key set that is a list", func(n *network) { n.says(jwksURL, "[]") }, "the key set is not valid"},
		{"a key set without keys", func(n *network) { n.says(jwksURL, "{}") }, `no member "keys"`},
	} {
		t.Run(r.when, func(t *testing.T) {
			n := cluster("k1")
			r.do(n)
			s, _ := source(n, Options{})
			_, err := s.Keys(t.Context(), issuer)
			if !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), r.says) {
				t.Errorf("got %v, want it to say %q", err, r.says)
			}
		})
	}
}

func TestOnlyUsableKeysAreTaken(t *testing.T) {
	good := strings.TrimSuffix(strings.TrimPrefix(keys("good"), `{"keys":[`), "]}")
	n := cluster()
	n.says(jwksURL, `{"keys":[
		{"kty":"oct","kid":"good","k":"c2VjcmV0"},
		{"kty":"RSA","kid":"good","n":"AQAB","e":"AQAB","d":"AQAB"},
		{"kty":"new","kid":"good"},
		`+strings.Replace(good, `"sig"`, `"enc"`, 1)+`,
		`+strings.Replace(good, `"good"`, `"other"`, 1)+`,
		`+good+`
	]}`)
	s, _ := source(n, Options{})
	set, err := s.Keys(t.Context(), issuer)
	if err != nil || strings.Join(set.IDs(), " ") != "other good" {
		t.Errorf("got %v, %v", set.IDs(), err)
	}
	key, err := s.Key(t.Context(), issuer, "good")
	if _, ok := key.Key.(*rsa.PublicKey); !ok || err != nil {
		t.Errorf("got %T, %v", key.Key, err)
	}
}

// TestAKeyThatVerifiesNothingSaysWhy: the client is told that its key is not published,
// and who looks at the document finds it there.
func TestAKeyThatVerifiesNothingSaysWhy(t *testing.T) {
	usual := strings.TrimSuffix(strings.TrimPrefix(keys("mine"), `{"keys":[`), "]}")
	with := func(member string) string { return strings.Replace(usual, `"use":"sig"`, member, 1) }
	rsaKey := func(bytes int) string {
		n := slices.Repeat([]byte{0xff}, bytes) // odd, and of that many bits
		return `{"kty":"RSA","kid":"mine","use":"sig","alg":"RS256","e":"AQAB","n":"` + base64.RawURLEncoding.EncodeToString(n) + `"}`
	}
	for name, row := range map[string]struct{ key, want string }{ // "": it is used
		"for signatures":               {usual, ""},
		"no use":                       {with(`"note":1`), ""},
		"for encryption":               {with(`"use":"enc"`), `its use is "enc", not sig`},
		"for something else":           {with(`"use":"tls"`), `its use is "tls", not sig`},
		"key_ops with verify":          {with(`"key_ops":["sign","verify"]`), ""},
		"key_ops without verify":       {with(`"key_ops":["encrypt","wrapKey"]`), `its key_ops are ["encrypt" "wrapKey"], without verify`},
		"no operation at all":          {with(`"use":"sig","key_ops":[]`), "without verify"},
		"use says sig, key_ops do not": {with(`"use":"sig","key_ops":["decrypt"]`), "without verify"},
		"key_ops null":                 {with(`"key_ops":null`), ""},
		"4,096 bits":                   {rsaKey(512), ""},
		"8,192 bits":                   {rsaKey(1024), ""},
		"16,384 bits":                  {rsaKey(2048), ""},
		"more":                         {rsaKey(2049), "it is no key that wiemu knows (kty RSA, alg RS256)"},
		"large, and for encryption":    {strings.Replace(rsaKey(1024), "sig", "enc", 1), `its use is "enc"`},
		"large, with a private part":   {strings.Replace(rsaKey(1024), `"e"`, `"d":"AQAB","e"`, 1), "it is no key"},
		"large, with an even exponent": {strings.Replace(rsaKey(1024), "AQAB", "AQAC", 1), "it is no key"},
		"large, with a large exponent": {strings.Replace(rsaKey(1024), "AQAB", "AQAAAAAB", 1), "it is no key"},
		"large, and not in base64url":  {strings.Replace(rsaKey(1024), `"n":"`, `"n":"=`, 1), "it is no key"},
		"of another kind":              {`{"kty":"new","kid":"mine"}`, "it is no key that wiemu knows (kty new, alg none)"},
		"secret":                       {`{"kty":"oct","kid":"mine","k":"c2VjcmV0"}`, "it is not a public key"},
	} {
		t.Run(name, func(t *testing.T) {
			n := cluster()
			n.says(jwksURL, `{"keys":[`+row.key+`]}`)
			s, _ := source(n, Options{})
			key, err := s.Key(t.Context(), issuer, "mine")
			switch {
			case row.want == "":
				if _, ok := key.Key.(*rsa.PublicKey); !ok || err != nil {
					t.Errorf("got %T, %v", key.Key, err)
				}
			case !errors.Is(err, ErrNoSuchKey) || !strings.Contains(err.Error(), "it is in the key set, and verifies nothing: ") || !strings.Contains(err.Error(), row.want):
				t.Errorf("%v, want %q", err, row.want)
			}
		})
	}
}

func TestKeyAtNeedsNoDiscovery(t *testing.T) {
	n := cluster("k1")
	s, _ := source(n, Options{})
	if _, err := s.KeyAt(t.Context(), jwksURL, "k1"); err != nil {
		t.Error(err)
	}
	if n.asked[discoveryURL] != 0 || n.asked[jwksURL] != 1 {
		t.Errorf("asked %v", n.asked)
	}
	for _, address := range []string{"http://cluster.wiemu.test/keys", "file:///etc/passwd", "https://user:secret@x.test/", ""} {
		if _, err := s.KeyAt(t.Context(), address, "k1"); !errors.Is(err, ErrUnreachable) {
			t.Errorf("%q: %v", address, err)
		}
	}
}

// However many ask at once, one of them fetches, and one who gives up does not
// take the answer from the others.
func TestManyAskersOneFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := cluster("k1")
		release := make(chan struct{})
		n.does(discoveryURL, func() (*http.Response, error) {
			<-release
			return response(200, discovery(nil)), nil
		})
		s, _ := source(n, Options{})
		impatient, cancel := context.WithCancel(t.Context())
		gaveUp := make(chan error, 1)
		go func() {
			_, err := s.Keys(impatient, issuer)
			gaveUp <- err
		}()
		synctest.Wait()
		var patient sync.WaitGroup
		for range 50 {
			patient.Go(func() {
				if _, err := s.Key(t.Context(), issuer, "k1"); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		cancel()
		if err := <-gaveUp; !errors.Is(err, context.Canceled) || !errors.Is(err, ErrUnreachable) {
			t.Errorf("who gave up got %v", err)
		}
		close(release)
		patient.Wait()
		if n.asked[discoveryURL] != 1 || n.asked[jwksURL] != 1 {
			t.Errorf("asked %v", n.asked)
		}
	})
}

func TestAnIssuerThatHangsIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clk := clock.Stopped(time.Now())
		hang := roundTripper(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		begin := time.Now()
		_, err := New(clk, Options{Transport: hang}).Keys(t.Context(), issuer)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != DefaultTimeout {
			t.Errorf("after %v: %v", time.Since(begin), err)
		}
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestFetchesAreWrittenDown(t *testing.T) {
	n := cluster("k1")
	s, clk := source(n, Options{})
	j, err := journals.New(clk, journals.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.opts.Journal = j
	_, _ = s.Keys(t.Context(), issuer)
	advance(t, clk, time.Minute)
	delete(n.answers, discoveryURL)
	_, _ = s.Key(t.Context(), issuer, "k2")
	events := j.Events()
	if len(events) != 2 {
		t.Fatalf("%d events", len(events))
	}
	if e := events[0]; e.Kind != journal.Discovery || e.Outcome != journal.OK || e.Issuer != issuer || e.Host != "cluster.wiemu.test" || e.Path != "/a/.well-known/openid-configuration" || e.Detail["kids"] != "k1" {
		t.Errorf("first %+v", e)
	}
	if e := events[1]; e.Outcome != journal.Failed || e.Detail["reason"] != "unknown kid" || !strings.Contains(e.Message, "no such host") {
		t.Errorf("second %+v", e)
	}
}

func TestWithoutANetwork(t *testing.T) {
	s := New(clock.Stopped(time.Now()), Options{})
	if _, err := s.Keys(t.Context(), issuer); !errors.Is(err, ErrUnreachable) {
		t.Error(err)
	}
}

func FuzzDocuments(f *testing.F) {
	f.Add([]byte(discovery(nil)), []byte(keys("k1", "k2")))
	f.Add([]byte(`{"issuer":1}`), []byte(`{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"},{"kty":"RSA","x5c":["AA=="]}]}`))
	f.Fuzz(func(t *testing.T, doc, set []byte) {
		if d, err := parseDocument(doc, issuer); err == nil && (d.Issuer != issuer || !strings.HasPrefix(d.JWKS, "https://")) {
			t.Errorf("accepted %s", doc)
		}
		found, _, err := parseKeys(set)
		for _, key := range found {
			if err != nil || !key.IsPublic() {
				t.Errorf("accepted %s", set)
			}
		}
	})
}
