package controlapi

import (
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/internal/resource/keyvault"
	"github.com/wiemu/wiemu/internal/resource/postgres"
	"github.com/wiemu/wiemu/internal/resource/sql"
	"github.com/wiemu/wiemu/internal/resource/storage"
)

// Resource is something that access tokens open, such as a vault.
type Resource struct {
	Kind  string   `json:"kind"`  // in selectors of faults, such as keyvault
	Title string   `json:"title"` // as Azure calls it
	Name  string   `json:"name,omitempty"`
	Hosts []string `json:"hosts"`

	Secrets      []string `json:"secrets,omitempty"` // names, of a vault; no values
	Keys         []string `json:"keys,omitempty"`
	Certificates []string `json:"certificates,omitempty"`
	Containers   []string `json:"containers,omitempty"` // of a storage account
	Queues       []string `json:"queues,omitempty"`
	Databases    []string `json:"databases,omitempty"` // of a server
}

// SecretRequest names a secret of a vault.
type SecretRequest struct {
	Vault string `json:"vault"`
	Name  string `json:"name"`
}

// RevealedSecret is the latest value of a secret.
type RevealedSecret struct {
	Value string `json:"value"`
}

// revealSecret answers with one value. It is the owner of the lab who looks, and no identity: it
// is not journaled.
func (s *Server) revealSecret(_ *http.Request, req SecretRequest) (any, error) {
	vault, _ := s.lab.Vaults().Vault(req.Vault)
	value, ok := vault.Secrets[req.Name]
	if !ok {
		return nil, &control.StatusError{Status: http.StatusNotFound, Err: fmt.Errorf("secret %q of vault %q: expected the name of an enabled secret, found none", req.Name, req.Vault)}
	}
	return RevealedSecret{value}, nil
}

func (s *Server) resources(*http.Request) (any, error) {
	all := []Resource{}
	for d, names := range s.lab.Resources {
		if len(names) == 0 {
			names = []string{""}
		}
		for _, name := range names {
			r := Resource{Kind: d.Name, Title: d.Title, Name: name, Hosts: []string{}}
			for _, host := range d.Hosts(s.lab.Cloud()) {
				if name == "" && host[0] == '.' {
					continue
				}
				r.Hosts = append(r.Hosts, d.At(host, []string{name})...)
			}
			if name != "" {
				s.contents(&r)
			}
			if len(r.Hosts) > 0 {
				all = append(all, r)
			}
		}
	}
	return all, nil
}

// contents fills in what there is in a resource with a name.
func (s *Server) contents(r *Resource) {
	switch r.Kind {
	case keyvault.Name:
		vault, _ := s.lab.Vaults().Vault(r.Name)
		r.Secrets, r.Keys, r.Certificates = slices.Sorted(maps.Keys(vault.Secrets)), slices.Sorted(maps.Keys(vault.Keys)), slices.Sorted(maps.Keys(vault.Certificates))
	case storage.Name:
		r.Containers, _ = s.lab.Storage().List(r.Name, storage.Blob) // none, if its backend does not answer
		r.Queues, _ = s.lab.Storage().List(r.Name, storage.Queue)
	case sql.Name:
		server, _ := s.lab.SQL().Configured(r.Name)
		r.Databases = server.Databases
	case postgres.Name:
		server, _ := s.lab.Postgres().Server(r.Name)
		r.Databases = server.Databases
	}
}
