package tds

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strings"
	"time"
)

// Types (2.2.5.4).
const (
	tNull       = 0x1F
	tInt1       = 0x30
	tBit        = 0x32
	tInt2       = 0x34
	tInt4       = 0x38
	tDateTime4  = 0x3A
	tFloat4     = 0x3B
	tMoney      = 0x3C
	tDateTime   = 0x3D
	tFloat8     = 0x3E
	tMoney4     = 0x7A
	tInt8       = 0x7F
	tGUID       = 0x24
	tIntN       = 0x26
	tDate       = 0x28
	tTime       = 0x29
	tDateTime2  = 0x2A
	tDateTimeOf = 0x2B
	tBitN       = 0x68
	tDecimalN   = 0x6A
	tNumericN   = 0x6C
	tFloatN     = 0x6D
	tMoneyN     = 0x6E
	tDateTimeN  = 0x6F
	tVarBinary  = 0xA5
	tVarChar    = 0xA7
	tBinary     = 0xAD
	tChar       = 0xAF
	tNVarChar   = 0xE7
	tNChar      = 0xEF
	tXML        = 0xF1
	tJSON       = 0xF4
	tText       = 0x23
	tImage      = 0x22
	tNText      = 0x63
	tVariant    = 0x62
)

// collation is SQL_Latin1_General_CP1_CI_AS, the default of Azure SQL Database.
var collation = [5]byte{0x09, 0x04, 0xD0, 0x00, 0x34}

// Type is a type of SQL Server. Its values in Go are int64, float64, bool, string (also of
// decimals, money and GUIDs), []byte and time.Time, and nil for NULL.
type Type struct {
	ID    byte
	Size  int // in bytes; -1 is max
	Prec  byte
	Scale byte
}

// Types of columns.
var (
	Int      = Type{ID: tIntN, Size: 4}
	BigInt   = Type{ID: tIntN, Size: 8}
	SmallInt = Type{ID: tIntN, Size: 2}
	TinyInt  = Type{ID: tIntN, Size: 1}
	Bit      = Type{ID: tBitN, Size: 1}
	Float    = Type{ID: tFloatN, Size: 8}
	GUID     = Type{ID: tGUID, Size: 16}
	DateTime = Type{ID: tDateTimeN, Size: 8}
)

// NVarChar of n characters; 0 is max.
func NVarChar(n int) Type {
	if n <= 0 || n > 4000 {
		return Type{ID: tNVarChar, Size: -1}
	}
	return Type{ID: tNVarChar, Size: 2 * n}
}

// VarChar of n bytes; 0 is max.
func VarChar(n int) Type {
	if n <= 0 || n > 8000 {
		return Type{ID: tVarChar, Size: -1}
	}
	return Type{ID: tVarChar, Size: n}
}

// VarBinary of n bytes; 0 is max.
func VarBinary(n int) Type {
	if n <= 0 || n > 8000 {
		return Type{ID: tVarBinary, Size: -1}
	}
	return Type{ID: tVarBinary, Size: n}
}

// Decimal of a precision and a scale.
func Decimal(precision, scale int) Type {
	size := 17
	switch {
	case precision <= 9:
		size = 5
	case precision <= 19:
		size = 9
	case precision <= 28:
		size = 13
	}
	return Type{ID: tDecimalN, Size: size, Prec: byte(precision), Scale: byte(scale)}
}

// DateTime2 of a scale.
func DateTime2(scale int) Type { return Type{ID: tDateTime2, Scale: byte(scale)} }

// IsText reports whether values are texts.
func (t Type) IsText() bool {
	return slices.Contains([]byte{tNVarChar, tNChar, tVarChar, tChar}, t.ID)
}

// IsInteger reports whether values are int64, from 8 to 64 bits.
func (t Type) IsInteger() bool { return t.ID == tIntN }

// IsVariant reports whether values are of several types.
func (t Type) IsVariant() bool { return t.ID == tVariant }

// Nullable is the type as columns have it that may be NULL.
func (t Type) Nullable() Type {
	switch t.ID {
	case tInt1:
		return TinyInt
	case tBit:
		return Bit
	case tInt2:
		return SmallInt
	case tInt4:
		return Int
	case tInt8:
		return BigInt
	case tFloat4:
		return Type{ID: tFloatN, Size: 4}
	case tFloat8:
		return Float
	case tMoney, tMoney4, tMoneyN:
		return Type{ID: tMoneyN, Size: 8}
	case tDateTime, tDateTime4, tDateTimeN:
		return DateTime
	case tText:
		return VarChar(0)
	case tNText, tXML, tVariant, tJSON, tNull:
		return NVarChar(0)
	case tImage:
		return VarBinary(0)
	}
	return t
}

