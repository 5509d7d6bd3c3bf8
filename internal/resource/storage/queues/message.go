package queues

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/xml"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/wiemu/wiemu/internal/resource/storage"
	"github.com/wiemu/wiemu/internal/resource/storage/rest"
)

// Limits and defaults. Documented: Put Message, Get Messages, Update Message.
const (
	maxMessage       = 64 << 10 // bytes of its text
	maxNumber        = 32       // messages that one request gets
	defaultLife      = 7 * 24 * time.Hour
	defaultInvisible = 30 * time.Second
	maxInvisible     = 7 * 24 * time.Hour
)

// never is when messages expire that do not.
func never() time.Time { return time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC) }

// messages answers what is about the messages of a queue (messages), or one of them
// (messages/ID).
func (c *call) messages(method string) (answer, *storage.Error) {
	first, id, one := strings.Cut(c.target.Name, "/")
	switch {
	case first != "messages":
		return answer{}, rest.Bad("InvalidUri", "The requested URI does not represent any resource on the server.")
	case method == http.MethodPost && !one:
		return c.put()
	case method == http.MethodGet && !one:
		return c.get()
	case method == http.MethodDelete && !one:
		for _, m := range c.queue.messages {
			c.bytes -= m.size()
		}
		c.queue.messages = nil
		return answer{status: http.StatusNoContent}, nil
	case method == http.MethodDelete:
		return c.delete(id)
	case method == http.MethodPut && one:
		return c.update(id)
	}
	return answer{}, notKnown()
}

// text reads the message of a body.
func (c *call) text() (string, *storage.Error) {
	var message struct {
		XMLName xml.Name `xml:"QueueMessage"`
		Text    string   `xml:"MessageText"`
	}
	if xml.Unmarshal(c.body, &message) != nil {
		return "", rest.BadXML()
	}
	if len(message.Text) > maxMessage {
		return "", rest.TooLarge()
	}
	return message.Text, nil
}

// size is how many bytes a message counts for.
func (m *message) size() int { return rest.Cost + len(m.text) }

// hold counts bytes in or out, if there is room.
func (c *call) hold(n int) *storage.Error {
	if c.bytes+n > maxTotal {
		return rest.Fail(http.StatusRequestEntityTooLarge, "RequestBodyTooLarge", "wiemu stores at most 256 MiB of messages in memory, each with 512 bytes besides its text; delete some, or let Azurite store them (storage: {backend: azurite}).")
	}
	c.bytes += n
	return nil
}

// seconds reads a parameter between two limits.
func (c *call) seconds(name string, fallback, least, most time.Duration) (time.Duration, *storage.Error) {
	text := c.query.Get(name)
	if text == "" {
		return fallback, nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	d := time.Duration(n) * time.Second
	switch {
	case err != nil:
		return 0, rest.BadQuery()
	case d < least, d > most:
		return 0, rest.OutOfRange()
	}
	return d, nil
}

// receipt is a new pop receipt of a message, by which a later one is told from those that
// no message ever had.
func (c *call) receipt(id string) string {
	c.receipts++
	of := uuid.MustParse(id)
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint64(of[:], c.receipts))
}

func (c *call) put() (answer, *storage.Error) {
	text, failed := c.text()
	if failed != nil {
		return answer{}, failed
	}
	life := time.Duration(-1)
	if c.query.Get("messagettl") != "-1" {
		if life, failed = c.seconds("messagettl", defaultLife, time.Second, time.Duration(1<<31-1)*time.Second); failed != nil {
			return answer{}, rest.BadQuery()
		}
	}
	invisible, failed := c.seconds("visibilitytimeout", 0, 0, maxInvisible)
	switch {
	case failed != nil:
		return answer{}, failed
	case life > 0 && invisible >= life: // documented: it must be less
		return answer{}, rest.BadQuery()
	}
	if failed := c.hold(rest.Cost + len(text)); failed != nil {
		return answer{}, failed
	}
	m := &message{id: uuid.NewString(), text: text, inserted: c.now, expires: never(), visible: c.now.Add(invisible)}
	if life > 0 {
		m.expires = c.now.Add(life)
	}
	m.receipt = c.receipt(m.id)
	c.queue.messages = append(c.queue.messages, m)
	e := m.entry()
	e.Receipt, e.Visible = m.receipt, m.visible.Format(http.TimeFormat)
	return c.marshal(http.StatusCreated, entries{Messages: []entry{e}})
}

type entries struct {
	XMLName  xml.Name `xml:"QueueMessagesList"`
	Messages []entry  `xml:"QueueMessage"`
}

