package storage

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Error is an answer of a service that says what went wrong.
type Error struct {
	Status  int
	Code    string // x-ms-error-code
	Message string
	Extra   []Extra
}

// Extra is a further element of an error in XML, such as MaxLimit.
type Extra struct{ Name, Value string }

// timeFormat is that of times in errors.
const timeFormat = "2006-01-02T15:04:05.0000000Z"

// WriteError answers a request with an error: XML with a byte order mark for blobs and
// queues, JSON for tables, and without a body for HEAD. The header of the answer has its
// x-ms-request-id already. The bytes are those of recorded replies
// (azure-sdk-for-js, sdk/storage/storage-blob/recordings).
func WriteError(w http.ResponseWriter, r *http.Request, s Service, now time.Time, e Error) {
	h := w.Header()
	h.Set("x-ms-error-code", e.Code)
	message := fmt.Sprintf("%s\nRequestId:%s\nTime:%s", e.Message, h.Get("x-ms-request-id"), now.UTC().Format(timeFormat))
	var body []byte
	if s == Table && !strings.Contains(r.Header.Get("Accept"), "atom") {
		h.Set("Content-Type", "application/json;odata=minimalmetadata;streaming=true;charset=utf-8")
		body = e.json(message)
	} else {
		h.Set("Content-Type", "application/xml")
		body = e.xml(message)
	}
	if r.Method == http.MethodHead { // seen: Azure/azure-storage-blob-go#183
		h.Del("Content-Type")
		body = nil
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(e.Status)
	_, _ = w.Write(body) // the client has gone: there is nobody to tell
}

func (e Error) xml(message string) []byte {
	var b bytes.Buffer
	b.WriteString("\ufeff" + `<?xml version="1.0" encoding="utf-8"?><Error><Code>` + e.Code + `</Code><Message>`)
	b.WriteString(text(message))
	b.WriteString(`</Message>`)
	for _, extra := range e.Extra {
		b.WriteString(`<` + extra.Name + `>` + text(extra.Value) + `</` + extra.Name + `>`)
	}
	b.WriteString(`</Error>`)
	return b.Bytes()
}

// text escapes what XML text has to; line breaks and quotes stay as they are.
func text(s string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(s)) // into memory
	return strings.NewReplacer("&#xA;", "\n", "&#34;", `"`, "&#39;", "'").Replace(b.String())
}

func (e Error) json(message string) []byte {
	body, _ := json.Marshal(map[string]any{"odata.error": map[string]any{ // strings alone
		"code": e.Code, "message": map[string]string{"lang": "en-US", "value": message},
	}})
	return body
}
