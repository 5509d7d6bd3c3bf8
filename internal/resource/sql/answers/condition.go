package answers

import (
	"math/big"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/internal/resource/sql/tds"
)

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