// Column is a column of a result.
type Column struct {
	Name     string
	Type     Type
	Nullable bool
}

// appendInfo writes TYPE_INFO (2.2.5.6).
func (t Type) appendInfo(b []byte) []byte {
	b = append(b, t.ID)
	switch t.ID {
	case tIntN, tBitN, tFloatN, tMoneyN, tDateTimeN, tGUID:
		b = append(b, byte(t.Size))
	case tDecimalN, tNumericN:
		b = append(b, byte(t.Size), t.Prec, t.Scale)
	case tTime, tDateTime2, tDateTimeOf:
		b = append(b, t.Scale)
	case tNVarChar, tVarChar, tNChar, tChar:
		b = append(binary.LittleEndian.AppendUint16(b, uint16(t.Size)), collation[:]...)
	case tVarBinary, tBinary:
		b = binary.LittleEndian.AppendUint16(b, uint16(t.Size))
	}
	return b
}

// appendValue writes a value of the type.
func (t Type) appendValue(b []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return t.appendNull(b), nil
	case int64:
		if t.ID == tIntN {
			var raw [8]byte
			binary.LittleEndian.PutUint64(raw[:], uint64(v))
			return append(append(b, byte(t.Size)), raw[:t.Size]...), nil
		}
	case bool:
		if t.ID == tBitN {
			if v {
				return append(b, 1, 1), nil
			}
			return append(b, 1, 0), nil
		}
	case float64:
		switch {
		case t.ID == tFloatN && t.Size == 4:
			return binary.LittleEndian.AppendUint32(append(b, 4), math.Float32bits(float32(v))), nil
		case t.ID == tFloatN:
			return binary.LittleEndian.AppendUint64(append(b, 8), math.Float64bits(v)), nil
		}
	case []byte:
		if t.ID == tVarBinary || t.ID == tBinary {
			return t.appendBytes(b, v), nil
		}
	case time.Time:
		switch t.ID {
		case tDate, tTime, tDateTime2, tDateTimeOf, tDateTimeN:
			return t.appendTime(b, v), nil
		}
	case string:
		return t.appendText(b, v)
	}
	return nil, fmt.Errorf("a value %v of %T for a column of type %#x", v, v, t.ID)
}

// appendText writes a value that is a text in Go.
func (t Type) appendText(b []byte, s string) ([]byte, error) {
	switch t.ID {
	case tNVarChar, tNChar:
		return t.appendBytes(b, toUTF16(s)), nil
	case tVarChar, tChar:
		return t.appendBytes(b, toLatin1(s)), nil
	case tGUID:
		g, err := ParseGUID(s)
		return append(append(b, 16), g[:]...), err
	case tMoneyN:
		n, err := scaled(s, 4)
		if err != nil {
			return nil, err
		}
		u := uint64(n.Int64())
		b = binary.LittleEndian.AppendUint32(append(b, 8), uint32(u>>32))
		return binary.LittleEndian.AppendUint32(b, uint32(u)), nil
	case tDecimalN, tNumericN:
		n, err := scaled(s, int(t.Scale))
		if err != nil {
			return nil, err
		}
		sign := byte(1)
		if n.Sign() < 0 {
			sign = 0
		}
		raw := n.Abs(n).Bytes()
		if len(raw) > t.Size-1 {
			return nil, fmt.Errorf("%s does not fit into decimal(%d,%d)", s, t.Prec, t.Scale)
		}
		b = append(b, byte(t.Size), sign)
		for i := range t.Size - 1 {
			if i < len(raw) {
				b = append(b, raw[len(raw)-1-i])
			} else {
				b = append(b, 0)
			}
		}
		return b, nil
	}
	return nil, fmt.Errorf("a text for a column of type %#x", t.ID)
}

func (t Type) appendNull(b []byte) []byte {
	switch t.ID {
	case tNVarChar, tVarChar, tNChar, tChar, tVarBinary, tBinary:
		if t.Size < 0 {
			return binary.LittleEndian.AppendUint64(b, math.MaxUint64)
		}
		return binary.LittleEndian.AppendUint16(b, 0xFFFF)
	}
	return append(b, 0)
}

// appendBytes writes a value of variable length, in chunks if its type is max (PLP).
func (t Type) appendBytes(b, raw []byte) []byte {
	if t.Size < 0 {
		b = binary.LittleEndian.AppendUint64(b, uint64(len(raw)))
		if len(raw) > 0 {
			b = append(binary.LittleEndian.AppendUint32(b, uint32(len(raw))), raw...)
		}
		return binary.LittleEndian.AppendUint32(b, 0)
	}
	raw = raw[:min(len(raw), t.Size)]
	return append(binary.LittleEndian.AppendUint16(b, uint16(len(raw))), raw...)
}

