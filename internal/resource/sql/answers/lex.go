package answers

import (
	"strings"
	"unicode"

	"github.com/wiemu/wiemu/internal/resource/sql/tds"
)

type kind int

const (
	end        kind = iota
	word            // SELECT, name, @variable, @@SPID
	identifier      // [name], "name"
	text            // 'text', N'text'
	number          // 1, 1.5, 1e5
	binary          // 0x01
	symbol          // one character, or <>, <=, >=, !=
)

type token struct {
	kind     kind
	text     string // of an identifier or a text, without its quotes
	national bool   // N'text'
	at       int    // byte of the batch
	line     int32
}

// is reports whether the token is a keyword or a symbol.
func (t token) is(s string) bool {
	return t.kind == word && strings.EqualFold(t.text, s) || t.kind == symbol && t.text == s
}

// lex cuts a batch into tokens, without comments. The last one is of kind end.
func lex(sql string) ([]token, error) {
	var all []token
	line := int32(1)
	for i := 0; i < len(sql); {
		rest := sql[i:]
		length, t := 1, token{at: i, line: line}
		switch c := rest[0]; {
		case c == '\n' || c == '\r' || c == '\t' || c == ' ' || c == '\f' || c == '\v' || strings.HasPrefix(rest, "\ufeff") || strings.HasPrefix(rest, "\u00a0"):
			if c >= 0x80 {
				length = len("\u00a0")
				if strings.HasPrefix(rest, "\ufeff") {
					length = len("\ufeff")
				}
			}
			t.kind = -1
		case strings.HasPrefix(rest, "--"):
			if length = strings.IndexByte(rest, '\n'); length < 0 {
				length = len(rest)
			}
			t.kind = -1
		case strings.HasPrefix(rest, "/*"):
			if length = comment(rest); length < 0 {
				return nil, &tds.Error{Number: 113, State: 1, Class: 15, Line: line, Message: "Missing end comment mark '*/'."}
			}
			t.kind = -1
		case c == '\'' || (c == 'N' || c == 'n') && strings.HasPrefix(rest[1:], "'"):
			t.kind, t.national = text, c != '\''
			start := 0
			if t.national {
				start = 1
			}
			t.text, length = quoted(rest[start:], '\'')
			if length += start; t.text == "" && length <= start {
				return nil, &tds.Error{Number: 105, State: 1, Class: 15, Line: line, Message: "Unclosed quotation mark after the character string '" + clip(rest[start+1:]) + "'."}
			}
		case c == '[' || c == '"':
			closing := c
			if c == '[' {
				closing = ']'
			}
			t.kind = identifier
			if t.text, length = quoted(rest, closing); length <= 0 {
				return nil, &tds.Error{Number: 105, State: 1, Class: 15, Line: line, Message: "Unclosed quotation mark after the character string '" + clip(rest[1:]) + "'."}
			}
		case strings.HasPrefix(strings.ToLower(rest[:min(2, len(rest))]), "0x"):
			length = 2 + span(rest[2:], "0123456789abcdefABCDEF")
			t.kind, t.text = binary, rest[2:length]
		case c >= '0' && c <= '9' || c == '.' && len(rest) > 1 && rest[1] >= '0' && rest[1] <= '9':
			length = span(rest, "0123456789.")
			if after := rest[length:]; len(after) > 1 && (after[0] == 'e' || after[0] == 'E') {
				sign := span(after[1:min(2, len(after))], "+-")
				length += 1 + sign + span(after[1+sign:], "0123456789")
			}
			t.kind, t.text = number, rest[:length]
		default:
			if length = wordLength(rest); length > 0 {
				t.kind, t.text = word, rest[:length]
				break
			}
			t.kind, length = symbol, 1
			for _, two := range []string{"<>", "<=", ">=", "!=", "::"} {
				if strings.HasPrefix(rest, two) {
					length = 2
				}
			}
			t.text = rest[:length]
		}
		if t.kind == word || t.kind == identifier {
			if err := named(t); err != nil {
				return nil, err
			}
		}
		if t.kind >= 0 {
			all = append(all, t)
		}
		if len(all) > maxTokens {
			return nil, exhausted()
		}
		line += int32(strings.Count(rest[:length], "\n"))
		i += length
	}
	return append(all, token{kind: end, at: len(sql), line: line}), nil
}

func span(s, of string) int { return len(s) - len(strings.TrimLeft(s, of)) }

// wordLength is how long the keyword, name or variable is with which s begins; 0 for none.
func wordLength(s string) int {
	for i, r := range s {
		if unicode.IsLetter(r) || r == '_' || r == '@' || r == '#' || i > 0 && (unicode.IsDigit(r) || r == '$') {
			continue
		}
		return i
	}
	return len(s)
}

// comment is how long the comment is with which s begins; they nest. It is -1 if it has no end.
func comment(s string) int {
	depth := 0
	for i := 0; i < len(s)-1; i++ {
		switch s[i : i+2] {
		case "/*":
			depth++
			i++
		case "*/":
			i++
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return -1
}

// quoted returns what is between the quote with which s begins and the closing one, which is
// doubled to stand for itself, and how long it is with its quotes; 0 if there is none.
func quoted(s string, closing byte) (inner string, length int) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		if s[i] != closing {
			b.WriteByte(s[i])
			continue
		}
		if i+1 < len(s) && s[i+1] == closing {
			b.WriteByte(closing)
			i++
			continue
		}
		return b.String(), i + 1
	}
	return "", 0
}

// clip shortens a text for a message.
func clip(s string) string {
	return first(s, 50)
}
