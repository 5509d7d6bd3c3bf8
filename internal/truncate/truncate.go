// Package truncate shortens texts for messages, journals and reports.
package truncate

import "strings"

// Bytes returns s, or its first most bytes and an ellipsis if it is longer. A character
// of several bytes is not cut in two.
func Bytes(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// Runes returns s, or its first most runes and an ellipsis if it is longer.
func Runes(s string, most int) string {
	n := 0
	for at := range s {
		if n == most {
			return s[:at] + "…"
		}
		n++
	}
	return s
}
