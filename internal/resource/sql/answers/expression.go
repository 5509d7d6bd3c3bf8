package answers

import (
	"encoding/hex"
	"math"
	"strconv"
	"strings"

	"github.com/wiemu/wiemu/internal/resource/sql/tds"
)

// row is what the columns of an expression are taken from; nil for none.
type row map[string]any

// expression has a type that is known before it has a value.
type expression struct {
	of    tds.Type
	name  string // of its column in a result; often ""
	value func(row) (any, error)
}

func constant(of tds.Type, v any) expression {
	return expression{of: of, value: func(row) (any, error) { return v, nil }}
}

// computed is an expression that depends on when it is asked.
func computed(of tds.Type, f func() any) expression {
	return expression{of: of, value: func(row) (any, error) { return f(), nil }}
}

// expression reads terms with + between them: of texts, or of integers.
func (p *parser) expression() expression {
	defer p.nest()()
	left := p.primary()
	for p.accept("+") {
		left = sum(left, p.primary())
	}
	return left
}

func sum(a, b expression) expression {
	var add func(x, y any) (any, error)
	of := a.of
	switch {
	case a.of.IsText() && b.of.IsText():
		if of = tds.NVarChar(0); a.of.Size >= 0 && b.of.Size >= 0 {
			of = tds.NVarChar(textLength(a.of) + textLength(b.of))
		}
		add = func(x, y any) (any, error) {
			left, right := x.(string), y.(string)
			if len(left)+len(right) > maxText {
				return nil, exhausted()
			}
			return left + right, nil
		}
	case a.of.IsInteger() && b.of.IsInteger():
		if b.of.Size > of.Size {
			of = b.of
		}
		add = func(x, y any) (any, error) {
			n, m := x.(int64), y.(int64)
			if m > 0 && n > math.MaxInt64-m || m < 0 && n < math.MinInt64-m {
				return nil, overflow(of)
			}
			return within(of, n+m)
		}
	default:
		panic(notAnswered)
	}
	return expression{of: of, value: func(r row) (any, error) {
		x, err := a.value(r)
		if err != nil || x == nil {
			return nil, err
		}
		y, err := b.value(r)
		if err != nil || y == nil {
			return nil, err
		}
		return add(x, y)
	}}
}

// textLength is how many characters a text type has.
func textLength(t tds.Type) int {
	if t.ID == tds.NVarChar(1).ID {
		return t.Size / 2
	}
	return t.Size
}

func overflow(of tds.Type) error {
	return tds.Errorf(8115, "Arithmetic overflow error converting expression to data type %s.", typeWords(of))
}

func typeWords(of tds.Type) string {
	switch of {
	case tds.TinyInt:
		return "tinyint"
	case tds.SmallInt:
		return "smallint"
	case tds.BigInt:
		return "bigint"
	}
	return "int"
}

// within refuses an integer that its type does not have.
func within(of tds.Type, n int64) (any, error) {
	low, high := int64(math.MinInt64)>>(64-8*of.Size), int64(math.MaxInt64)>>(64-8*of.Size)
	if of == tds.TinyInt {
		low, high = 0, math.MaxUint8
	}
	if n < low || n > high {
		return nil, overflow(of)
	}
	return n, nil
}

func (p *parser) primary() expression {
	switch t := p.take(); t.kind {
	case number:
		return numeral(t.text, 1)
	case text:
		if t.national {
			return constant(tds.NVarChar(max(1, len([]rune(t.text)))), t.text)
		}
		return constant(tds.VarChar(max(1, len(t.text))), t.text)
	case binary:
		raw, err := hex.DecodeString(strings.Repeat("0", len(t.text)%2) + t.text)
		if err != nil {
			panic(failure{err})
		}
		return constant(tds.VarBinary(max(1, len(raw))), raw)
	case symbol:
		switch {
		case t.is("-") && p.next().kind == number:
			return numeral(p.take().text, -1)
		case t.is("("):
			e := p.expression()
			p.expect(")")
			return e
		}
	case word:
		switch {
		case t.is("NULL"):
			return constant(tds.Int, nil)
		case t.is("CASE"):
			return p.caseExpression()
		case t.is("CAST"), t.is("TRY_CAST"):
			return p.castExpression()
		case t.is("CONVERT"):
			return p.convert()
		case strings.HasPrefix(t.text, "@@"):
			return p.session.global(strings.ToUpper(t.text[2:]))
		case strings.HasPrefix(t.text, "@"):
			v := p.variables[strings.ToLower(t.text)]
			if v == nil {
				panic(failure{undeclared(t)})
			}
			require(v.of != (tds.Type{}))
			return expression{of: v.of, value: func(row) (any, error) { return v.value, nil }}
		}
		if p.accept("(") {
			return p.call(strings.ToUpper(t.text))
		}
		if e, ok := p.session.niladic(strings.ToUpper(t.text)); ok {
			return e
		}
		return p.reference(t.text)
	case identifier:
		return p.reference(t.text)
	}
	panic(notAnswered)
}

// numeral is an int, beyond its range a decimal, with a point a decimal, with an exponent a float.
func numeral(s string, sign int64) expression {
	if strings.ContainsAny(s, "eE") {
		f, err := strconv.ParseFloat(s, 64)
		require(err == nil)
		return constant(tds.Float, float64(sign)*f)
	}
	if n, err := strconv.ParseInt(s, 10, 32); err == nil {
		return constant(tds.Int, sign*n)
	}
	whole, fraction, _ := strings.Cut(s, ".")
	whole = strings.TrimLeft(whole, "0")
	require(!strings.Contains(fraction, ".") && len(whole)+len(fraction) <= 38)
	if sign < 0 {
		s = "-" + s
	}
	return constant(tds.Decimal(max(1, len(whole)+len(fraction)), len(fraction)), s)
}

func (p *parser) caseExpression() expression {
	type branch struct {
		holds condition
		then  expression
	}
	var branches []branch
	otherwise := constant(tds.Int, nil)
	for p.accept("WHEN") {
		holds := p.condition()
		p.expect("THEN")
		branches = append(branches, branch{holds, p.expression()})
	}
	require(len(branches) > 0)
	of := branches[0].then.of
	if p.accept("ELSE") {
		otherwise = p.expression()
		require(similar(of, otherwise.of))
		of = wider(of, otherwise.of)
	}
	for _, b := range branches {
		require(similar(of, b.then.of))
		of = wider(of, b.then.of)
	}
	p.expect("END")
	return expression{of: of, value: func(r row) (any, error) {
		for _, b := range branches {
			if holds, err := b.holds(r); err != nil || holds == isTrue {
				if err != nil {
					return nil, err
				}
				return b.then.value(r)
			}
		}
		return otherwise.value(r)
	}}
}

// similar reports whether one of two types has the values of both: texts, integers, binaries, or
// twice the same.
func similar(a, b tds.Type) bool {
	return a.ID == b.ID && a.Prec == b.Prec && a.Scale == b.Scale
}

// wider is the type of two of one kind that has the values of both.
func wider(a, b tds.Type) tds.Type {
	if b.Size < 0 || a.Size >= 0 && b.Size > a.Size {
		return b
	}
	return a
}
