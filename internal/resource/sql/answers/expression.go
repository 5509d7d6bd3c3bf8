package answers

import (
	"context"
	"encoding/hex"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

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
func (p *parser) expression() (expression, error) {
	if p.nesting++; p.nesting > maxNesting {
		return expression{}, errUnsupported
	}
	defer func() { p.nesting-- }()
	left, err := p.primary()
	for err == nil && p.accept("+") {
		var right expression
		if right, err = p.primary(); err == nil {
			left, err = sum(left, right)
		}
	}
	return left, err
}

func sum(a, b expression) (expression, error) {
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
		return expression{}, errUnsupported
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
	}}, nil
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

func (p *parser) primary() (expression, error) {
	switch t := p.take(); t.kind {
	case number:
		return numeral(t.text, 1)
	case text:
		if t.national {
			return constant(tds.NVarChar(max(1, len([]rune(t.text)))), t.text), nil
		}
		return constant(tds.VarChar(max(1, len(t.text))), t.text), nil
	case binary:
		raw, err := hex.DecodeString(strings.Repeat("0", len(t.text)%2) + t.text)
		return constant(tds.VarBinary(max(1, len(raw))), raw), err
	case symbol:
		switch {
		case t.is("-") && p.next().kind == number:
			return numeral(p.take().text, -1)
		case t.is("("):
			e, err := p.expression()
			if err == nil {
				err = p.expect(")")
			}
			return e, err
		}
	case word:
		switch {
		case t.is("NULL"):
			return constant(tds.Int, nil), nil
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
				return expression{}, undeclared(t)
			}
			if v.of == (tds.Type{}) {
				return expression{}, errUnsupported
			}
			return expression{of: v.of, value: func(row) (any, error) { return v.value, nil }}, nil
		}
		if p.accept("(") {
			return p.call(strings.ToUpper(t.text))
		}
		if e, ok := p.session.niladic(strings.ToUpper(t.text)); ok {
			return e, nil
		}
		return p.reference(t.text)
	case identifier:
		return p.reference(t.text)
	}
	return expression{}, errUnsupported
}

// numeral is an int, beyond its range a decimal, with a point a decimal, with an exponent a float.
func numeral(s string, sign int64) (expression, error) {
	if strings.ContainsAny(s, "eE") {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return expression{}, errUnsupported
		}
		return constant(tds.Float, float64(sign)*f), nil
	}
	if n, err := strconv.ParseInt(s, 10, 32); err == nil {
		return constant(tds.Int, sign*n), nil
	}
	whole, fraction, _ := strings.Cut(s, ".")
	whole = strings.TrimLeft(whole, "0")
	if strings.Contains(fraction, ".") || len(whole)+len(fraction) > 38 {
		return expression{}, errUnsupported
	}
	if sign < 0 {
		s = "-" + s
	}
	return constant(tds.Decimal(max(1, len(whole)+len(fraction)), len(fraction)), s), nil
}

func (p *parser) caseExpression() (expression, error) {
	type branch struct {
		holds condition
		then  expression
	}
	var branches []branch
	otherwise := constant(tds.Int, nil)
	for p.accept("WHEN") {
		holds, err := p.condition()
		if err == nil {
			err = p.expect("THEN")
		}
		if err != nil {
			return expression{}, err
		}
		then, err := p.expression()
		if err != nil {
			return expression{}, err
		}
		branches = append(branches, branch{holds, then})
	}
	if len(branches) == 0 {
		return expression{}, errUnsupported
	}
	of := branches[0].then.of
	if p.accept("ELSE") {
		var err error
		if otherwise, err = p.expression(); err != nil {
			return expression{}, err
		}
		if !similar(of, otherwise.of) {
			return expression{}, errUnsupported
		}
		of = wider(of, otherwise.of)
	}
	for _, b := range branches {
		if !similar(of, b.then.of) {
			return expression{}, errUnsupported
		}
		of = wider(of, b.then.of)
	}
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
	}}, p.expect("END")
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

func (p *parser) castExpression() (expression, error) {
	if err := p.expect("("); err != nil {
		return expression{}, err
	}
	e, err := p.expression()
	if err == nil {
		err = p.expect("AS")
	}
	if err != nil {
		return expression{}, err
	}
	of, err := p.typeName()
	if err == nil {
		err = p.expect(")")
	}
	if err != nil {
		return expression{}, err
	}
	return cast(e, of, 0)
}

