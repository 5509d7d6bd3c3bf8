package truncate

import (
	"strings"
	"sync"
)

// Tail keeps the end of what is written to it, such as of what a process has said, for a
// message of why it ended. The zero value is ready. It is safe for concurrent use.
type Tail struct {
	mu   sync.Mutex
	text []byte
}

const tailLength = 2 << 10

// Write implements io.Writer.
func (t *Tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, b...)
	t.text = t.text[max(0, len(t.text)-tailLength):]
	return len(b), nil
}

// String returns the last 2 KiB on one line, or "it said nothing".
func (t *Tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if text := strings.Join(strings.Fields(string(t.text)), " "); text != "" {
		return text
	}
	return "it said nothing"
}
