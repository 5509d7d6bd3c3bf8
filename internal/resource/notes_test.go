package resource_test

import (
	"fmt"
	"net/http"
	"time"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/cloud"
	"github.com/wiemu/wiemu/internal/resource"
)

// notes is all of a resource over HTTP: a note for each account and caller with a role.
type notes struct{ resource.Kit }

func notesDescription() resource.Description {
	return resource.Description{
		Name: "notes", Title: "Azure Notes", AppID: "99999999-0000-4000-8000-000000000001",
		Audiences: func(cloud.Cloud) []string { return []string{"https://notes.wiemu.test"} },
		Hosts:     func(cloud.Cloud) []string { return []string{".notes.wiemu.test"} },
		New: func(k resource.Kit, _ any) (resource.Service, error) {
			return &notes{k}, nil
		},
	}
}

func (n *notes) Handler() http.Handler {
	return n.Kit.Handler(nil, func(c *resource.Call) resource.Request { return &reading{c, n} })
}

type reading struct {
	*resource.Call
	*notes
}

func (r *reading) Describe(*journal.Event) string { return "read a note" }
func (r *reading) Interrupt(status int, _ time.Duration) *resource.Failure {
	return &resource.Failure{Status: status, Code: "Busy"}
}
func (r *reading) Demand() (*resource.Want, *resource.Failure) { return r.Want(""), nil }

func (r *reading) Allow(refused *resource.Refusal) *resource.Failure {
	if refused != nil {
		return &resource.Failure{Status: 401, Code: "NoToken", Challenge: "Bearer", Meaning: refused.Meaning()}
	} else if !r.Check("role", "any", fmt.Sprint(r.Caller.Roles), len(r.Caller.Roles) > 0) {
		return &resource.Failure{Status: 403, Code: "NoRole"}
	}
	return nil
}

func (r *reading) Serve() (resource.Answer, *resource.Failure) {
	return resource.Answer{Body: "a note of " + r.Host}, nil
}

func (r *reading) Write(w http.ResponseWriter, answer resource.Answer, _ *resource.Failure) {
	w.WriteHeader(answer.Status)
	_, _ = fmt.Fprint(w, answer.Body)
}
