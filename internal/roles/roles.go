// Package roles decides what a principal may do to a resource, as Azure role-based access
// control does: it holds role definitions, built-in and custom ones, and role assignments,
// and says for a principal, an action and a scope whether a role permits it, which one, or
// what is missing. It answers for all resources; how a refusal is worded is theirs. Access
// policies of key vaults are not roles: see package keyvault.
//
// Source of how it decides: azure-docs, role-based-access-control/role-definitions.md (an
// action is permitted if a role has it and the same role's notActions do not; roles add
// up; actions never open data) and scope-overview.md (assignments are inherited).
package roles

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/wiemu/wiemu/internal/yamlfile"
)

// Definition is a role.
type Definition struct {
	ID               string       `json:"id"`   // GUID, in lower case
	Name             string       `json:"name"` // such as Storage Blob Data Reader
	Description      string       `json:"description,omitempty"`
	Permissions      []Permission `json:"permissions"`
	AssignableScopes []string     `json:"assignableScopes,omitempty"` // of a custom role; a built-in one has none and is assignable everywhere

	CreatedAt time.Time `json:"createdAt,omitzero"` // in lab time, of a custom role that was made at run time
	UpdatedAt time.Time `json:"updatedAt,omitzero"` // when it was last written; CreatedAt at first
}

// Permission is what a role permits. Each entry may have * for any text, and letter case
// does not matter. Actions are of the management of resources, data actions of what is in
// them.
type Permission struct {
	Actions        []string `json:"actions,omitempty"`
	NotActions     []string `json:"notActions,omitempty"`
	DataActions    []string `json:"dataActions,omitempty"`
	NotDataActions []string `json:"notDataActions,omitempty"`
}

// Action is one thing that a role may permit.
type Action struct {
	Name string // such as Microsoft.Storage/storageAccounts/blobServices/containers/read
	Data bool   // whether it is among the data actions of roles
}

// Control returns an action of the management of resources.
func Control(name string) Action { return Action{Name: name} }

// Data returns an action on the data in a resource.
func Data(name string) Action { return Action{Name: name, Data: true} }

// IsBuiltin reports whether a role is one of Azure's own, by its id.
func IsBuiltin(id string) bool {
	id = strings.ToLower(id)
	return slices.ContainsFunc(builtin(), func(d Definition) bool { return d.ID == id })
}

// Permits reports whether the role permits an action.
func (d *Definition) Permits(a Action) bool {
	for _, p := range d.Permissions {
		granted, excluded := p.Actions, p.NotActions
		if a.Data {
			granted, excluded = p.DataActions, p.NotDataActions
		}
		if matchAny(granted, a.Name) && !matchAny(excluded, a.Name) {
			return true
		}
	}
	return false
}

// opensData reports whether the role permits anything on the data in resources.
func (d *Definition) opensData() bool {
	return slices.ContainsFunc(d.Permissions, func(p Permission) bool { return len(p.DataActions) > 0 })
}

// IsAbout reports whether the role permits anything of a resource provider, such as
// Microsoft.Storage.
func (d *Definition) IsAbout(provider string) bool {
	for _, p := range d.Permissions {
		for _, granted := range slices.Concat(p.Actions, p.DataActions) {
			if strings.HasPrefix(granted, "*") || strings.HasPrefix(strings.ToLower(granted), strings.ToLower(provider)+"/") {
				return true
			}
		}
	}
	return false
}

// builtinJSON lists the built-in roles, of each service from the least to the most
// powerful: the first that permits an action is the one to advise. Source: azure-docs,
// role-based-access-control/built-in-roles (storage.md, identity.md and privileged.md of
// 2026-07-01, security.md and general.md of 2026-02-23); Storage Account Contributor from
// the portal's JSON. The condition of Key Vault Data Access Administrator is left out.
//
//go:embed builtin.json
var builtinJSON []byte

