// Package postgres answers as the servers of Azure Database for PostgreSQL do: over TLS, with
// an access token for a password, and with roles that belong to identities. Who was let in talks
// with a real PostgreSQL, which this package starts (package local) or reaches by a URL. It
// reads the protocol as far as the login, and knows no SQL.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/wiemu/wiemu/internal/cloud"
	"github.com/wiemu/wiemu/internal/hostmux"
	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/resource/postgres/local"
)

// Name is that of the resource in the table.
const Name = "postgres"

// Port is PostgreSQL's.
const Port = 5432

// Description is Azure Database for PostgreSQL in the table of resources.
func Description() resource.Description {
	return resource.Description{
		Name: Name, Title: "Azure Database for PostgreSQL", Ports: resource.On(Port), Variables: variables,
		// The service principal of Azure's open-source databases (MySQL and MariaDB, too).
		AppID: "123cd850-d9df-40bd-94d5-c9f07b7fa203",
		// To the letter: with a slash at its end it was refused (Azure/azure-sdk-for-java#42632 and
		// #42310, seen in 2024 with tokens of managed identities).
		Audiences: func(c cloud.Cloud) []string { return []string{Audience(c)} },
		Hosts:     func(c cloud.Cloud) []string { return []string{Domain(c)} },
		Section: resource.Section{
			Name: "postgresServers", Description: "PostgresServers are servers of Azure Database for PostgreSQL with their databases, and the roles that identities may log in as. Default: none.",
			New: func() resource.Settings { return &Settings{} },
		},
		New: func(k resource.Kit, settings any) (resource.Service, error) {
			var servers Settings
			if given, ok := settings.(*Settings); ok {
				servers = *given
			}
			return New(k, servers)
		},
	}
}

// variables lead programs that link libpq, which heeds no proxy, to an address: it connects there
// by whatever name, and verifies the name. Source: PostgreSQL documentation, "Environment
// Variables", "Parameter Key Words" (hostaddr).
func variables(at netip.AddrPort) []string {
	all := []string{"PGHOSTADDR=" + at.Addr().String()}
	if at.Port() != Port { // which programs may name themselves
		all = append(all, fmt.Sprintf("PGPORT=%d", at.Port()))
	}
	return all
}

// Audience is what tokens are for, such as https://ossrdbms-aad.database.windows.net.
// Source: Azure CLI, azure.cli.core.cloud (ossrdbms_resource_id).
func Audience(c cloud.Cloud) string { return "https://ossrdbms-aad." + c.SQL }

// Domain is the end of the servers' hosts, such as .postgres.database.azure.com. Source: Azure CLI, azure.cli.core.cloud
// (postgresql_server_endpoint).
func Domain(c cloud.Cloud) string {
	if c.SQL == cloud.Public().SQL {
		return ".postgres.database.azure.com"
	}
	return ".postgres." + c.SQL
}

// Servers are the PostgreSQL servers of a lab. It is safe for concurrent use.
type Servers struct {
	kit resource.Kit

	mu       sync.RWMutex
	servers  map[string]*server
	sessions map[*session]bool
	closed   bool
	idle     sync.WaitGroup // of sessions
}

// server is one of them.
type server struct {
	Server
	source string // its place in wiemu.yaml, such as postgresServers[0]; else its name
	given  bool   // wiemu.yaml makes it
	engine *engine
}

// New makes the servers. PostgreSQL is started when the first client logs in; that there are no
// programs to start is an error now.
func New(k resource.Kit, servers []Server) (*Servers, error) {
	s := &Servers{kit: k, servers: map[string]*server{}, sessions: map[*session]bool{}}
	for n, one := range servers {
		if err := s.put(one, fmt.Sprintf("postgresServers[%d]", n)); err != nil {
			return nil, err
		}
		s.servers[one.Name].given = true
	}
	return s, nil
}

