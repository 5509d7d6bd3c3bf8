package harness

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/issuer"
	"github.com/wiemu/wiemu/emulator/journal"
)

// home is the cluster in which a workload's pod runs, and the pod there.
type home struct {
	issuer *issuer.Issuer
	pod    issuer.Pod
}

// settle gives the workload a pod in a cluster, which mints its tokens from then on.
func (w *Workload) settle(in *issuer.Issuer) {
	name := cmp.Or(w.Component, w.ServiceAccount) + "-0"
	w.home.Store(&home{in, in.PutPod(issuer.Pod{Namespace: w.Namespace, Name: name, ServiceAccount: w.ServiceAccount})})
}

// Issuer is the hosted issuer that mints the workload's tokens.
func (w *Workload) Issuer() *issuer.Issuer { return w.home.Load().issuer }

// Move lets another hosted issuer mint the workload's tokens while it runs, as
// when an application moves to another cluster or its cluster gets another issuer
// URL. The token in its file stays until the next one is due; [Workload.Refresh]
// brings that at once. Nobody trusts the new issuer because of it.
func (l *Lab) Move(w *Workload, name string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	to, err := l.emulator.Issuer(name)
	if err != nil {
		return fmt.Errorf("move %s/%s: %w", w.Namespace, w.ServiceAccount, err)
	}
	from := w.Issuer()
	annotations := map[string]string{}
	if w.ClientID != "" {
		annotations["azure.workload.identity/client-id"] = w.ClientID
	}
	to.PutServiceAccount(w.Namespace, w.ServiceAccount, annotations)
	w.settle(to)
	l.Journal().Record(journal.Event{
		Kind: journal.Directory, Outcome: journal.OK, Workload: w.Namespace + "/" + w.ServiceAccount, ClientID: w.ClientID, Issuer: to.URL(),
		Summary: fmt.Sprintf("%s/%s is moved from issuer %s to %s, which mints its tokens from now on", w.Namespace, w.ServiceAccount, from.Name(), to.Name()),
	})
	return nil
}

// A Moving asks a running lab to move workloads to another issuer.
type Moving struct {
	Namespace      string `json:"namespace"`
	ServiceAccount string `json:"serviceAccount"`
	Issuer         string `json:"issuer"`        // name
	AtNextRefresh  bool   `json:"atNextRefresh"` // the token in the file stays until the next one is due

	Only *Declared `json:"only,omitempty"` // the one that was asked for like this. nil: all of the service account
}

// Moved is a workload that was moved.
type Moved struct {
	ClientID  string `json:"clientId"`
	TokenFile string `json:"tokenFile"`
	From      string `json:"from"` // URL of the issuer before
	To        string `json:"to"`   // and of the one from now on
}

// move moves every workload of a service account that runs.
func (l *Lab) move(r *http.Request) (any, error) {
	var m Moving
	if err := control.Decode(r, &m); err != nil {
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
		moved = append(moved, Moved{w.ClientID, w.Environment.TokenFile, from, w.Issuer().URL()})
	}
	if len(moved) == 0 {
		return nil, &control.StatusError{Status: http.StatusNotFound, Err: fmt.Errorf("%s/%s: expected the service account of a workload that has a token file; start it with wiemu run or wiemu env first", m.Namespace, m.ServiceAccount)}
	}
	return moved, nil
}

// running are the admitted workloads that are meant.
func (l *Lab) running(m Moving) (found []*Workload) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, w := range l.workloads {
		if w.Namespace == m.Namespace && w.ServiceAccount == m.ServiceAccount && (m.Only == nil || m.Only.key() == key) {
			found = append(found, w)
		}
	}
	slices.SortFunc(found, func(a, b *Workload) int { return cmp.Compare(a.Environment.TokenFile, b.Environment.TokenFile) })
	return found
}

// MoveAttached moves a service account's workloads in the running lab that the
// client steers, as Move and Refresh do here.
func MoveAttached(ctx context.Context, c *control.Client, m Moving) ([]Moved, error) {
	var moved []Moved
	return moved, c.Do(ctx, http.MethodPost, "/v1/workloads/move", m, &moved)
}
