// Package resource is the kit from which protected resources are built. A resource is
// one package with a Description, which says everything that the rest of wiemu needs to
// know of it, and one line of package table, which lists them all. The way of a request
// is written here, once: token, audience, tenant, time, signature, then the caller's
// roles, faults, the resource's own handler, and the journal. What a resource does, and
// in which words it refuses, is its own: see keyvault, graph and arm.
package resource

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/internal/cloud"
	"github.com/wiemu/wiemu/internal/faults"
	"github.com/wiemu/wiemu/internal/hostmux"
	"github.com/wiemu/wiemu/internal/journals"
	"github.com/wiemu/wiemu/internal/keyring"
	"github.com/wiemu/wiemu/internal/roles"
	"github.com/wiemu/wiemu/internal/tenants"
)

// Description is what the lab, the gateway, the CA, the token service, faults and the
// documentation know of a resource.
type Description struct {
	Name  string // in selectors of faults and in the journal, such as keyvault
	Title string // as Azure calls it, such as Azure Key Vault

	// AppID is the client id of the resource's own service principal, by which tokens
	// may name it as their audience.
	AppID string
	// Audiences are what the aud of a token for the resource may be besides AppID, to the
	// letter. Entra ID gives tokens out for each, with and without a trailing slash.
	Audiences func(cloud.Cloud) []string
	// Aliases are further URIs for which Entra ID gives out tokens in the name of AppID,
	// which do not open the resource. One that begins with a dot, such as .vault.azure.net,
	// stands for https://NAME.vault.azure.net. If nil, there are none.
	Aliases func(cloud.Cloud) []string
	// Hosts are the names that lead to the resource, in lower case. One that begins
	// with a dot (.vault.azure.net) stands for one host for each of its instances.
	Hosts func(cloud.Cloud) []string
	// Ports are where a resource that is a stream of bytes is reached on a host of Hosts, such
	// as 5432: see On. If nil, the resource is HTTP over TLS on port 443.
	Ports func(host string) []uint16
	// Variables name an address of this machine to clients of a stream that heed no proxy and
	// may be told an address by variables, NAME=VALUE. If nil, there are none.
	Variables func(at netip.AddrPort) []string

	// Has reports whether an instance, by its name in lower case, has a host below one of
	// Hosts that begins with a dot. If nil, each has one below each of them.
	Has func(name, host string) bool

	// Verbatim says that requests come as they are sent: names in paths differ in case or
	// doubled slashes, and bodies are read as they come. See hostmux.Route.
	Verbatim bool

	// Chaos says that clients try again by themselves, so that chaos may fail requests.
	Chaos bool
	// Section is the resource's part of wiemu.yaml. If its name is empty, it has none.
	Section Section
	// Options is a further part, which says how the resource works rather than what there is
	// of it. If its name is empty, it has none.
	Options Section

	// New makes the resource for a lab; see Open. settings is the completed section: what
	// Section.New returned, filled in; nil if there is no section.
	New func(k Kit, settings any) (Service, error)
}

// On returns the Ports of a resource that has the same on each of its hosts.
func On(ports ...uint16) func(host string) []uint16 {
	return func(string) []uint16 { return ports }
}

// At returns the hosts of instances by name, given one of Hosts: that itself, unless it begins
// with a dot.
func (d Description) At(host string, instances []string) []string {
	if !strings.HasPrefix(host, ".") {
		return []string{host}
	}
	var hosts []string
	for _, name := range instances {
		if name = strings.ToLower(name); d.Has == nil || d.Has(name, host) {
			hosts = append(hosts, name+host)
		}
	}
	return hosts
}

// Open makes the resource for a lab.
func (d Description) Open(k Kit, settings any) (Service, error) {
	k.Resource = d
	return d.New(k, settings)
}

// Service is a resource of a lab. It is an HTTPService, or if its description has
// ports, a StreamService; it may be a BodyService, a StatefulService, and have Instances.
type Service any

// HTTPService answers requests.
type HTTPService interface {
	Handler() http.Handler
}

// BodyService takes request bodies; of other resources' requests nothing is read.
type BodyService interface {
	// MaxBody returns how many bytes the body of a request may have.
	MaxBody(*http.Request) int64
	// Unreadable answers requests whose body is longer or breaks off.
	Unreadable() http.Handler
}

// StatefulService keeps what clients made of it, so that it is there after a restart.
type StatefulService interface {
	// State is what is kept. What was stored in an earlier run is read into it before Restore is
	// called; from then on the service makes each change of it that keep has taken.
	State() State
	// Restore makes again what State has, and calls keep with each change before it is made. What
	// keep is given is written as JSON, and given to State.Apply after a restart.
	Restore(keep func(change any) error) error
}

// State is a pointer to what is written as JSON.
type State interface {
	// Apply makes a change that was kept.
	Apply(change json.RawMessage) error
}

