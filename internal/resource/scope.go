package resource

import (
	"fmt"
	"slices"
	"strings"
)

// ScopedService has instances that Azure roles are assigned on.
type ScopedService interface {
	Instances
	// Scope returns where roles on an instance, which is one of Names, are assigned, or on a
	// part of it such as containers/inbox.
	Scope(name, part string) (Scope, error)
}

// Scope is where roles are assigned.
type Scope struct {
	Tenant string // id; "" if it is in none alone
	ID     string // resource id
	Note   string // what is to be known of roles there, in a sentence without a full stop; usually ""
}

// SplitPart takes a part of an instance, KIND/NAME, apart. kinds are those that there are.
func SplitPart(part string, kinds ...string) (kind, name string, err error) {
	kind, name, _ = strings.Cut(part, "/")
	if !slices.Contains(kinds, kind) || name == "" || strings.Contains(name, "/") {
		return "", "", fmt.Errorf("expected %s/NAME behind it, found %q", strings.Join(kinds, "/NAME, "), part)
	}
	return kind, name, nil
}
