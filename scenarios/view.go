package scenarios

import (
	"time"

	"github.com/wiemu/wiemu/emulator/journal"
)

// What expectations see. The types are those that expressions are checked
// against, their fields by the names of the json tags.

// Result is what came of a step: results.NAME in an expression.
type Result struct {
	ExitCode int             `json:"exitCode"`          // of a run, or of what a start began; -1 while that runs
	Running  bool            `json:"running,omitempty"` // whether what a start began has not ended
	Stdout   string          `json:"stdout,omitempty"`  // of a run, or so far
	Stderr   string          `json:"stderr,omitempty"`  // of a run, or so far
	JSON     any             `json:"json,omitempty"`    // of standard output that is JSON
	Lines    []any           `json:"lines,omitempty"`   // of standard output that is JSON, one object or list a line
	Kid      string          `json:"kid,omitempty"`     // of the key that a rotate, publish or removeKey was about
	Token    Token           `json:"token,omitzero"`    // of a copyToken
	Fault    string          `json:"fault,omitempty"`   // the id that a fault step's fault has in the journal
	Events   []journal.Event `json:"events,omitempty"`  // what the journal recorded during the step, or since a start until now or the program's stop
	Started  time.Time       `json:"started,omitzero"`  // lab time
	Finished time.Time       `json:"finished,omitzero"` // lab time
}

// WorkloadView is a workload as it is now: workloads.NAME in an expression.
type WorkloadView struct {
	Namespace      string `json:"namespace"`
	ServiceAccount string `json:"serviceAccount"`
	ClientID       string `json:"clientId"`
	Token          Token  `json:"token"` // in its token file
}

// Token is a service-account token without its signature.
type Token struct {
	Kid       string         `json:"kid,omitempty"` // "": the file holds no token
	Issuer    string         `json:"issuer,omitempty"`
	Subject   string         `json:"subject,omitempty"`
	Audience  []string       `json:"audience,omitempty"`
	JTI       string         `json:"jti,omitempty"`
	IssuedAt  time.Time      `json:"issuedAt,omitzero"`
	ExpiresAt time.Time      `json:"expiresAt,omitzero"`
	Claims    map[string]any `json:"claims,omitempty"` // all of them
}

// ClockView is the lab clock: clock in an expression.
type ClockView struct {
	Now     time.Time     `json:"now"`
	Start   time.Time     `json:"start"`
	Elapsed time.Duration `json:"elapsed"`
}

// view is everything that an expression can name.
type view struct {
	Results   map[string]Result
	Journal   []journal.Event
	Workloads map[string]WorkloadView
	Clock     ClockView
}
