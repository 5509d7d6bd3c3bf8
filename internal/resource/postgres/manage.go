package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// What Resource Manager does with servers.

// ValidDatabase reports whether a database can be made with a name.
func ValidDatabase(name string) bool {
	return validIdentifier(name) && !slices.Contains([]string{"template0", "template1", "postgres"}, name)
}

// Server returns a server as it is now.
func (s *Servers) Server(name string) (Server, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	found := s.servers[strings.ToLower(name)]
	if found == nil {
		return Server{}, false
	}
	made := found.Server
	made.Access = slices.Clone(made.Access)
	return made, true
}

// Admit lets those log in to a server whom access names, and nobody else: a role that is not named
// any more belongs to no identity. In Azure it is dropped, unless it owns something
// (hashicorp/terraform-provider-azurerm#24736); here it stays, with what it owns.
func (s *Servers) Admit(ctx context.Context, name string, access AccessList) error {
	found := s.find(name)
	if found == nil {
		return fmt.Errorf("there is no PostgreSQL server %s", name)
	}
	s.mu.Lock()
	before := found.Access
	found.Access = append(AccessList{}, access...)
	s.mu.Unlock()
	for _, a := range before {
		if !slices.ContainsFunc(access, func(o Access) bool { return o.Role == a.Role }) {
			if err := found.engine.unmake(ctx, made(a.Role)); err != nil {
				return err
			}
		}
	}
	return nil
}

// Remove takes a server away. What was started for it ends, and with it the sessions of its clients.
func (s *Servers) Remove(name string) error {
	s.mu.Lock()
	found := s.servers[strings.ToLower(name)]
	delete(s.servers, strings.ToLower(name))
	s.mu.Unlock()
	if found == nil {
		return nil
	}
	return found.engine.close()
}

// Database adds a database to a server unless it has it.
func (s *Servers) Database(ctx context.Context, name, database string) error {
	found := s.find(name)
	if found == nil {
		return fmt.Errorf("there is no PostgreSQL server %s", name)
	}
	if err := found.engine.addDatabase(ctx, database); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(found.Databases, database) {
		found.Databases = append(slices.Clone(found.Databases), database)
	}
	return nil
}

// RemoveDatabase drops a database of a server, with the sessions that use it.
func (s *Servers) RemoveDatabase(ctx context.Context, name, database string) error {
	found := s.find(name)
	if found == nil {
		return nil
	}
	if err := found.engine.dropDatabase(ctx, database); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	found.Databases = slices.DeleteFunc(slices.Clone(found.Databases), func(o string) bool { return o == database })
	return nil
}

// addDatabase has the engine make a database: at once if it runs, else when it is first needed.
func (e *engine) addDatabase(ctx context.Context, name string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if slices.Contains(e.databases, name) {
		return nil
	}
	e.databases = append(slices.Clone(e.databases), name)
	if e.admin == nil {
		return nil
	}
	conn, err := e.superuser(ctx)
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, connectTimeout)
		defer cancel()
		err = makeDatabase(ctx, conn, name)
	}
	if err != nil {
		e.databases = e.databases[:len(e.databases)-1]
		return errors.Join(errEngine, err)
	}
	return nil
}

func (e *engine) dropDatabase(ctx context.Context, name string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.databases = slices.DeleteFunc(slices.Clone(e.databases), func(o string) bool { return o == name })
	if e.url == "" && e.own == nil { // nothing runs that could have it
		return nil
	}
	return e.execute(ctx, "drop database if exists "+identifier(name)+" with (force)")
}

// unmake has nobody log in as a role any more.
func (e *engine) unmake(ctx context.Context, role string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.url == "" && e.own == nil { // nothing runs that could have it
		return nil
	}
	clear(e.known)
	return e.execute(ctx, "select wiemu.unmake_role("+literal(role)+")")
}

func literal(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// execute runs a statement as the superuser; e.mu is held.
func (e *engine) execute(ctx context.Context, sql string) error {
	conn, err := e.superuser(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if _, err := conn.Exec(ctx, sql).ReadAll(); err != nil {
		return errors.Join(errEngine, err)
	}
	return nil
}
