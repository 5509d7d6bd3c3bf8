package issuer

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// kubectlRequest is what kubectl 1.37.2 sent for
//
//	kubectl create token web-sa --audience api://AzureADTokenExchange --duration 10m
//	  --bound-object-kind Pod --bound-object-name p --bound-object-uid u
func kubectlRequest(t testing.TB) []byte {
	t.Helper()
	data, err := hex.DecodeString("6b3873000a280a1861757468656e7469636174696f6e2e6b38732e696f2f7631" +
		"120c546f6b656e52657175657374124a0a100a0012001a0022002a0032003800420012300a1a6170693a2f2f417a757265" +
		"4144546f6b656e45786368616e67651a0f0a03506f64120276311a017022017520d804" +
		"1a040a0012001a002200")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestKubectlsProtobufIsRead(t *testing.T) {
	var got tokenRequest
	if refused := parseProtobuf(kubectlRequest(t), "TokenRequest", &got.typeMeta, &got); refused != nil {
		t.Fatal(refused)
	}
	if got.Kind != "TokenRequest" || got.APIVersion != "authentication.k8s.io/v1" || !slices.Equal(got.Spec.Audiences, []string{exchange}) || *got.Spec.ExpirationSeconds != 600 {
		t.Errorf("got %+v", got)
	}
	if want := (BoundObject{"Pod", "v1", "p", "u"}); *got.Spec.BoundObjectRef != want {
		t.Errorf("got %+v, want %+v", *got.Spec.BoundObjectRef, want)
	}
}

func TestProtobufRequestsAreAnswered(t *testing.T) {
	c := newCluster(t, testURL, Options{})
	metadata := message(text(1, account), text(3, namespace), text(5, c.ServiceAccounts()[0].UID))
	token := c.mint(t, TokenRequest{Audiences: []string{exchange}})
	for _, row := range []struct {
		name, path string
		body       []byte
		code       int
		want       string
	}{
		{"a request with metadata", tokenPath, envelope("TokenRequest", message(field(1, metadata), field(2, message(text(1, "a"), text(1, "b"))))), 201, `"audiences":["a","b"],"expirationSeconds":3600`},
		{"599 seconds", tokenPath, envelope("TokenRequest", message(field(2, message(varint(4, 599))))), 422, "Invalid value: 599"},
		{"a negative number", tokenPath, envelope("TokenRequest", message(field(2, message(varint(4, ^uint64(0)))))), 422, "Invalid value: -1"},
		{"fields that are not known", tokenPath, envelope("TokenRequest", message(varint(99, 1), text(98, "x"), append(binary.AppendUvarint(nil, 97<<3|1), 1, 2, 3, 4, 5, 6, 7, 8), append(binary.AppendUvarint(nil, 96<<3|5), 1, 2, 3, 4))), 201, `"expirationSeconds":3600`},
		{"no message", tokenPath, envelope("TokenRequest", nil), 201, `"expirationSeconds":3600`},
		{"another kind", tokenPath, envelope("TokenReview", nil), 400, "TokenReview in version"},
		{"a review", reviewPath, envelope("TokenReview", message(field(2, message(text(1, token.Raw), text(2, exchange))))), 201, `"authenticated":true`},
		{"a review without a token", reviewPath, envelope("TokenReview", nil), 400, "token is required"},
		{"JSON", tokenPath, []byte("{}"), 400, "provided data does not appear to be a protobuf message"},
		{"an envelope cut short", tokenPath, envelope("TokenRequest", nil)[:20], 400, "unrecognized"},
		{"a message cut short", tokenPath, envelope("TokenRequest", []byte{0x12, 0x05}), 400, `TokenRequest in version \"v1\" cannot be handled as a TokenRequest`},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := call(t, c.Cluster(admin), http.MethodPost, row.path, string(row.body),
				"Content-Type", "application/vnd.kubernetes.protobuf", "Accept", "application/vnd.kubernetes.protobuf,application/json")
			if got.Code != row.code || !strings.Contains(got.Body.String(), row.want) || got.Header().Get("Content-Type") != "application/json" {
				t.Errorf("got %d %s\nwant %d with %s", got.Code, got.Body, row.code, row.want)
			}
		})
	}
}

// message, field, text and varint write protobuf.

func message(fields ...[]byte) []byte { return bytes.Join(fields, nil) }

func field(number int, value []byte) []byte {
	b := binary.AppendUvarint(nil, uint64(number)<<3|2)
	return append(binary.AppendUvarint(b, uint64(len(value))), value...)
}

func text(number int, value string) []byte { return field(number, []byte(value)) }

func varint(number int, value uint64) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(nil, uint64(number)<<3), value)
}

func envelope(kind string, raw []byte) []byte {
	meta := message(text(1, "authentication.k8s.io/v1"), text(2, kind))
	return message(protobufMagic, field(1, meta), field(2, raw), text(3, ""), text(4, ""))
}

// FuzzBody reads bodies of all kinds as both objects: no input may panic, and
// what was understood must be what JSON says of it again.
func FuzzBody(f *testing.F) {
	f.Add(kubectlRequest(f))
	f.Add([]byte(`{"kind":"TokenRequest","apiVersion":"authentication.k8s.io/v1","metadata":{"uid":"u","creationTimestamp":null},"spec":{"audiences":["a"],"expirationSeconds":600,"boundObjectRef":{"kind":"Pod","name":"p"}}}`))
	f.Add([]byte(`{"kind":"TokenReview","spec":{"token":"a.b.c","audiences":["a"]}}`))
	f.Add(envelope("TokenReview", message(field(2, message(text(1, "a.b.c"))))))
	f.Add([]byte("k8s\x00\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var request, again tokenRequest
		var review tokenReview
		if parseJSON(data, "TokenRequest", &request.typeMeta, &request) == nil {
			written, err := json.Marshal(request)
			if err != nil {
				t.Fatal(err)
			}
			if refused := parseJSON(written, "TokenRequest", &again.typeMeta, &again); refused != nil {
				t.Errorf("%s is not read again: %v", written, refused)
			}
			if !slices.Equal(request.Spec.Audiences, again.Spec.Audiences) {
				t.Errorf("%q became %q", request.Spec.Audiences, again.Spec.Audiences)
			}
		}
		_ = parseJSON(data, "TokenReview", &review.typeMeta, &review)
		_ = parseProtobuf(data, "TokenRequest", &request.typeMeta, &request)
		_ = parseProtobuf(data, "TokenReview", &review.typeMeta, &review)
	})
}

// FuzzReview reviews tokens of all kinds: none says anything but what was signed
// and is accepted, and none panics. (The last character of a signature has bits
// that nobody reads.)
func FuzzReview(f *testing.F) {
	c := newCluster(f, testURL, Options{})
	good := c.mint(f, TokenRequest{}).Raw
	parts := strings.Split(good, ".")
	f.Add(good)
	f.Add("..")
	f.Add(encode(`{"alg":"none"}`) + "." + parts[1] + ".")
	f.Add(encode(`{"alg":"RS256","kid":"../../etc/passwd","jku":"https://evil.example/"}`) + "." + parts[1] + "." + parts[2])
	f.Add(encode(`{"alg":"RS256","b64":false,"crit":["b64"]}`) + "." + parts[1] + "." + parts[2])
	f.Fuzz(func(t *testing.T, token string) {
		if status := c.Review(token, nil); status.Authenticated && !strings.HasPrefix(token, parts[0]+"."+parts[1]+".") {
			t.Errorf("accepted %q", token)
		}
	})
}
