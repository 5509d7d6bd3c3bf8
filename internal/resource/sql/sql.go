package sql

import (
	"context"
	"crypto/tls"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/wiemu/wiemu/internal/cloud"
	"github.com/wiemu/wiemu/internal/hostmux"
	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/resource/sql/tds"
	"github.com/wiemu/wiemu/internal/yamlfile"
)

// Name is that of the resource in the table.
const Name = "sql"

// The ports of a server: of its gateway, and of the node that a redirect leads to, whose
// real ones are 11000 to 11999. Source: learn.microsoft.com, azure-sql/database/connectivity-architecture.
const (
	gatewayPort = 1433
	workerPort  = 11000
)

// worker is between a server's name and the domain in the host that a redirect leads to.
const worker = ".worker"

// Description is Azure SQL in the table of resources.
func Description() resource.Description {
	return resource.Description{
		Name: Name, Title: "Azure SQL", AppID: "022907d3-0f1b-48f7-badc-1ba6abab6d66",
		// Both are taken. Source: microsoft/go-mssqldb and tedious ask for the one with a slash,
		// mssql-jdbc for that of FEDAUTHINFO.
		Audiences: func(c cloud.Cloud) []string { return []string{"https://" + c.SQL + "/", "https://" + c.SQL} },
		Hosts:     func(c cloud.Cloud) []string { return []string{worker + "." + c.SQL, "." + c.SQL} },
		Ports: func(host string) []uint16 {
			if strings.HasPrefix(host, worker) {
				return []uint16{workerPort}
			}
			return []uint16{gatewayPort}
		},
		Section: resource.Section{
			Name: "sqlServers", Description: "SQLServers are logical servers of Azure SQL with their databases and users. Default: none.",
			New: func() resource.Settings { return &Settings{} },
		},
		New: func(k resource.Kit, settings any) (resource.Service, error) {
			s := New(k)
			if given, ok := settings.(*Settings); ok {
				for n, server := range *given {
					if err := s.put(server, fmt.Sprintf("sqlServers[%d]", n)); err != nil {
						return nil, err
					}
				}
			}
			return s, nil
		},
	}
}

// Servers are the logical servers of a lab. They are safe for concurrent use.
type Servers struct {
	kit     resource.Kit
	clients clients

	mu      sync.RWMutex
	servers map[string]*server // by name
}

// server is one of them.
type server struct {
	name, tenant string
	admin        string // client id of the administrator; "" for none. Guarded by mu
	redirect     bool
	engine       *engine // nil: answers
	source       string  // place in wiemu.yaml; "" if it is not from there

	mu        sync.RWMutex
	databases map[string]*database // by name in lower case
}

// New returns no servers.
func New(k resource.Kit) *Servers { return &Servers{kit: k, servers: map[string]*server{}} }

// Put adds a server, or replaces the one of that name.
func (s *Servers) Put(given Server) error { return s.put(given, "") }

func (s *Servers) put(given Server, source string) error {
	if !ValidServer(given.Name) {
		return fmt.Errorf("SQL server %q: name: expected %s", given.Name, serverRule)
	}
	if _, ok := s.kit.Directory.Tenant(given.Tenant); !ok {
		return fmt.Errorf("SQL server %s: tenant: expected the id of a tenant, found %q", given.Name, given.Tenant)
	}
	made := &server{name: given.Name, tenant: strings.ToLower(given.Tenant), admin: given.Administrator, redirect: given.Redirect, source: source, databases: map[string]*database{}}
	var err error
	if given.Engine.URL != "" {
		if made.engine, err = newEngine(given.Engine); err != nil {
			return fmt.Errorf("SQL server %s: %w", given.Name, err)
		}
	}
	for _, d := range append([]Database{{Name: master}}, given.Databases...) {
		to := made.database(d.Name)
		if to == nil {
			to = made.add(s.kit, d.Name)
		}
		for _, u := range d.Users {
			if err := to.configure(u); err != nil {
				return fmt.Errorf("SQL server %s: database %s: %w", given.Name, d.Name, err)
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.servers[made.name] = made
	return nil
}

// Names returns the names of the servers, sorted.
func (s *Servers) Names() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Sorted(maps.Keys(s.servers))
}

// Has reports whether there is a server of that name.
func (s *Servers) Has(name string) bool { return s.server(name) != nil }

// FromConfiguration reports whether wiemu.yaml makes a server of that name.
func (s *Servers) FromConfiguration(name string) bool {
	at := s.server(name)
	return at != nil && at.source != ""
}

func (s *Servers) server(name string) *server {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.servers[strings.ToLower(name)]
}

// nearest returns the server whose name is most like that of one that does not exist, ""
// if none is.
func (s *Servers) nearest(name string) string { return yamlfile.Nearest(name, s.Names()) }

// Database adds a database to a server unless it has it.
func (s *Servers) Database(name, database string) error {
	at := s.server(name)
	if at == nil {
		return fmt.Errorf("SQL server %q: expected one of %q", name, s.Names())
	}
	if !ValidDatabase(database) {
		return fmt.Errorf("SQL server %s: database %q: expected %s", name, database, databaseRule)
	}
	if at.database(database) == nil {
		at.add(s.kit, database)
	}
	return nil
}

// User makes an identity a user of a database with roles, as CREATE USER … FROM EXTERNAL
// PROVIDER and ALTER ROLE … ADD MEMBER do, or gives the one that it is these roles, too.
func (s *Servers) User(name, database string, u User) error {
	at := s.server(name)
	if at == nil {
		return fmt.Errorf("SQL server %q: expected one of %q", name, s.Names())
	}
	d := at.database(database)
	if d == nil {
		return fmt.Errorf("SQL server %s: database %q: expected one of %q", name, database, at.names())
	}
	if err := d.configure(u); err != nil {
		return fmt.Errorf("SQL server %s: database %s: %w", name, database, err)
	}
	return nil
}

// ServeStream implements resource.StreamService.
func (s *Servers) ServeStream(ctx context.Context, c *hostmux.Connection) {
	l := &listener{servers: s, connection: c}
	gone, isFirst := s.clients.arrive(l)
	defer s.clients.leave(l)
	if gone != nil {
		_ = gone.connection.Close() // its client learns it from its next read
		if isFirst {
			l.journal(errCrowded)
		}
		if gone == l {
			return
		}
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		hello.ServerName = l.certificateName(strings.ToLower(hello.ServerName))
		return c.Certificate(hello)
	}}
	name, _, _ := strings.Cut(l.host(), ".")
	l.journal((&tds.Server{Handler: l, Name: name, TLS: config, Heard: func() { s.clients.hear(l) }}).Serve(ctx, c))
}
