package tds

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/big"
	"time"
)

// reader takes a message apart. The first thing that is missing is stored in err, and
// everything after it is zero.
type reader struct {
	b   []byte
	err error
}

func (r *reader) take(n int) []byte {
	if r.err != nil || n < 0 || n > len(r.b) {
		if r.err == nil {
			r.err = errors.New("message ends too early")
		}
		return make([]byte, max(0, min(n, 16)))
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) byte() byte     { return r.take(1)[0] }
func (r *reader) u16() int       { return int(binary.LittleEndian.Uint16(r.take(2))) }
func (r *reader) u32() uint32    { return binary.LittleEndian.Uint32(r.take(4)) }
func (r *reader) u64() uint64    { return binary.LittleEndian.Uint64(r.take(8)) }
func (r *reader) text8() string  { return fromUTF16(r.take(2 * int(r.byte()))) }
func (r *reader) text16() string { return fromUTF16(r.take(2 * r.u16())) }

// typeInfo reads TYPE_INFO (2.2.5.6).
func (r *reader) typeInfo() Type {
	t := Type{ID: r.byte()}
	switch t.ID {
	case tNull, tInt1, tBit, tInt2, tInt4, tDateTime4, tFloat4, tMoney, tDateTime, tFloat8, tMoney4, tInt8:
	case tIntN, tBitN, tFloatN, tMoneyN, tDateTimeN, tGUID:
		t.Size = int(r.byte())
	case tDecimalN, tNumericN:
		t.Size, t.Prec, t.Scale = int(r.byte()), r.byte(), r.byte()
	case tDate:
	case tTime, tDateTime2, tDateTimeOf:
		t.Scale = r.byte()
	case tNVarChar, tVarChar, tNChar, tChar:
		if t.Size = r.u16(); t.Size == 0xFFFF {
			t.Size = -1
		}
		r.take(5)
	case tVarBinary, tBinary:
		if t.Size = r.u16(); t.Size == 0xFFFF {
			t.Size = -1
		}
	case tText, tNText:
		t.Size = int(r.u32())
		r.take(5)
	case tImage, tVariant:
		t.Size = int(r.u32())
	case tXML:
		t.Size = -1
		if r.byte() != 0 {
			r.text8()
			r.text8()
			r.text16()
		}
	case tJSON:
		t.Size = -1
	default:
		if r.err == nil {
			r.err = fmt.Errorf("parameters of type %#x are not understood", t.ID)
		}
	}
	if r.err == nil && !t.valid() {
		r.err = fmt.Errorf("a parameter of type %#x with size %d, precision %d and scale %d", t.ID, t.Size, t.Prec, t.Scale)
	}
	return t
}

// value reads a value: nil, int64, float64, bool, string, []byte, time.Time.
// Decimals and GUIDs are strings.
func (r *reader) value(t Type) any {
	switch t.ID {
	case tNull:
		return nil
	case tInt1:
		return int64(r.byte())
	case tBit:
		return r.byte() != 0
	case tInt2:
		return int64(int16(r.u16()))
	case tInt4:
		return int64(int32(r.u32()))
	case tInt8:
		return int64(r.u64())
	case tFloat4:
		return float64(math.Float32frombits(r.u32()))
	case tFloat8:
		return math.Float64frombits(r.u64())
	case tMoney:
		return moneyText(r.take(8))
	case tMoney4:
		return moneyText(r.take(4))
	case tDateTime:
		return dateTime(r.take(8))
	case tDateTime4:
		return dateTime(r.take(4))
	case tNVarChar, tNChar, tVarChar, tChar, tVarBinary, tBinary, tXML, tJSON:
		raw, null := r.bytes(t)
		if null {
			return nil
		}
		switch t.ID {
		case tNVarChar, tNChar, tXML:
			return fromUTF16(raw)
		case tVarChar, tChar:
			return fromLatin1(raw)
		case tJSON:
			return string(raw)
		}
		return raw
	case tText, tNText, tImage:
		n := r.u32()
		if n == math.MaxUint32 {
			return nil
		}
		raw := r.take(int(n))
		switch t.ID {
		case tNText:
			return fromUTF16(raw)
		case tText:
			return fromLatin1(raw)
		}
		return raw
	case tVariant:
		return r.variant()
	}
	raw := r.take(int(r.byte()))
	if len(raw) == 0 || r.err != nil {
		return nil
	}
	if !t.fits(len(raw)) || t.Size > 0 && len(raw) > t.Size {
		r.err = fmt.Errorf("value of type %#x with %d bytes", t.ID, len(raw))
		return nil
	}
	switch t.ID {
	case tIntN:
		switch len(raw) {
		case 1:
			return int64(raw[0])
		case 2:
			return int64(int16(binary.LittleEndian.Uint16(raw)))
		case 4:
			return int64(int32(binary.LittleEndian.Uint32(raw)))
		case 8:
			return int64(binary.LittleEndian.Uint64(raw))
		}
	case tBitN:
		return raw[0] != 0
	case tFloatN:
		if len(raw) == 4 {
			return float64(math.Float32frombits(binary.LittleEndian.Uint32(raw)))
		}
		return math.Float64frombits(binary.LittleEndian.Uint64(raw))
	case tMoneyN:
		return moneyText(raw)
	case tDateTimeN:
		return dateTime(raw)
	case tDecimalN, tNumericN:
		n := new(big.Int)
		for i := len(raw) - 1; i > 0; i-- {
			n.Lsh(n, 8).Or(n, big.NewInt(int64(raw[i])))
		}
		if raw[0] == 0 {
			n.Neg(n)
		}
		return pointed(n, int(t.Scale))
	case tGUID:
		return FormatGUID([16]byte(raw))
	case tDate:
		return date(raw)
	case tTime:
		return epoch1.Add(clock(raw, t.Scale))
	case tDateTime2:
		return date(raw[len(raw)-3:]).Add(clock(raw[:len(raw)-3], t.Scale))
	case tDateTimeOf:
		n := len(raw)
		offset := int(int16(binary.LittleEndian.Uint16(raw[n-2:])))
		return date(raw[n-5 : n-2]).Add(clock(raw[:n-5], t.Scale)).In(time.FixedZone("", offset*60))
	}
	r.err = fmt.Errorf("value of type %#x with %d bytes", t.ID, len(raw))
	return nil
}

// valid reports whether there is such a type. Values are written by it again.
func (t Type) valid() bool {
	switch t.ID {
	case tIntN, tBitN, tFloatN, tMoneyN, tDateTimeN, tGUID:
		return t.fits(t.Size)
	case tDecimalN, tNumericN:
		return t.fits(t.Size) && t.Prec >= 1 && t.Prec <= 38 && t.Scale <= t.Prec
	case tTime, tDateTime2, tDateTimeOf:
		return t.Scale <= 7
	}
	return true
}

// fits says whether a value of the type can have so many bytes.
func (t Type) fits(n int) bool {
	switch t.ID {
	case tIntN:
		return n == 1 || n == 2 || n == 4 || n == 8
	case tBitN:
		return n == 1
	case tFloatN, tMoneyN, tDateTimeN:
		return n == 4 || n == 8
	case tDecimalN, tNumericN:
		return n >= 2 && n <= 17 // mssql-jdbc leaves leading zeros out
	case tGUID:
		return n == 16
	case tDate:
		return n == 3
	case tTime:
		return t.Scale <= 7 && n == timeSize(t.Scale)
	case tDateTime2:
		return t.Scale <= 7 && n == timeSize(t.Scale)+3
	case tDateTimeOf:
		return t.Scale <= 7 && n == timeSize(t.Scale)+5
	}
	return false
}

func (r *reader) bytes(t Type) (raw []byte, null bool) {
	if t.Size >= 0 {
		n := r.u16()
		if n == 0xFFFF {
			return nil, true
		}
		return r.take(n), false
	}
	if r.u64() == math.MaxUint64 {
		return nil, true
	}
	raw = []byte{}
	for r.err == nil {
		n := r.u32()
		if n == 0 {
			break
		}
		raw = append(raw, r.take(int(n))...)
	}
	return raw, false
}

// variant reads a sql_variant (2.2.5.5.4).
func (r *reader) variant() any {
	total := int(r.u32())
	if total == 0 {
		return nil
	}
	in := &reader{b: r.take(total)}
	if r.err != nil {
		return nil
	}
	t := Type{ID: in.byte()}
	props := in.take(int(in.byte()))
	defer func() {
		if r.err == nil {
			r.err = in.err
		}
	}()
	switch t.ID {
	case tNVarChar, tNChar:
		return fromUTF16(in.b)
	case tVarChar, tChar:
		return fromLatin1(in.b)
	case tVarBinary, tBinary:
		return in.b
	case tDecimalN, tNumericN:
		if len(props) > 1 {
			t.Scale = props[1]
		}
	case tTime, tDateTime2, tDateTimeOf:
		if len(props) > 0 {
			t.Scale = props[0]
		}
	case tGUID, tDate:
	case tInt1, tBit, tInt2, tInt4, tInt8, tFloat4, tFloat8, tMoney, tMoney4, tDateTime, tDateTime4:
		return in.value(t)
	default: // such as another one: that would be as deep as the message is long
		in.err = fmt.Errorf("a sql_variant of type %#x", t.ID)
		return nil
	}
	if len(in.b) > math.MaxUint8 {
		in.err = fmt.Errorf("a sql_variant of type %#x with %d bytes", t.ID, len(in.b))
		return nil
	}
	return (&reader{b: append([]byte{byte(len(in.b))}, in.b...)}).value(t)
}

func pointed(n *big.Int, scale int) string {
	s := new(big.Int).Abs(n).String()
	for len(s) <= scale {
		s = "0" + s
	}
	if scale > 0 {
		s = s[:len(s)-scale] + "." + s[len(s)-scale:]
	}
	if n.Sign() < 0 {
		s = "-" + s
	}
	return s
}

func moneyText(b []byte) any {
	var n int64
	switch len(b) {
	case 4:
		n = int64(int32(binary.LittleEndian.Uint32(b)))
	case 8:
		n = int64(uint64(binary.LittleEndian.Uint32(b))<<32 | uint64(binary.LittleEndian.Uint32(b[4:])))
	}
	return pointed(big.NewInt(n), 4)
}

func dateTime(b []byte) any {
	if len(b) == 4 {
		return epoch1900.AddDate(0, 0, int(binary.LittleEndian.Uint16(b))).Add(time.Duration(binary.LittleEndian.Uint16(b[2:])) * time.Minute)
	}
	d := int(int32(binary.LittleEndian.Uint32(b)))
	return epoch1900.AddDate(0, 0, d).Add(time.Duration(binary.LittleEndian.Uint32(b[4:])) * time.Second / 300)
}

func date(b []byte) time.Time {
	return epoch1.AddDate(0, 0, int(b[0])|int(b[1])<<8|int(b[2])<<16)
}

func clock(b []byte, scale byte) time.Duration {
	var n int64
	for i := len(b) - 1; i >= 0; i-- {
		n = n<<8 | int64(b[i])
	}
	for range 9 - scale {
		n *= 10
	}
	return time.Duration(n)
}

// Param is a parameter of a call.
type Param struct {
	Name  string // with its @; "" is by position
	Type  Type
	Value any // nil for NULL

	Output bool // the client wants the value that it has at the end
}

// procedure is a remote procedure call.
type procedure struct {
	number int // 0 if it is called by name
	name   string
	params []Param
}

// skipHeaders returns a message without ALL_HEADERS (2.2.5.3).
func skipHeaders(b []byte) ([]byte, error) {
	if len(b) < 4 {
		return nil, errors.New("message without headers")
	}
	n := int(binary.LittleEndian.Uint32(b))
	if n < 4 || n > len(b) {
		return nil, errors.New("headers beyond the end")
	}
	return b[n:], nil
}

// Limits of what is made of a message. SQL Server has the first one (8003), the second one is
// for the memory: the shortest call has five bytes.
const (
	maxParams = 2100
	maxCalls  = 100_000
)

func parseCalls(b []byte) ([]procedure, error) {
	b, err := skipHeaders(b)
	if err != nil {
		return nil, err
	}
	r := &reader{b: b}
	var calls []procedure
	for r.err == nil && len(r.b) > 0 {
		var c procedure
		if n := r.u16(); n == 0xFFFF {
			c.number = r.u16()
		} else {
			c.name = fromUTF16(r.take(2 * n))
		}
		r.u16() // options
		for r.err == nil && len(r.b) > 0 {
			if r.b[0] == 0x80 || r.b[0] == 0xFF || r.b[0] == 0xFE { // another call follows
				r.byte()
				break
			}
			if len(c.params) == maxParams+3 { // sp_executesql and its like have some of their own
				return nil, Errorf(8003, "The incoming request has too many parameters. The server supports a maximum of %d parameters. Reduce the number of parameters and resend the request.", maxParams)
			}
			p := Param{Name: r.text8()}
			flags := r.byte()
			p.Output = flags&1 != 0
			if flags&8 != 0 {
				r.err = errors.New("encrypted parameters are not understood")
				break
			}
			p.Type = r.typeInfo()
			p.Value = r.value(p.Type)
			c.params = append(c.params, p)
		}
		if len(calls) == maxCalls {
			return nil, fmt.Errorf("a message of more than %d calls", maxCalls)
		}
		calls = append(calls, c)
	}
	return calls, r.err
}
