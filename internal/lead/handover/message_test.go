package handover

import (
	"bytes"
	"errors"
	"testing"
)

// FuzzDecode reads bytes as messages. Whatever they are, there is a message that can be
// sent again and is the same then, or an error.
func FuzzDecode(f *testing.F) {
	for _, m := range []message{
		{Verb: accept, To: Target{"login.microsoftonline.com", 443}, By: Program{PID: 1, Executable: "/usr/bin/node", Name: "node"}},
		{Verb: permits, ID: 7, To: Target{"2001:db8::1", 80}, By: Program{PID: 2}},
		{Verb: allows, ID: 7, To: Target{Host: "www.example.test"}},
		{Verb: yes, ID: 7},
		{Verb: ready},
		{Verb: settled, ID: 8},
	} {
		data, err := encode(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		f.Add(data[:len(data)-1])
		f.Add(append(data, data...))
	}
	f.Add([]byte("\x00\x02{}"))
	f.Add([]byte("\xff\xff"))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, received []byte) {
		m, rest, err := decode(received)
		if errors.Is(err, errIncomplete) {
			if !bytes.Equal(rest, received) {
				t.Fatalf("an incomplete message: expected all of it to remain, found %d of %d bytes", len(rest), len(received))
			}
			return
		}
		if err != nil {
			return
		}
		if !bytes.HasSuffix(received, rest) || len(rest) > len(received)-lengthSize {
			t.Fatalf("expected what follows the message, found %q", rest)
		}
		data, err := encode(m)
		if err != nil {
			t.Fatalf("encode %+v: %v", m, err)
		}
		again, rest, err := decode(data)
		if err != nil || len(rest) > 0 || again != m {
			t.Fatalf("expected %+v, found %+v, %q, %v", m, again, rest, err)
		}
	})
}

func TestMessagesThatAreRefused(t *testing.T) {
	by := Program{PID: 1}
	for name, m := range map[string]message{
		"no verb":            {To: Target{"a.test", 443}, By: by},
		"an unknown verb":    {Verb: "exec", To: Target{"a.test", 443}, By: by},
		"no host":            {Verb: accept, To: Target{"", 443}, By: by},
		"a host in capitals": {Verb: accept, To: Target{"A.test", 443}, By: by},
		"a host and a path":  {Verb: accept, To: Target{"a.test/x", 443}, By: by},
		"no port":            {Verb: permits, To: Target{"a.test", 0}, By: by},
		"no process":         {Verb: accept, To: Target{"a.test", 443}},
		"a negative process": {Verb: accept, To: Target{"a.test", 443}, By: Program{PID: -1}},
	} {
		data, err := encode(m)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := decode(data); err == nil || errors.Is(err, errIncomplete) {
			t.Errorf("%s: expected an error, found %v", name, err)
		}
	}
	if _, _, err := decode([]byte("\x40\x01")); !errors.Is(err, errTooLong) {
		t.Errorf("a message of 16385 bytes: expected %v before it has arrived, found %v", errTooLong, err)
	}
	if _, _, err := decode([]byte("\x00\x02hi")); err == nil {
		t.Error("a message that is not JSON: expected an error")
	}
}