// Put adds a server.
func (s *Servers) Put(one Server) error { return s.put(one, "the server "+one.Name) }

func (s *Servers) put(one Server, source string) error {
	if !ValidName(one.Name) {
		return fmt.Errorf("PostgreSQL server %q: name: expected %s", one.Name, nameRule)
	}
	if _, ok := s.kit.Directory.Tenant(one.Tenant); !ok {
		return fmt.Errorf("PostgreSQL server %s: tenant: expected the id of a tenant, found %q", one.Name, one.Tenant)
	}
	if one.URL == "" {
		if _, err := local.Find(); err != nil {
			return fmt.Errorf("PostgreSQL server %s: %w", one.Name, err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.servers[one.Name] != nil {
		return fmt.Errorf("PostgreSQL server %s exists already", one.Name)
	}
	one.Access = slices.Clone(one.Access)
	s.servers[one.Name] = &server{Server: one, source: source, engine: newEngine(one)}
	return nil
}

// Has reports whether there is a server of that name.
func (s *Servers) Has(name string) bool { return s.find(name) != nil }

// FromConfiguration reports whether wiemu.yaml makes a server of that name.
func (s *Servers) FromConfiguration(name string) bool {
	found := s.find(name)
	return found != nil && found.given
}

// Grant lets an identity log in as a role that is called as the identity is, and has it be a
// member of other roles, such as pg_read_all_data. It returns the role. From the first on, only
// who was granted access logs in.
func (s *Servers) Grant(name, clientID string, memberOf ...string) (role string, err error) {
	found := s.find(name)
	if found == nil {
		return "", fmt.Errorf("there is no PostgreSQL server %s", name)
	}
	p, ok := s.kit.Directory.Principal(found.Tenant, clientID)
	if !ok {
		return "", fmt.Errorf("PostgreSQL server %s: there is no identity %s in tenant %s", name, clientID, found.Tenant)
	}
	administrator := slices.Contains(memberOf, administrators)
	s.mu.Lock()
	found.Access = append(found.Access, Access{Identity: p.ClientID, Role: p.DisplayName, Administrator: administrator, MemberOf: memberOf})
	s.mu.Unlock()
	return made(p.DisplayName), nil
}

// Query runs SQL in a database as the owner of a server, who needs no token, and returns the
// rows of its last statement as text; nulls are "".
func (s *Servers) Query(ctx context.Context, name, database, sql string) ([][]string, error) {
	found := s.find(name)
	if found == nil {
		return nil, fmt.Errorf("there is no PostgreSQL server %s", name)
	}
	return found.engine.query(ctx, database, sql)
}

// find returns a server, nil if there is none.
func (s *Servers) find(name string) *server {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.servers[strings.ToLower(name)]
}

// access is who may log in to a server.
func (s *Servers) access(of *server) AccessList {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return of.Access
}

// Names returns the names of the servers, sorted.
func (s *Servers) Names() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Sorted(maps.Keys(s.servers))
}

// ServeStream implements resource.StreamService.
func (s *Servers) ServeStream(ctx context.Context, c *hostmux.Connection) {
	one := &session{servers: s, client: c, conn: c}
	if !s.enter(one) {
		return
	}
	defer s.leave(one)
	one.serve(ctx)
}

func (s *Servers) enter(one *session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.sessions[one] = true
	s.idle.Add(1)
	return true
}

func (s *Servers) leave(one *session) {
	s.mu.Lock()
	delete(s.sessions, one)
	s.mu.Unlock()
	s.idle.Done()
}

// Close ends all sessions, and what was started for them.
func (s *Servers) Close() error {
	s.mu.Lock()
	s.closed = true
	for one := range s.sessions {
		_ = one.client.Close() // what serves it learns it from its next read
	}
	s.mu.Unlock()
	s.idle.Wait()
	var errs []error
	for _, one := range s.servers {
		errs = append(errs, one.engine.close())
	}
	return errors.Join(errs...)
}
