package handover

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/wiemu/wiemu/internal/hostname"
)

// A message is two bytes with its length, the more significant one first, and a JSON object
// of so many bytes. With one that says accept, the connection travels along (SCM_RIGHTS).
type message struct {
	Verb verb    `json:"verb"`
	ID   uint64  `json:"id,omitempty"` // of a question, and of its answer
	To   Target  `json:"to,omitzero"`
	By   Program `json:"by,omitzero"` // not of allows
}

type verb string

// What messages say. The lab sends ready first; then the supervisor sends the next four, of
// which the lab answers the questions.
const (
	ready   verb = "ready"
	accept  verb = "accept"
	permits verb = "permits?"
	allows  verb = "allows?"  // has no port
	settled verb = "settled?" // whether the receiver has what was sent before: its answer is yes
	yes     verb = "yes"
	no      verb = "no"
)

// lengthSize is how many bytes say how long a message is.
const lengthSize = 2

// maxMessage is how long a message may be, in bytes, without its length.
const maxMessage = 16 << 10

// maxText is how much of the path and name of a program is told, in bytes: in JSON, which
// writes a byte in six at most, both fit into a message.
const maxText = 1 << 10

var errTooLong = fmt.Errorf("a message of more than %d bytes", maxMessage)

// encode returns a message as it is sent.
func encode(m message) ([]byte, error) {
	text, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	if len(text) > maxMessage {
		return nil, errTooLong
	}
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(text))), text...), nil
}

// cut returns the beginning of a text as UTF-8, at most maxText bytes of it.
func cut(s string) string {
	if len(s) > maxText {
		s = s[:maxText]
	}
	return strings.ToValidUTF8(s, "") // a letter may have been cut in two
}

// errIncomplete means that the rest of a message has not arrived yet.
var errIncomplete = errors.New("an incomplete message")

// decode reads the first message of received, and returns what follows it. If it has not
// arrived whole, the error is errIncomplete.
func decode(received []byte) (m message, rest []byte, err error) {
	if len(received) < lengthSize {
		return m, received, errIncomplete
	}
	n := lengthSize + int(binary.BigEndian.Uint16(received))
	switch {
	case n > lengthSize+maxMessage:
		return m, nil, errTooLong
	case len(received) < n:
		return m, received, errIncomplete
	}
	if err := json.Unmarshal(received[lengthSize:n], &m); err != nil {
		return m, nil, fmt.Errorf("expected a message in JSON: %w", err)
	}
	return m, received[n:], m.check()
}

func (m message) check() error {
	switch m.Verb {
	case ready, settled, yes, no:
		return nil
	case accept, permits, allows:
	default:
		return fmt.Errorf("expected %s, %s, %s, %s, %s, %s or %s, found %q", ready, accept, permits, allows, settled, yes, no, m.Verb)
	}
	switch {
	case !hostname.Is(m.To.Host) || strings.ToLower(m.To.Host) != m.To.Host:
		return fmt.Errorf("expected a host in lower case, found %q", m.To.Host)
	case m.Verb == allows:
		return nil
	case m.To.Port == 0:
		return errors.New("expected a port from 1 to 65535, found 0")
	case m.By.PID <= 0:
		return fmt.Errorf("expected the id of a process, found %d", m.By.PID)
	case len(m.By.Executable) > maxText || len(m.By.Name) > maxText:
		return fmt.Errorf("expected at most %d bytes about a program", maxText)
	}
	return nil
}
