package tds

import (
	"bufio"
	"bytes"
	"testing"
)

func reading(b []byte) *bufio.Reader { return bufio.NewReader(bytes.NewReader(b)) }

func FuzzPackets(f *testing.F) {
	f.Add([]byte{packetBatch, 0, 0, 9, 0, 0, 0, 0, 1, packetBatch, 1, 0, 9, 0, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		const limit = 1000
		if m, err := (&wire{r: reading(b)}).read(limit); err == nil && len(m.data) > limit {
			t.Errorf("a message of %d bytes", len(m.data))
		}
		w := &wire{r: reading(b)}
		for {
			packet, err := w.packet()
			if err != nil {
				break
			}
			packets, err := w.rest(packet)
			if err != nil {
				break
			}
			_ = batchText(packets)
		}
	})
}

func FuzzPrelogin(f *testing.F) {
	f.Add(prelogin{fedAuth: true, fedAuthValue: 1, nonce: make([]byte, 32)}.answer(version(), encryptOn, make([]byte, 32)))
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := parsePrelogin(b); err == nil {
			again, err := parsePrelogin(p.answer(version(), p.encryption, p.nonce))
			if err != nil || again.encryption != p.encryption || again.fedAuth != p.fedAuth {
				t.Errorf("%+v became %+v, %v", p, again, err)
			}
		}
	})
}

func FuzzLogin(f *testing.F) {
	f.Add(login("a.b.c"))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := parseLogin(b)
		if err != nil {
			return
		}
		again, err := parseLogin(l.as("u", "p", "d"))
		if err != nil || again.User != "u" || again.FedAuth != nil {
			t.Errorf("%+v became %+v, %v", l, again, err)
		}
	})
}

func FuzzToken(f *testing.F) {
	f.Add([]byte{14, 0, 0, 0, 10, 0, 0, 0, 'a', 0, '.', 0, 'b', 0, '.', 0, 'c', 0})
	f.Fuzz(func(_ *testing.T, b []byte) { _, _ = parseFedAuthMessage(b) })
}

func FuzzCalls(f *testing.F) {
	f.Add([]byte{4, 0, 0, 0, 0xFF, 0xFF, 10, 0, 0, 0, 0, 0, 0xE7, 20, 0, 0, 0, 0, 0, 0, 4, 0, 'a', 0, 'b', 0})
	for _, id := range []byte{tIntN, tDecimalN, tDateTime2, tDateTimeOf, tGUID, tVariant, tNText, tXML, tMoneyN, tDate, tTime, tVarBinary} {
		f.Add([]byte{4, 0, 0, 0, 0xFF, 0xFF, 10, 0, 0, 0, 0, 0, id, 8, 7, 7, 0, 0, 0, 0, 4, 0, 1, 2, 3, 4, 5, 6, 7, 8})
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		calls, err := parseCalls(b)
		if err != nil {
			return
		}
		for _, c := range calls { // what was read can be written
			for _, p := range c.params {
				if _, err := p.Type.Nullable().appendValue(nil, p.Value); err != nil && p.Value != nil && p.Type.ID != tVariant && p.Type.ID != tDecimalN && p.Type.ID != tNumericN {
					t.Errorf("%+v: %v", p, err)
				}
			}
		}
	})
}

func FuzzGreeting(f *testing.F) {
	a := Attempt{Login: &Login{features: []feature{{featureFedAuth, nil}}}}
	f.Add(appendDone(appendFeatureAck(appendLoginAck(nil, version74, "x", [4]byte{}), []feature{{featureUTF8, []byte{1}}}), tokDone, 0, 0, 0))
	f.Add(appendDone(appendError(nil, Errorf(18456, "Login failed."), "s"), tokDone, doneError, 0, 0))
	f.Fuzz(func(_ *testing.T, b []byte) { _, _, _ = greetingFor(b, a) })
}