// StreamService talks with clients in a protocol of its own.
type StreamService interface {
	// ServeStream serves one connection, until it or the client is done, and may leave closing
	// it to the caller. The context is for Kit.Login, and ends when the lab closes. TLS has not
	// begun: Connection.StartTLS begins it, at once or where the protocol says so.
	//
	// The lab clock advances while the service waits in Read for its client, and at no other
	// time. Who waits elsewhere, such as for an engine behind, holds the clock with
	// clock.Lab's Begin from a request until its answer is written, and not while a connection is idle.
	ServeStream(ctx context.Context, c *hostmux.Connection)
}

// Instances are what a resource has one host each for, such as vaults. Services have
// those that there are, settings those that there will be.
type Instances interface {
	// Names are in lower case and sorted.
	Names() []string
}

// Kit is what a lab gives its resources to be built with.
type Kit struct {
	Resource  Description
	Tokens    *Validator // checks access tokens, and knows the cloud
	Clock     clock.Clock
	Directory *tenants.Directory
	Journal   *journals.Journal
	Faults    *faults.Set   // for streams; the requests of HTTP have been hit already
	Keys      *keyring.Pool // RSA-2048 keys made ahead. If nil, each is made when it is needed
	Roles     *roles.Set    // who may do what; see Authorize
	Options   any           // the completed section Options of the resource; nil if it has none
	// Service returns another resource of the lab by its name. It is called once all are made.
	Service func(name string) Service
}

// Cloud is the one that the lab emulates.
func (k Kit) Cloud() cloud.Cloud { return k.Tokens.Cloud() }

// Want is what a token for the resource has to be. tenant is the one that the resource
// belongs to; if empty, tokens of all tenants of the directory are taken.
func (k Kit) Want(tenant string) *Want {
	return &Want{Audiences: append(k.Resource.Audiences(k.Cloud()), k.Resource.AppID), Tenant: tenant, Known: func(id string) bool {
		_, ok := k.Directory.Tenant(id)
		return ok
	}}
}

// ErrNameTaken is that something cannot be served by its name, which something else has.
var ErrNameTaken = errors.New("the name is taken")

// Section is a resource's part of wiemu.yaml.
type Section struct {
	Name        string // of the field at the top, such as storageAccounts
	Description string // one sentence for the schema
	// New returns a pointer to what the section is decoded into, strictly, by its yaml
	// tags, with the defaults of a file that does not have the section.
	New func() Settings
}

// Settings are a section's content.
type Settings interface {
	// Complete fills in defaults, resolves names and reports what is wrong.
	Complete(File)
}

// NamesOf returns the names of what a section lists, sorted.
func NamesOf[S ~[]T, T any](section *S, name func(T) string) (names []string) {
	if section != nil {
		for _, one := range *section {
			names = append(names, name(one))
		}
	}
	slices.Sort(names)
	return names
}

// OpenOf returns those that everybody may use of what a section lists; see Unrestricted.
func OpenOf[T any](section []T, look func(T) (what string, open bool)) (all []string) {
	for _, one := range section {
		if what, open := look(one); open {
			all = append(all, what)
		}
	}
	return all
}

// Unrestricted is implemented by settings of resources that everybody may use until a role
// is assigned, which real ones do not allow.
type Unrestricted interface {
	// Unrestricted returns those resources, such as "storage account orders".
	Unrestricted() []string
}

// Engines is implemented by settings of resources that have something behind them which is not
// wiemu's own.
type Engines interface {
	Engines() []Engine
}

// Engine is what a resource has behind it: a server that runs already, or a program of the
// machine, which is started.
type Engine struct {
	Field   string // within the section, such as [0].url
	URL     string // of a server that runs already, without its password; if empty, Program is started
	Host    string // of URL: a name, an address, or the directory of a socket
	Program string // such as PostgreSQL
}

// File is the wiemu.yaml around a section. Fields are given within the section, such as
// [0].tenant.
type File interface {
	// Problem reports what is wrong with a field.
	Problem(field, expected, found, fix string)
	// Tenant resolves the name of a tenant to its id; if empty, to the first tenant's.
	Tenant(field string, tenant *string)
	// Identity resolves the name of an application, managed identity or workload of a
	// tenant to its client id; * stays for all of the tenant.
	Identity(field, tenant string, identity *string)
	// CustomRoles are the roles that the file defines.
	CustomRoles() []roles.Definition
}

// WithoutPassword returns what can be shown of the URL of an [Engine]. Of what is none, such as a
// connection string or a URL without //, anything may be the password.
func WithoutPassword(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" && u.User == nil {
		return "what is no URL with a host"
	}
	shown := (&url.URL{Scheme: u.Scheme, User: u.User, Host: u.Host, Path: u.Path}).Redacted()
	if u.RawQuery != "" {
		shown += "?…" // pgx and go-mssqldb take passwords there, too
	}
	return shown
}
