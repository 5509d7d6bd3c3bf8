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

func (p *parser) condition() condition {
	defer p.nest()()
	or, and := func(a, b logic) logic { return max(a, b) }, func(a, b logic) logic { return min(a, b) }
	return p.either("OR", func() condition { return p.either("AND", p.predicate, and) }, or)
}

// either reads operands with a word between them.
func (p *parser) either(between string, operand func() condition, of func(a, b logic) logic) condition {
	all := operand()
	for p.accept(between) {
		left, next := all, operand()
		all = func(r row) (logic, error) {
			a, err := left(r)
			if err != nil {
				return a, err
			}
			b, err := next(r)
			return of(a, b), err
		}
	}
	return all
}

func negated(c condition) condition {
	return func(r row) (logic, error) {
		holds, err := c(r)
		return isTrue - holds, err
	}
}

func (p *parser) predicate() condition {
	if p.accept("NOT") {
		not := true
		for p.accept("NOT") { // no recursion: a batch may have any number of them
			not = !not
		}
		c := p.predicate()
		if not {
			c = negated(c)
		}
		return c
	}
	if p.accept("EXISTS", "(", "SELECT") {
		q := p.query()
		p.expect(")")
		return func(row) (logic, error) {
			rows, err := q.rows()
			if len(rows) > 0 {
				return isTrue, err
			}
			return isFalse, err
		}
	}
	if p.next().is("(") && !p.operatorFollows() {
		p.take()
		c := p.condition()
		p.expect(")")
		return c
	}
	left := p.expression()
	if p.accept("IS") {
		not := p.accept("NOT")
		p.expect("NULL")
		return func(r row) (logic, error) {
			v, err := left.value(r)
			if (v == nil) != not {
				return isTrue, err
			}
			return isFalse, err
		}
	}
	not := p.accept("NOT")
	if p.accept("IN", "(") {
		c := p.in(left)
		if not {
			c = negated(c)
		}
		return c
	}
	require(!not)
	operator := p.take().text
	right := p.expression()
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

func (p *parser) in(left expression) condition {
	var any condition
	for {
		e := p.expression()
		same := compare(left, "=", e)
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
			p.expect(")")
			return any
		}
	}
}

// compare compares as the collation does: without case and spaces at the end.
func compare(a expression, operator string, b expression) condition {
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
		panic(notAnswered)
	}
	holds := map[string]func(int) bool{
		"=": func(n int) bool { return n == 0 }, "<>": func(n int) bool { return n != 0 }, "!=": func(n int) bool { return n != 0 },
	}
	if !onlyEqual {
		holds["<"], holds[">"] = func(n int) bool { return n < 0 }, func(n int) bool { return n > 0 }
		holds["<="], holds[">="] = func(n int) bool { return n <= 0 }, func(n int) bool { return n >= 0 }
	}
	is := holds[operator]
	require(is != nil)
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
	}
}
