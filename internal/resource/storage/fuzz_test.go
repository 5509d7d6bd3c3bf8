package storage

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func FuzzKeyInfo(f *testing.F) {
	for _, seed := range []string{
		"<KeyInfo><Start>2031-03-04T05:06:07Z</Start><Expiry>2031-03-05T05:06:07Z</Expiry></KeyInfo>",
		"<?xml version='1.0' encoding='utf-8'?>\n<KeyInfo><Expiry>2031-03-05</Expiry><DelegatedUserTid>x</DelegatedUserTid></KeyInfo>",
		"<KeyInfo>", "<!DOCTYPE x [<!ENTITY a 'b'>]><KeyInfo>&a;</KeyInfo>", "\ufeff<KeyInfo/>", "<KeyInfo/><KeyInfo/>", "",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		asked, r := readKeyInfo(bytes.NewReader(body))
		if r == nil && asked.XMLName.Local != "KeyInfo" {
			t.Errorf("%q was read as %+v", body, asked)
		}
		if r != nil && (r.Status < 400 || r.Code == "" || r.meaning == "") {
			t.Errorf("%q is refused without a reason: %+v", body, r)
		}
	})
}

// What is signed has all parameters, so that none can be changed.
func FuzzStringToSign(f *testing.F) {
	f.Add("sv=2026-04-06&sr=b&sp=r&st=a&se=b&skoid=c&sktid=d&skt=e&ske=f&sks=b&skv=g&srh=x&srq=y,z&sig=h", "inbox", "a/b")
	f.Add("sv=2018-11-09&sr=c&sp=rl&snapshot=x&rscc=a%0Ab", "", "")
	f.Add("sv=&sr=bv&versionid=1;2&%zz", "$root", "x")
	f.Fuzz(func(t *testing.T, query, container, name string) {
		q, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		text := stringToSign(q, Target{Account: "orders", Service: Blob, Container: container, Name: name}, http.Header{})
		for _, parameter := range []string{"sp", "st", "se", "skoid", "sktid", "skt", "ske", "sks", "skv", "sip", "spr", "sv", "sr", "rscc", "rscd", "rsce", "rscl", "rsct"} {
			if !strings.Contains(text, q.Get(parameter)) {
				t.Errorf("%s is not signed in %q", parameter, text)
			}
		}
		target := "/" + url.PathEscape(container) + "/" + url.PathEscape(name) + "?" + query
		if stripped := withoutSAS(target); withoutSAS(stripped) != stripped || strings.Contains(stripped, "&sig=") {
			t.Errorf("%s is stripped to %s", target, stripped)
		}
	})
}

func FuzzBatch(f *testing.F) {
	f.Add([]byte("--b\r\nContent-ID: 0\r\n\r\nDELETE /inbox/a?x=1 HTTP/1.1\r\nx-ms-version: 1\r\n\r\n\r\n--b--\r\n"), "b")
	f.Add([]byte("--b\r\n\r\nDELETE  HTTP/1.1\r\n"), "b")
	f.Add([]byte("--=\r\n\r\nhello\r\n--=--"), "=")
	f.Add([]byte(""), "")
	f.Fuzz(func(t *testing.T, body []byte, boundary string) {
		outer := httptest.NewRequest(http.MethodPost, "https://orders.blob.core.windows.net/?comp=batch", nil)
		parts, err := splitBatch(body, boundary, outer)
		if err == nil && (len(parts) == 0 || len(parts) > maxRequests) {
			t.Errorf("%d requests were read", len(parts))
		}
		if err != nil && len(parts) > 0 {
			t.Errorf("%v, and %d requests", err, len(parts))
		}
		for _, p := range parts {
			if p.request.Host != outer.Host || !strings.HasPrefix(p.request.RequestURI, "/") {
				t.Errorf("%+v", p.request)
			}
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"/inbox/a%2Fb//c?comp=block", "/", "", "https://x/y/z", "//", "/%", "/a(PartitionKey='x')", "*"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		for _, s := range services() {
			target, q := parse("orders", s, uri)
			if target.Account != "orders" || target.Service != s || q == nil {
				t.Errorf("%q: %+v", uri, target)
			}
			find(&http.Request{Method: http.MethodGet, Header: http.Header{}}, target, q)
		}
	})
}