// convert reads CONVERT(type, expression [, style]).
func (p *parser) convert() (expression, error) {
	if err := p.expect("("); err != nil {
		return expression{}, err
	}
	of, err := p.typeName()
	if err == nil {
		err = p.expect(",")
	}
	if err != nil {
		return expression{}, err
	}
	e, err := p.expression()
	if err != nil {
		return expression{}, err
	}
	style := 0
	if p.accept(",") {
		if style, err = strconv.Atoi(p.take().text); err != nil {
			return expression{}, errUnsupported
		}
	}
	if err := p.expect(")"); err != nil {
		return expression{}, err
	}
	return cast(e, of, style)
}

// typeName reads a type.
func (p *parser) typeName() (tds.Type, error) {
	name, err := p.name()
	if err != nil {
		return tds.Type{}, err
	}
	size := -1 // not given
	if p.accept("(") {
		if t := p.take(); t.is("max") {
			size = 0
		} else if size, err = strconv.Atoi(t.text); err != nil || size < 1 || size > 8000 {
			return tds.Type{}, errUnsupported
		}
		if err := p.expect(")"); err != nil {
			return tds.Type{}, err
		}
	}
	sized := func(of func(int) tds.Type) tds.Type {
		if size < 0 {
			return of(30) // as CAST has it
		}
		return of(size)
	}
	switch strings.ToLower(name) {
	case "nvarchar":
		return sized(tds.NVarChar), nil
	case "varchar":
		return sized(tds.VarChar), nil
	case "varbinary":
		return sized(tds.VarBinary), nil
	}
	plain, ok := map[string]tds.Type{
		"int": tds.Int, "bigint": tds.BigInt, "smallint": tds.SmallInt, "tinyint": tds.TinyInt, "bit": tds.Bit,
		"uniqueidentifier": tds.GUID, "sysname": tds.NVarChar(128),
	}[strings.ToLower(name)]
	if !ok || size >= 0 {
		return tds.Type{}, errUnsupported
	}
	return plain, nil
}

// cast converts between types, where the result is the same as SQL Server's.
func cast(e expression, to tds.Type, style int) (expression, error) {
	var convert func(v any) (any, error)
	always := func(f func(v any) any) { convert = func(v any) (any, error) { return f(v), nil } } //nolint:unparam // as that of the others
	binaryID := tds.VarBinary(1).ID
	switch from := e.of; {
	case from == to && style == 0:
		return expression{of: to, value: e.value}, nil
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
		return expression{}, errUnsupported
	}
	return expression{of: to, value: func(r row) (any, error) {
		v, err := e.value(r)
		if err != nil || v == nil {
			return nil, err
		}
		return convert(v)
	}}, nil
}

// cut shortens a text to what its type has.
func cut(s string, to tds.Type) string {
	if to.Size < 0 {
		return s
	}
	return first(s, textLength(to))
}

// logic is one of three values (SQL-92).
type logic int

const (
	isFalse logic = iota
	isUnknown
	isTrue
)

type condition func(row) (logic, error)

func (p *parser) condition() (condition, error) {
	if p.nesting++; p.nesting > maxNesting {
		return nil, errUnsupported
	}
	defer func() { p.nesting-- }()
	or, and := func(a, b logic) logic { return max(a, b) }, func(a, b logic) logic { return min(a, b) }
	return p.either("OR", func() (condition, error) { return p.either("AND", p.predicate, and) }, or)
}

// either reads operands with a word between them.
func (p *parser) either(between string, operand func() (condition, error), of func(a, b logic) logic) (condition, error) {
	all, err := operand()
	for err == nil && p.accept(between) {
		var next condition
		left := all
		next, err = operand()
		all = func(r row) (logic, error) {
			a, err := left(r)
			if err != nil {
				return a, err
			}
			b, err := next(r)
			return of(a, b), err
		}
	}
	return all, err
}

func negated(c condition) condition {
	return func(r row) (logic, error) {
		holds, err := c(r)
		return isTrue - holds, err
	}
}

func (p *parser) predicate() (condition, error) {
	if p.accept("NOT") {
		not := true
		for p.accept("NOT") { // no recursion: a batch may have any number of them
			not = !not
		}
		c, err := p.predicate()
		if not {
			c = negated(c)
		}
		return c, err
	}
	if p.accept("EXISTS", "(", "SELECT") {
		q, err := p.query()
		if err == nil {
			err = p.expect(")")
		}
		if err != nil {
			return nil, err
		}
		return func(row) (logic, error) {
			rows, err := q.rows()
			if len(rows) > 0 {
				return isTrue, err
			}
			return isFalse, err
		}, nil
	}
	if p.next().is("(") && !p.operatorFollows() {
		p.take()
		c, err := p.condition()
		if err == nil {
			err = p.expect(")")
		}
		return c, err
	}
	left, err := p.expression()
	if err != nil {
		return nil, err
	}
	if p.accept("IS") {
		not := p.accept("NOT")
		if err := p.expect("NULL"); err != nil {
			return nil, err
		}
		return func(r row) (logic, error) {
			v, err := left.value(r)
			if (v == nil) != not {
				return isTrue, err
			}
			return isFalse, err
		}, nil
	}
	not := p.accept("NOT")
	if p.accept("IN", "(") {
		c, err := p.in(left)
		if not {
			c = negated(c)
		}
		return c, err
	}
	if not {
		return nil, errUnsupported
	}
	operator := p.take().text
	right, err := p.expression()
	if err != nil {
		return nil, err
	}
	return compare(left, operator, right)
}

