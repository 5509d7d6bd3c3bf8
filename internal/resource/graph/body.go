package graph

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/wiemu/wiemu/internal/resource"
)

// maxBody is the longest request body that is read, in bytes. Graph's own limit for writes of
// directory objects is 4 MB.
const maxBody = 1 << 20

// maxNesting is how deep the values of a body may go.
const maxNesting = 30

// object is the JSON object of a request: its members by their names as Graph spells them are
// not known here, so each is asked for by its own.
type object map[string]json.RawMessage

// parseObject reads a request's body. Names count their case, as OData's do; of a name that is
// there twice the last one counts.
func parseObject(data []byte) (object, error) {
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, errors.New("it is empty")
	}
	if err := checkNesting(data); err != nil {
		return nil, err
	}
	var read object
	if err := json.Unmarshal(data, &read); err != nil {
		return nil, err
	}
	if read == nil {
		return nil, errors.New("it is null")
	}
	for name, value := range read {
		var compact bytes.Buffer
		if err := json.Compact(&compact, value); err != nil {
			return nil, err
		}
		read[name] = compact.Bytes()
	}
	return read, nil
}

func checkNesting(data []byte) error {
	d, depth := json.NewDecoder(bytes.NewReader(data)), 0
	for {
		token, err := d.Token()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			if depth++; depth > maxNesting {
				return fmt.Errorf("its values are nested more than %d deep", maxNesting)
			}
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
	}
}

// body reads the request's object.
func (c *call) body() (object, *resource.Failure) {
	data, err := bodyOf(c.Request)
	var read object
	switch {
	case err != nil:
	case len(data) > maxBody:
		err = fmt.Errorf("it is longer than %d bytes", maxBody)
	default:
		read, err = parseObject(data)
	}
	if err != nil {
		return nil, unreadable(err.Error())
	}
	return read, nil
}

// bodyOf is the body of a request, with maxBody+1 bytes at most. What the SDKs for Graph compress is
// undone, any other coding is not.
// Sources: microsoftgraph/msgraph-sdk-design#71, and middleware/CompressionHandler.md there; of the
// SDKs, that for Go compresses all that it writes.
func bodyOf(r *http.Request) ([]byte, error) {
	if r.Body == nil {
		return nil, nil
	}
	coded := io.Reader(r.Body)
	switch coding := r.Header.Get("Content-Encoding"); {
	case strings.EqualFold(coding, "gzip"):
		z, err := gzip.NewReader(coded)
		if err != nil {
			return nil, fmt.Errorf("Content-Encoding is gzip: %w", err)
		}
		coded = z
	case coding != "" && !strings.EqualFold(coding, "identity"):
		return nil, fmt.Errorf("Content-Encoding is %q, and only gzip is undone", coding)
	}
	return io.ReadAll(io.LimitReader(coded, maxBody+1))
}

// taken reads the request's object, and members of it in turn; see object.taken.
func (c *call) taken(members ...any) (object, *resource.Failure) {
	body, failed := c.body()
	if failed == nil {
		failed = body.taken(members...)
	}
	return body, failed
}

// unreadable refuses a body that is no JSON object. The text is seen in many logs.
func unreadable(why string) *resource.Failure {
	return resource.Fail(http.StatusBadRequest, "BadRequest", "Unable to read JSON request payload. Please ensure Content-Type header is set and payload is of valid JSON format.",
		"The body cannot be read: "+why+".", "Send a JSON object.")
}

// take reads a member into what it has to be, and takes it out; there is whether it was there.
// null leaves into as it is.
func (o object) take(name string, into any) (there bool, failed *resource.Failure) {
	value, there := o[name]
	if !there {
		return false, nil
	}
	delete(o, name)
	if json.Unmarshal(value, into) != nil {
		return true, mismatch(name)
	}
	return true, nil
}

// peek reads a member and leaves it.
func (o object) peek(name string, into any) *resource.Failure {
	if value, there := o[name]; there && json.Unmarshal(value, into) != nil {
		return mismatch(name)
	}
	return nil
}

// taken reads members in turn, until one is not what it has to be.
func (o object) taken(members ...any) *resource.Failure {
	for i := 0; i+1 < len(members); i += 2 {
		name, _ := members[i].(string)
		if _, failed := o.take(name, members[i+1]); failed != nil {
			return failed
		}
	}
	return nil
}

// mismatch refuses a value of another type. The text is seen in many logs.
func mismatch(name string) *resource.Failure {
	return badRequest(fmt.Sprintf("Property %s in payload has a value that does not match schema.", name), "The value of "+name+" has another type than the property.", "")
}

// write takes the members that nothing here depends on over into what was written before, and
// refuses others. Of a structure, members that are not named stay.
func (o object) write(into map[string]json.RawMessage, members []member) (map[string]json.RawMessage, *resource.Failure) {
	if into == nil {
		into = map[string]json.RawMessage{}
	}
	for _, m := range members {
		value, ok := o[m.name]
		if !ok {
			continue
		}
		delete(o, m.name)
		if !m.fits(value) {
			return nil, mismatch(m.name)
		}
		if m.form == structure && value[0] == '{' {
			before := into[m.name]
			if before == nil {
				before = json.RawMessage(m.fallback)
			}
			value = merged(before, value)
		}
		into[m.name] = value
	}
	return into, o.unknown()
}

// unknown refuses members that are left: those with annotations are passed over.
func (o object) unknown() *resource.Failure {
	for name := range o {
		if !strings.Contains(name, "@") {
			return badRequest(fmt.Sprintf("Invalid property '%s'.", name), "The object has no property of this name that can be written, or wiemu does not know it.", "")
		}
	}
	return nil
}

// fits reports whether a value, compact JSON, has the member's form; null always does.
func (m member) fits(value json.RawMessage) bool {
	if string(value) == "null" {
		return true
	}
	switch m.form {
	case boolean:
		return string(value) == "true" || string(value) == "false"
	case texts:
		var list []string
		return json.Unmarshal(value, &list) == nil
	case structure:
		return value[0] == '{'
	case structures:
		var list []map[string]json.RawMessage
		return json.Unmarshal(value, &list) == nil
	}
	return value[0] == '"'
}

// merged is a structure with the members of another one in place of its own. Their order is that
// of their names.
func merged(before, by json.RawMessage) json.RawMessage {
	var all, change map[string]json.RawMessage
	if json.Unmarshal(before, &all) != nil || json.Unmarshal(by, &change) != nil || all == nil {
		return by
	}
	maps.Copy(all, change)
	return encoded(all)
}

func badRequest(message, meaning, remedy string) *resource.Failure {
	return resource.Fail(http.StatusBadRequest, "Request_BadRequest", message, meaning, remedy)
}

// when is a time of a body; zero for none.
type when struct{ time.Time }

// UnmarshalJSON reads a time as OData writes it.
func (w *when) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil || text == "" {
		return err
	}
	at, err := time.Parse(time.RFC3339, text)
	if w.Time = at.UTC(); err == nil && !writable(w.Time) {
		return fmt.Errorf("time: expected a year from 1 to 9999 in UTC, found %q", text)
	}
	return err
}

// writable reports whether a time has the years that OData, as RFC 3339, can write: 1 to 9999.
func writable(at time.Time) bool { return at.Year() >= 1 && at.Year() <= 9999 }

// guid is an id of a body in its usual spelling.
type guid string

// UnmarshalJSON reads a GUID.
func (g *guid) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil || text == "" {
		return err
	}
	id, err := uuid.Parse(text)
	*g = guid(id.String())
	return err
}
