package recording

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/wiemu/wiemu/internal/azwi"
	"github.com/wiemu/wiemu/internal/lazyregexp"
	"github.com/wiemu/wiemu/internal/redact"
	"github.com/wiemu/wiemu/internal/truncate"
	"github.com/wiemu/wiemu/internal/unverified"
)

// compact is what a JWS looks like in the middle of something. Its header is a JSON object: a brace
// and a quote or white space begin so in base64url. Some clients pad base64url.
var compact = lazyregexp.New(`e[yw][A-Za-z0-9_-]{12,}={0,2}\.[A-Za-z0-9_-]*={0,2}\.[A-Za-z0-9_-]*={0,2}`)

type tokens struct {
	names *names
	keys  *keys

	issuers map[string]string // the rings of hosted issuers, by URL

	mu       sync.Mutex
	list     []Token
	accounts map[string]string // namespace/service account, by the token's ordinal
}

func newTokens(n *names, k *keys) *tokens {
	return &tokens{names: n, keys: k, issuers: map[string]string{}, accounts: map[string]string{}}
}

func (t *tokens) in(input int, text string) string {
	return (*redact.Secrets)(nil).Replace(text, func(f redact.Found) string {
		if f.Cut {
			return cutName
		}
		name := t.name(input, f.Text, false)
		t.names.put(strings.Trim(name, "{}"), redact.TokenHint(f.Token))
		return name
	})
}

// name is the name of a token, which is written down if it is new.
func (t *tokens) name(input int, raw string, answered bool) string {
	name, known := t.names.of(raw)
	if !known {
		name = t.names.next("token", fmt.Sprintf("%d.", input), raw)
		token := Token{Answered: answered}
		if !answered {
			token = t.symbolic(raw)
		}
		t.names.put(name, redact.TokenHint(raw)) // which is what the journal has of it
		token.ID = strings.TrimPrefix(name, "token ")
		t.mu.Lock()
		t.list = append(t.list, token)
		if subject, ok := token.Claims["sub"].(string); ok {
			if account, ok := strings.CutPrefix(subject, azwi.SubjectPrefix); ok {
				t.accounts[token.ID] = strings.Replace(account, ":", "/", 1)
			}
		}
		t.mu.Unlock()
	}
	return "{{" + name + "}}"
}

// account is the service account of a token, as namespace/name; "" if it has none.
func (t *tokens) account(id string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.accounts[id]
}

func (t *tokens) all() []Token {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]Token(nil), t.list...)
}

// inTheEnd are the tokens with all signers. The keys of external issuers are
// fetched only after the first token that they signed has come.
func (t *tokens) inTheEnd() []Token {
	all := t.all()
	for i := range all {
		token := &all[i]
		if token.SignedBy != "" || token.Signature == 0 {
			continue
		}
		raw, _ := t.names.text("token " + token.ID)
		if key, ok := t.keys.signerOf(raw, t.keys.first(ringCertificates, ringOutside)); ok {
			token.SignedBy, token.Signature = key, 0
		}
	}
	return all
}

// symbolic is a token without its signature.
func (t *tokens) symbolic(raw string) Token {
	parts, err := unverified.Parse(raw)
	token := Token{}
	if err != nil || compact().FindString(raw) != raw || !object(parts.Header, &token.Header) || !object(parts.Claims, &token.Claims) {
		return Token{Text: withoutSignature(raw)}
	}
	issuer, _ := token.Claims["iss"].(string)
	if key, ok := t.keys.signerOf(raw, []string{t.issuers[issuer]}); ok {
		token.SignedBy = key
	} else {
		signature := strings.TrimRight(parts.Signature, "=")
		_, err := base64.RawURLEncoding.Strict().DecodeString(signature)
		token.Signature, token.Malformed = len(signature), err != nil
	}
	token.Header, token.Claims = t.named(token.Header), t.named(token.Claims)
	return token
}

func (t *tokens) named(m map[string]any) map[string]any {
	return walk(m, func(_, s string) any { return t.names.known(s) }).(map[string]any)
}

// object decodes a part of a token that is a JSON object which encodes to the
// same again but for its order; whatever else it is is kept as text.
func object(part unverified.Part, into *map[string]any) bool {
	text, err := part.JSON()
	if err != nil {
		return false
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if decoder.Decode(into) != nil || *into == nil {
		return false
	}
	_, err = decoder.Token()
	return errors.Is(err, io.EOF) && !repeats(text)
}

// repeats reports whether an object has a member twice, which no map can keep.
func repeats(text []byte) bool {
	decoder := json.NewDecoder(bytes.NewReader(text))
	type level struct {
		object bool
		key    bool // comes next
		seen   map[string]bool
	}
	var stack []*level
	for {
		token, err := decoder.Token()
		if err != nil {
			return false
		}
		var top *level
		if len(stack) > 0 {
			top = stack[len(stack)-1]
		}
		if key, isText := token.(string); isText && top != nil && top.object && top.key {
			if top.seen[key] {
				return true
			}
			top.seen[key], top.key = true, false
			continue
		}
		if top != nil {
			top.key = true // after this value
		}
		switch token {
		case json.Delim('{'):
			stack = append(stack, &level{object: true, key: true, seen: map[string]bool{}})
		case json.Delim('['):
			stack = append(stack, &level{})
		case json.Delim('}'), json.Delim(']'):
			stack = stack[:len(stack)-1]
		}
	}
}

// withoutSignature keeps what a broken token says and the number of its
// characters, and makes what follows its second dot unusable; all of it, if it is
// something else, which may open something elsewhere.
func withoutSignature(raw string) string {
	if !strings.Contains(raw, "eyJ") {
		return masked(raw)
	}
	parts := strings.SplitN(raw, ".", 3)
	if len(parts) < 3 {
		return raw
	}
	return parts[0] + "." + parts[1] + "." + masked(parts[2])
}

func masked(text string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x80 && strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-+/", r) {
			return 'x'
		}
		return r
	}, text)
}

