package aadsts

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/wiemu/wiemu/internal/truncate"
)

// Error is a refusal by Entra ID: an entry of the catalogue with its text filled
// in. Only the constructors make one.
type Error struct {
	Entry
	Message    string        // the entry's text with its placeholders filled
	RetryAfter time.Duration // until a retry makes sense, lab time; if 0, the reply does not say
}

// Error returns the code and the text as they stand in error_description.
func (e *Error) Error() string { return fmt.Sprintf("AADSTS%d: %s", e.Code, e.Message) }

// Reply is the JSON body of a refusal, in Entra ID's order.
type Reply struct {
	Error         string `json:"error"`
	Description   string `json:"error_description"`
	Codes         []int  `json:"error_codes"`
	Timestamp     string `json:"timestamp"`
	TraceID       string `json:"trace_id"`
	CorrelationID string `json:"correlation_id"`
	URI           string `json:"error_uri,omitempty"`
}

// Reply makes the body that tells a client of the refusal at a time (lab time).
// The ids stand behind the text with single spaces between; it was CR LF until
// October 2023.
//
// host is the login host, which has a page for the code.
func (e *Error) Reply(host string, at time.Time, traceID, correlationID string) Reply {
	timestamp := at.UTC().Format("2006-01-02 15:04:05Z")
	reply := Reply{
		Error:         e.OAuth,
		Description:   fmt.Sprintf("%s Trace ID: %s Correlation ID: %s Timestamp: %s", e.Error(), traceID, correlationID, timestamp),
		Codes:         []int{e.Code},
		Timestamp:     timestamp,
		TraceID:       traceID,
		CorrelationID: correlationID,
	}
	if e.URI {
		reply.URI = "https://" + host + "/error?code=" + strconv.Itoa(e.Code)
	}
	return reply
}

// maxEcho is how much of what a client sent is repeated to it, in bytes.
const maxEcho = 1024

// refuse fills an entry's text: each name stands for {name} in it. What a client
// sent is repeated as it came, but never without end. A code without an entry is
// a mistake in this package.
func refuse(code int, namesAndValues ...string) *Error {
	entry, ok := Lookup(code)
	if !ok {
		panic(fmt.Sprintf("aadsts: no entry for code %d", code))
	}
	fill := make([]string, 0, len(namesAndValues))
	for i := 0; i+1 < len(namesAndValues); i += 2 {
		fill = append(fill, "{"+namesAndValues[i]+"}", clip(namesAndValues[i+1]))
	}
	return &Error{Entry: entry, Message: strings.NewReplacer(fill...).Replace(entry.Text)}
}

func clip(s string) string {
	if len(s) <= maxEcho {
		return s
	}
	return truncate.Bytes(s, maxEcho-1)
}

// instant writes a time as .NET's round-trip format does.
func instant(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.0000000Z") }