// operatorFollows reports whether the parentheses that are next are around an expression, which
// is compared with something, and not around a condition. It only looks: trying one and then
// the other would take twice as long for each parenthesis within another.
func (p *parser) operatorFollows() bool {
	depth := 0
	for i := p.at; i < len(p.tokens)-1; i++ {
		switch t := p.tokens[i]; {
		case t.is("("):
			depth++
		case t.is(")"):
			if depth--; depth == 0 {
				return slices.ContainsFunc(strings.Fields("= <> != < > <= >= + IS IN NOT"), p.tokens[i+1].is)
			}
		}
	}
	return false
}

func (p *parser) in(left expression) (condition, error) {
	var any condition
	for {
		e, err := p.expression()
		if err != nil {
			return nil, err
		}
		same, err := compare(left, "=", e)
		if err != nil {
			return nil, err
		}
		if before := any; before == nil {
			any = same
		} else {
			any = func(r row) (logic, error) {
				a, err := before(r)
				if err != nil {
					return a, err
				}
				b, err := same(r)
				return max(a, b), err
			}
		}
		if !p.accept(",") {
			return any, p.expect(")")
		}
	}
}

// compare compares as the collation does: without case and spaces at the end.
func compare(a expression, operator string, b expression) (condition, error) {
	var order func(x, y any) int
	onlyEqual := true
	switch {
	case a.of.IsText() && b.of.IsText():
		order = func(x, y any) int {
			if strings.EqualFold(strings.TrimRight(x.(string), " "), strings.TrimRight(y.(string), " ")) {
				return 0
			}
			return 1
		}
	case a.of.IsInteger() && b.of.IsInteger():
		onlyEqual = false
		order = func(x, y any) int { return new(big.Int).Sub(big.NewInt(x.(int64)), big.NewInt(y.(int64))).Sign() }
	case a.of == b.of && (a.of == tds.GUID || a.of == tds.Bit):
		order = func(x, y any) int {
			if x == y {
				return 0
			}
			return 1
		}
	case a.of.ID == tds.VarBinary(1).ID && b.of.ID == a.of.ID:
		order = func(x, y any) int {
			if string(x.([]byte)) == string(y.([]byte)) {
				return 0
			}
			return 1
		}
	default:
		return nil, errUnsupported
	}
	holds := map[string]func(int) bool{
		"=": func(n int) bool { return n == 0 }, "<>": func(n int) bool { return n != 0 }, "!=": func(n int) bool { return n != 0 },
	}
	if !onlyEqual {
		holds["<"], holds[">"] = func(n int) bool { return n < 0 }, func(n int) bool { return n > 0 }
		holds["<="], holds[">="] = func(n int) bool { return n <= 0 }, func(n int) bool { return n >= 0 }
	}
	is := holds[operator]
	if is == nil {
		return nil, errUnsupported
	}
	return func(r row) (logic, error) {
		x, err := a.value(r)
		if err != nil {
			return isUnknown, err
		}
		y, err := b.value(r)
		if err != nil || x == nil || y == nil {
			return isUnknown, err
		}
		if is(order(x, y)) {
			return isTrue, nil
		}
		return isFalse, nil
	}, nil
}

// waitFor reads WAITFOR DELAY, which waits on the machine's clock.
func (p *parser) waitFor() (statement, error) {
	if err := p.expect("DELAY"); err != nil {
		return nil, err
	}
	t := p.take()
	var h, m, s int
	if n, err := fmt.Sscanf(t.text, "%d:%d:%d", &h, &m, &s); t.kind != text || err != nil || n != 3 || h < 0 || h > 23 || m < 0 || m > 59 || s < 0 || s > 59 {
		return nil, errUnsupported
	}
	return func(ctx context.Context, out Reply) error {
		timer := time.NewTimer(time.Duration(h)*time.Hour + time.Duration(m)*time.Minute + time.Duration(s)*time.Second)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		out.Done()
		return nil
	}, nil
}
