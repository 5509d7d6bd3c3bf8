//go:build !linux

package doctor

import (
	"context"

	"github.com/wiemu/wiemu/internal/lead"
)

// tryCalls finds none: see errNotLinux.
func tryCalls(context.Context) (Calls, error) { return parseCalls("", errNotLinux), nil }

// tryLead fails: see package lead.
func tryLead(ctx context.Context) (lead.Way, error) { return lead.Probe(ctx) }
