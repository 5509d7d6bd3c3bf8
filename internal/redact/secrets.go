package redact

import (
	"encoding/json"
	"strings"
	"sync"

	"github.com/wiemu/wiemu/internal/lazyregexp"
)

// Shortest is the length, in bytes, from which a secret is looked for.
const Shortest = 8

// Secrets are the secrets that are looked for. The zero value has none. It is safe for
// concurrent use.
type Secrets struct {
	mu    sync.RWMutex
	known map[string]bool
	byKey map[[4]byte][]secret // by the first bytes, in lower case
	pairs [1 << 16 / 64]uint64 // the first two bytes that secrets have: a look-up is for few places of a text
}

type secret struct{ text, label string }

// placeholder is what stands for a secret in a recording, and in the configuration of
// its replay.
var placeholder = lazyregexp.New(`^\{\{(made )?secret [0-9]+\}\}$`)

// Add has a secret looked for from now on. Label says what it is, such as "client
// secret of my-app". A value that is known already keeps its label. A nil *Secrets
// takes none.
func (s *Secrets) Add(label, value string) {
	if s == nil || placeholder().MatchString(value) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.add(label, value)
	if quoted, err := json.Marshal(value); err == nil {
		s.add(label, strings.Trim(string(quoted), `"`)) // as it stands in JSON
	}
}

func (s *Secrets) add(label, value string) {
	if len(value) < Shortest || s.known[value] {
		return
	}
	if s.known == nil {
		s.known, s.byKey = map[string]bool{}, map[[4]byte][]secret{}
	}
	s.known[value] = true
	k := key(value)
	s.byKey[k] = append(s.byKey[k], secret{value, label})
	s.pairs[pair(k)/64] |= 1 << (pair(k) % 64)
}

// in finds the secrets in a view, in upper or lower case.
func (s *Secrets) in(v view) []span {
	if s == nil || len(v.text) < Shortest {
		return nil
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if len(s.known) == 0 {
		return nil
	}
	var found []span
	cut := next(v.text, 0)
	for i := 0; i+Shortest <= len(v.text); i++ {
		p := uint(lower(v.text[i]))<<8 | uint(lower(v.text[i+1]))
		if s.pairs[p/64]&(1<<(p%64)) == 0 {
			continue
		}
		if cut >= 0 && cut < i {
			cut = next(v.text, i)
		}
		if n, label := longest(v.text[i:], cut-i, s.byKey[key(v.text[i:])]); n > 0 {
			found = append(found, v.span(i, i+n, Found{Text: v.text[i : i+n], Label: label}))
			i += n - 1
		}
	}
	return found
}

// next is where a text is cut next, as the ellipsis says; -1: nowhere.
func next(text string, from int) int {
	if at := strings.Index(text[from:], "…"); at >= 0 {
		return from + at
	}
	return -1
}

// longest returns the length and label of the longest secret with which a text begins;
// at the text's cut, the beginning of a secret is enough.
func longest(text string, cut int, secrets []secret) (n int, label string) {
	for _, one := range secrets {
		size := len(one.text)
		if size > len(text) || !strings.EqualFold(text[:size], one.text) {
			if size = cut; size < Shortest || size > len(one.text) || !strings.EqualFold(text[:size], one.text[:size]) {
				continue
			}
		}
		if size > n {
			n, label = size, one.label
		}
	}
	return n, label
}

func key(text string) (k [4]byte) {
	for i := range k {
		k[i] = lower(text[i])
	}
	return k
}

func pair(k [4]byte) uint { return uint(k[0])<<8 | uint(k[1]) }

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
