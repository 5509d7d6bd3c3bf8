package tenants

import (
	"errors"
	"fmt"
	"strings"
)

// The reasons for which a directory refuses a value or a change; test with
// [errors.Is].
var (
	ErrInvalid   = errors.New("not valid")
	ErrDuplicate = errors.New("exists already")
	ErrLimit     = errors.New("too many")
	ErrNotFound  = errors.New("not found")
)

// Error says what is wrong with one field of a tenant or principal.
type Error struct {
	Reason    error  // ErrInvalid, ErrDuplicate, ErrLimit or ErrNotFound
	Tenant    string // id
	Principal string // client id and display name; "" when it is about the tenant
	Field     string // as in Go and in JSON paths: federatedCredentials[3].subject
	Expected  string
	Found     string
}

// Error names the place, what was expected there and what was found.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("directory: ")
	if e.Tenant != "" {
		fmt.Fprintf(&b, "tenant %s: ", e.Tenant)
	}
	if e.Principal != "" {
		fmt.Fprintf(&b, "application %s: ", e.Principal)
	}
	fmt.Fprintf(&b, "%s: expected %s, found %s", e.Field, e.Expected, e.Found)
	return b.String()
}

// Unwrap returns the reason.
func (e *Error) Unwrap() error { return e.Reason }

type problems struct {
	tenant, principal string
	found             []error
}

func (p *problems) add(reason error, field path, expected, found string) {
	p.found = append(p.found, &Error{
		Reason: reason, Tenant: p.tenant, Principal: p.principal,
		Field: field.String(), Expected: expected, Found: found,
	})
}

// expect adds a problem of form unless ok. Found is formatted only then: a
// hundred thousand applications are checked when they are loaded.
func (p *problems) expect(ok bool, field path, expected string, found any) {
	if ok {
		return
	}
	if text, ok := found.(string); ok {
		found = quoted(text)
	}
	p.add(ErrInvalid, field, expected, fmt.Sprint(found))
}

func (p *problems) err() error { return errors.Join(p.found...) }

// quoted shows a value that a user wrote, cut to a length that fits a line.
func quoted(s string) string {
	const most = 160
	if len(s) > most {
		return fmt.Sprintf("%.*q… (%d bytes)", most, s, len(s))
	}
	return fmt.Sprintf("%q", s)
}

// path names a field of a principal, or of an element of one of its lists.
type path struct {
	list  string
	index int
	field string
}

func at(field string) path { return path{field: field} }

func (p path) String() string {
	switch {
	case p.list == "":
		return p.field
	case p.field == "":
		return fmt.Sprintf("%s[%d]", p.list, p.index)
	default:
		return fmt.Sprintf("%s[%d].%s", p.list, p.index, p.field)
	}
}
