package rest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/wiemu/wiemu/internal/store"
)

// State is what became of resource groups at run time, and what was made in them. Its indexes
// are made by reindex.
type State struct {
	Groups    []Group  `json:"groups,omitempty"`    // that were made or changed, oldest first
	Removed   []string `json:"removed,omitempty"`   // ids in lower case of those of the configuration that were deleted
	Resources []Item   `json:"resources,omitempty"` // oldest first; managed identities and roles are kept elsewhere

	Deployments []*Deployment `json:"deployments,omitempty"` // those that ended, in the order in which they did
	Begun       []*Deployment `json:"begun,omitempty"`       // those that are under way

	groups, items map[string]int         // by id in lower case
	deployments   map[string]*Deployment // by id in lower case
}

// Item is a resource that was made here, as far as Resource Manager knows of it. The fields are
// replaced, never modified.
type Item struct {
	ID       string            `json:"id"`
	Tenant   string            `json:"tenant"`
	Type     string            `json:"type"` // with the namespace
	Name     string            `json:"name"`
	Location string            `json:"location,omitempty"` // "" for what is in no region of its own
	Kind     string            `json:"kind,omitempty"`
	SKU      json.RawMessage   `json:"sku,omitempty"`
	Tags     map[string]string `json:"tags,omitempty"`

	Properties json.RawMessage `json:"properties,omitempty"` // as the provider has them

	Made    time.Time `json:"made"` // in lab time
	MadeBy  string    `json:"madeBy,omitempty"`
	Changed time.Time `json:"changed"`
	Deleted time.Time `json:"deleted,omitzero"` // of one that can be recovered; zero if it is there
}

// change is one of a state; each field that is set is one.
type change struct {
	Group        *Group `json:"group,omitempty"`
	GroupRemoved string `json:"groupRemoved,omitempty"` // id in lower case
	Configured   bool   `json:"configured,omitempty"`   // GroupRemoved is one of the configuration
	Resource     *Item  `json:"resource,omitempty"`
	Gone         string `json:"gone,omitempty"` // id of a resource in lower case

	Begun           *Deployment `json:"begun,omitempty"`
	Ended           *Deployment `json:"ended,omitempty"`           // one that was begun: its status, and what is new
	DeploymentsGone []string    `json:"deploymentsGone,omitempty"` // ids
	BegunGone       bool        `json:"begunGone,omitempty"`       // those of DeploymentsGone are under way no more
}

// Apply implements resource.State.
func (s *State) Apply(line json.RawMessage) error {
	var made change
	if err := store.Decode(line, &made); err != nil {
		return err
	}
	if s.groups == nil {
		s.reindex()
		s.reindexDeployments()
	}
	s.apply(made)
	return nil
}

func (s *State) reindex() {
	s.Groups, s.groups = indexed(s.Groups, func(g *Group) string { return g.ID })
	s.Resources, s.items = indexed(s.Resources, func(i *Item) string { return i.ID })
}

// indexed says where each is by its id in lower case. Of those that an older version stored twice, the
// last is what became of them.
func indexed[T any](all []T, id func(*T) string) ([]T, map[string]int) {
	kept, at := all[:0], make(map[string]int, len(all))
	for _, one := range all {
		key := strings.ToLower(id(&one))
		if n, twice := at[key]; twice {
			kept[n] = one
			continue
		}
		at[key] = len(kept)
		kept = append(kept, one)
	}
	return kept, at
}

func (s *State) apply(made change) {
	if g := made.Group; g != nil {
		key := strings.ToLower(g.ID)
		s.Removed = slices.DeleteFunc(s.Removed, func(id string) bool { return id == key })
		if n, ok := s.groups[key]; ok {
			s.Groups[n] = *g
		} else {
			s.groups[key] = len(s.Groups)
			s.Groups = append(s.Groups, *g)
		}
	}
	if id := made.GroupRemoved; id != "" {
		if n, ok := s.groups[id]; ok {
			s.Groups = slices.Delete(s.Groups, n, n+1)
			s.reindex()
		}
		if made.Configured && !slices.Contains(s.Removed, id) {
			s.Removed = append(s.Removed, id)
		}
	}
	if i := made.Resource; i != nil {
		key := strings.ToLower(i.ID)
		if n, ok := s.items[key]; ok {
			s.Resources[n] = *i
		} else {
			s.items[key] = len(s.Resources)
			s.Resources = append(s.Resources, *i)
		}
	}
	if n, ok := s.items[made.Gone]; ok {
		s.Resources = slices.Delete(s.Resources, n, n+1)
		s.reindex()
	}
	s.applyDeployment(made)
}

// check says what is wrong with a state that was stored.
func (s *State) check() error {
	for n, g := range s.Groups {
		id := strings.Split(g.ID, "/")
		switch {
		case len(id) != 5 || id[0] != "" || id[1] != "subscriptions" || uuid.Validate(id[2]) != nil || id[3] != "resourceGroups" || id[4] == "":
			return fmt.Errorf("groups[%d].id: expected /subscriptions/ID/resourceGroups/NAME, found %q", n, g.ID)
		case g.Name != id[4]:
			return fmt.Errorf("groups[%d].name: expected that of the id, %q, found %q", n, id[4], g.Name)
		case g.Location == "":
			return fmt.Errorf("groups[%d].location: expected a region such as westeurope, found none", n)
		}
	}
	for n, i := range s.Resources {
		id := strings.Split(i.ID, "/")
		switch {
		case len(id) < 9 || len(id)%2 == 0 || id[0] != "" || id[1] != "subscriptions" || uuid.Validate(id[2]) != nil || !strings.EqualFold(id[3], "resourceGroups") || id[5] != "providers":
			return fmt.Errorf("resources[%d].id: expected /subscriptions/ID/resourceGroups/NAME/providers/NAMESPACE/TYPE/NAME, found %q", n, i.ID)
		case i.Name != id[len(id)-1]:
			return fmt.Errorf("resources[%d].name: expected that of the id, %q, found %q", n, id[len(id)-1], i.Name)
		case uuid.Validate(i.Tenant) != nil:
			return fmt.Errorf("resources[%d].tenant: expected the id of a tenant, found %q", n, i.Tenant)
		}
	}
	return cmp.Or(checkDeployments("deployments", s.Deployments), checkDeployments("begun", s.Begun))
}
