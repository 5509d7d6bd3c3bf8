package journal

import "time"

// Kind says what an event is about.
type Kind string

// The kinds of event, in the order in which a token meets them.
const (
	Admission   Kind = "admission"    // a pod came into a cluster, or was refused
	Run         Kind = "run"          // a workload's process started or ended
	KeyRotation Kind = "key-rotation" // a key entered another stage of its life
	Mint        Kind = "mint"         // an issuer signed a service-account token
	Projection  Kind = "projection"   // a token file was laid out or refreshed
	Discovery   Kind = "discovery"    // an issuer's metadata or keys were fetched
	TokenReview Kind = "token-review" // a cluster was asked about a token
	Exchange    Kind = "exchange"     // a token request was granted or denied
	Access      Kind = "access"       // a resource was asked for something
	Escape      Kind = "escape"       // a client tried to reach the outside world
	Directory   Kind = "directory"    // tenants, applications or credentials changed
	Clock       Kind = "clock"        // lab time was moved
	Fault       Kind = "fault"        // a fault was injected, hit or cleared
)

// The details of an event of a [Run].
const (
	DetailExitCode = "exitCode" // of a program that has ended; none: it was started
	DetailProgram  = "program"  // which of those that were started it is
)

// Outcome says how an event, or one check of it, ended.
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

// Event is one thing that happened. Which fields are filled depends on its kind;
// the ids chain events to each other: Kid (rotation → mint), JTI (mint →
// projection → exchange), UTI (exchange → access). One that a journal has recorded
// holds no token, no secret that the lab knows and no private key; see [Journal.Bound].
type Event struct {
	ID      string    `json:"id"`               // ordinal within its run
	Time    time.Time `json:"time"`             // lab time
	Wall    time.Time `json:"wall,omitzero"`    // machine time
	Shared  bool      `json:"shared,omitempty"` // programs lived on lab time then (lockstep)
	Kind    Kind      `json:"kind"`             //
	Outcome Outcome   `json:"outcome"`          //
	Summary string    `json:"summary"`          // one line for people
	Part    string    `json:"part,omitempty"`   // which issuer, key ring or vault it happened in

	Workload  string     `json:"workload,omitempty"` // namespace/service account
	Issuer    string     `json:"issuer,omitempty"`   // of the assertion, as are the next five
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

	Code    int      `json:"code,omitempty"`    // AADSTS
	Error   string   `json:"error,omitempty"`   // OAuth error or the resource's error code
	Message string   `json:"message,omitempty"` // the text that the client got
	Checks  []Check  `json:"checks,omitempty"`  // in the order in which they were made
	Nearest *Nearest `json:"nearest,omitempty"` // for a federated refusal
	Meaning string   `json:"meaning,omitempty"` // what the code means
	Remedy  string   `json:"remedy,omitempty"`  // what to change

	Detail map[string]string `json:"detail,omitempty"`
}

// Check is one condition that was looked at: Passed, Failed or Skipped.
type Check struct {
	Name      string  `json:"name"`
	Expected  string  `json:"expected,omitempty"` // "" of one that passed: what was presented
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

// DetailNote is the member of Detail that holds what is odd about an event that
// went well, in a sentence.
const DetailNote = "note"

// Matches reports whether id is one of the ids by which people refer to the
// event: its ordinal, trace id, correlation id, jti or uti.
func (e Event) Matches(id string) bool {
	if id == "" {
		return false
	}
	for _, own := range []string{e.ID, e.TraceID, e.CorrelationID, e.JTI, e.UTI} {
		if own == id {
			return true
		}
	}
	return false
}
