package storage

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"

	"github.com/google/uuid"

	"github.com/wiemu/wiemu/internal/hostmux"
	"github.com/wiemu/wiemu/internal/resource"
)

// The limits of a batch. Source: REST reference, Blob Batch.
const (
	maxBatch    = 4 << 20
	maxRequests = 256
)

// batchAnswer is the answer to a batch.
type batchAnswer struct {
	boundary string
	text     []byte
}

// part is one request of a batch.
type part struct {
	id      string // Content-ID
	request *http.Request
}

// batch takes a batch apart. Each request in it goes through every check by itself. Nothing
// is done as long as not all of it could be read.
func (c *call) batch() (batchAnswer, *refusal) {
	parts, r := c.readBatch()
	if r != nil {
		return batchAnswer{}, r
	}
	answer := batchAnswer{boundary: "batchresponse_" + uuid.NewString()}
	handler := c.accounts.kit.Serve(func(base *resource.Call) resource.Request {
		inner := c.accounts.newCall(base)
		inner.batched = true
		return inner
	})
	var b bytes.Buffer
	for _, p := range parts {
		part := hostmux.Answer(handler, p.request)
		writePart(&b, answer.boundary, p.id, part)
		_ = part.Body.Close() // it is in memory
	}
	fmt.Fprintf(&b, "--%s--\r\n", answer.boundary)
	answer.text = b.Bytes()
	return answer, nil
}

func (c *call) readBatch() ([]part, *refusal) {
	kind := c.Request.Header.Get("Content-Type")
	boundary := boundaryOf(kind)
	if boundary == "" {
		return nil, badHeader("Content-Type", kind, "The body of a batch is multipart/mixed with a boundary.")
	}
	body, err := io.ReadAll(io.LimitReader(c.Request.Body, maxBatch+1))
	switch {
	case err != nil:
		return nil, cutShort()
	case len(body) > maxBatch:
		return nil, tooLarge(maxBatch)
	}
	parts, err := splitBatch(body, boundary, c.Request)
	var tooMany *tooManyError
	switch {
	case errors.As(err, &tooMany):
		return nil, badRequest(tooManyRequests, "The batch operation exceeds maximum number of allowed subrequests.", err.Error())
	case err != nil:
		return nil, badRequest("InvalidInput", "One of the request inputs is not valid.", "The batch is not one: "+err.Error()+". Nothing of it was done.")
	}
	return parts, c.checkParts(parts)
}

const tooManyRequests = "ExceedsMaxBatchRequestCount"

// refuseAsPart refuses a batch of too many requests as the service does: the batch is
// accepted, and its answer has one part, which refuses and is of no request. Seen:
// Azure/azure-sdk-for-java#6725; .NET then misses the other parts (azure-sdk-for-net#20196).
func (c *call) refuseAsPart(r *refusal) func(http.ResponseWriter, func(int, *resource.Failure)) {
	return func(w http.ResponseWriter, begin func(int, *resource.Failure)) {
		part := hostmux.Answer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
			c.identify(w)
			WriteError(w, request, Blob, c.accounts.kit.Clock.Now(), r.Error)
		}), c.Request)
		boundary := "batchresponse_" + uuid.NewString()
		var b bytes.Buffer
		writePart(&b, boundary, "", part)
		_ = part.Body.Close() // it is in memory
		fmt.Fprintf(&b, "--%s--\r\n", boundary)
		c.identify(w)
		w.Header().Set("Content-Type", "multipart/mixed; boundary="+boundary)
		begin(http.StatusAccepted, c.refuse(r))
		w.WriteHeader(http.StatusAccepted)
		_, _ = b.WriteTo(w) // the client may have gone
	}
}

// checkParts refuses batches that mix or that do what batches cannot, or that leave the
// container that they are for. Source: REST reference, Blob Batch, "Remarks".
func (c *call) checkParts(parts []part) *refusal {
	first := ""
	for _, p := range parts {
		t, q := parse(c.name, Blob, p.request.RequestURI)
		op, _, _ := find(p.request, t, q)
		switch {
		case op.name != "Delete Blob" && op.name != "Set Blob Tier":
			return badRequest("InvalidInput", "One of the request inputs is not valid.", "A batch deletes blobs or sets their tiers; this one has "+op.name+". Nothing of it was done.")
		case first != "" && op.name != first:
			return badRequest("InvalidInput", "One of the request inputs is not valid.", "The requests of a batch are of one kind; this one has "+first+" and "+op.name+". Nothing of it was done.")
		case c.target.Container != "" && t.Container != c.target.Container:
			return badRequest("InvalidInput", "One of the request inputs is not valid.", "The batch is for container "+c.target.Container+", and has a request for "+t.path()+". Nothing of it was done.")
		}
		first = op.name
	}
	return nil
}

