package entra_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/wiemu/wiemu/emulator/directory"
)

// reference finds a recording of the real Entra ID. Recordings are not part of
// the repository; WIEMU_REFERENCE says where they are, and WIEMU_REQUIRE that
// they must be there.
func reference(t *testing.T, name string) []byte {
	t.Helper()
	root := os.Getenv("WIEMU_REFERENCE")
	if root == "" {
		if os.Getenv("WIEMU_REQUIRE") != "" {
			t.Fatal("WIEMU_REQUIRE is set, but WIEMU_REFERENCE does not say where the recordings are")
		}
		t.Skip("left out: WIEMU_REFERENCE does not say where the recordings of Entra ID are")
	}
	data, err := os.ReadFile(filepath.Join(root, "recorded", name))
	must(t, err)
	return data
}

// recording is what go-vcr writes.
type recording struct {
	Interactions []struct {
		Request struct {
			Method, URL string
			Form        url.Values
			Headers     http.Header
		}
		Response struct {
			Code    int
			Body    string
			Headers http.Header
		}
	}
}

// mustDiffer are the headers whose values cannot be the recorded ones, each with
// the reason; the recorder itself left out the request id and the cookies.
var mustDiffer = map[string]string{
	"Date":                                "the gateway's, on the lab clock",
	"Content-Length":                      "another token, another tenant",
	"X-Ms-Ests-Server":                    "another server",
	"Content-Security-Policy-Report-Only": "a nonce in it",
}

var notRecorded = []string{"X-Ms-Request-Id", "Set-Cookie"}

func TestRecordedConversations(t *testing.T) {
	const recordedTenant = "00000000-0000-0000-0000-000000000000"
	for _, file := range []string{"kubelogin-workloadidentity_credential.yaml", "kubelogin-client_secret_credential.yaml"} {
		t.Run(file, func(t *testing.T) {
			var r recording
			must(t, yaml.Unmarshal(reference(t, file), &r))
			if len(r.Interactions) != 3 {
				t.Fatalf("%d interactions", len(r.Interactions))
			}
			l := newLab(t)
			for _, i := range r.Interactions {
				a := l.federated()
				if i.Request.Form.Has("client_secret") {
					a = l.withSecret()
				}
				for name, values := range i.Request.Form {
					if values[0] != "[REDACTED]" {
						a.form[name] = values
					}
				}
				request := a.request()
				request.Method, request.Header = i.Request.Method, i.Request.Headers
				target, err := url.Parse(i.Request.URL)
				must(t, err)
				isDiscovery := strings.HasPrefix(target.Path, "/common/")
				if !isDiscovery {
					target.Path = strings.Replace(target.Path, recordedTenant, tenantID, 1)
				}
				request.URL, request.Host = target, target.Host
				recorder := httptest.NewRecorder()
				l.handler.ServeHTTP(recorder, request)

				if recorder.Code != i.Response.Code {
					t.Fatalf("%s: status %d, recorded %d: %s", target.Path, recorder.Code, i.Response.Code, recorder.Body)
				}
				got, want := recorder.Body.String(), i.Response.Body
				if strings.Contains(want, "access_token") { // go-vcr sorted the members
					got = sorted(t, regexp.MustCompile(`"access_token":"[^"]+"`).ReplaceAllString(got, `"access_token":"TEST_ACCESS_TOKEN"`))
				} else if !isDiscovery {
					got = strings.ReplaceAll(got, tenantID, recordedTenant)
					want = strings.Replace(want, `"tenant_region_scope":"NA"`, `"tenant_region_scope":"WW"`, 1) // the recorded tenants' own
				}
				if got != want {
					t.Errorf("%s:\ngot      %s\nrecorded %s", target.Path, got, want)
				}
				compareHeaders(t, target.Path, recorder.Header(), i.Response.Headers)
			}
		})
	}
}

