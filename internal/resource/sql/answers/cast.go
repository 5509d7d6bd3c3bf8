package answers

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/wiemu/wiemu/internal/resource/sql/tds"
)

func (p *parser) castExpression() expression {
	p.expect("(")
	e := p.expression()
	p.expect("AS")
	of := p.typeName()
	p.expect(")")
	return cast(e, of, 0)
}

// convert reads CONVERT(type, expression [, style]).
func (p *parser) convert() expression {
	p.expect("(")
	of := p.typeName()
	p.expect(",")
	e := p.expression()
	style := 0
	if p.accept(",") {
		var err error
		style, err = strconv.Atoi(p.take().text)
		require(err == nil)
	}
	p.expect(")")
	return cast(e, of, style)
}

// typeName reads a type.
func (p *parser) typeName() tds.Type {
	name := p.name()
	size := -1 // not given
	if p.accept("(") {
		var err error
		if t := p.take(); t.is("max") {
			size = 0
		} else if size, err = strconv.Atoi(t.text); err != nil || size < 1 || size > 8000 {
			panic(notAnswered)
		}
		p.expect(")")
	}
	sized := func(of func(int) tds.Type) tds.Type {
		if size < 0 {
			return of(30) // as CAST has it
		}
		return of(size)
	}
	switch strings.ToLower(name) {
	case "nvarchar":
		return sized(tds.NVarChar)
	case "varchar":
		return sized(tds.VarChar)
	case "varbinary":
		return sized(tds.VarBinary)
	}
	plain, ok := map[string]tds.Type{
		"int": tds.Int, "bigint": tds.BigInt, "smallint": tds.SmallInt, "tinyint": tds.TinyInt, "bit": tds.Bit,
		"uniqueidentifier": tds.GUID, "sysname": tds.NVarChar(128),
	}[strings.ToLower(name)]
	require(ok && size < 0)
	return plain
}

// cast converts between types, where the result is the same as SQL Server's.
func cast(e expression, to tds.Type, style int) expression {
	var convert func(v any) (any, error)
	always := func(f func(v any) any) { convert = func(v any) (any, error) { return f(v), nil } } //nolint:unparam // as that of the others
	binaryID := tds.VarBinary(1).ID
	switch from := e.of; {
	case from == to && style == 0:
		return expression{of: to, value: e.value}
	case from.IsText() && to.IsText():
		always(func(v any) any { return cut(v.(string), to) })
	case from.IsInteger() && to.IsInteger():
		convert = func(v any) (any, error) { return within(to, v.(int64)) }
	case (from.IsInteger() || from == tds.Bit) && to == tds.Bit:
		always(func(v any) any {
			if b, ok := v.(bool); ok {
				return b
			}
			return v.(int64) != 0
		})
	case from == tds.Bit && to.IsInteger():
		always(func(v any) any {
			if v.(bool) {
				return int64(1)
			}
			return int64(0)
		})
	case from.IsInteger() && to.IsText():
		convert = func(v any) (any, error) {
			s := strconv.FormatInt(v.(int64), 10)
			if to.Size >= 0 && len(s) > textLength(to) {
				return nil, tds.Errorf(8115, "Arithmetic overflow error converting expression to data type %s.", map[bool]string{true: "nvarchar", false: "varchar"}[to.ID == tds.NVarChar(1).ID])
			}
			return s, nil
		}
	case from.IsText() && to == tds.GUID:
		convert = func(v any) (any, error) {
			g, err := tds.ParseGUID(v.(string))
			if err != nil {
				return nil, tds.Errorf(8169, "Conversion failed when converting from a character string to uniqueidentifier.")
			}
			return tds.FormatGUID(g), nil
		}
	case from == tds.GUID && to.IsText() && (to.Size < 0 || textLength(to) >= 36):
		always(func(v any) any { return v })
	case from == tds.GUID && to.ID == binaryID && (to.Size < 0 || to.Size >= 16):
		convert = func(v any) (any, error) {
			g, err := tds.ParseGUID(v.(string))
			return g[:], err
		}
	case from.ID == binaryID && to == tds.GUID:
		convert = func(v any) (any, error) {
			raw := v.([]byte)
			if len(raw) != 16 {
				return nil, tds.Errorf(8170, "Insufficient result space to convert uniqueidentifier value to char.")
			}
			return tds.FormatGUID([16]byte(raw)), nil
		}
	case from.ID == binaryID && to.IsText() && (style == 1 || style == 2):
		always(func(v any) any {
			s := fmt.Sprintf("%X", v)
			if style == 1 {
				s = "0x" + s
			}
			return cut(s, to)
		})
	case from.ID == binaryID && to.ID == binaryID:
		always(func(v any) any {
			raw := v.([]byte)
			if to.Size >= 0 {
				raw = raw[:min(len(raw), to.Size)]
			}
			return raw
		})
	default:
		panic(notAnswered)
	}
	return expression{of: to, value: func(r row) (any, error) {
		v, err := e.value(r)
		if err != nil || v == nil {
			return nil, err
		}
		return convert(v)
	}}
}

// cut shortens a text to what its type has.
func cut(s string, to tds.Type) string {
	if to.Size < 0 {
		return s
	}
	return first(s, textLength(to))
}
