package session

import (
	"context"
	"net/http"

	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/internal/controlapi"
	"github.com/wiemu/wiemu/internal/workload"
)

// Attachment is the request of another process to admit a workload in a running lab.
type Attachment struct {
	workload.Spec
	Beside []workload.Spec `json:"beside,omitempty"` // the workloads of the same files, which are declared
}

func (l *Session) attach(r *http.Request) (any, error) {
	var a Attachment
	if err := controlapi.Decode(r, &a); err != nil {
		return nil, err
	}
	l.attaching.Lock()
	defer l.attaching.Unlock()
	if err := l.Declare(a.Beside); err != nil {
		return nil, err
	}
	w, err := l.Workload(r.Context(), a.Spec)
	if err != nil {
		return nil, err
	}
	env := w.Injected()
	if l.onAttach != nil {
		if err := l.onAttach(a, w.Env); err != nil {
			return nil, err
		}
	}
	return env, nil
}

// Admit admits a workload in a running lab, over its control API, as [Session.Declare] and
// [Session.Workload] do.
func Admit(ctx context.Context, c *control.Client, d workload.Spec, beside []workload.Spec) (PodEnv, error) {
	var env PodEnv
	if err := c.Do(ctx, http.MethodPost, "/v1/workloads", Attachment{d, beside}, &env); err != nil {
		return env, err
	}
	if d.Own != nil {
		env.Own, env.NotInjected = d.Own.Variables, env.NotInjected || d.Own.NoToken
	}
	return env, nil
}
