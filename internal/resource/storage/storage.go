package storage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/wiemu/wiemu/internal/cloud"
	"github.com/wiemu/wiemu/internal/hostmux"
	"github.com/wiemu/wiemu/internal/hostname"
	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/roles"
	"github.com/wiemu/wiemu/internal/yamlfile"
)

// Name is that of the resource in the table.
const Name = "storage"

// OpenBackend returns what stores the content of accounts of the given names, and of others
// that may be added.
type OpenBackend func(k resource.Kit, o Options, accounts []string) (Backend, error)

// Description is Azure Storage in the table of resources, with the backends that open makes.
func Description(open OpenBackend) resource.Description {
	return resource.Description{
		Name: Name, Title: "Azure Storage", AppID: "e406a681-f3d4-42a8-90b6-c2b029497af1", Chaos: true, Verbatim: true,
		Audiences: func(cloud.Cloud) []string { return []string{"https://storage.azure.com", "https://storage.azure.com/"} },
		Aliases:   suffixes,
		Hosts:     suffixes,
		Section: resource.Section{
			Name: "storageAccounts", Description: "StorageAccounts are storage accounts with what they hold from the start. Default: none.",
			New: func() resource.Settings { return &Settings{} },
		},
		Options: resource.Section{
			Name: "storage", Description: "Storage says what stores the content of storage accounts.",
			New: func() resource.Settings { return &Options{} },
		},
		New: func(k resource.Kit, settings any) (resource.Service, error) {
			var accounts Settings
			if given, ok := settings.(*Settings); ok {
				accounts = *given
			}
			options := Options{Backend: Memory}
			if given, ok := k.Options.(*Options); ok {
				options = *given
			}
			backend, err := open(k, options, accounts.Names())
			if err != nil {
				return nil, fmt.Errorf("storage: %w", err)
			}
			s, err := New(k, backend, accounts)
			if err != nil {
				return nil, errors.Join(err, closeBackend(backend))
			}
			return s, nil
		},
	}
}

// suffixes are the ends of the hosts of accounts, such as .blob.core.windows.net.
func suffixes(c cloud.Cloud) []string {
	var all []string
	for _, s := range services() {
		all = append(all, "."+string(s)+"."+c.Storage)
	}
	return all
}

// Accounts serves storage accounts. It is safe for concurrent use.
type Accounts struct {
	kit     resource.Kit
	backend Backend

	mu       sync.RWMutex
	accounts map[string]account
}

// account is what the service knows of one.
type account struct {
	name, tenant string
	scope        string // its resource id
}