type entry struct {
	ID       string  `xml:"MessageId"`
	Inserted string  `xml:"InsertionTime"`
	Expires  string  `xml:"ExpirationTime"`
	Receipt  string  `xml:"PopReceipt,omitempty"`
	Visible  string  `xml:"TimeNextVisible,omitempty"`
	Dequeued *int    `xml:"DequeueCount"`
	Text     *string `xml:"MessageText"`
}

func (m *message) entry() entry {
	return entry{ID: m.id, Inserted: m.inserted.Format(http.TimeFormat), Expires: m.expires.Format(http.TimeFormat)}
}

// get answers Get Messages and Peek Messages.
func (c *call) get() (answer, *storage.Error) {
	number := 1
	if text := c.query.Get("numofmessages"); text != "" {
		var err error
		if number, err = strconv.Atoi(text); err != nil {
			return answer{}, rest.BadQuery()
		}
		if number < 1 || number > maxNumber {
			return answer{}, rest.OutOfRange()
		}
	}
	peek := c.query.Get("peekonly") == "true"
	invisible, failed := c.seconds("visibilitytimeout", defaultInvisible, time.Second, maxInvisible)
	if failed != nil {
		return answer{}, failed
	}
	var all entries
	for _, m := range c.queue.messages {
		if len(all.Messages) == number {
			break
		}
		if c.now.Before(m.visible) {
			continue
		}
		e := m.entry()
		if !peek {
			m.dequeued++
			m.receipt, m.visible = c.receipt(m.id), c.now.Add(invisible)
			e.Receipt, e.Visible = m.receipt, m.visible.Format(http.TimeFormat)
		}
		e.Dequeued, e.Text = new(m.dequeued), &m.text
		all.Messages = append(all.Messages, e)
	}
	return c.marshal(http.StatusOK, all)
}

// find returns where a message is, if the request has its latest pop receipt.
func (c *call) find(id string) (int, *storage.Error) {
	given := c.query.Get("popreceipt")
	i := slices.IndexFunc(c.queue.messages, func(m *message) bool { return m.id == id })
	switch {
	case given == "":
		return 0, rest.MissingQuery()
	case i < 0, c.queue.messages[i].receipt != given && formerly(given, id):
		// One that has been dequeued or updated since: documented in Delete Message, seen
		// since 2013 (blogs.lessthandot.com, "Queue PopReceiptMismatch Bug").
		return 0, rest.Fail(http.StatusNotFound, "MessageNotFound", "The specified message does not exist.")
	case c.queue.messages[i].receipt != given:
		return 0, rest.Bad("PopReceiptMismatch", "The specified pop receipt did not match the pop receipt for a dequeued message.")
	}
	return i, nil
}

// formerly says whether a pop receipt was once given for a message.
func formerly(receipt, id string) bool {
	raw, err := base64.StdEncoding.DecodeString(receipt)
	of, bad := uuid.Parse(id)
	return err == nil && bad == nil && len(raw) == len(of)+8 && string(raw[:len(of)]) == string(of[:])
}

func (c *call) delete(id string) (answer, *storage.Error) {
	i, failed := c.find(id)
	if failed != nil {
		return answer{}, failed
	}
	c.bytes -= c.queue.messages[i].size()
	c.queue.messages = slices.Delete(c.queue.messages, i, i+1)
	return answer{status: http.StatusNoContent}, nil
}

// update answers Update Message: when the message is visible again, and if the request
// says so, with another text.
func (c *call) update(id string) (answer, *storage.Error) {
	if c.query.Get("visibilitytimeout") == "" {
		return answer{}, rest.MissingQuery()
	}
	invisible, failed := c.seconds("visibilitytimeout", 0, 0, maxInvisible)
	if failed != nil {
		return answer{}, failed
	}
	i, failed := c.find(id)
	if failed != nil {
		return answer{}, failed
	}
	m := c.queue.messages[i]
	if c.now.Add(invisible).After(m.expires) { // documented: not beyond its life
		return answer{}, rest.OutOfRange()
	}
	if len(c.body) > 0 {
		text, failed := c.text()
		if failed == nil {
			failed = c.hold(len(text) - len(m.text))
		}
		if failed != nil {
			return answer{}, failed
		}
		m.text = text
	}
	m.receipt, m.visible = c.receipt(m.id), c.now.Add(invisible)
	c.w.Header().Set("x-ms-popreceipt", m.receipt)
	c.w.Header().Set("x-ms-time-next-visible", m.visible.Format(http.TimeFormat))
	return answer{status: http.StatusNoContent}, nil
}
