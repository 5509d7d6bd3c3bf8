package fault

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"syscall"
)

// Documents carries the fetches of an issuer's discovery document (AtDiscovery)
// or key set (AtJWKS), which faults may hit. A nil next stays nil.
func (s *Set) Documents(point, issuer string, next http.RoundTripper) http.RoundTripper {
	if next == nil || !s.Any() {
		return next
	}
	return &fetch{s, point, issuer, next}
}

type fetch struct {
	set    *Set
	point  string
	issuer string
	next   http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (f *fetch) RoundTrip(r *http.Request) (*http.Response, error) {
	about := Subject{Part: PartEntra, Host: r.URL.Host, Issuer: f.issuer}
	by := func(suffix string) (Hit, bool) {
		h, hit := f.set.HitBy(f.point+suffix, about, nil)
		if hit {
			Add(r.Context(), h)
		}
		return h, hit
	}
	if h, hit := by(unreachable); hit {
		if status := h.Int("status"); status != 0 {
			return answerOf(r, status, http.StatusText(status)), nil
		}
		return nil, fmt.Errorf("dial %s: %w", r.URL.Host, syscall.ECONNREFUSED)
	}
	if h, hit := by(slow); hit {
		if pause(r.Context(), h.Duration("latency")); r.Context().Err() != nil {
			return nil, r.Context().Err()
		}
	}
	response, err := f.next.RoundTrip(r)
	if err != nil || response.StatusCode != http.StatusOK {
		return response, err
	}
	return f.change(r, response, by)
}

// change is what faults do to a document that was fetched.
func (f *fetch) change(r *http.Request, response *http.Response, by func(string) (Hit, bool)) (*http.Response, error) {
	body, err := io.ReadAll(response.Body)
	_ = response.Body.Close() // read to its end
	if err != nil {
		return nil, err
	}
	if h, hit := by("-wrong-issuer"); hit && f.point == AtDiscovery {
		body = edit(body, func(d map[string]json.RawMessage) { d["issuer"], _ = json.Marshal(h.otherIssuer(f.issuer)) })
	} else if hit {
		body = edit(body, func(d map[string]json.RawMessage) { d["keys"] = renamed(d["keys"]) })
	}
	if _, hit := by(shuffled); hit {
		body = edit(body, func(d map[string]json.RawMessage) { d["keys"] = reversed(d["keys"]) })
	}
	if _, hit := by(malformed); hit {
		body = body[:len(body)/2]
	}
	changed := answerOf(r, response.StatusCode, string(body))
	changed.Header = response.Header
	return changed, nil
}

func answerOf(r *http.Request, status int, body string) *http.Response {
	return &http.Response{
		Status: fmt.Sprint(status, " ", http.StatusText(status)), StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: r,
	}
}

// otherIssuer is what stands in the document instead of the issuer.
func (h Hit) otherIssuer(issuer string) string {
	if given := h.Text("issuer"); given != "" {
		return given
	}
	if without, had := strings.CutSuffix(issuer, "/"); had {
		return without
	}
	return issuer + "/"
}

// edit changes members of a JSON object; what is none stays as it is.
func edit(document []byte, change func(map[string]json.RawMessage)) []byte {
	var members map[string]json.RawMessage
	if json.Unmarshal(document, &members) != nil || members == nil {
		return document
	}
	change(members)
	edited, err := json.Marshal(members)
	if err != nil {
		return document
	}
	return edited
}

// renamed is a key set of which no key has the id that it had.
func renamed(keys json.RawMessage) json.RawMessage {
	return each(keys, func(all []json.RawMessage) {
		for i := range all {
			sum := sha256.Sum256(all[i])
			all[i] = edit(all[i], func(k map[string]json.RawMessage) {
				k["kid"], _ = json.Marshal(base64.RawURLEncoding.EncodeToString(sum[:]))
			})
		}
	})
}

func reversed(keys json.RawMessage) json.RawMessage { return each(keys, slices.Reverse) }

func each(list json.RawMessage, change func([]json.RawMessage)) json.RawMessage {
	var all []json.RawMessage
	if json.Unmarshal(list, &all) != nil {
		return list
	}
	change(all)
	edited, err := json.Marshal(all)
	if err != nil {
		return list
	}
	return bytes.TrimSpace(edited)
}
