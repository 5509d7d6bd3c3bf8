package externaljwt

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"k8s.io/externaljwt/apis/v1"
)

func TestCallsThatAreNoneAreRefused(t *testing.T) {
	p := procedures{"/echo": func(_ context.Context, request []byte) ([]byte, error) { return request, nil },
		"/fail": func(context.Context, []byte) ([]byte, error) { return nil, errors.New("100 % \n") }}
	for _, test := range []struct {
		name, method, path, contentType, body string
		http                                  int
		status, message                       string
	}{
		{"a call", "POST", "/echo", "application/grpc", "\x00\x00\x00\x00\x02ab", 200, "0", ""},
		{"a call with the codec's name", "POST", "/echo", "application/grpc+proto", "\x00\x00\x00\x00\x00", 200, "0", ""},
		{"a page", "GET", "/echo", "", "", 415, "", ""},
		{"JSON", "POST", "/echo", "application/json", "{}", 415, "", ""},
		{"an unknown method", "POST", "/other", "application/grpc", "\x00\x00\x00\x00\x00", 200, "12", "unknown%20method%20%2Fother"},
		{"no message", "POST", "/echo", "application/grpc", "", 200, "13", "expected%20a%20message:%20EOF"},
		{"half a prefix", "POST", "/echo", "application/grpc", "\x00\x00", 200, "13", "expected%20a%20message:%20unexpected%20EOF"},
		{"half a message", "POST", "/echo", "application/grpc", "\x00\x00\x00\x00\x05ab", 200, "13", "expected%20a%20message%20of%205%20bytes:%20unexpected%20EOF"},
		{"two messages", "POST", "/echo", "application/grpc", "\x00\x00\x00\x00\x01ab", 200, "13", "expected%20one%20message%2C%20found%20more"},
		{"a compressed one", "POST", "/echo", "application/grpc", "\x01\x00\x00\x00\x01a", 200, "12", "compressed%20messages%20are%20not%20supported"},
		{"a long one", "POST", "/echo", "application/grpc", "\x00\xff\xff\xff\xffa", 200, "8", "expected%20a%20message%20of%20at%20most%204194304%20bytes%2C%20found%20one%20of%204294967295"},
		{"an error", "POST", "/fail", "application/grpc", "\x00\x00\x00\x00\x00", 200, "13", "100%20%25%20%0A"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := httptest.NewRequest(test.method, test.path, strings.NewReader(test.body))
			r.Header.Set("Content-Type", test.contentType)
			w := httptest.NewRecorder()
			p.ServeHTTP(w, r)
			got := w.Result()
			body, _ := io.ReadAll(got.Body)
			if got.StatusCode != test.http || got.Trailer.Get("Grpc-Status") != test.status || got.Trailer.Get("Grpc-Message") != test.message {
				t.Errorf("HTTP %d, status %s, message %q", got.StatusCode, got.Trailer.Get("Grpc-Status"), got.Trailer.Get("Grpc-Message"))
			}
			want := ""
			if test.status == "0" {
				want = test.body
			}
			if got.StatusCode == http.StatusOK && string(body) != want {
				t.Errorf("the body is %q, expected %q", body, want)
			}
		})
	}
}

// FuzzClaims: a request to sign has the claims that the generated code finds in it.
func FuzzClaims(f *testing.F) {
	request, err := proto.Marshal(&v1.SignJWTRequest{Claims: "e30"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(request)
	f.Add(append(bytes.Clone(request), request...))
	f.Add([]byte("\x12\x01a\x0a\x01b"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var want v1.SignJWTRequest
		if proto.Unmarshal(data, &want) != nil {
			_, _ = stringField(data, 1)
			return
		}
		if got, err := stringField(data, 1); err != nil || got != want.Claims {
			t.Errorf("found %q %v, expected %q", got, err, want.Claims)
		}
	})
}