// New makes a service with the given accounts and fills them.
func New(k resource.Kit, backend Backend, accounts []Account) (*Accounts, error) {
	s := &Accounts{kit: k, backend: backend, accounts: map[string]account{}}
	for n, a := range accounts {
		if err := s.put(a, fmt.Sprintf("storageAccounts[%d]", n)); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Put adds an account with what it holds from the start, or gives the one of that name
// another tenant and access, and puts the containers, blobs and queues that are given.
func (s *Accounts) Put(a Account) error { return s.put(a, "") }

// put adds an account; source is its place in wiemu.yaml.
func (s *Accounts) put(a Account, source string) error {
	if !ValidAccount(a.Name) {
		return fmt.Errorf("storage account %q: name: expected %s", a.Name, nameRule)
	}
	if _, ok := s.kit.Directory.Tenant(a.Tenant); !ok {
		return fmt.Errorf("storage account %s: tenant: expected the id of a tenant, found %q", a.Name, a.Tenant)
	}
	known := account{name: a.Name, tenant: strings.ToLower(a.Tenant)}
	known.scope = cmp.Or(a.ResourceID, s.kit.Roles.ResourceID(known.tenant, "Microsoft.Storage/storageAccounts", a.Name))
	if err := s.assign(known, a.Access, source); err != nil {
		return fmt.Errorf("storage account %s: %w", a.Name, err)
	}
	if err := s.backend.Open(a.Name); err != nil {
		return fmt.Errorf("storage account %s: %w", a.Name, err)
	}
	s.mu.Lock()
	s.accounts[a.Name] = known
	s.mu.Unlock()
	return s.fill(a)
}

// assign gives roles as access says. If it is nil, everybody may use all of the account.
func (s *Accounts) assign(a account, access []Access, source string) error {
	if access == nil {
		s.kit.Roles.Open(a.tenant, a.scope, fmt.Sprintf("storage account %s has no access: in wiemu.yaml, so every identity of its tenant may do everything there; a real account lets nobody in whom no role assignment names", a.name))
		return nil
	}
	s.kit.Roles.Restrict(a.scope)
	var all []roles.Assignment
	for n, entry := range access {
		for _, role := range entry.Roles {
			all = append(all, roles.Assignment{
				Tenant: a.tenant, ClientID: entry.Identity, Role: role, Scope: entry.target(a.name).scope(a.scope),
				Source: cmp.Or(source, "storage account "+a.name) + fmt.Sprintf(".access[%d]", n),
			})
		}
	}
	return s.kit.Roles.Configure(a.scope, all)
}

// fill makes containers, blobs and queues that are not there.
func (s *Accounts) fill(a Account) error {
	for _, container := range slices.Sorted(maps.Keys(a.Containers)) {
		if err := s.ask(a.Name, Blob, "/"+container+"?restype=container", "", nil); err != nil {
			return err
		}
		for _, blob := range slices.Sorted(maps.Keys(a.Containers[container])) {
			header := http.Header{"X-Ms-Blob-Type": {"BlockBlob"}, "Content-Type": {"text/plain; charset=utf-8"}}
			if err := s.ask(a.Name, Blob, "/"+container+"/"+url.PathEscape(blob), a.Containers[container][blob], header); err != nil {
				return err
			}
		}
	}
	for _, queue := range a.Queues {
		if err := s.ask(a.Name, Queue, "/"+queue, "", nil); err != nil {
			return err
		}
	}
	return nil
}

// ask puts something into an account. That it is there already is no error.
func (s *Accounts) ask(name string, service Service, path, body string, header http.Header) error {
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPut, "https://"+name+"."+string(service)+"."+s.kit.Cloud().Storage+path, strings.NewReader(body))
	if err != nil {
		return fmt.Errorf("fill storage account %s: %w", name, err)
	}
	maps.Copy(r.Header, header)
	r.Header.Set("x-ms-version", fillVersion)
	if body == "" {
		r.Body, r.ContentLength = http.NoBody, 0
	}
	answer := s.serve(hostmux.Received(r), name, service)
	defer answer.Body.Close() // it is in memory
	if answer.StatusCode >= 300 && answer.StatusCode != http.StatusConflict {
		text, _ := io.ReadAll(answer.Body)
		return fmt.Errorf("fill storage account %s: PUT %s: %d %s", name, path, answer.StatusCode, text)
	}
	return nil
}

// fillVersion is the version of the REST API of requests that wiemu makes itself.
const fillVersion = "2021-12-02"

// serve has the backend answer a request of wiemu's own.
func (s *Accounts) serve(r *http.Request, name string, service Service) *http.Response {
	t, _ := parse(name, service, r.RequestURI)
	return hostmux.Answer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.backend.Serve(w, r, t) }), r)
}

// Names returns the names of the accounts, sorted.
func (s *Accounts) Names() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Sorted(maps.Keys(s.accounts))
}

// Close stops the backend.
func (s *Accounts) Close() error { return closeBackend(s.backend) }

func closeBackend(b Backend) error {
	if c, ok := b.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// Handler serves every account; the host of a request says which.
func (s *Accounts) Handler() http.Handler { return s.kit.Serve(s.begin) }

// MaxBody implements resource.BodyService.
func (s *Accounts) MaxBody(r *http.Request) int64 {
	switch r.Method {
	case http.MethodPut, http.MethodPost, http.MethodPatch, "MERGE":
		return MaxBody
	}
	return 0
}

// Unreadable implements resource.BodyService.
func (s *Accounts) Unreadable() http.Handler {
	return s.kit.Serve(func(base *resource.Call) resource.Request {
		c := s.newCall(base)
		c.tooLarge = true
		return c
	})
}

// find returns the account and the service that a host names.
func (s *Accounts) find(host string) (name string, service Service, a account, ok bool) {
	host = hostname.Of(host)
	name, rest, _ := strings.Cut(host, ".")
	label, _, _ := strings.Cut(rest, ".")
	s.mu.RLock()
	defer s.mu.RUnlock()
	a, ok = s.accounts[name]
	return name, Service(label), a, ok
}

// nearest returns the account whose name is most like that of one that does not exist, ""
// if none is.
func (s *Accounts) nearest(name string) string { return yamlfile.Nearest(name, s.Names()) }
