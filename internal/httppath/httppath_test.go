package httppath_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/gorilla/mux"

	"github.com/wiemu/wiemu/internal/httppath"
)

func TestFold(t *testing.T) {
	for _, test := range []struct {
		name, target, path, original string
	}{
		{"as it should be", "/contoso/oauth2/v2.0/token", "/contoso/oauth2/v2.0/token", "/contoso/oauth2/v2.0/token"},
		{"in capitals", "/Contoso/OAuth2/V2.0/Token", "/contoso/oauth2/v2.0/token", "/Contoso/OAuth2/V2.0/Token"},
		{"doubled slashes", "//contoso///oauth2//token", "/contoso/oauth2/token", "/contoso/oauth2/token"},
		{"both", "//Contoso//oauth2/token", "/contoso/oauth2/token", "/Contoso/oauth2/token"},
		{"trailing slashes", "/a//", "/a/", "/a/"},
		{"the root", "/", "/", "/"},
		{"slashes alone", "///", "/", "/"},
		{"an escaped capital", "/%41b", "/ab", "/Ab"},
		{"encoded slashes", "/a%2F%2fb/C", "/a%2f%2fb/c", "/a%2F%2fb/C"},
		{"one in the first segment", "/..%2fTenant/oauth2/token", "/..%2ftenant/oauth2/token", "/..%2fTenant/oauth2/token"},
		{"one alone", "/%2F/x", "/%2f/x", "/%2F/x"},
		{"one beside other escapes", "/%41%2Fb%20c", "/a%2fb c", "/A%2Fb c"},
		{"an encoded percent sign", "/a%252fb", "/a%2fb", "/a%2fb"},
		{"a dot segment", "/x/../contoso/./oauth2/token", "/contoso/oauth2/token", "/contoso/oauth2/token"},
		{"one above the root", "/../../contoso/oauth2/token", "/contoso/oauth2/token", "/contoso/oauth2/token"},
		{"encoded ones", "/%2e%2E/contoso/%2e/oauth2/token", "/contoso/oauth2/token", "/contoso/oauth2/token"},
		{"one at the end", "/a/b/..", "/a/", "/a/"},
		{"one dot at the end", "/a/.", "/a/", "/a/"},
		{"dots between doubled slashes", "//a//..//B", "/b", "/B"},
		{"dots that are none", "/.well-known/..x/.../a.b/..%2f", "/.well-known/..x/.../a.b/..%2f", "/.well-known/..x/.../a.b/..%2f"},
		{"a letter that folds into ASCII", "/%E2%84%AAey", "/\u212aey", "/\u212aey"},
		{"bytes that are no UTF-8", "/%ff%FEA", "/\xff\xfea", "/\xff\xfeA"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var path, original string
			record := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				path, original = r.URL.Path, httppath.Original(r)
			})
			request := httptest.NewRequest("POST", "https://login.microsoftonline.com"+test.target, nil)
			sent := request.URL.Path
			for folds, handler := range []http.Handler{httppath.Fold(record), httppath.Fold(httppath.Fold(record))} {
				handler.ServeHTTP(httptest.NewRecorder(), request)
				if path != test.path || original != test.original {
					t.Errorf("folded %d times: path %q, original %q; want %q, %q", folds+1, path, original, test.path, test.original)
				}
			}
			if request.URL.Path != sent {
				t.Errorf("the caller's request was changed to %q", request.URL.Path)
			}
		})
	}
}

func TestSegment(t *testing.T) {
	request := httppath.Folded(httptest.NewRequest("GET", "https://h//Contoso/OAuth2//Token/", nil))
	for i, want := range []string{"Contoso", "OAuth2", "Token", "", ""} {
		if got := httppath.Segment(request, i); got != want {
			t.Errorf("segment %d is %q, want %q", i, got, want)
		}
	}
}

// A request that is made within another one has its own path.
func TestARequestWithinAnother(t *testing.T) {
	outer := httppath.Folded(httptest.NewRequest("POST", "https://h/V1.0/$batch", nil))
	ctx := httppath.WithoutOriginal(outer.Context())
	for _, path := range []string{"/v1.0/applications/Ab", "/v1.0/applications/ab"} {
		inner := httppath.Folded(httptest.NewRequestWithContext(ctx, "GET", "https://h"+path, nil))
		if got := httppath.Original(inner); got != path {
			t.Errorf("%s within another one is %s", path, got)
		}
	}
}

func TestNothingToFoldCostsNothing(t *testing.T) {
	request := httptest.NewRequest("GET", "https://h/contoso/oauth2/token", nil)
	if n := testing.AllocsPerRun(100, func() { httppath.Folded(request) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzFold(f *testing.F) {
	f.Add("/Contoso//oauth2/token")
	f.Add("//")
	f.Add("/..%2fContoso/../x/%2e%2e//.")
	f.Fuzz(func(t *testing.T, path string) {
		request := httptest.NewRequest("GET", "https://h/", nil)
		if u, err := url.ParseRequestURI("https://h/" + path); err == nil {
			request.URL = u
		} else {
			request.URL.Path = path
		}
		once := httppath.Folded(request)
		if twice := httppath.Folded(once); twice.URL.Path != once.URL.Path {
			t.Errorf("%q folds to %q and then to %q", path, once.URL.Path, twice.URL.Path)
		}
		if strings.Contains(once.URL.Path, "//") || strings.ContainsAny(once.URL.Path, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") || strings.Contains(once.URL.Path+"/", "/../") && strings.HasPrefix(once.URL.Path, "/") {
			t.Errorf("%q folds to %q", path, once.URL.Path)
		}
		for i := range 4 {
			httppath.Segment(once, i)
		}
	})
}

func BenchmarkFold(b *testing.B) {
	for name, target := range map[string]string{"plain": "/contoso/oauth2/v2.0/token", "folding": "//Contoso//oauth2/v2.0/token"} {
		b.Run(name, func(b *testing.B) {
			request := httptest.NewRequest("POST", "https://h"+target, nil)
			b.ReportAllocs()
			for b.Loop() {
				httppath.Folded(request)
			}
		})
	}
}

// A router behind Fold has its routes in lower case and asks Segment for the
// spelling of what varies.
func ExampleFold() {
	router := mux.NewRouter().SkipClean(true)
	router.HandleFunc("/{tenant}/oauth2/v2.0/token", func(_ http.ResponseWriter, r *http.Request) {
		fmt.Println(r.Method, httppath.Segment(r, 0))
	})
	request := httptest.NewRequest("POST", "https://login.microsoftonline.com//Contoso.onmicrosoft.com//OAuth2/v2.0/token", nil)
	httppath.Fold(router).ServeHTTP(httptest.NewRecorder(), request)
	// Output: POST Contoso.onmicrosoft.com
}
