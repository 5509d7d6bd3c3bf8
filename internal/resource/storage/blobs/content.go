package blobs

import (
	"crypto/md5" //nolint:gosec // what clients compare to find broken transfers
	"encoding/base64"
	"encoding/binary"
	"hash/crc64"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/wiemu/wiemu/internal/resource/storage"
)

// content is the bytes of a blob: the bodies that they came in, one after the other, so
// that nothing is stored twice. A part is not changed, but the last may grow behind its
// end.
type content struct {
	parts [][]byte
	size  int64
}

func contentOf(parts ...[]byte) content {
	c := content{parts: parts}
	for _, p := range parts {
		c.size += int64(len(p))
	}
	return c
}

// smallPart is up to how many bytes the last part grows when something is appended.
const smallPart = 64 << 10

// append adds a part.
func (c *content) append(data []byte) {
	c.size += int64(len(data))
	if last := len(c.parts) - 1; last >= 0 && len(c.parts[last])+len(data) <= smallPart {
		c.parts[last] = append(c.parts[last], data...)
		return
	}
	c.parts = append(c.parts, slices.Clip(data))
}

// span is the content from one byte to another, the last included. Appending to either
// does not change the other.
func (c content) span(first, last int64) content {
	var parts [][]byte
	start := int64(0)
	for _, p := range c.parts {
		end := start + int64(len(p))
		if from, to := max(first, start), min(last+1, end); from < to {
			parts = append(parts, p[from-start:to-start:to-start])
		}
		start = end
	}
	return contentOf(parts...)
}

func (c content) clone() content { return c.span(0, c.size-1) }

// WriteTo implements io.WriterTo.
func (c content) WriteTo(w io.Writer) (sent int64, err error) {
	for _, p := range c.parts {
		n, err := w.Write(p)
		if sent += int64(n); err != nil {
			return sent, err
		}
	}
	return sent, nil
}

func (c content) md5() string {
	h := md5.New()      //nolint:gosec // see above
	_, _ = c.WriteTo(h) // a hash takes everything
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// crc64NVME is the checksum of x-ms-content-crc64: reflected, with this polynomial, and
// the lowest byte first. Source: azure-sdk-for-go, sdk/storage/azblob/internal/shared.
func (c content) crc64() string {
	h := crc64.New(crc64.MakeTable(0x9A6C9329AC4BC9B5))
	_, _ = c.WriteTo(h) // a hash takes everything
	return base64.StdEncoding.EncodeToString(binary.LittleEndian.AppendUint64(nil, h.Sum64()))
}

// byteRange reads a header such as bytes=0-499 or bytes=500-: which bytes of so many it
// asks for. Headers of another form ask for all. Documented: Specifying the range header
// for Blob service operations.
func byteRange(header string, size int64) (first, last int64, ok bool, failed *storage.Error) {
	from, to, found := strings.Cut(strings.TrimPrefix(header, "bytes="), "-")
	first, err := strconv.ParseInt(from, 10, 64)
	if !strings.HasPrefix(header, "bytes=") || !found || err != nil || first < 0 {
		return 0, size - 1, false, nil
	}
	last = size - 1
	if to != "" {
		n, err := strconv.ParseInt(to, 10, 64)
		if err != nil || n < first {
			return 0, size - 1, false, nil
		}
		last = min(last, n)
	}
	if first >= size {
		return 0, 0, false, badRange()
	}
	return first, last, true, nil
}
