package template

import (
	"errors"
	"sync/atomic"
)

// maxWork bounds what one deployment may evaluate, in about bytes of its template and of what
// expressions make: a template has 4 MB at most, and expressions that double a value over and over
// would have no end.
const maxWork = 32 << 20

// maxSharedWork bounds what the deployments may evaluate that come of one, with the deployments in
// its template: it is as much as 16 of them may each.
const maxSharedWork = 16 * maxWork

// Budget bounds what several deployments evaluate together. Its zero value is not usable: see
// NewBudget. It may be used by several goroutines.
type Budget struct{ left atomic.Int64 }

// NewBudget returns the budget of a deployment and of those in its template.
func NewBudget() *Budget {
	b := &Budget{}
	b.left.Store(maxSharedWork)
	return b
}

// budget is what is left of maxWork.
type budget struct {
	left   int
	shared *Budget // with other deployments; nil if there are none
}

func (b *budget) take(n int) error {
	if n < 0 || n > b.left {
		b.left = 0
		return failf("The template and the values that its expressions make are too large: more than %d bytes for one deployment.", maxWork)
	}
	b.left -= n
	if b.shared != nil && b.shared.left.Add(-int64(n)) < 0 {
		b.left = 0
		return failf("The template and the values that its expressions make are too large: more than %d bytes for a deployment with those in its template.", maxSharedWork)
	}
	return nil
}

// lasting reports whether an error stands whichever value is chosen: what is not emulated, or what
// the budget does not allow.
func (b *budget) lasting(err error) bool {
	var what *Error
	return b.left == 0 || errors.As(err, &what) && what.Unsupported
}

// size is about how many bytes a value has, but no more than a limit, at which it stops counting.
func size(v any, limit int) int {
	n := 8
	switch v := v.(type) {
	case string:
		n += len(v)
	case []any:
		for _, e := range v {
			if n > limit {
				return n
			}
			n += size(e, limit-n)
		}
	case *Object:
		if v == nil {
			return n
		}
		for i, name := range v.names {
			if n > limit {
				return n
			}
			n += len(name) + size(v.values[i], limit-n)
		}
	}
	return n
}
