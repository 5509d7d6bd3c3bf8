package main

import (
	"context"
	"net"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// The link that the server prints opens the console where its port is published, whichever
// address of the container the connection comes to: that of its network, to which docker run -p
// leads, or loopback, to which kubectl port-forward does. So does another one, printed beside it.
func TestThePrintedLinkOpensTheConsoleWhereItsPortIsPublished(t *testing.T) {
	const published = "127.0.0.1:19444"
	s := newService(t)
	_, port, err := net.SplitHostPort(s.address(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.path("wiemu.yaml"), []byte(`listen: {control: "0.0.0.0:`+port+`"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	s.start(t, "-console", published)
	at := slices.IndexFunc(s.said, func(line string) bool { return strings.HasPrefix(line, "console http://"+published+"/") })
	if at < 0 {
		t.Fatalf("it says %q, want a link at %s", s.said, published)
	}
	link := strings.TrimPrefix(s.said[at], "console ")
	for n, address := range append(ownAddresses(t), "127.0.0.1") {
		if n > 0 {
			link = s.anotherLink(t, "127.0.0.1:"+port, published)
		}
		client := reaching(t, net.JoinHostPort(address, port))
		resp, err := client.Get(link)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK || resp.Request.URL.Host != published {
			t.Fatalf("by %s the link is answered with %s at %s", address, resp.Status, resp.Request.URL)
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, resp.Request.URL.String()+"api/v1/clock/advance", strings.NewReader(`{"by":"1h"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Origin", "http://"+published)
		moved, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = moved.Body.Close()
		if moved.StatusCode != http.StatusOK {
			t.Errorf("by %s a page that changes the lab is answered with %s", address, moved.Status)
		}
	}
}

// ownAddresses are addresses of this machine that are not loopback's: one, if there is one.
func ownAddresses(t *testing.T) []string {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && !n.IP.IsLoopback() {
			return []string{n.IP.String()}
		}
	}
	return nil
}

// reaching is a browser whose connections all lead to one address.
func reaching(t *testing.T, address string) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Jar: jar, Transport: transport, Timeout: time.Minute}
}

// anotherLink is what wiemu-server -link prints, of a control endpoint, as it is published.
func (s *service) anotherLink(t *testing.T, endpoint, published string) string {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, "-state", s.path("state"), "-link", endpoint)
	cmd.Env = append(os.Environ(), asServer+"=1")
	out, err := cmd.Output()
	link, ok := strings.CutPrefix(strings.TrimSpace(string(out)), "console http://"+endpoint)
	if err != nil || !ok {
		t.Fatalf("%s, %v", out, err)
	}
	return "http://" + published + link
}

func TestAnotherLinkNeedsTheStateOfTheServer(t *testing.T) {
	for _, row := range []struct{ state, want string }{
		{"", "expected -state"}, {privateDir(t), "expected the file control-token"},
	} {
		if err := printAnotherLink(t.Context(), row.state, "127.0.0.1:1"); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("with -state %q: %v, want %s", row.state, err, row.want)
		}
	}
}
