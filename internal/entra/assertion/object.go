package assertion

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// checkObject reports whether data is exactly one JSON object in which no member
// stands twice, at any level, and nothing is nested too deep. Two readers of one
// token must not be able to see two different values.
func checkObject(data []byte) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber() // a number of a million digits stays text
	var open []level
	for first := true; first || len(open) > 0; first = false {
		token, err := d.Token()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		switch token := token.(type) {
		case json.Delim:
			switch token {
			case '{', '[':
				if open = append(open, newLevel(token)); len(open) > maxNesting {
					return fmt.Errorf("it is nested more than %d levels deep", maxNesting)
				}
				continue // the value is complete when the level is closed
			default:
				open = open[:len(open)-1]
			}
		case string:
			if len(open) > 0 && open[len(open)-1].expectsName() {
				if err := open[len(open)-1].name(token); err != nil {
					return err
				}
				continue
			}
		}
		if len(open) > 0 {
			open[len(open)-1].value()
		} else if token != json.Delim('}') {
			return errors.New("it is not a JSON object")
		}
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the JSON object")
	}
	return nil
}

type level struct {
	names map[string]struct{} // of an object; nil for an array
	named bool                // a name was read, its value comes
}

func newLevel(d json.Delim) level {
	if d == '[' {
		return level{}
	}
	return level{names: make(map[string]struct{}, 8)}
}

func (l *level) expectsName() bool { return l.names != nil && !l.named }

func (l *level) name(name string) error {
	if _, twice := l.names[name]; twice {
		return fmt.Errorf("the member %q is there twice", clipped(name))
	}
	l.names[name], l.named = struct{}{}, true
	return nil
}

func (l *level) value() { l.named = false }
