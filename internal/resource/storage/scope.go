package storage

import (
	"fmt"

	"github.com/wiemu/wiemu/internal/resource"
)

// Scope implements resource.ScopedService. A part is containers/NAME, queues/NAME or
// tables/NAME, which need not exist yet.
func (s *Accounts) Scope(name, part string) (resource.Scope, error) {
	a, ok := s.account(name)
	if !ok {
		return resource.Scope{}, fmt.Errorf("storage account %q: expected one of %q", name, s.Names())
	}
	at := resource.Scope{Tenant: a.tenant, ID: a.scope}
	if part == "" {
		return at, nil
	}
	kind, item, err := resource.SplitPart(part, "containers", "queues", "tables")
	if err != nil {
		return resource.Scope{}, fmt.Errorf("storage account %s: %w", name, err)
	}
	of := map[string]struct {
		service Service
		rule    string
		valid   func(string) bool
	}{"containers": {Blob, itemRule, ValidContainer}, "queues": {Queue, itemRule, ValidQueue}, "tables": {Table, tableRule, tableName().MatchString}}[kind]
	if !of.valid(item) {
		return resource.Scope{}, fmt.Errorf("storage account %s: %s: expected %s, found %q", name, kind, of.rule, item)
	}
	at.ID = Target{Account: name, Service: of.service, Container: item}.scope(a.scope)
	return at, nil
}
