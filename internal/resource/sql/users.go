package sql

import (
	"cmp"
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
	users []user // in the order in which they were made
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
	sid, _ := tds.ParseGUID(id) // else zero, which no user has
	return sid
}

// user is a contained user. One of the configuration may be of an identity that comes into
// the directory later, such as a component's of a radixconfig.yaml, so that its name and its
// SID are looked up when they are asked for.
type user struct {
	answers.User
	identity string // client id of one of the configuration; "" if the others are known
	sid      string // what its SID is made of: see User
}

// resolved is the user as it is now.
func (d *database) resolved(u user) answers.User {
	if u.identity == "" {
		return u.User
	}
	made := u.User
	made.SID = sidOf(u.identity)
	p, ok := d.kit.Directory.Principal(d.tenant, u.identity)
	switch {
	case u.sid != byObjectID:
	case ok:
		made.SID = sidOf(p.ObjectID)
	default: // nobody has it yet
		made.SID = [16]byte{}
	}
	if ok {
		made.Name = cmp.Or(made.Name, p.DisplayName)
	}
	made.Name = cmp.Or(made.Name, u.identity)
	return made
}

// configure makes a user, or gives the one that the identity is further roles.
func (d *database) configure(u User) error {
	if _, err := tds.ParseGUID(u.Identity); err != nil {
		return fmt.Errorf("user %q: identity: expected the client id of an application or managed identity, found %q", u.Name, u.Identity)
	}
	for _, role := range u.Roles {
		if !slices.Contains(answers.FixedRoles(), role) {
			return fmt.Errorf("user %s: role: expected one of %s, found %q", u.Identity, strings.Join(answers.FixedRoles(), ", "), role)
		}
	}
	made := user{answers.User{Name: u.Name}, strings.ToLower(u.Identity), u.SID}
	d.mu.Lock()
	defer d.mu.Unlock()
	is := d.resolved(made)
	n := slices.IndexFunc(d.users, func(known user) bool {
		// Of identities that are not in the directory yet, zero is the SID of each.
		return d.resolved(known).SID == is.SID && (is.SID != [16]byte{} || known.identity == made.identity)
	})
	if n < 0 {
		if slices.ContainsFunc(d.users, func(known user) bool { return strings.EqualFold(d.resolved(known).Name, is.Name) }) {
			return fmt.Errorf("user %s: expected a name of its own, which another user has", is.Name)
		}
		n = len(d.users)
		d.users = append(d.users, made)
	}
	for _, role := range u.Roles {
		if !slices.Contains(d.users[n].Roles, role) {
			d.users[n].Roles = append(d.users[n].Roles, role)
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
	all := make([]answers.User, len(d.users))
	for n, u := range d.users {
		all[n] = d.resolved(u)
		all[n].Roles = slices.Clone(all[n].Roles)
	}
	return all
}

// known returns the user with a SID.
func (d *database) known(sid [16]byte) (answers.User, bool) {
	for _, u := range d.Users() {
		if u.SID == sid && sid != [16]byte{} { // which both have if nothing is known of them
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
	for _, there := range d.users {
		known := d.resolved(there)
		switch {
		case strings.EqualFold(known.Name, u.Name) || strings.EqualFold(u.Name, answers.DBO):
			return tds.Errorf(15023, "User, group, or role '%s' already exists in the current database.", u.Name)
		case known.SID == sid:
			return tds.Errorf(15063, "The login already has an account under a different user name.")
		}
	}
	d.users = append(d.users, user{User: answers.User{Name: u.Name, SID: sid, Group: u.Group}})
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
	if d.users = slices.DeleteFunc(d.users, func(u user) bool { return strings.EqualFold(d.resolved(u).Name, name) }); len(d.users) == n {
		return tds.Errorf(15151, "Cannot drop the user '%s', because it does not exist or you do not have permission.", name)
	}
	return nil
}

// SetMember implements answers.Database.
func (d *database) SetMember(role, name string, member bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := slices.IndexFunc(d.users, func(u user) bool { return strings.EqualFold(d.resolved(u).Name, name) })
	if n < 0 {
		return tds.Errorf(15151, "Cannot add the principal '%s', because it does not exist or you do not have permission.", name)
	}
	roles := slices.DeleteFunc(slices.Clone(d.users[n].Roles), func(r string) bool { return r == role })
	if member {
		roles = append(roles, role)
	}
	d.users[n].Roles = roles
	return nil
}
