package redact

import (
	"slices"
	"strings"
)

// view is a text in another form, with where each of its bytes was.
type view struct {
	text string
	at   []int // offset of each byte in the original, and of its end; nil: the same
}

// span is what a part of the view is in the original.
func (v view) span(from, to int, f Found) span {
	if v.at == nil {
		return span{from, to, f}
	}
	return span{v.at[from], v.at[to], f}
}

// between is what stands in the view for a part of the original text.
func (v view) between(from, to int) string {
	if v.at == nil {
		return v.text[from:to]
	}
	first, _ := slices.BinarySearch(v.at, from)
	last, _ := slices.BinarySearch(v.at, to)
	return v.text[first:last]
}

// mapped is a view of as many bytes.
func (v view) mapped(text string) view { return view{text, v.at} }

// undone is a view without percent-encoding (RFC 3986 §2.1), up to three times over.
func undone(v view) view {
	for range 3 {
		decoded, ok := v.decoded()
		if !ok {
			break
		}
		v = decoded
	}
	return v
}

func (v view) decoded() (view, bool) {
	out := make([]byte, 0, len(v.text))
	at := make([]int, 0, len(v.text)+1)
	for i := 0; i < len(v.text); {
		at = append(at, v.original(i))
		if b, ok := percent(v.text[i:]); ok {
			out = append(out, b)
			i += 3
			continue
		}
		out = append(out, v.text[i])
		i++
	}
	return view{string(out), append(at, v.original(len(v.text)))}, len(out) < len(v.text)
}

func (v view) original(i int) int {
	if v.at == nil {
		return i
	}
	return v.at[i]
}

func percent(s string) (byte, bool) {
	if len(s) < 3 || s[0] != '%' {
		return 0, false
	}
	high, low := strings.IndexByte(digits, s[1]|0x20), strings.IndexByte(digits, s[2]|0x20)
	return byte(high<<4 | low), high >= 0 && low >= 0
}

// digits are the hexadecimal ones; |0x20 leaves numbers as they are.
const digits = "0123456789abcdef"
