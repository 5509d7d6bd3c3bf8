package tds

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// login is a LOGIN7 with a token.
func login(token string) []byte {
	text := toUTF16(token)
	data := append([]byte{LibrarySecurityToken<<1 | 1, byte(len(text)), byte(len(text) >> 8), 0, 0}, text...)
	l := &Login{fixed: make([]byte, loginFixed), Host: "pod", App: "orders", Server: "orders.database.windows.net", Library: "test", features: []feature{{featureUTF8, []byte{1}}}}
	b := l.as("user", "password", "sales")
	end := len(b) - 1 // before the end of the features
	b = append(append(b[:end:end], featureFedAuth, byte(len(data)), byte(len(data)>>8), 0, 0), data...)
	b = append(b, 0xFF)
	b[0], b[1], b[2] = byte(len(b)), byte(len(b)>>8), byte(len(b)>>16)
	return b
}

func TestLogin(t *testing.T) {
	l, err := parseLogin(login("a.b.c"))
	if err != nil {
		t.Fatal(err)
	}
	if l.User != "user" || l.Password != "password" || l.Database != "sales" || l.App != "orders" || l.Host != "pod" || l.Server != "orders.database.windows.net" {
		t.Errorf("%+v", l)
	}
	if f := l.FedAuth; f == nil || f.Token != "a.b.c" || f.Library != LibrarySecurityToken || !f.echo {
		t.Errorf("%+v", l.FedAuth)
	}
	// for a backend there is no token, and what else the client can do
	again, err := parseLogin(l.as("sa", "secret", "other"))
	if err != nil || again.FedAuth != nil || again.User != "sa" || again.Password != "secret" || again.Database != "other" || again.App != "orders" || len(again.features) != 1 {
		t.Errorf("%+v, %v", again, err)
	}
}

// What lies about its length is refused, and nothing is allocated for it.
func TestLengthsThatLie(t *testing.T) {
	good := login("a.b.c")
	for name, change := range map[string]func(b []byte) []byte{
		"longer than its message": func(b []byte) []byte { b[0], b[3] = 0xFF, 0x7F; return b },
		"short":                   func(b []byte) []byte { return b[:50] },
		"a field beyond the end":  func(b []byte) []byte { b[38], b[39] = 0xFF, 0xFF; return b },
		"a field of 129":          func(b []byte) []byte { b[42] = 129; return b },
		"features beyond the end": func(b []byte) []byte { b[56], b[57] = 0xFF, 0xFF; return b },
		"a token of 2 GiB":        func(b []byte) []byte { b[len(b)-12], b[len(b)-11] = 0xFF, 0x7F; return b },
		"an extension of 2 GiB":   func(b []byte) []byte { b[len(b)-17] = 0x7F; return b },
	} {
		t.Run(name, func(t *testing.T) {
			if l, err := parseLogin(change(bytes.Clone(good))); err == nil {
				t.Errorf("it was taken: %+v", l)
			}
		})
	}
	w := &wire{}
	for name, b := range map[string][]byte{
		"a packet shorter than its header": {packetBatch, 1, 0, 4, 0, 0, 0, 0},
		"two types in a message":           {packetBatch, 0, 0, 8, 0, 0, 0, 0, packetRPC, 1, 0, 8, 0, 0, 0, 0},
		"a message that is too long":       {packetBatch, 0, 0, 9, 0, 0, 0, 0, 1, packetBatch, 1, 0, 9, 0, 0, 0, 0, 1},
		"half a header":                    {packetBatch, 0, 0},
		"half a packet":                    {packetBatch, 1, 0xFF, 0xFF, 0, 0, 0, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			w.r = reading(b)
			if m, err := w.read(1); err == nil {
				t.Errorf("it was taken: %+v", m)
			}
		})
	}
}

func TestGUID(t *testing.T) {
	const text = "6F9F6A0E-5C0C-4D5E-9A39-2F4C8F5B7F11"
	g, err := ParseGUID(text)
	if err != nil || g != [16]byte{0x0E, 0x6A, 0x9F, 0x6F, 0x0C, 0x5C, 0x5E, 0x4D, 0x9A, 0x39, 0x2F, 0x4C, 0x8F, 0x5B, 0x7F, 0x11} {
		t.Errorf("%x, %v", g, err)
	}
	if back := FormatGUID(g); back != text {
		t.Error(back)
	}
	if _, err := ParseGUID("6F9F6A0E"); err == nil {
		t.Error("a short one was taken")
	}
}

// A value is written as its type reads it.
func TestValues(t *testing.T) {
	for _, row := range []struct {
		of    Type
		value any
	}{
		{Int, int64(-7)}, {BigInt, int64(1) << 40}, {TinyInt, int64(200)}, {SmallInt, int64(-3)}, {Bit, true}, {Float, 1.5},
		{NVarChar(10), "grüße"}, {NVarChar(0), "long"}, {VarChar(5), "abc"}, {VarBinary(4), []byte{1, 2}}, {VarBinary(0), []byte{}},
		{Decimal(10, 2), "-12.34"}, {GUID, "6F9F6A0E-5C0C-4D5E-9A39-2F4C8F5B7F11"}, {Type{ID: tMoneyN, Size: 8}, "12.3400"},
		{DateTime2(7), epoch1900.AddDate(120, 3, 4).Add(5e9)}, {DateTime, epoch1900.AddDate(120, 3, 4).Add(5e9)}, {Int, nil}, {NVarChar(0), nil}, {NVarChar(3), nil},
	} {
		b, err := row.of.appendValue(row.of.appendInfo(nil), row.value)
		if err != nil {
			t.Errorf("%v: %v", row, err)
			continue
		}
		r := &reader{b: b}
		found := r.value(r.typeInfo())
		if raw, ok := row.value.([]byte); ok {
			if got, ok := found.([]byte); !ok || !bytes.Equal(got, raw) {
				t.Errorf("%v: found %v", row, found)
			}
		} else if found != row.value || r.err != nil || len(r.b) > 0 {
			t.Errorf("%v: found %v, %v, %d bytes left", row, found, r.err, len(r.b))
		}
	}
	if _, err := Int.appendValue(nil, "7"); err == nil {
		t.Error("a text in a column of numbers")
	}
}

// A login is acknowledged in the version that it asks for, as far as TLS came first.
func TestAcknowledgedVersion(t *testing.T) {
	for _, c := range []struct {
		name   string
		strict bool
		asks   uint32
		speaks uint32
	}{
		{"TDS 7.4", false, version74, version74},
		{"TDS 8.0", true, version80, version80},
		{"strict with 7.4, as tiberius", true, version74, version74},
		{"8.0 without strict", false, version80, version74},
	} {
		fixed := binary.LittleEndian.AppendUint32(make([]byte, 4), c.asks)
		ack := new(Server).appendAck(nil, &Attempt{Login: &Login{fixed: append(fixed, make([]byte, loginFixed-8)...)}, Strict: c.strict})
		if found := binary.BigEndian.Uint32(ack[4:]); found != c.speaks { // after the token, its length and the interface
			t.Errorf("%s: expected %#x, found %#x", c.name, c.speaks, found)
		}
	}
}
