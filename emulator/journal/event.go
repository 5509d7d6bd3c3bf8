// Package journal describes what happened in a lab: an [Event] has a kind, an outcome, the
// ids that connect it with other events, and, if something was refused, every check that
// was made and the federated credential that came closest.
package journal

import (
	"fmt"
	"slices"
	"time"
)

// Kind says what an event is about.
type Kind string

// The kinds of event, in the order of a token's life.
const (
	Admission   Kind = "admission"    // a pod was admitted to a cluster, or refused
	Run         Kind = "run"          // a workload's process started or ended
	KeyRotation Kind = "key-rotation" // a key was published, began to sign, was retired or removed
	Mint        Kind = "mint"         // an issuer signed a service-account token
	Projection  Kind = "projection"   // a token file was written or refreshed
	Discovery   Kind = "discovery"    // an issuer's metadata or keys were fetched
	TokenReview Kind = "token-review" // a cluster was asked about a token
	Exchange    Kind = "exchange"     // a token request was granted or denied
	Access      Kind = "access"       // a resource answered a request
	Escape      Kind = "escape"       // a client tried to connect to a host that is not emulated
	Directory   Kind = "directory"    // tenants, applications or credentials changed
	Clock       Kind = "clock"        // lab time was moved
	Fault       Kind = "fault"        // a fault was injected, hit or cleared
)

// The details of an event of a [Run].
const (
	DetailExitCode = "exitCode" // of a program that has ended; if absent, it was started
	DetailProgram  = "program"  // which of the started programs it is
)

// Outcome says how an event or a check ended.
type Outcome string

// The outcomes of events and of checks.
const (
	OK      Outcome = "ok"
	Granted Outcome = "granted"
	Denied  Outcome = "denied"
	Failed  Outcome = "failed"  // an event, or a check
	Passed  Outcome = "passed"  // a check
	Skipped Outcome = "skipped" // a check that was not made
)

// Event is one thing that happened. Which fields are set depends on its kind. The ids
// connect events with each other: Kid (rotation → mint), JTI (mint → projection →
// exchange), UTI (exchange → access). A recorded event holds no token, no private key and
// no secret that the lab knows, and its texts are cut to a few kilobytes.
type Event struct {
	ID        string    `json:"id"`               // ordinal within its run
	Time      time.Time `json:"time"`             // lab time
	Wall      time.Time `json:"wall,omitzero"`    // machine time
	Shared    bool      `json:"shared,omitempty"` // whether programs were on the lab clock too (lockstep)
	Kind      Kind      `json:"kind"`
	Outcome   Outcome   `json:"outcome"`
	Summary   string    `json:"summary"`        // one line for people
	Component string    `json:"part,omitempty"` // which issuer, key ring or vault it happened in

	Workload  string     `json:"workload,omitempty"` // namespace/service account
	Issuer    string     `json:"issuer,omitempty"`   // of the assertion, like the next six fields
	Subject   string     `json:"subject,omitempty"`
	Audience  []string   `json:"audience,omitempty"`
	Kid       string     `json:"kid,omitempty"`
	JTI       string     `json:"jti,omitempty"`
	IssuedAt  *time.Time `json:"issuedAt,omitempty"`
	ExpiresAt *time.Time `json:"expiresAt,omitempty"`

	Tenant   string `json:"tenant,omitempty"`
	ClientID string `json:"clientId,omitempty"`
	ObjectID string `json:"objectId,omitempty"`
	Identity string `json:"identity,omitempty"` // display name of the application or managed identity

	TraceID       string `json:"traceId,omitempty"`
	CorrelationID string `json:"correlationId,omitempty"`
	UTI           string `json:"uti,omitempty"` // of the access token given out or presented

	Resource string `json:"resource,omitempty"`
	Host     string `json:"host,omitempty"`
	Method   string `json:"method,omitempty"`
	Path     string `json:"path,omitempty"`
	Status   int    `json:"status,omitempty"` // HTTP

	Program *Program `json:"program,omitempty"` // that made the request. If nil, it is not known

	Code    int      `json:"code,omitempty"`    // AADSTS
	Error   string   `json:"error,omitempty"`   // OAuth error or the resource's error code, or what became of a connection
	Message string   `json:"message,omitempty"` // the text that the client got
	Checks  []Check  `json:"checks,omitempty"`  // in the order in which they were made
	Nearest *Nearest `json:"nearest,omitempty"` // for a federated refusal
	Meaning string   `json:"meaning,omitempty"` // what the code means
	Remedy  string   `json:"remedy,omitempty"`  // what to change

	Detail map[string]string `json:"detail,omitempty"`
}

// Program is a process of this machine whose connection wiemu led to the lab.
type Program struct {
	PID        int    `json:"pid"`
	Executable string `json:"executable,omitempty"` // its path; "" if it cannot be read
	Name       string `json:"name,omitempty"`       // argv[0]; "" likewise
}

// String names the program on one line, such as "node (process 4711, /usr/bin/node)".
func (p Program) String() string {
	switch {
	case p.Name == "" && p.Executable == "":
		return fmt.Sprintf("process %d", p.PID)
	case p.Name == "" || p.Name == p.Executable:
		return fmt.Sprintf("%s (process %d)", p.Executable, p.PID)
	case p.Executable == "":
		return fmt.Sprintf("%s (process %d)", p.Name, p.PID)
	}
	return fmt.Sprintf("%s (process %d, %s)", p.Name, p.PID, p.Executable)
}

// Check is one condition of a decision: Passed, Failed or Skipped.
type Check struct {
	Name      string  `json:"name"`
	Expected  string  `json:"expected,omitempty"` // if empty and the check passed, the same as Presented
	Presented string  `json:"presented,omitempty"`
	Outcome   Outcome `json:"outcome"`
	Note      string  `json:"note,omitempty"`
}

// Nearest is the federated credential that came closest to a refused assertion.
type Nearest struct {
	Credential  string       `json:"credential"`
	Differences []Difference `json:"differences"`
}

// Difference is one field in which an assertion and a federated credential
// differ, and what to change.
type Difference struct {
	Field     string `json:"field"` // issuer, subject or audience
	Expected  string `json:"expected"`
	Presented string `json:"presented"`
	Kind      string `json:"kind"` // case, trailing slash, namespace, …
	Fix       string `json:"fix"`
}

// The details of any event.
const (
	DetailNote   = "note"   // what is odd about an event that ended well, in a sentence
	DetailFault  = "fault"  // the ids of the injected faults that hit it, or that it is about
	DetailRemark = "remark" // a sentence about those faults
)

// Matches reports whether id is the event's ordinal, trace id, correlation id, jti or uti.
func (e Event) Matches(id string) bool {
	if id == "" {
		return false
	}
	return slices.Contains([]string{e.ID, e.TraceID, e.CorrelationID, e.JTI, e.UTI}, id)
}
