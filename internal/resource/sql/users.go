package sql

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/resource/sql/answers"
	"github.com/wiemu/wiemu/internal/resource/sql/tds"
)

// master is the database that a login is for if it names none.
const master = "master"

// database is a database with its contained users.
type database struct {
	kit          resource.Kit
	name, tenant string

	mu    sync.RWMutex
	users []answers.User // in the order in which they were made
}

func (s *server) database(name string) *database {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.databases[strings.ToLower(name)]
}

func (s *server) add(k resource.Kit, name string) *database {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := &database{kit: k, name: name, tenant: s.tenant}
	s.databases[strings.ToLower(name)] = d
	return d
}

// names are those of the databases, sorted.
func (s *server) names() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var all []string
	for _, key := range slices.Sorted(maps.Keys(s.databases)) {
		all = append(all, s.databases[key].name)
	}
	return all
}

// sidOf is what Azure SQL recognises a principal by, of a client id or an object id.
func sidOf(id string) [16]byte {
	sid, err := tds.ParseGUID(id)
	if err != nil { // no user has it
		return [16]byte{}
	}
	return sid
}

// configure makes a user, or gives one that is there further roles.
func (d *database) configure(u User) error {
	p, ok := d.kit.Directory.Principal(d.tenant, u.Identity)
	if !ok {
		return fmt.Errorf("user %q: identity: expected the client id of an application or managed identity of tenant %s, found %q", u.Name, d.tenant, u.Identity)
	}
	sid := sidOf(p.ClientID)
	if u.SID == byObjectID {
		sid = sidOf(p.ObjectID)
	}
	d.mu.RLock()
	n := slices.IndexFunc(d.users, func(known answers.User) bool { return known.SID == sid })
	name := u.Name
	if name == "" {
		name = p.DisplayName
	}
	if n >= 0 {
		name = d.users[n].Name
	}
	d.mu.RUnlock()
	if n < 0 {
		if err := d.Create(answers.NewUser{Name: name, SID: sid, Given: true}); err != nil {
			return fmt.Errorf("user %s: %w", name, err)
		}
	}
	for _, role := range u.Roles {
		if !slices.Contains(answers.FixedRoles(), role) {
			return fmt.Errorf("user %s: role: expected one of %s, found %q", name, strings.Join(answers.FixedRoles(), ", "), role)
		}
		if err := d.SetMember(role, name, true); err != nil {
			return fmt.Errorf("user %s: %w", name, err)
		}
	}
	return nil
}

// Name implements answers.Database.
func (d *database) Name() string { return d.name }

// Users implements answers.Database.
func (d *database) Users() []answers.User {
	d.mu.RLock()
	defer d.mu.RUnlock()
	all := slices.Clone(d.users)
	for n := range all {
		all[n].Roles = slices.Clone(all[n].Roles)
	}
	return all
}

// known returns the user with a SID.
func (d *database) known(sid [16]byte) (answers.User, bool) {
	for _, u := range d.Users() {
		if u.SID == sid {
			return u, true
		}
	}
	return answers.User{}, false
}

// Create implements answers.Database: the principal is looked up in the directory, unless
// the statement gives the SID, which nobody checks then.
//
// The SID of an application or a managed identity is its client id, whatever it was looked up
// by. Source: MicrosoftDocs/sql-docs#2323, microsoft/aspire#19390; of WITH OBJECT_ID inferred.
func (d *database) Create(u answers.NewUser) error {
	sid := u.SID
	if !u.Given {
		p, err := d.lookUp(u)
		if err != nil {
			return err
		}
		sid = sidOf(p.ClientID)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, known := range d.users {
		switch {
		case strings.EqualFold(known.Name, u.Name) || strings.EqualFold(u.Name, answers.DBO):
			return tds.Errorf(15023, "User, group, or role '%s' already exists in the current database.", u.Name)
		case known.SID == sid:
			return tds.Errorf(15063, "The login already has an account under a different user name.")
		}
	}
	d.users = append(d.users, answers.User{Name: u.Name, SID: sid, Group: u.Group})
	return nil
}

// lookUp finds the principal of a user in the directory: by its object id, or by the user's
// name, which has to be a display name that is there once.
// Source: learn.microsoft.com, authentication-microsoft-entra-create-users-with-nonunique-names.
func (d *database) lookUp(u answers.NewUser) (*directory.Principal, error) {
	var found []*directory.Principal
	for _, p := range d.kit.Directory.Principals(d.tenant) {
		if u.ObjectID != "" && strings.EqualFold(p.ObjectID, u.ObjectID) || u.ObjectID == "" && strings.EqualFold(p.DisplayName, u.Name) {
			found = append(found, p)
		}
	}
	switch len(found) {
	case 0:
		return nil, tds.Errorf(33130, "Principal '%s' could not be found or this principal type is not supported.", u.Name)
	case 1:
		return found[0], nil
	}
	return nil, tds.Errorf(33131, "Principal '%s' has a duplicate display name. Make the display name unique in Azure Active Directory and execute this statement again.", u.Name)
}

// Drop implements answers.Database.
func (d *database) Drop(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := len(d.users)
	if d.users = slices.DeleteFunc(d.users, func(u answers.User) bool { return strings.EqualFold(u.Name, name) }); len(d.users) == n {
		return tds.Errorf(15151, "Cannot drop the user '%s', because it does not exist or you do not have permission.", name)
	}
	return nil
}

// SetMember implements answers.Database.
func (d *database) SetMember(role, user string, member bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := slices.IndexFunc(d.users, func(u answers.User) bool { return strings.EqualFold(u.Name, user) })
	if n < 0 {
		return tds.Errorf(15151, "Cannot add the principal '%s', because it does not exist or you do not have permission.", user)
	}
	roles := slices.DeleteFunc(slices.Clone(d.users[n].Roles), func(r string) bool { return r == role })
	if member {
		roles = append(roles, role)
	}
	d.users[n].Roles = roles
	return nil
}
