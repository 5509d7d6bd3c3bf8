package queues

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/internal/resource/storage"
)

// Queues and messages are counted in when they come and out when they go, empty ones too.
func TestBytesAreCounted(t *testing.T) {
	const each = 512
	clk := clock.Stopped(time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC))
	s := New(clk, "core.windows.net")
	if err := s.Open("orders"); err != nil {
		t.Fatal(err)
	}
	const empty, five = "<QueueMessage><MessageText></MessageText></QueueMessage>", "<QueueMessage><MessageText>12345</MessageText></QueueMessage>"
	for _, step := range []struct {
		method, name, query, body string
		headers                   []string
		wait                      time.Duration // before it
		status                    int
		bytes                     int // afterwards
	}{
		{"PUT", "", "", "", []string{"x-ms-meta-k", "12345"}, 0, 201, each + 6},
		{"PUT", "", "", "", []string{"x-ms-meta-k", "12345"}, 0, 204, each + 6},
		{"PUT", "", "comp=metadata", "", []string{"x-ms-meta-k", "1"}, 0, 204, each + 2},
		{"PUT", "", "comp=metadata", "", nil, 0, 204, each},
		{"POST", "messages", "messagettl=60", empty, nil, 0, 201, 2 * each},
		{"POST", "messages", "", five, nil, 0, 201, 3*each + 5},
		{"GET", "", "comp=metadata", "", nil, time.Minute, 200, 2*each + 5},
		{"DELETE", "messages", "", "", nil, 0, 204, each},
		{"POST", "messages", "", five, nil, 0, 201, 2*each + 5},
		{"DELETE", "", "", "", nil, 0, 204, 0},
	} {
		if err := clk.Advance(t.Context(), step.wait); err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(step.method, "https://orders.queue.core.windows.net/jobs/"+step.name+"?"+step.query, strings.NewReader(step.body))
		for i := 0; i+1 < len(step.headers); i += 2 {
			r.Header.Set(step.headers[i], step.headers[i+1])
		}
		w := httptest.NewRecorder()
		s.Serve(w, r, storage.Target{Account: "orders", Service: storage.Queue, Container: "jobs", Name: step.name})
		if w.Code != step.status || s.bytes != step.bytes {
			t.Errorf("%s %s %s: expected %d and %d bytes, found %d and %d: %s", step.method, step.name, step.query, step.status, step.bytes, w.Code, s.bytes, w.Body)
		}
	}
}
