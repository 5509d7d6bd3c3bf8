package queues

import (
	"bytes"
	"encoding/xml"
	"testing"
)

// A message that is taken comes back as the same text.
func FuzzMessage(f *testing.F) {
	for _, body := range []string{
		"<QueueMessage><MessageText>do &amp; &lt;this&gt;</MessageText></QueueMessage>", "<?xml version='1.0' encoding='utf-8'?><QueueMessage><MessageText/></QueueMessage>",
		"<QueueMessage><MessageText><![CDATA[x]]></MessageText><MessageText>y</MessageText></QueueMessage>", "<QueueMessage>", "<Message/>", "", "\ufeff<QueueMessage/>", "<QueueMessage><MessageText>&#13;\t\n</MessageText></QueueMessage>",
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		text, failed := (&call{body: body}).text()
		if failed != nil {
			if text != "" || failed.Status < 400 || failed.Code == "" {
				t.Errorf("%q is refused with %+v, %q", body, failed, text)
			}
			return
		}
		var written bytes.Buffer
		if err := xml.NewEncoder(&written).Encode(entries{Messages: []entry{{Text: &text}}}); err != nil {
			t.Fatalf("%q cannot be given back: %v", text, err)
		}
		var read struct {
			Text string `xml:"QueueMessage>MessageText"`
		}
		if err := xml.Unmarshal(written.Bytes(), &read); err != nil || read.Text != text {
			t.Errorf("%q came back as %q, %v", text, read.Text, err)
		}
	})
}
