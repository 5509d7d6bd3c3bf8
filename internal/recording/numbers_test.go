package recording_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/internal/lab"
	"github.com/wiemu/wiemu/internal/recording"
	"github.com/wiemu/wiemu/internal/server"
	"github.com/wiemu/wiemu/internal/session"
)

// numbers lists the paths of the numbers, times and durations in JSON, and sets them.
func numbers(value any, path string, found map[string]func(any), set func(any)) {
	switch v := value.(type) {
	case map[string]any:
		for name := range v {
			numbers(v[name], path+"."+name, found, func(n any) { v[name] = n })
		}
	case []any:
		for i := range v {
			numbers(v[i], path+"[]", found, func(n any) { v[i] = n })
		}
	case float64:
		found[path] = set
	case string:
		_, notDuration := time.ParseDuration(v)
		_, notTime := time.Parse(time.RFC3339, v)
		if notDuration == nil || notTime == nil {
			found[path] = set
		}
	}
}

// Whatever number or time is in a recording, it is refused with the field or played
// to the end: nothing panics, and nothing goes on for ever.
func TestNumbersOfRecordings(t *testing.T) {
	s := record(t, config.Config{Issuers: []config.Issuer{{Name: "local", RotateKeysEvery: 24 * time.Hour, PublishKeysAhead: time.Hour, RemoveKeysAfter: 24 * time.Hour}}}, recording.Options{})
	foreign := s.assertion()
	foreign = foreign[:strings.LastIndexByte(foreign, '.')+1] + strings.Repeat("AAAA", 80)
	s.exchange(url.Values{"client_assertion": {foreign}})
	s.advance("1h")
	access, _ := s.exchange(url.Values{"client_assertion": {s.assertion()}})
	s.secret(access, "")
	written := s.written()
	var all any
	if err := json.Unmarshal([]byte(written), &all); err != nil {
		t.Fatal(err)
	}
	fields := map[string]func(any){}
	numbers(all, "", fields, nil)
	if len(fields) < 20 {
		t.Fatalf("%d numbers were found", len(fields))
	}
	for field := range fields {
		for _, bad := range []any{-1, 1e15, "-1s", "2562047h", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"} {
			var changed any
			if err := json.Unmarshal([]byte(written), &changed); err != nil {
				t.Fatal(err)
			}
			again := map[string]func(any){}
			numbers(changed, "", again, nil)
			again[field](bad)
			text, err := json.Marshal(changed)
			if err != nil {
				t.Fatal(err)
			}
			recorded, err := recording.Parse("session.wiemu.json", text)
			if err != nil {
				last := field[strings.LastIndexByte(field, '.')+1:]
				if !strings.Contains(err.Error(), "session.wiemu.json:") || !strings.Contains(err.Error(), strings.TrimSuffix(last, "[]")) && !strings.Contains(err.Error(), "length") && !strings.Contains(err.Error(), "rotateKeysEvery") && !strings.Contains(err.Error(), "at:") {
					t.Errorf("%s = %v: the error does not say where: %v", field, bad, err)
				}
				continue
			}
			if _, err := recording.Replay(t.Context(), recorded, session.Options{Emulator: server.Options{Options: lab.Options{Keys: pool}}}); err != nil && !strings.Contains(err.Error(), "session.wiemu.json") && !strings.Contains(err.Error(), "lab") {
				t.Errorf("%s = %v: %v", field, bad, err)
			}
		}
	}
}

func TestRecordingsWithoutEndAreRefused(t *testing.T) {
	text := func(length, state string) string {
		return fmt.Sprintf(`{"apiVersion":"wiemu.dev/v1","kind":"Recording","start":"2026-01-05T08:00:00Z","length":%q,"state":%s,"inputs":[]}`, length, state)
	}
	_, err := recording.Parse("long.json", []byte(text("87600h", `{"config":{"issuers":[{"name":"local","rotateKeysEvery":"1m"}]}}`)))
	if err == nil || !strings.Contains(err.Error(), "long.json:") || !strings.Contains(err.Error(), "state.config.issuers[0].rotateKeysEvery") || !strings.Contains(err.Error(), "5256000 times") {
		t.Errorf("rotations every minute for ten years: %v", err)
	}
	s := record(t, config.Config{}, recording.Options{}) // with a token file, which is renewed
	recorded, err := recording.Parse("long.json", []byte(strings.Replace(s.written(), `"length": "0s"`, `"length": "87600h"`, 1)))
	if err != nil {
		t.Fatal(err)
	}
	if recorded.Length == 0 {
		t.Fatal("its length is as it was")
	}
	_, err = recording.Replay(t.Context(), recorded, session.Options{Emulator: server.Options{Options: lab.Options{Keys: pool}}})
	if err == nil || !strings.Contains(err.Error(), "long.json: length: ") || !strings.Contains(err.Error(), "more than twice the 2 recorded events") {
		t.Errorf("token files that are renewed for ten years: %v", err)
	}
}