// credential replaces the value of a parameter or header that is meant to be a
// token, also if it is none.
func (t *tokens) credential(input int, value string) string {
	trimmed := strings.TrimSpace(value)
	if trimmed == "" || isSecretName().MatchString(trimmed) {
		return value
	}
	if hidden := t.names.secretsIn(trimmed); hidden != trimmed { // a secret in the place of a token
		return strings.Replace(value, trimmed, hidden, 1)
	}
	return strings.Replace(value, trimmed, t.name(input, trimmed, false), 1)
}

// form replaces tokens and secrets in the names and values of a form, and leaves the
// rest exactly as it is: white space and doubled parameters count.
func (t *tokens) form(input int, text string) string {
	pairs := strings.Split(text, "&")
	for i, pair := range pairs {
		rawName, rawValue, ok := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(rawName)
		if err != nil {
			continue
		}
		if replaced := t.in(input, name); replaced != name {
			rawName = escapeForm(replaced)
		}
		if !ok {
			pairs[i] = rawName
			continue
		}
		value, err := url.QueryUnescape(rawValue)
		if err != nil {
			value = rawValue
		}
		if replaced := t.in(input, t.parameter(input, name, value)); replaced != value {
			rawValue = escapeForm(replaced)
		}
		pairs[i] = rawName + "=" + rawValue
	}
	return strings.Join(pairs, "&")
}

// parameter replaces the value of a parameter that is a token or a secret.
func (t *tokens) parameter(input int, name, value string) string {
	switch strings.ToLower(strings.TrimSpace(name)) {
	case "client_assertion", "assertion", "refresh_token":
		return t.credential(input, value)
	case "client_secret", "password":
		trimmed := strings.TrimSpace(value)
		if compact().FindString(trimmed) != trimmed { // else it is a token
			return strings.Replace(value, trimmed, t.names.secret(trimmed), 1)
		}
	}
	return value
}

// multipartForm is the media type of forms in parts, as curl -F sends them.
const multipartForm = "multipart/form-data"

// multipart does in a form in parts what form does.
func (t *tokens) multipart(input int, text, contentType string) string {
	_, parameters, err := mime.ParseMediaType(contentType)
	if err != nil || parameters["boundary"] == "" {
		return text
	}
	parts := strings.Split(text, "--"+parameters["boundary"])
	for i, part := range parts {
		head, value, ok := strings.Cut(part, "\r\n\r\n")
		name := partName().FindStringSubmatch(head)
		if !ok || name == nil {
			continue
		}
		parts[i] = head + "\r\n\r\n" + t.parameter(input, name[1], value)
	}
	return strings.Join(parts, "--"+parameters["boundary"])
}

var partName = lazyregexp.New(`(?i)\bname="?([^";\r\n]*)`)

// escapeForm encodes a value, but for the names in it.
func escapeForm(value string) string {
	out, last := "", 0
	for _, at := range placeholder().FindAllStringIndex(value, -1) {
		out += url.QueryEscape(value[last:at[0]]) + value[at[0]:at[1]]
		last = at[1]
	}
	return out + url.QueryEscape(value[last:])
}

func namesInToken(t Token) (named []string) {
	look := func(_, text string) any {
		named = append(named, tokenNames(text, "", nil)...)
		return text
	}
	walk(t.Header, look)
	walk(t.Claims, look)
	return named
}

func tokenNames(path, body string, header map[string][]string) []string {
	var named []string
	look := func(text string) {
		for _, found := range placeholder().FindAllStringSubmatch(text, -1) {
			if id, ok := strings.CutPrefix(found[1], "token "); ok {
				named = append(named, id)
			}
		}
	}
	look(path)
	look(body)
	for _, values := range header {
		for _, v := range values {
			look(v)
		}
	}
	return named
}

func cutLast(s, separator string) (before, after string, found bool) {
	i := strings.LastIndex(s, separator)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(separator):], true
}

// walk returns JSON with every text and every member's name replaced; name is the
// member that a text is of, "" for a name.
func walk(value any, replace func(name, text string) any) any { return walkMember("", value, replace) }

func walkMember(name string, value any, replace func(name, text string) any) any {
	switch v := value.(type) {
	case string:
		return replace(name, v)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = walkMember(name, v[i], replace)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for _, key := range slices.Sorted(maps.Keys(v)) { // names are given in this order
			member := key
			if replaced, ok := replace("", key).(string); ok {
				member = cutMember(replaced)
			}
			out[member] = walkMember(key, v[key], replace)
		}
		return out
	}
	return value
}

// cutMember is a member's name that YAML, by which recordings are read, takes: it has
// 1,024 characters at most (YAML 1.2 §7.4.2).
func cutMember(name string) string { return truncate.Bytes(name, 512) }
