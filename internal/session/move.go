package session

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/azwi"
	"github.com/wiemu/wiemu/internal/controlapi"
	"github.com/wiemu/wiemu/internal/issuer"
	"github.com/wiemu/wiemu/internal/workload"
)

// home is the cluster in which a workload's pod runs, and the pod there.
type home struct {
	issuer *issuer.Issuer
	pod    issuer.Pod
}

// settle creates the workload's pod in a cluster, whose issuer mints its tokens from then on.
func (w *Workload) settle(in *issuer.Issuer) {
	name := cmp.Or(w.Component, w.ServiceAccount) + "-0"
	w.home.Store(&home{in, in.PutPod(issuer.Pod{Namespace: w.Namespace, Name: name, ServiceAccount: w.ServiceAccount})})
}

// Issuer returns the hosted issuer that mints the workload's tokens.
func (w *Workload) Issuer() *issuer.Issuer { return w.home.Load().issuer }

// Move makes another hosted issuer mint the workload's tokens while it runs, as when an
// application moves to another cluster or its cluster gets another issuer URL. The token in
// its file stays until the next one is due; [Workload.Refresh] renews it at once. Move does
// not add trust in the new issuer.
func (l *Session) Move(w *Workload, name string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	to, err := l.emulator.Issuer(name)
	if err != nil {
		return fmt.Errorf("move %s/%s: %w", w.Namespace, w.ServiceAccount, err)
	}
	if w.Env.inPipeline() {
		return fmt.Errorf("move %s/%s: expected a pod, found a job of a pipeline, which is in no cluster", w.Namespace, w.ServiceAccount)
	}
	from := w.Issuer()
	to.PutServiceAccount(w.Namespace, w.ServiceAccount, azwi.Annotations(w.ClientID))
	w.settle(to)
	l.Journal().Record(journal.Event{
		Kind: journal.Directory, Outcome: journal.OK, Workload: w.Namespace + "/" + w.ServiceAccount, ClientID: w.ClientID, Issuer: to.URL(),
		Summary: fmt.Sprintf("%s/%s is moved from issuer %s to %s, which mints its tokens from now on", w.Namespace, w.ServiceAccount, from.Name(), to.Name()),
	})
	return nil
}

// Moving is the request to move workloads of a running lab to another issuer.
type Moving struct {
	Namespace      string `json:"namespace"`
	ServiceAccount string `json:"serviceAccount"`
	Issuer         string `json:"issuer"`        // name
	AtNextRefresh  bool   `json:"atNextRefresh"` // the token in the file stays until the next one is due

	Only *workload.Spec `json:"only,omitempty"` // the only workload to move. If nil, all of the service account
}

// Moved is a workload that was moved.
type Moved struct {
	ClientID  string `json:"clientId"`
	TokenFile string `json:"tokenFile"`
	From      string `json:"from"` // URL of the issuer before
	To        string `json:"to"`   // and after
}

// move moves every workload of a service account that runs.
func (l *Session) move(r *http.Request) (any, error) {
	var m Moving
	if err := controlapi.Decode(r, &m); err != nil {
		return nil, err
	}
	moved := []Moved{}
	for _, w := range l.running(m) {
		from := w.Issuer().URL()
		if err := l.Move(w, m.Issuer); err != nil {
			return nil, err
		}
		if !m.AtNextRefresh {
			if err := w.Refresh(r.Context()); err != nil {
				return nil, err
			}
		}
		moved = append(moved, Moved{w.ClientID, w.Env.TokenFile, from, w.Issuer().URL()})
	}
	if len(moved) == 0 {
		return nil, &control.StatusError{Status: http.StatusNotFound, Err: fmt.Errorf("%s/%s: expected the service account of a workload that has a token file; start it with wiemu run or wiemu env first", m.Namespace, m.ServiceAccount)}
	}
	return moved, nil
}

// running returns the admitted workloads to move.
func (l *Session) running(m Moving) (found []*Workload) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, w := range l.workloads {
		if w.Namespace == m.Namespace && w.ServiceAccount == m.ServiceAccount && (m.Only == nil || key(*m.Only) == id) {
			found = append(found, w)
		}
	}
	slices.SortFunc(found, func(a, b *Workload) int { return cmp.Compare(a.Env.TokenFile, b.Env.TokenFile) })
	return found
}

// Move moves a service account's workloads in a running lab, over its control API, as
// [Workload.Move] and [Workload.Refresh] do.
func Move(ctx context.Context, c *control.Client, m Moving) ([]Moved, error) {
	var moved []Moved
	return moved, c.Do(ctx, http.MethodPost, "/v1/workloads/move", m, &moved)
}
