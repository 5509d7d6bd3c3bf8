package rest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Deployment is one of a template, as its history has it. It is replaced, never modified.
type Deployment struct {
	ID       string `json:"id"`
	Scope    string `json:"scope"` // id of the subscription or the resource group
	Location string `json:"location,omitempty"`
	Status   string `json:"status"` // the number of the operation that made it: no other has it

	Template   json.RawMessage   `json:"template,omitempty"`
	Shown      json.RawMessage   `json:"shown,omitempty"` // as it is answered
	Operations []json.RawMessage `json:"operations,omitempty"`
}

// The history of a scope is cut to leftDeployments when it exceeds maxDeployments.
// Source: azure-docs, azure-resource-manager/templates/deployment-history-deletions.md (2025; 775
// and 750 in 2021), which says that the numbers may change. Azure refuses the 801st; here the
// oldest are always deleted before.
const (
	maxDeployments  = 700
	leftDeployments = 600
)

// maxHistory is how many bytes the deployments of all scopes may have together; the oldest are
// deleted. Azure has no such bound: it is here so that the file of the state stays small.
const maxHistory = 16 << 20

func (d *Deployment) size() int {
	n := len(d.Template) + len(d.Shown)
	for _, o := range d.Operations {
		n += len(o)
	}
	return n
}

// Deployment is one of the history by its id, whatever its case; nil if there is none.
func (m *Manager) Deployment(id string) *Deployment {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.state.deployments[strings.ToLower(id)]
}

// Deployments are all of the history, the oldest first, and those that are under way, or were when
// the process ended.
func (m *Manager) Deployments() (ended, begun []*Deployment) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return slices.Clone(m.state.Deployments), slices.Clone(m.state.Begun)
}

// BeginDeployment keeps that a deployment is under way, unless one of the same id is, which it
// returns. The earlier one of the history stays until it ends.
func (m *Manager) BeginDeployment(d *Deployment) (active *Deployment, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, o := range m.state.Begun {
		if strings.EqualFold(o.ID, d.ID) {
			return o, nil
		}
	}
	return nil, m.changeLocked(change{Begun: d})
}

// EndDeployment puts a deployment that was begun into the history, with what is known of it by then.
// One that came of another leaves it to that one to cut the history, since that still refers to it.
// What cannot be kept is under way no more, and after a restart it is one that was interrupted.
func (m *Manager) EndDeployment(d *Deployment, ofAnother bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !slices.ContainsFunc(m.state.Begun, d.same) {
		return nil // its resource group was deleted meanwhile
	}
	made := change{Ended: &Deployment{Status: d.Status, Shown: d.Shown, Operations: d.Operations}}
	if !ofAnother {
		made.DeploymentsGone = m.state.superfluous(d)
	}
	return m.changeLocked(made)
}

func (d *Deployment) same(o *Deployment) bool { return d.Status == o.Status }

// superfluous are the ids of what the history has too much once d is part of it, in lower case.
// What came of another deployment that is under way is not: that one may still refer to it.
func (s *State) superfluous(d *Deployment) (ids []string) {
	count, size := 1, d.size()
	for _, o := range s.Deployments {
		if strings.EqualFold(o.ID, d.ID) {
			continue
		}
		size += o.size()
		if strings.EqualFold(o.Scope, d.Scope) {
			count++
		}
	}
	tooMany := 0
	if count > maxDeployments {
		tooMany = count - leftDeployments
	}
	inUse := s.inUse(d)
	for _, o := range s.Deployments {
		cut := tooMany > 0 && strings.EqualFold(o.Scope, d.Scope)
		if !cut && size <= maxHistory || strings.EqualFold(o.ID, d.ID) || inUse(o) {
			continue
		}
		if cut {
			tooMany--
		}
		size -= o.size()
		ids = append(ids, strings.ToLower(o.ID))
	}
	return ids
}

// inUse reports of a deployment that ended whether it may have come of one that is under way, other
// than d: the numbers of operations grow, so that it did not if its number is less than all of those.
func (s *State) inUse(d *Deployment) func(*Deployment) bool {
	first := ""
	for _, o := range s.Begun {
		if !d.same(o) && (first == "" || o.Status < first) {
			first = o.Status
		}
	}
	return func(o *Deployment) bool { return first != "" && o.Status > first }
}

// AbandonDeployment has a deployment be under way no more that neither ended nor can be kept. After a
// restart it is one that was interrupted.
func (m *Manager) AbandonDeployment(d *Deployment) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state.Begun = slices.DeleteFunc(m.state.Begun, d.same)
}

// ForgetDeployments deletes deployments from the history by their ids, and, if they are under way,
// has them not be kept.
func (m *Manager) ForgetDeployments(ids []string, begun bool) error {
	if len(ids) == 0 {
		return nil
	}
	return m.change(change{DeploymentsGone: ids, BegunGone: begun})
}

// applyDeployment makes a change of the history.
func (s *State) applyDeployment(made change) {
	if d := made.Begun; d != nil {
		// One of the same id is no more under way, though what became of it could not be kept.
		s.Begun = slices.DeleteFunc(s.Begun, func(o *Deployment) bool { return strings.EqualFold(o.ID, d.ID) })
		s.Begun = append(s.Begun, d)
	}
	if made.Ended == nil && made.DeploymentsGone == nil {
		return
	}
	gone := map[string]bool{}
	for _, id := range made.DeploymentsGone {
		gone[strings.ToLower(id)] = true
	}
	var ended *Deployment
	s.Begun = slices.DeleteFunc(s.Begun, func(d *Deployment) bool {
		if made.Ended != nil && d.same(made.Ended) {
			ended = d
		}
		return d == ended || made.BegunGone && gone[strings.ToLower(d.ID)]
	})
	if ended != nil {
		gone[strings.ToLower(ended.ID)] = true // the earlier one of the same id
	}
	s.Deployments = slices.DeleteFunc(s.Deployments, func(d *Deployment) bool { return gone[strings.ToLower(d.ID)] })
	if ended != nil {
		whole := *ended
		whole.Shown, whole.Operations = made.Ended.Shown, made.Ended.Operations
		s.Deployments = append(s.Deployments, &whole)
	}
	s.reindexDeployments()
}

func (s *State) reindexDeployments() {
	s.deployments = map[string]*Deployment{}
	for _, d := range s.Deployments {
		s.deployments[strings.ToLower(d.ID)] = d
	}
}

// checkDeployments says what is wrong with those that were stored.
func checkDeployments(field string, all []*Deployment) error {
	for n, d := range all {
		if d == nil || !strings.HasPrefix(d.ID, d.Scope+"/providers/") || !strings.HasPrefix(d.Scope, "/subscriptions/") || d.Status == "" {
			return fmt.Errorf("%s[%d]: expected a deployment with its scope, an id in it, and a status, found %+v", field, n, d)
		}
	}
	return nil
}
