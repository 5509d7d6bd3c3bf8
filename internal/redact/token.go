package redact

import (
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/wiemu/wiemu/internal/lazyregexp"
)

// tokensIn finds the tokens in a view. Every byte is looked at a few times at most,
// whatever the text.
func tokensIn(v view) []span {
	var found []span
	for i := 0; ; {
		start := nextStart(v.text, i)
		if start < 0 {
			return found
		}
		run := start + part(v.text[start:]) // where all headers end that begin in it
		parts := following(v.text[run:])
		if len(parts) == 0 {
			i = run
			continue
		}
		i = start
		for at := start; at >= 0; at = nextStart(v.text[:run], at+1) { // after a word that begins so, too
			if object(v.text[at:run]) {
				i = at
				break
			}
		}
		if n, ok := tokenAt(v.text[i:], run-i, parts); ok {
			text := v.text[i : i+n]
			cut := len(parts) == 1 || strings.HasPrefix(v.text[i+n:], "…")
			found = append(found, v.span(i, i+n, Found{Text: text, Token: text, Cut: cut}))
			run = i + n
		}
		i = run
	}
}

// nextStart is where the next base64url of a brace and a quote or white space is,
// with which the header of a token begins; -1: nowhere.
func nextStart(text string, from int) int {
	for i := from; i+1 < len(text); i++ {
		if text[i] == 'e' && (text[i+1] == 'y' || text[i+1] == 'w') {
			return i
		}
	}
	return -1
}

// following are the lengths of the parts of a token behind its header, each with the
// dot before it: four at most.
func following(text string) (parts []int) {
	for len(parts) < 4 && len(text) > 0 && text[0] == '.' {
		n := 1 + part(text[1:])
		parts, text = append(parts, n), text[n:]
	}
	return parts
}

// shortestHeader is less than that of any token: {"alg":"none"}, in base64url.
const shortestHeader = 14

// tokenAt is the length of the token with which a text begins: three parts, or five of
// a JWE, or two of one that was cut. Either header or payload is a JSON object, so that
// a token of which one was damaged is found, too, and a host name is none.
func tokenAt(text string, header int, parts []int) (int, bool) {
	if header < shortestHeader || len(parts) == 0 {
		return 0, false
	}
	head, payload := object(text[:header]), object(text[header+1:header+parts[0]])
	if len(parts) == 1 {
		return header + parts[0], head && payload
	}
	if !head && !payload {
		return 0, false
	}
	end := header + parts[0] + parts[1]
	if len(parts) == 4 && strings.Contains(decode(text[:header]), `"enc"`) { // a JWE says so: RFC 7516 §4.1.2
		end += parts[2] + parts[3]
	}
	return end, true
}

// part is the length of the base64url with which a text begins, with padding. What
// stands between a name and a value is none.
func part(text string) int {
	i := 0
	for i < len(text) && inBase64URL(text[i]) {
		i++
	}
	end := i
	for end < len(text) && end < i+2 && text[end] == '=' {
		end++
	}
	if end < len(text) && inBase64URL(text[end]) {
		return i
	}
	return end
}

func inBase64URL(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

// decode decodes base64url as far as it goes.
func decode(part string) string {
	part = strings.TrimRight(part, "=")
	if len(part)%4 == 1 {
		part = part[:len(part)-1]
	}
	text, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return ""
	}
	return string(text)
}

// begins is how a JSON object does that has a member.
var begins = lazyregexp.New(`^[ \t\r\n]*\{[ \t\r\n]*"[^"]{1,40}"[ \t\r\n]*:`)

// object reports whether base64url begins as a JSON object does. The rest does
// not matter.
func object(part string) bool { return begins().MatchString(decode(part[:min(len(part), 96)])) }

// breaks are what may stand between the pieces of a broken token: white space, and what
// base64 has where base64url has a hyphen or an underscore.
const breaks = " \t\r\n+/"

// shortestPiece is how long, in bytes, what follows a break has to be to belong to a
// signature. Less of it is useless to an attacker, and an ordinary word is shorter.
const shortestPiece = 16

// complete are the lengths of the signatures that there are, in base64url: nothing
// behind them belongs to a token. RFC 7518 §3; RSA of 1,024 to 4,096 bits.
var complete = map[int]bool{43: true, 64: true, 86: true, 128: true, 171: true, 176: true, 342: true, 512: true, 683: true}

// brokenTokensIn finds the tokens in a view that white space breaks.
func brokenTokensIn(v view) []span {
	if !strings.ContainsAny(v.text, breaks) {
		return nil
	}
	var found []span
	for i := 0; ; {
		start := nextStart(v.text, i)
		if start < 0 {
			return found
		}
		if joined, _ := join(v.text[start:min(len(v.text), start+200)]); !object(joined[:part(joined)]) {
			i = start + 1
			continue
		}
		joined, at := join(v.text[start:])
		header := part(joined)
		parts := following(joined[header:])
		n, ok := tokenAt(joined, header, parts)
		if ok = ok && len(parts) > 1; !ok {
			n = len(joined) // nor does one begin later in it
		}
		if end := start + at[n]; !ok || end-start == n { // it is not broken
			i = end
		} else {
			found = append(found, v.span(start, end, Found{Text: v.text[start:end], Token: joined[:n]}))
			i = end
		}
	}
}

// join is the text up to where a token that begins with it may end, without the breaks
// in it, and where each of its bytes ends in the text.
func join(text string) (joined string, at []int) {
	var out []byte
	at = []int{0}
	dots, last := 0, 0 // the dots until now, and where the last one is
	for i := 0; i < len(text); {
		for ; i < len(text) && (inBase64URL(text[i]) || text[i] == '.' || text[i] == '='); i++ {
			if text[i] == '.' {
				dots, last = dots+1, len(out)
			}
			out, at = append(out, text[i]), append(at, i+1)
		}
		next := i
		for next < len(text) && strings.IndexByte(breaks, text[next]) >= 0 {
			next++
		}
		if next == i || dots > 1 && (complete[len(out)-last-1] || part(text[next:]) < shortestPiece) {
			break
		}
		i = next
	}
	return string(out), at
}

// algorithms are those that a hint may name: RFC 7518 §3.1, §4.1, RFC 8037.
var algorithms = lazyregexp.New(`^([RPEH]S(256|384|512)|EdDSA|none|dir|RSA1_5|RSA-OAEP(-256)?|ECDH-ES)$`)

// algorithm is what the header of a token says of it; "": nothing that is known.
func algorithm(token string) string {
	head, _, _ := strings.Cut(token, ".")
	var header struct {
		Algorithm string `json:"alg"`
	}
	if json.Unmarshal([]byte(decode(head)), &header) != nil || !algorithms().MatchString(header.Algorithm) {
		return ""
	}
	return header.Algorithm
}
