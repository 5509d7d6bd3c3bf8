package gateway

import (
	"bufio"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestClearText(t *testing.T) {
	outside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "outside: %s %s%s %v", r.Method, r.Host, r.RequestURI, r.Header["Proxy-Connection"])
	}))
	t.Cleanup(outside.Close)
	d := &outsideDial{to: strings.TrimPrefix(outside.URL, "http://")}
	g, _ := started(t, Config{Dial: d.dial, AllowHosts: []string{"allowed.example"}})
	for _, test := range []struct {
		line, want string
		status     int
		escape     bool
	}{
		{"GET http://allowed.example/A//b?c HTTP/1.1\r\nProxy-Connection: keep-alive", "outside: GET allowed.example/A//b?c []", 200, false},
		{"GET http://ALLOWED.example:81/ HTTP/1.1", "outside: GET ALLOWED.example:81/", 200, false},
		{"GET http://127.0.0.1:9/ HTTP/1.1", "outside: GET 127.0.0.1:9/", 200, false},
		{"GET http://localhost/ HTTP/1.0", "outside: GET localhost/", 200, false},
		{"GET http://login.microsoftonline.com/x HTTP/1.1", "over TLS only", 403, false},
		{"GET https://login.microsoftonline.com/x HTTP/1.1", "use https with a CONNECT", 403, false},
		{"POST http://login.microsoftonline.com:8080/x HTTP/1.1", "on port 443 only", 403, true},
		{"GET http://example.com/x HTTP/1.1", "--allow-host example.com", 403, true},
		{"GET http://169.254.169.254/metadata/identity/oauth2/token HTTP/1.1", "workload identity", 403, true},
		{"GET http://allowed.example.example.com/ HTTP/1.1", "", 403, true},
		{"GET http://user@example.com/ HTTP/1.1", "", 403, true},
		{"GET https://allowed.example/ HTTP/1.1", "ask it for a tunnel with CONNECT allowed.example:443", 400, false},
		{"GET https://localhost:8443/ HTTP/1.1", "ask it for a tunnel with CONNECT localhost:8443", 400, false},
		{"GET ftp://127.0.0.1:21/ HTTP/1.1", "forwards http URLs only", 400, false},
		{"GET https://example.com/ HTTP/1.1", "--allow-host example.com", 403, true},
		{"GET ftp://allowed.example/ HTTP/1.1", "expected an http URL", 400, false},
		{"GET / HTTP/1.1", "This is wiemu's proxy", 400, false},
		{"OPTIONS * HTTP/1.1", "This is wiemu's proxy", 400, false},
		{"GET http:/// HTTP/1.1", "", 400, false},
		{"GET http://a..b/ HTTP/1.1", "", 400, false},
		{"GET http://example.com:99999/ HTTP/1.1", "", 400, false},
	} {
		t.Run(test.line, func(t *testing.T) {
			escapes := g.Escapes()
			conn := dialProxy(t, g)
			fmt.Fprintf(conn, "%s\r\nHost: allowed.example\r\n\r\n", test.line)
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			if body := readBody(t, response); response.StatusCode != test.status || !strings.Contains(body, test.want) {
				t.Errorf("%d %s, want %d %s", response.StatusCode, body, test.status, test.want)
			}
			if escaped := g.Escapes() - escapes; (escaped == 1) != test.escape {
				t.Errorf("%d escapes, want %t", escaped, test.escape)
			}
		})
	}
}