func compareHeaders(t *testing.T, where string, got, recorded http.Header) {
	t.Helper()
	for name, want := range recorded {
		if _, different := mustDiffer[name]; different {
			if name != "Date" && got.Get(name) == "" {
				t.Errorf("%s: header %s is missing", where, name)
			}
		} else if !slices.Equal(got[name], want) {
			t.Errorf("%s: header %s is %q, recorded %q", where, name, got[name], want)
		}
	}
	for name := range got {
		if _, known := recorded[name]; !known && !slices.Contains(notRecorded, name) {
			t.Errorf("%s: header %s was not recorded", where, name)
		}
	}
}

func sorted(t *testing.T, object string) string {
	t.Helper()
	var members map[string]any
	must(t, json.Unmarshal([]byte(object), &members))
	return string(marshal(members))
}

func TestRecordedReplies(t *testing.T) {
	for _, r := range []struct {
		file string
		do   func(*attempt)
	}{
		{"token-client-credentials", func(*attempt) {}},
		{"token-error-invalid-client", func(a *attempt) { a.form.Set("client_secret", "wrong") }},
		{"token-error-invalid-scope", func(a *attempt) { a.form.Set("scope", "api://not-a-registered-resource/.default") }},
		{"token-error-unknown-client", func(a *attempt) { a.form.Set("client_id", "00000000-0000-0000-0000-000000000000") }},
		{"token-error-unsupported-grant-type", func(a *attempt) { a.form.Set("grant_type", "no_such_grant") }},
	} {
		t.Run(r.file, func(t *testing.T) {
			var recorded struct {
				Response struct {
					Status int
					Body   json.RawMessage
				}
			}
			must(t, json.Unmarshal(reference(t, filepath.Join("entra-2026-08", r.file+".json")), &recorded))
			var want strings.Builder
			compacted := regexp.MustCompile(`\n\s*`).ReplaceAllString(string(recorded.Response.Body), "")
			want.WriteString(strings.ReplaceAll(compacted, `": `, `":`))

			l := newLab(t)
			a := l.withSecret()
			r.do(a)
			got := l.send(t, a)
			if got.status != recorded.Response.Status {
				t.Errorf("status %d, recorded %d", got.status, recorded.Response.Status)
			}
			if normalised := normalise(got.raw); normalised != want.String() {
				t.Errorf("got      %s\nrecorded %s", normalised, want.String())
			}
		})
	}
}

// normalise puts in what the recordings have instead of ids, times and tokens.
// The capture's tenant had no display name, or its capturer took it for the id.
func normalise(body string) string {
	body = strings.NewReplacer(appID, "{daemon-app-id}", tenantID, "{tenant-id}").Replace(body)
	body = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`).ReplaceAllString(body, "{guid}")
	body = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ`).ReplaceAllString(body, "{timestamp}")
	body = regexp.MustCompile(`(expires_in":)\d+`).ReplaceAllString(body, `$1"{seconds}"`)
	return regexp.MustCompile(`eyJ[^"]+`).ReplaceAllString(body, "{redacted-jwt}")
}

func TestRecordedClaimsOfV2Tokens(t *testing.T) {
	var recorded struct {
		Header     map[string]any
		ClaimNames []string
		Structural map[string]any
	}
	must(t, json.Unmarshal(reference(t, "entra-2026-08/token-claims-client-credentials.json"), &recorded))
	l := newLab(t)
	must(t, l.directory.Update(tenantID, appID, func(p *directory.Principal) error { p.AppRoles = nil; return nil }))
	a := l.withSecret()
	a.form.Set("scope", apiID+"/.default")
	header, claims, _, text := decode(t, l.send(t, a).Token)
	got := names(text)
	slices.Sort(got)
	if !slices.Equal(got, recorded.ClaimNames) {
		t.Errorf("claims %v\nrecorded %v", got, recorded.ClaimNames)
	}
	for name, want := range recorded.Header {
		if want != "{kid}" && header[name] != want {
			t.Errorf("header %s is %v, recorded %v", name, header[name], want)
		}
	}
	for name, want := range recorded.Structural {
		if s, ok := want.(string); ok {
			want = strings.NewReplacer("{tenant-id}", tenantID, "{daemon-app-id}", apiID).Replace(s)
		}
		if claims[name] != want {
			t.Errorf("%s is %v, recorded %v", name, claims[name], want)
		}
	}
}