// Builtin returns Azure's built-in roles, as far as they are known here. The caller must not
// change what is in them.
func Builtin() []Definition { return slices.Clone(builtin()) }

var builtin = sync.OnceValue(func() []Definition {
	var all []Definition
	if err := json.Unmarshal(builtinJSON, &all); err != nil {
		panic(fmt.Errorf("roles: builtin.json: %w", err)) // a test reads it
	}
	return all
})

// Named returns the built-in or custom role of a name or id.
func Named(name string, custom ...Definition) (Definition, bool) {
	for _, d := range append(Builtin(), custom...) {
		if strings.EqualFold(d.Name, name) || strings.EqualFold(d.ID, name) {
			return d, true
		}
	}
	return Definition{}, false
}

// CheckName returns what is wrong with the name or id of a role that stands in a file, which
// defines custom roles: what was expected and how to fix it; "" twice if nothing is.
func CheckName(name string, custom ...Definition) (expected, fix string) {
	if _, ok := Named(name, custom...); ok {
		return "", ""
	}
	var names []string
	for _, d := range append(Builtin(), custom...) {
		names = append(names, d.Name)
	}
	if expected = "the name or id of a built-in role"; len(custom) > 0 {
		expected += ", or of one of roles.definitions"
	}
	if fix = yamlfile.DidYouMean(name, names); fix == "" {
		fix = "docs/resources/roles.md lists them: " + strings.Join(like(name, names), ", ")
	}
	return expected, fix
}

// CheckName is the function of that name for the roles of a lab.
func (s *Set) CheckName(name string) (expected, fix string) {
	return CheckName(name, slices.DeleteFunc(s.Definitions(), func(d Definition) bool {
		_, builtin := Named(d.ID)
		return builtin
	})...)
}

// like are the names that have most words in common with one, or all if none has any.
func like(name string, names []string) []string {
	var best []string
	most := 1
	for _, candidate := range names {
		common := 0
		for _, word := range strings.Fields(strings.ToLower(name)) {
			if strings.Contains(" "+strings.ToLower(candidate)+" ", " "+word+" ") {
				common++
			}
		}
		switch {
		case common > most:
			most, best = common, []string{candidate}
		case common == most:
			best = append(best, candidate)
		}
	}
	if best == nil {
		return names
	}
	return best
}

// Access is an entry of access: of a resource in wiemu.yaml.
type Access struct {
	_ NotEmulated

	// Identity is the name or client id of an application or managed identity, or the name of a workload of this file whose client id none of them has; a component of a radixconfig.yaml is named by its client id. "*" stands for every identity of the tenant.
	Identity string `yaml:"identity" json:"identity"`
	// Roles are Azure roles by name, such as Storage Blob Data Reader, or by id.
	Roles []string `yaml:"roles" json:"roles"`
}

// Check reports what is wrong with the roles, where the file defines custom ones; the
// resource's section resolves the identity. problem is that of the section, at the place of
// the entry.
func (a Access) Check(custom []Definition, problem func(field, expected, found, fix string)) {
	if len(a.Roles) == 0 {
		problem(".roles", "the names of Azure roles, such as [Reader]", "none", "remove the entry if the identity gets nothing")
	}
	for n, role := range a.Roles {
		if expected, fix := CheckName(role, custom...); expected != "" {
			problem(fmt.Sprintf(".roles[%d]", n), expected, role, fix)
		}
	}
}

func matchAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return match(p, name) })
}

// match compares without regard to the case of ASCII letters; * stands for any text.
func match(pattern, name string) bool {
	star, from := -1, 0 // the last *, and where in name the text behind it is tried
	p, n := 0, 0
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, n
			p++
		case p < len(pattern) && lower(pattern[p]) == lower(name[n]):
			p++
			n++
		case star >= 0:
			from++
			p, n = star+1, from
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

func lower(b byte) byte {
	if 'A' <= b && b <= 'Z' {
		return b + 'a' - 'A'
	}
	return b
}
