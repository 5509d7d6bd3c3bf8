package harness

import (
	"context"
	"net/http"

	"github.com/wiemu/wiemu/emulator/control"
)

// Attachment is a workload that another process asks a running lab for.
type Attachment struct {
	Declared
	Beside []Declared `json:"beside,omitempty"` // what is declared in the same files
}

func (l *Lab) attach(r *http.Request) (any, error) {
	var a Attachment
	if err := control.Decode(r, &a); err != nil {
		return nil, err
	}
	l.attaching.Lock()
	defer l.attaching.Unlock()
	if err := l.Declare(a.Beside); err != nil {
		return nil, err
	}
	w, err := l.Workload(r.Context(), a.Workload, a.Identity)
	if err != nil {
		return nil, err
	}
	env := w.Injected()
	if l.onAttach != nil {
		if err := l.onAttach(a, w.Environment); err != nil {
			return nil, err
		}
	}
	return env, nil
}

// Attach admits a workload in the running lab that the client steers, as
// Declare and Workload do here.
func Attach(ctx context.Context, c *control.Client, d Declared, beside []Declared) (Environment, error) {
	var env Environment
	if err := c.Do(ctx, http.MethodPost, "/v1/workloads", Attachment{d, beside}, &env); err != nil {
		return env, err
	}
	if d.Own != nil {
		env.Own, env.NotInjected = d.Own.Variables, env.NotInjected || d.Own.NoToken
	}
	return env, nil
}
