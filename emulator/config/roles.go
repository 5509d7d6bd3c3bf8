package config

import (
	"fmt"
	"slices"

	"github.com/wiemu/wiemu/internal/roles"
)

// customRoles are those of roles.definitions.
func (c *Config) customRoles() []roles.Definition {
	all := make([]roles.Definition, len(c.Roles.Definitions))
	for n, d := range c.Roles.Definitions {
		all[n] = roles.Custom(d).Definition()
	}
	return all
}

func (c *Config) checkCustomRoles(p *problems) {
	for n, d := range p.roles {
		d.Check(slices.Concat(roles.Builtin(), p.roles[:n]), func(field, expected, found, fix string) {
			p.add(fmt.Sprintf("roles.definitions[%d]%s", n, field), expected, found, fix)
		})
	}
}
