package console

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/wiemu/wiemu/emulator/journal"
)

// Wall time: a connection that is idle for longer is written to, which shows whether it is
// there; a client that takes nothing for that long is gone.
const (
	heartbeat = 15 * time.Second
	stalled   = 30 * time.Second
)

// stream sends the journal as server-sent events, each with an id by which a browser goes on
// where its connection broke (Last-Event-ID), or a page where it stopped (?after=). Besides those without a name, which are
// journaled events, there are
//
//	reset   the ids before were another server's: what the page shows is to be forgotten
//	missed  so many events before the next are not kept any more
//	ready   what was there at the beginning has been sent
//
// There are maxStreams at a time.
// Source: HTML Living Standard, 9.2 Server-sent events.
func (c *Console) stream(w http.ResponseWriter, r *http.Request) {
	select {
	case c.streams <- struct{}{}:
		defer func() { <-c.streams }()
	default:
		w.Header().Set("Retry-After", "5")
		refuse(w, http.StatusServiceUnavailable, fmt.Sprintf("As many pages of this console are open as it serves at a time, %d. Close one, and this page goes on by itself.", maxStreams))
		return
	}
	s := &eventStream{w: w, to: http.NewResponseController(w), run: c.run}
	_ = s.to.SetReadDeadline(time.Time{}) // the listener's is for requests
	w.Header().Set("Content-Type", "text/event-stream")
	s.send("retry: 1000\n\n") // milliseconds after which a browser connects again
	run, ordinal, _ := strings.Cut(cmp.Or(r.Header.Get("Last-Event-ID"), r.URL.Query().Get("after")), ".")
	last, err := strconv.ParseUint(ordinal, 10, 64)
	if run != c.run || err != nil {
		last = 0
		s.send("event: reset\ndata: " + c.run + "\n\n")
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for first := true; s.err == nil; first = false {
		events, missed, more := c.opts.Journal.After(last)
		if missed > 0 {
			s.send(fmt.Sprintf("event: missed\ndata: %d\n\n", missed))
		}
		for _, e := range events {
			last, _ = strconv.ParseUint(e.ID, 10, 64) // the journal's
			s.event(e)
		}
		if first {
			s.send("event: ready\ndata: \n\n")
		}
		s.flush()
		select {
		case <-more:
		case <-beat.C:
			s.send(": still here\n\n")
		case <-c.closing:
			return
		case <-r.Context().Done():
			return
		}
	}
}

// eventStream writes until something fails.
type eventStream struct {
	w   io.Writer
	to  *http.ResponseController
	run string
	err error
}

func (s *eventStream) event(e journal.Event) {
	data, err := json.Marshal(e)
	if err != nil {
		s.err = err
		return
	}
	s.send("id: " + s.run + "." + e.ID + "\ndata: " + string(data) + "\n\n")
}

func (s *eventStream) send(text string) {
	if s.err == nil {
		_ = s.to.SetWriteDeadline(time.Now().Add(stalled)) // wall time; a writer without deadlines has none
		_, s.err = io.WriteString(s.w, text)
	}
}

func (s *eventStream) flush() {
	if s.err == nil {
		s.err = s.to.Flush()
	}
}
