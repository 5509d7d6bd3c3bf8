// Package redact replaces tokens and known secrets in texts, wherever they stand, by a
// hint that says which one it was. It does not know where texts come from or go to.
//
// A token is a compact JWS or JWE (RFC 7515 §7.1, RFC 7516 §7.1), or what is left of one
// that was cut behind its header. Tokens and secrets
// are also found percent-encoded, up to three times over, and tokens when white space
// breaks them. Secrets shorter than [Shortest] are not looked for: they would be found
// in everyday words.
package redact

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/internal/lazyregexp"
)

// Found is a token or a secret in a text.
type Found struct {
	Text  string // as it stands, without percent-encoding
	Token string // the token without white space; "" for a secret
	Cut   bool   // the token is not there to its end: its signature is missing, or more
	Label string // of the secret, as passed to Add; "" for a token
}

// Hint is what Redact writes instead: it tells tokens and secrets apart from others
// and cannot be used for anything.
func (f Found) Hint() string {
	if f.Token == "" {
		return "[redacted: " + strings.ReplaceAll(f.Label, "]", ")") + "]"
	}
	if f.Cut { // its sum would be another one than the token's
		return hint("part of a token", algorithm(f.Token))
	}
	return TokenHint(f.Token)
}

// TokenHint is the hint of a whole token: its algorithm and the first four bytes of the
// SHA-256 of its text, as sha256sum prints them.
func TokenHint(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hint("token", algorithm(token), "sha256:"+hex.EncodeToString(sum[:4]))
}

func hint(words ...string) string {
	return "[redacted: " + strings.Join(strings.Fields(strings.Join(words, " ")), " ") + "]"
}

// IsHint matches every hint.
var IsHint = lazyregexp.New(`\[redacted: [^\]]*\]`)

// span is where something was found: text[from:to].
type span struct {
	from, to int
	Found
}

// Replace replaces every token and secret in a text. A nil *Secrets knows no secret.
func (s *Secrets) Replace(text string, with func(Found) string) string {
	spans := s.find(text)
	if len(spans) == 0 {
		return text
	}
	var out strings.Builder
	last := 0
	for _, f := range spans {
		out.WriteString(text[last:f.from])
		out.WriteString(with(f.Found))
		last = f.to
	}
	out.WriteString(text[last:])
	return out.String()
}

// Redact replaces every token and secret in a text by its hint.
func (s *Secrets) Redact(text string) string { return s.Replace(text, Found.Hint) }

// find returns what is in a text in its order; nothing overlaps.
func (s *Secrets) find(text string) []span {
	plain := view{text: text}
	spans := append(tokensIn(plain), s.in(plain)...)
	decoded := plain
	if strings.Contains(text, "%") {
		if decoded = undone(plain); decoded.text != text {
			spans = append(append(spans, tokensIn(decoded)...), s.in(decoded)...)
		}
	}
	if strings.Contains(decoded.text, "+") { // a space, in a form
		spans = append(spans, s.in(decoded.mapped(strings.ReplaceAll(decoded.text, "+", " ")))...)
	}
	spans = append(spans, brokenTokensIn(decoded)...)
	return merged(spans, decoded)
}

// merged sorts spans, and where some overlap makes one of them: what was found is the longest, and
// its text that of all.
func merged(spans []span, decoded view) []span {
	if len(spans) < 2 {
		return spans
	}
	slices.SortStableFunc(spans, func(a, b span) int { return a.from - b.from })
	out := spans[:1]
	longest := out[0].to - out[0].from // of those that the last one is made of
	for _, f := range spans[1:] {
		last := &out[len(out)-1]
		if f.from >= last.to {
			out, longest = append(out, f), f.to-f.from
			continue
		}
		if f.to-f.from > longest {
			last.Found, longest = f.Found, f.to-f.from
		}
		if last.to = max(last.to, f.to); last.to-last.from > longest {
			last.Text = decoded.between(last.from, last.to)
		}
	}
	return out
}
