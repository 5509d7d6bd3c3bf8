package server_test

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/internal/lab"
	"github.com/wiemu/wiemu/internal/managedidentity"
	"github.com/wiemu/wiemu/internal/server"
)

// The conversation of azidentity with a virtual machine's metadata service, as
// Azure/kubelogin recorded it, member for member and header for header.
func TestRecordedIMDS(t *testing.T) {
	root := os.Getenv("WIEMU_REFERENCE")
	if root == "" {
		if os.Getenv("WIEMU_REQUIRE") != "" {
			t.Fatal("WIEMU_REQUIRE is set, but WIEMU_REFERENCE does not say where the recordings are")
		}
		t.Skip("left out: WIEMU_REFERENCE does not say where the recordings are")
	}
	data, err := os.ReadFile(filepath.Join(root, "recorded", "kubelogin-managedidentity_credential.yaml"))
	must(t, err)
	var recording struct {
		Interactions []struct {
			Request struct {
				Method, URL string
				Headers     http.Header
			}
			Response struct {
				Code    int
				Body    string
				Headers http.Header
			}
		}
	}
	must(t, yaml.Unmarshal(data, &recording))
	i := recording.Interactions[0]
	at, err := http.ParseTime(i.Response.Headers.Get("Date"))
	must(t, err)
	target, err := url.Parse(i.Request.URL)
	must(t, err)

	e := start(t, server.Options{Options: lab.Options{Clock: clock.Stopped(at)}, Config: config.Config{
		Identities: []config.Identity{{Principal: config.Principal{Name: "web", ClientID: target.Query().Get("client_id")}}},
	}})
	machine, err := e.AddMachine(lab.Machine{Kind: managedidentity.IMDS, Name: "dev/web-sa", ClientID: target.Query().Get("client_id")})
	must(t, err)
	headers := []string{}
	for name, values := range i.Request.Headers {
		headers = append(headers, name, values[0])
	}
	resp, body := ask(t, http.DefaultClient, "http://"+machine.Address+target.RequestURI(), headers...)
	if resp.StatusCode != i.Response.Code {
		t.Fatalf("status %d, recorded %d: %s", resp.StatusCode, i.Response.Code, body)
	}
	// What must differ: the token, and with it the length.
	if got := regexp.MustCompile(`"access_token":"[^"]+"`).ReplaceAllString(body, `"access_token":"TEST_ACCESS_TOKEN"`); got != i.Response.Body {
		t.Errorf("got      %s\nrecorded %s", got, i.Response.Body)
	}
	if resp.Header.Get("Content-Length") != strconv.Itoa(len(body)) {
		t.Errorf("Content-Length %s of %d bytes", resp.Header.Get("Content-Length"), len(body))
	}
	for name := range resp.Header {
		if want := i.Response.Headers[name]; name != "Content-Length" && !slices.Equal(resp.Header[name], want) {
			t.Errorf("%s: %q, recorded %q", name, resp.Header[name], want)
		}
	}
	for name := range i.Response.Headers {
		if resp.Header[name] == nil {
			t.Errorf("%s is missing", name)
		}
	}
	if !strings.HasPrefix(resp.Header.Get("Date"), at.Format(time.RFC1123)[:16]) {
		t.Errorf("Date: %s", resp.Header.Get("Date"))
	}
}
