package journals

import (
	"context"

	"github.com/wiemu/wiemu/emulator/journal"
)

type programKey struct{}

// WithProgram returns a context of what the program has asked for.
func WithProgram(ctx context.Context, p journal.Program) context.Context {
	return context.WithValue(ctx, programKey{}, &p)
}

// ProgramOf returns the program that has asked for what the context is of, or nil if that is
// not known.
func ProgramOf(ctx context.Context) *journal.Program {
	p, _ := ctx.Value(programKey{}).(*journal.Program)
	return p
}
