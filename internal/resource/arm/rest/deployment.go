package rest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// Deployment is one of a template, as its history has it. The fields are replaced, never modified.
type Deployment struct {
	ID       string `json:"id"`
	Tenant   string `json:"tenant"`
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
	n := len(d.ID) + len(d.Scope) + len(d.Template) + len(d.Shown)
	for _, o := range d.Operations {
		n += len(o)
	}
	return n
}

// Deployment is one of the history by its id, whatever its case.
func (m *Manager) Deployment(id string) (Deployment, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	n, ok := m.state.deployments[strings.ToLower(id)]
	if !ok {
		return Deployment{}, false
	}
	return m.state.Deployments[n], true
}

// Deployments are those of a scope, the newest first; "" is each scope.
func (m *Manager) Deployments(scope string) (found []Deployment) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, d := range slices.Backward(m.state.Deployments) {
		if scope == "" || strings.EqualFold(d.Scope, scope) {
			found = append(found, d)
		}
	}
	return found
}

// Begun are the deployments that are under way, or were when the process ended.
func (m *Manager) Begun() []Deployment {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return slices.Clone(m.state.Begun)
}

// BeginDeployment keeps that a deployment is under way, unless one of the same id is. It does not
// take the place of an earlier one before it ends.
func (m *Manager) BeginDeployment(d Deployment) (active *Deployment, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := slices.IndexFunc(m.state.Begun, func(o Deployment) bool { return strings.EqualFold(o.ID, d.ID) }); n >= 0 {
		found := m.state.Begun[n]
		return &found, nil
	}
	return nil, m.changeLocked(change{Begun: &d})
}

// EndDeployment puts a deployment that was begun into the history, with what is known of it by then.
// One that came of another leaves it to that one to cut the history, since that still refers to it.
func (m *Manager) EndDeployment(d Deployment, ofAnother bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !slices.ContainsFunc(m.state.Begun, func(o Deployment) bool { return o.Status == d.Status }) {
		return nil // its resource group was deleted meanwhile
	}
	return m.changeLocked(change{
		Ended:           &Deployment{Status: d.Status, Shown: d.Shown, Operations: d.Operations},
		DeploymentsGone: m.state.superfluous(d, ofAnother),
	})
}

// superfluous are the ids of what the history has too much once d is part of it, in lower case.
func (s *State) superfluous(d Deployment, ofAnother bool) (ids []string) {
	all, size := 1, s.history+d.size()
	for n := range s.Deployments {
		switch o := &s.Deployments[n]; {
		case strings.EqualFold(o.ID, d.ID):
			size -= o.size()
		case strings.EqualFold(o.Scope, d.Scope):
			all++
		}
	}
	tooMany := 0
	if all > maxDeployments && !ofAnother {
		tooMany = all - leftDeployments
	}
	for n := range s.Deployments {
		o := &s.Deployments[n]
		cut := tooMany > 0 && strings.EqualFold(o.Scope, d.Scope)
		if !cut && size <= maxHistory || strings.EqualFold(o.ID, d.ID) {
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

// AbandonDeployment has a deployment be under way no more that neither ended nor can be kept. After a
// restart it is one that was interrupted.
func (m *Manager) AbandonDeployment(d Deployment) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state.Begun = slices.DeleteFunc(m.state.Begun, func(o Deployment) bool { return o.Status == d.Status })
}

// ForgetDeployment deletes one from the history.
func (m *Manager) ForgetDeployment(d Deployment) error {
	return m.change(change{DeploymentsGone: []string{strings.ToLower(d.ID)}})
}

// ForgetDeployments deletes the history of a scope, and those that are under way.
func (m *Manager) ForgetDeployments(scope string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var ids []string
	for _, d := range slices.Concat(m.state.Deployments, m.state.Begun) {
		if strings.EqualFold(d.Scope, scope) {
			ids = append(ids, strings.ToLower(d.ID))
		}
	}
	if len(ids) == 0 {
		return nil
	}
	return m.changeLocked(change{DeploymentsGone: ids, BegunGone: true})
}

// applyDeployment makes a change of the history.
func (s *State) applyDeployment(made change) {
	if made.Begun != nil {
		s.Begun = append(s.Begun, *made.Begun)
	}
	if made.Ended == nil && len(made.DeploymentsGone) == 0 {
		return
	}
	gone := map[string]bool{}
	for _, id := range made.DeploymentsGone {
		gone[id] = true
	}
	isGone := func(d Deployment) bool { return gone[strings.ToLower(d.ID)] }
	if made.BegunGone {
		s.Begun = slices.DeleteFunc(s.Begun, isGone)
	}
	ended := slices.IndexFunc(s.Begun, func(d Deployment) bool { return made.Ended != nil && d.Status == made.Ended.Status })
	if ended < 0 {
		s.Deployments = slices.DeleteFunc(s.Deployments, isGone)
	} else {
		d := s.Begun[ended]
		s.Begun = slices.Delete(s.Begun, ended, ended+1)
		d.Shown, d.Operations = made.Ended.Shown, made.Ended.Operations
		gone[strings.ToLower(d.ID)] = true // the earlier one of the same id
		s.Deployments = append(slices.DeleteFunc(s.Deployments, isGone), d)
	}
	s.reindexDeployments()
}

func (s *State) reindexDeployments() {
	s.deployments, s.history = make(map[string]int, len(s.Deployments)), 0
	for n := range s.Deployments {
		s.deployments[strings.ToLower(s.Deployments[n].ID)] = n
		s.history += s.Deployments[n].size()
	}
}

// checkDeployments says what is wrong with those that were stored.
func checkDeployments(field string, all []Deployment) error {
	for n, d := range all {
		switch {
		case !strings.HasPrefix(d.ID, d.Scope+"/providers/") || !strings.HasPrefix(d.Scope, "/subscriptions/"):
			return fmt.Errorf("%s[%d].id: expected SCOPE/providers/Microsoft.Resources/deployments/NAME with the scope of the deployment, found %q", field, n, d.ID)
		case uuid.Validate(d.Tenant) != nil:
			return fmt.Errorf("%s[%d].tenant: expected the id of a tenant, found %q", field, n, d.Tenant)
		case d.Status == "":
			return fmt.Errorf("%s[%d].status: expected the number of an operation, found none", field, n)
		}
	}
	return nil
}
