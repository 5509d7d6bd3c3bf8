package controlapi

import (
	"maps"
	"net/http"
	"slices"

	"github.com/wiemu/wiemu/internal/resource/keyvault"
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
			if d.Name == keyvault.Name && name != "" {
				vault, _ := s.lab.Vaults().Vault(name)
				r.Secrets, r.Keys, r.Certificates = slices.Sorted(maps.Keys(vault.Secrets)), slices.Sorted(maps.Keys(vault.Keys)), slices.Sorted(maps.Keys(vault.Certificates))
			}
			if len(r.Hosts) > 0 {
				all = append(all, r)
			}
		}
	}
	return all, nil
}