// The days from which dates count.
var epoch1, epoch1900 = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC)

func days(t, since time.Time) int64 {
	d := time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
	return (d.Unix() - since.Unix()) / 86400
}

// timeSize is how many bytes a time of a scale has.
func timeSize(scale byte) int {
	switch {
	case scale <= 2:
		return 3
	case scale <= 4:
		return 4
	}
	return 5
}

func appendDate(b []byte, v time.Time) []byte {
	d := uint32(days(v, epoch1))
	return append(b, byte(d), byte(d>>8), byte(d>>16))
}

func (t Type) appendClock(b []byte, v time.Time) []byte {
	n := int64(v.Hour()*3600+v.Minute()*60+v.Second())*1e9 + int64(v.Nanosecond())
	for range 9 - t.Scale {
		n /= 10
	}
	var raw [8]byte
	binary.LittleEndian.PutUint64(raw[:], uint64(n))
	return append(b, raw[:timeSize(t.Scale)]...)
}

func (t Type) appendTime(b []byte, v time.Time) []byte {
	switch t.ID {
	case tDate:
		return appendDate(append(b, 3), v)
	case tTime:
		return t.appendClock(append(b, byte(timeSize(t.Scale))), v)
	case tDateTime2:
		return appendDate(t.appendClock(append(b, byte(timeSize(t.Scale)+3)), v), v)
	case tDateTimeOf:
		_, offset := v.Zone()
		b = appendDate(t.appendClock(append(b, byte(timeSize(t.Scale)+5)), v.UTC()), v.UTC())
		return binary.LittleEndian.AppendUint16(b, uint16(int16(offset/60)))
	}
	// datetime: days since 1900, and three hundredths of a second
	ticks := int64(v.Hour()*3600+v.Minute()*60+v.Second())*300 + (int64(v.Nanosecond())*300+5e8)/1e9
	b = binary.LittleEndian.AppendUint32(append(b, 8), uint32(int32(days(v, epoch1900))))
	return binary.LittleEndian.AppendUint32(b, uint32(ticks))
}

// scaled returns a decimal number times ten to the power of scale, rounded.
func scaled(s string, scale int) (*big.Int, error) {
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		return nil, fmt.Errorf("%q is no number", s)
	}
	r.Mul(r, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil)))
	half := big.NewRat(1, 2)
	if r.Sign() < 0 {
		half.Neg(half)
	}
	r.Add(r, half)
	return new(big.Int).Quo(r.Num(), r.Denom()), nil
}

// guidOrder is where the bytes of a uniqueidentifier are in its text.
var guidOrder = [16]int{3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15}

// ParseGUID returns the bytes of a uniqueidentifier, as CAST(… AS varbinary(16)) does.
func ParseGUID(s string) (g [16]byte, err error) {
	if strings.HasPrefix(s, "{") && strings.HasSuffix(s, "}") {
		s = s[1 : len(s)-1]
	}
	parts := strings.Split(s[:min(len(s), 40)], "-")
	lengths := make([]int, len(parts))
	for i, part := range parts {
		lengths[i] = len(part)
	}
	raw, err := hex.DecodeString(strings.Join(parts, ""))
	if err != nil || !slices.Equal(lengths, []int{8, 4, 4, 4, 12}) {
		return g, errors.New("conversion failed when converting from a character string to uniqueidentifier")
	}
	for i, j := range guidOrder {
		g[i] = raw[j]
	}
	return g, nil
}

// FormatGUID returns the text of a uniqueidentifier, in upper case as SQL Server writes it.
func FormatGUID(g [16]byte) string {
	var raw [16]byte
	for i, j := range guidOrder {
		raw[j] = g[i]
	}
	return fmt.Sprintf("%X-%X-%X-%X-%X", raw[:4], raw[4:6], raw[6:8], raw[8:10], raw[10:])
}

// toLatin1 encodes a text in the collation's code page, of which it knows the characters
// that are in ISO 8859-1, too. Others become ?.
func toLatin1(s string) []byte {
	var b []byte
	for _, r := range s {
		if r > 0xFF {
			r = '?'
		}
		b = append(b, byte(r))
	}
	return b
}

func fromLatin1(b []byte) string {
	r := make([]rune, len(b))
	for i, c := range b {
		r[i] = rune(c)
	}
	return string(r)
}
