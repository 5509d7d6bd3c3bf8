package sql

import (
	"fmt"
	"strings"
)

// What Resource Manager does with servers.

// Configured is what Resource Manager shows of a server.
type Configured struct {
	Name, Tenant  string
	Administrator string // client id; "" for none
	Databases     []string
}

// Configured returns what there is of a server, by its name.
func (s *Servers) Configured(name string) (Configured, bool) {
	at := s.server(name)
	if at == nil {
		return Configured{}, false
	}
	return Configured{at.name, at.tenant, at.administrator(), at.names()}, true
}

// Administer makes an identity, by its client id, the administrator of a server, or nobody for "".
func (s *Servers) Administer(name, clientID string) error {
	at := s.server(name)
	if at == nil {
		return fmt.Errorf("SQL server %q: expected one of %q", name, s.Names())
	}
	at.mu.Lock()
	defer at.mu.Unlock()
	at.admin = clientID
	return nil
}

func (s *server) administrator() string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.admin
}

// Remove takes a server away. Who has logged in stays so.
func (s *Servers) Remove(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.servers, strings.ToLower(name))
}

// RemoveDatabase takes a database away with its users.
func (s *Servers) RemoveDatabase(name, database string) {
	if at := s.server(name); at != nil {
		at.mu.Lock()
		defer at.mu.Unlock()
		delete(at.databases, strings.ToLower(database))
	}
}
