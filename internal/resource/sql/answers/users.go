package answers

import (
	"encoding/hex"
	"errors"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/internal/resource/sql/tds"
)

// userStatement reads a statement about users or members of roles.
func (p *parser) userStatement() func() error {
	switch first := p.take(); {
	case first.is("CREATE") && p.accept("USER"):
		return p.createUser()
	case first.is("DROP") && p.accept("USER"):
		return p.dropUser()
	case first.is("ALTER") && p.accept("ROLE"):
		return p.alterRole()
	}
	panic(notAnswered)
}

// createUser reads what follows CREATE USER. Source: learn.microsoft.com, sql/t-sql/statements/create-user-transact-sql.
func (p *parser) createUser() func() error {
	u := NewUser{Name: p.name()}
	external := p.accept("FROM", "EXTERNAL", "PROVIDER")
	if p.accept("WITH") {
		for {
			switch {
			case p.accept("OBJECT_ID", "=") && external:
				t := p.take()
				require(t.kind == text)
				u.ObjectID = t.text
			case p.accept("SID", "=") && !external:
				t := p.take()
				raw, err := hex.DecodeString(t.text)
				require(t.kind == binary && err == nil)
				if len(raw) != 16 {
					panic(failure{tds.Errorf(15419, "Supplied parameter sid should be binary(16).")})
				}
				u.SID, u.Given = [16]byte(raw), true
			case p.accept("TYPE", "="):
				t := p.take()
				require(t.is("E") || t.is("X"))
				u.Group = t.is("X")
			case p.accept("DEFAULT_SCHEMA", "="):
				p.name()
			default:
				panic(notAnswered)
			}
			if !p.accept(",") {
				break
			}
		}
	}
	require(external != u.Given) // neither: a user of a SQL login; both is none of the forms
	return func() error {
		if !p.session.owner("db_accessadmin") {
			return tds.Errorf(15247, "User does not have permission to perform this action.")
		}
		return p.session.create(u)
	}
}

func (p *parser) dropUser() func() error {
	maybe := p.accept("IF", "EXISTS")
	name := p.name()
	return func() error {
		if maybe && !p.session.hasUser(name) {
			return nil
		}
		if !p.session.owner("db_accessadmin") || !p.session.hasUser(name) {
			return tds.Errorf(15151, "Cannot drop the user '%s', because it does not exist or you do not have permission.", name)
		}
		return p.session.drop(name)
	}
}

func (p *parser) alterRole() func() error {
	role := p.name()
	add := p.accept("ADD", "MEMBER")
	require(add || p.accept("DROP", "MEMBER"))
	user := p.name()
	return func() error { return p.session.setMember(role, user, add) }
}

func (s *Session) hasUser(name string) bool {
	return s.user(name) != nil
}

// user is the one of a name; nil if there is none.
func (s *Session) user(name string) *User {
	for _, u := range s.database.Users() {
		if strings.EqualFold(u.Name, name) {
			return &u
		}
	}
	return nil
}

func (s *Session) create(u NewUser) error {
	s.touch()
	if err := s.database.Create(u); err != nil {
		return err
	}
	s.undo = append(s.undo, func() error { return s.database.Drop(u.Name) })
	return nil
}

func (s *Session) drop(name string) error {
	s.touch()
	was := s.user(name)
	if err := s.database.Drop(name); err != nil || was == nil { // another session may make it in between
		return err
	}
	s.undo = append(s.undo, func() error {
		err := s.database.Create(NewUser{Name: was.Name, SID: was.SID, Given: true, Group: was.Group})
		for _, role := range was.Roles {
			err = errors.Join(err, s.database.SetMember(role, was.Name, true))
		}
		return err
	})
	return nil
}

func (s *Session) setMember(role, user string, member bool) error {
	known, ok := fixedRole(role)
	if !ok || !s.owner() {
		return tds.Errorf(15151, "Cannot alter the role '%s', because it does not exist or you do not have permission.", role)
	}
	is := s.user(user)
	if is == nil {
		verb := "add"
		if !member {
			verb = "drop"
		}
		return tds.Errorf(15151, "Cannot %s the principal '%s', because it does not exist or you do not have permission.", verb, user)
	}
	s.touch()
	before := slices.Contains(is.Roles, known)
	if err := s.database.SetMember(known, user, member); err != nil {
		return err
	}
	s.undo = append(s.undo, func() error { return s.database.SetMember(known, user, before) })
	return nil
}

// FixedRoles are the roles that every database has, besides public.
// Source: learn.microsoft.com, sql/relational-databases/security/authentication-access/database-level-roles.
func FixedRoles() []string {
	return []string{"db_accessadmin", "db_backupoperator", "db_datareader", "db_datawriter", "db_ddladmin", "db_denydatareader", "db_denydatawriter", "db_owner", "db_securityadmin"}
}

// fixedRole returns a role by its name in any case.
func fixedRole(name string) (string, bool) {
	for _, r := range FixedRoles() {
		if strings.EqualFold(r, name) {
			return r, true
		}
	}
	return "", false
}
