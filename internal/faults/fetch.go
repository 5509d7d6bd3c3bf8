package faults

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

	"github.com/wiemu/wiemu/internal/faultkind"
)

// Documents returns a transport that fetches an issuer's discovery document (point
// AtDiscovery) or key set (AtJWKS) through next, and lets faults hit the fetch. If next is
// nil, so is what it returns.
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

func (f *fetch) RoundTrip(r *http.Request) (*http.Response, error) {
	about := Subject{Component: Entra, Host: r.URL.Host, Issuer: f.issuer}
	names := documentFaults(f.point)
	by := func(name string) (Hit, bool) { return f.set.HitCall(r.Context(), name, about, nil) }
	if h, hit := by(names.unreachable); hit {
		if status := h.Int("status"); status != 0 {
			return answerOf(r, status, http.StatusText(status)), nil
		}
		return nil, fmt.Errorf("dial %s: %w", r.URL.Host, syscall.ECONNREFUSED)
	}
	if h, hit := by(names.slow); hit {
		if pause(r.Context(), h.Duration("latency")); r.Context().Err() != nil {
			return nil, r.Context().Err()
		}
	}
	response, err := f.next.RoundTrip(r)
	if err != nil || response.StatusCode != http.StatusOK {
		return response, err
	}
	return f.change(r, response, names, by)
}

type documentNames struct{ unreachable, slow, malformed, wrongIssuer, shuffled string }

func documentFaults(point string) documentNames {
	if point == faultkind.AtDiscovery {
		return documentNames{
			unreachable: faultkind.DiscoveryUnreachable, slow: faultkind.DiscoverySlow, malformed: faultkind.DiscoveryMalformed,
			wrongIssuer: faultkind.DiscoveryWrongIssuer,
		}
	}
	return documentNames{
		unreachable: faultkind.JWKSUnreachable, slow: faultkind.JWKSSlow, malformed: faultkind.JWKSMalformed,
		wrongIssuer: faultkind.JWKSWrongIssuer, shuffled: faultkind.JWKSShuffled,
	}
}

func (f *fetch) change(r *http.Request, response *http.Response, names documentNames, by func(string) (Hit, bool)) (*http.Response, error) {
	body, err := io.ReadAll(response.Body)
	_ = response.Body.Close() // read to its end
	if err != nil {
		return nil, err
	}
	if h, hit := by(names.wrongIssuer); hit && f.point == faultkind.AtDiscovery {
		body = edit(body, func(d map[string]json.RawMessage) { d["issuer"], _ = json.Marshal(h.otherIssuer(f.issuer)) })
	} else if hit {
		body = edit(body, func(d map[string]json.RawMessage) { d["keys"] = renamed(d["keys"]) })
	}
	if _, hit := by(names.shuffled); hit {
		body = edit(body, func(d map[string]json.RawMessage) { d["keys"] = reversed(d["keys"]) })
	}
	if _, hit := by(names.malformed); hit {
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

func (h Hit) otherIssuer(issuer string) string {
	if given := h.Text("issuer"); given != "" {
		return given
	}
	if without, ok := strings.CutSuffix(issuer, "/"); ok {
		return without
	}
	return issuer + "/"
}

// edit changes members of a JSON object. It returns anything else unchanged.
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

// renamed returns a key set with another id for each key.
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