type tooManyError struct{}

func (*tooManyError) Error() string {
	return fmt.Sprintf("A batch has up to %d requests.", maxRequests)
}

// splitBatch reads all requests of a batch.
func splitBatch(body []byte, boundary string, outer *http.Request) ([]part, error) {
	var all []part
	for reader := multipart.NewReader(bytes.NewReader(body), boundary); ; {
		p, err := reader.NextRawPart()
		switch {
		case errors.Is(err, io.EOF) && len(all) > 0 && bytes.Contains(body, []byte("--"+boundary+"--")):
			return all, nil
		case errors.Is(err, io.EOF):
			return nil, errors.New("it ends without a request, or before its end")
		case err != nil:
			return nil, err
		case len(all) == maxRequests:
			return nil, &tooManyError{}
		}
		if kind, _, _ := strings.Cut(p.Header.Get("Content-Type"), ";"); kind != "" && !strings.EqualFold(strings.TrimSpace(kind), "application/http") {
			return nil, fmt.Errorf("request %d: expected Content-Type: application/http, found %q", len(all)+1, kind)
		}
		request, err := readRequest(p, outer)
		if err != nil {
			return nil, fmt.Errorf("request %d: %w", len(all)+1, err)
		}
		all = append(all, part{p.Header.Get("Content-ID"), request})
	}
}

// readRequest reads one request of a batch. It has no Host and no version of its own, and
// the batch's token if it brings no credential.
func readRequest(p io.Reader, outer *http.Request) (*http.Request, error) {
	reader := textproto.NewReader(bufio.NewReader(p))
	line, err := reader.ReadLine()
	if err != nil {
		return nil, err
	}
	method, rest, _ := strings.Cut(line, " ")
	target, version, found := strings.Cut(rest, " ")
	if !found || !strings.HasPrefix(version, "HTTP/1.") {
		return nil, fmt.Errorf("expected METHOD /path HTTP/1.1, found %q", line)
	}
	if !strings.HasPrefix(target, "/") {
		if strings.Contains(target, "://") {
			return nil, fmt.Errorf("expected METHOD /path HTTP/1.1 without a host, which is the batch's, found %q", line)
		}
		target = "/" + target
	}
	header, err := reader.ReadMIMEHeader()
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if length := header.Get("Content-Length"); length != "" && length != "0" {
		return nil, fmt.Errorf("expected a request without a body, found Content-Length: %q", length)
	}
	sub, err := http.NewRequestWithContext(outer.Context(), method, "https://"+outer.Host+target, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("expected METHOD /path HTTP/1.1, found %q", line)
	}
	sub.Header = http.Header(header)
	for _, name := range []string{"x-ms-version", "x-ms-client-request-id"} {
		if sub.Header.Get(name) == "" && outer.Header.Get(name) != "" {
			sub.Header.Set(name, outer.Header.Get(name))
		}
	}
	_, query := split(target)
	if q, _ := url.ParseQuery(query); sub.Header.Get("Authorization") == "" && q.Get("sig") == "" && outer.Header.Get("Authorization") != "" {
		sub.Header.Set("Authorization", outer.Header.Get("Authorization")) // SDKs of today leave it to the batch
	}
	received := hostmux.Received(sub)
	received.RequestURI, received.RemoteAddr = target, outer.RemoteAddr
	return received, nil
}

// boundaryOf is the boundary of a multipart body. Some clients do not quote one that has
// what a token must not have, such as =.
func boundaryOf(contentType string) string {
	kind, parameters, _ := strings.Cut(contentType, ";")
	if !strings.EqualFold(strings.TrimSpace(kind), "multipart/mixed") {
		return ""
	}
	for parameter := range strings.SplitSeq(parameters, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(parameter), "=")
		if strings.EqualFold(name, "boundary") {
			return strings.Trim(value, `"`)
		}
	}
	return ""
}

func writePart(b *bytes.Buffer, boundary, id string, answer *http.Response) {
	fmt.Fprintf(b, "--%s\r\nContent-Type: application/http\r\n", boundary)
	if id != "" {
		fmt.Fprintf(b, "Content-ID: %s\r\n", strings.NewReplacer("\r", "", "\n", "").Replace(id))
	}
	fmt.Fprintf(b, "\r\nHTTP/1.1 %d %s\r\n", answer.StatusCode, http.StatusText(answer.StatusCode))
	_ = answer.Header.Write(b) // into memory
	b.WriteString("\r\n")
	_, _ = b.ReadFrom(answer.Body) // as above
	b.WriteString("\r\n")
}
