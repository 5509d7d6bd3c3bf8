// Package control steers a running emulator: its clock, its keys, its journal.
// It holds the server of the control door and the client for it, and changes
// nothing itself that the other rooms do not offer.
package control

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/gorilla/mux"

	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/emulator/entra"
	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/emulator/issuer"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/emulator/keyring"
)

// Lab is what the server steers.
type Lab struct {
	Time    *Timekeeper
	Journal *journal.Journal
	Entra   *entra.Service
	Faults  *fault.Set

	Directory *directory.Directory

	Issuers []*issuer.Issuer
	Rings   map[string]*keyring.Ring
	Outside []string // names of issuers that are not ours
	Gateway string   // address
	Proxy   string   // URL
	Cluster string   // address
	CA      []byte   // PEM
	Tenant  string   // the first

	Audience string // of service-account tokens that are exchanged

	Traffic func() Traffic        // what programs have asked for
	Made    func() []MadeIdentity // by itself

	ConfigFile    string            // the wiemu.yaml of the lab; "": none
	Configuration map[string]string // what it says, by section: see config.Config.Digests
}

// MadeIdentity is one that was made because a workload uses its client id and
// nothing describes it.
type MadeIdentity struct {
	Name          string `json:"name"`
	ClientID      string `json:"clientId"`
	Kind          string `json:"kind"`          // see directory.Kind
	TokenLifetime int    `json:"tokenLifetime"` // of its access tokens, in seconds
}

// Traffic counts what programs have asked a lab for since it was started.
type Traffic struct {
	Requests    int64 `json:"requests"`    // at all doors but the control door
	Connections int   `json:"connections"` // to the TLS door; one without a request was given up, as by a client that does not trust the lab's CA
}

// Since is what has been asked for since an earlier time.
func (t Traffic) Since(earlier Traffic) Traffic {
	return Traffic{t.Requests - earlier.Requests, t.Connections - earlier.Connections}
}

// Server answers at the control door. Every request needs the bearer token; that for
// the clock's stream may carry one of its own, which opens nothing else.
type Server struct {
	lab        Lab
	token      string
	clockToken string
	router     *mux.Router
}

// ClockPath is where programs of other processes follow a lab's clock: a stream.
const ClockPath = "/v1/clock/follow"

// NewServer returns the server for a lab; token is what requests must carry.
func NewServer(lab Lab, token string) *Server {
	s := &Server{lab: lab, token: token, clockToken: rand.Text(), router: mux.NewRouter().UseEncodedPath().SkipClean(true)}
	s.Handle(http.MethodGet, "/v1/status", s.status)
	s.Handle(http.MethodGet, "/v1/events", s.events)
	s.Handle(http.MethodPost, "/v1/events", s.record)
	s.Handle(http.MethodPost, "/v1/directory", s.changeDirectory)
	s.handleClock()
	s.handleFaults()
	s.Handle(http.MethodPost, "/v1/keys/{ring}/rotate", s.rotate)
	s.Handle(http.MethodPost, "/v1/keys/{ring}/publish", s.publish)
	s.Handle(http.MethodPost, "/v1/keys/{ring}/remove", s.removeKey)
	s.Handle(http.MethodPost, "/v1/tokens", s.mint)
	s.Handle(http.MethodPost, "/v1/examine", s.examine)
	return s
}

// ClockToken opens the stream at [ClockPath], and nothing else: it is for workloads
// that live on the lab clock and must not steer the lab.
func (s *Server) ClockToken() string { return s.clockToken }

// Action answers a request with a value that becomes JSON. An error becomes
// {"error": text} with status 400, or the status of a *StatusError; 500 where the
// machine, and not who asked, is to blame.
type Action func(*http.Request) (any, error)

// StatusError is an error with the HTTP status to answer.
type StatusError struct {
	Status int
	Err    error
	Field  string // what of the request is wrong, as the command line's flag calls it; "": not told
}

func (e *StatusError) Error() string { return e.Err.Error() }

// Unwrap returns the error without its status.
func (e *StatusError) Unwrap() error { return e.Err }

// Handle adds an action; path is a gorilla/mux template.
func (s *Server) Handle(method, path string, a Action) {
	s.router.Methods(method).Path(path).HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		value, err := a(r)
		status := http.StatusOK
		if err != nil {
			p := problem{Error: err.Error()}
			status = http.StatusBadRequest
			if with := (*StatusError)(nil); errors.As(err, &with) {
				status, p.Field = with.Status, with.Field
			} else if ofMachine(err) {
				status = http.StatusInternalServerError
			}
			value = p
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(value) // the client is gone: nobody to tell
	})
}

type problem struct {
	Error string `json:"error"`
	Field string `json:"field,omitempty"`
}

// ofMachine reports whether a file could not be written, or the like.
func ofMachine(err error) bool {
	var (
		path *fs.PathError
		link *os.LinkError
		call *os.SyscallError
	)
	return errors.As(err, &path) || errors.As(err, &link) || errors.As(err, &call)
}

// ServeHTTP checks the bearer token and answers.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	presented := func(token string) bool { // RFC 6750 §2.1, RFC 9110 §11.1
		return strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare([]byte(given), []byte(token)) == 1
	}
	switch {
	case presented(s.token):
	case presented(s.clockToken):
		if r.Method != http.MethodPost || r.URL.EscapedPath() != ClockPath {
			w.Header().Set("Connection", "close") // rather than read a stranger's body
			http.Error(w, `{"error":"this token opens the stream of the lab's clock, and nothing else"}`, http.StatusForbidden)
			return
		}
	default:
		w.Header().Set("Connection", "close")
		http.Error(w, `{"error":"the control door needs the bearer token of this lab"}`, http.StatusUnauthorized)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
	s.router.ServeHTTP(w, r)
}

// Decode reads a JSON request body strictly.
func Decode(r *http.Request, into any) error {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("request body: expected JSON: %w", err)
	}
	return nil
}

// Status is what a lab says of itself.
type Status struct {
	PID     int       `json:"pid"`
	Now     time.Time `json:"now"`    // lab time
	Runs    bool      `json:"runs"`   // whether lab time moves by itself
	Speed   float64   `json:"speed"`  // how many times as fast as the machine's clock; 0: it stands still
	Events  int       `json:"events"` // in the journal
	Gateway string    `json:"gateway"`
	Proxy   string    `json:"proxy"`
	Cluster string    `json:"cluster"`
	CA      string    `json:"ca"`     // PEM
	Tenant  string    `json:"tenant"` // the first

	Audience string `json:"audience"` // of service-account tokens that are exchanged

	Skews map[string]string `json:"skews,omitempty"` // by part, how far its clock is ahead of lab time: a Go duration

	Traffic Traffic        `json:"traffic"`
	Made    []MadeIdentity `json:"made,omitempty"` // at most the first hundred

	ConfigFile    string            `json:"configFile,omitempty"`    // the lab's wiemu.yaml
	Configuration map[string]string `json:"configuration,omitempty"` // a digest of what is configured, by section; nil: it is not known

	Issuers []IssuerStatus `json:"issuers"`
	Keys    []KeyStatus    `json:"keys"` // published ones, of every ring
}

// IssuerStatus is a hosted issuer.
type IssuerStatus struct {
	Name string `json:"name"`
	URL  string `json:"url"`
}

// KeyStatus is a key of a ring: an issuer's by name, or entra's.
type KeyStatus struct {
	Ring  string        `json:"ring"`
	ID    string        `json:"kid"`
	Stage keyring.Stage `json:"stage"`

	Unpublished bool `json:"unpublished,omitempty"` // it signs and is not in the JWKS: see fault.SignBeforePublish
}

func (s *Server) status(*http.Request) (any, error) {
	lab := s.lab.Time.Clock()
	status := Status{
		PID: os.Getpid(), Now: lab.Now(), Runs: lab.Runs(), Speed: lab.Speed(), Skews: map[string]string{}, Events: len(s.lab.Journal.Events()),
		Gateway: s.lab.Gateway, Proxy: s.lab.Proxy, Cluster: s.lab.Cluster, CA: string(s.lab.CA), Tenant: s.lab.Tenant, Audience: s.lab.Audience,
		ConfigFile: s.lab.ConfigFile, Configuration: s.lab.Configuration,
	}
	if s.lab.Traffic != nil {
		status.Traffic = s.lab.Traffic()
	}
	if s.lab.Made != nil {
		made := s.lab.Made()
		status.Made = made[:min(len(made), 100)]
	}
	for part, by := range lab.Skews() {
		status.Skews[part] = by.String()
	}
	for _, i := range s.lab.Issuers {
		status.Issuers = append(status.Issuers, IssuerStatus{Name: i.Name(), URL: i.URL()})
	}
	for _, name := range slices.Sorted(maps.Keys(s.lab.Rings)) {
		for _, k := range s.lab.Rings[name].Usable() {
			status.Keys = append(status.Keys, keyStatus(name, k))
		}
	}
	return status, nil
}

// events answers with the events after the one that ?after= names.
func (s *Server) events(r *http.Request) (any, error) {
	events := s.lab.Journal.Events()
	after := r.URL.Query().Get("after")
	if i := slices.IndexFunc(events, func(e journal.Event) bool { return e.ID == after }); i >= 0 {
		return events[i+1:], nil
	}
	return events, nil
}

// record writes down what happened to a program outside, which nobody here sees.
func (s *Server) record(r *http.Request) (any, error) {
	var e journal.Event
	if err := Decode(r, &e); err != nil {
		return nil, err
	}
	if e.Kind != journal.Run || e.Summary == "" {
		return nil, fmt.Errorf("record an event of kind %q: expected kind %s and a summary; of everything else the lab knows itself", e.Kind, journal.Run)
	}
	return s.lab.Journal.Record(e), nil
}

func (s *Server) rotate(r *http.Request) (any, error) {
	return s.onKeys(r, func(ring *keyring.Ring) (keyring.Key, error) { return ring.Rotate(r.Context()) })
}

func (s *Server) publish(r *http.Request) (any, error) {
	return s.onKeys(r, func(ring *keyring.Ring) (keyring.Key, error) { return ring.Publish(r.Context()) })
}

// RemoveKeyRequest names the key to take out of a JWKS.
type RemoveKeyRequest struct {
	Key string `json:"key"` // a key id, or retired, published or signing: the oldest of that stage
}

func (s *Server) removeKey(r *http.Request) (any, error) {
	var req RemoveKeyRequest
	if err := Decode(r, &req); err != nil {
		return nil, err
	}
	return s.onKeys(r, func(ring *keyring.Ring) (keyring.Key, error) {
		key, err := ring.Find(req.Key)
		if err == nil {
			err = ring.Remove(key.ID)
		}
		key.Stage = keyring.Removed
		return key, err
	})
}

// onKeys does something with the ring that the path names.
func (s *Server) onKeys(r *http.Request, do func(*keyring.Ring) (keyring.Key, error)) (any, error) {
	name, err := url.PathUnescape(mux.Vars(r)["ring"]) // gorilla/mux: as it is in the encoded path
	if err != nil {
		return nil, err
	}
	ring, ok := s.lab.Rings[name]
	if !ok && slices.Contains(s.lab.Outside, name) {
		return nil, &StatusError{Status: http.StatusConflict, Err: fmt.Errorf("the keys of issuer %s are its own: it is external, and wiemu reads what it publishes, as Entra ID does; where wiemu signs, as with wiemu kind up, keys can be rotated", name)}
	}
	if !ok {
		return nil, &StatusError{Status: http.StatusNotFound, Err: fmt.Errorf("key ring %q: expected one of %s", name, strings.Join(slices.Sorted(maps.Keys(s.lab.Rings)), ", "))}
	}
	key, err := do(ring)
	return keyStatus(name, key), err
}

func keyStatus(ring string, k keyring.Key) KeyStatus {
	return KeyStatus{Ring: ring, ID: k.ID, Stage: k.Stage, Unpublished: k.PublishedAt.IsZero()}
}

// MintRequest asks for a service-account token.
type MintRequest struct {
	Issuer            string   `json:"issuer"` // name; "": the first
	Namespace         string   `json:"namespace"`
	ServiceAccount    string   `json:"serviceAccount"`
	Audiences         []string `json:"audiences"`
	ExpirationSeconds int64    `json:"expirationSeconds"` // 0: 3600
}

// Minted is a service-account token.
type Minted struct {
	Token     string    `json:"token"`
	ExpiresAt time.Time `json:"expiresAt"`
}

func (s *Server) mint(r *http.Request) (any, error) {
	var req MintRequest
	if err := Decode(r, &req); err != nil {
		return nil, err
	}
	for _, i := range s.lab.Issuers {
		if req.Issuer != "" && i.Name() != req.Issuer {
			continue
		}
		token, err := i.Mint(r.Context(), issuer.TokenRequest{
			Namespace: req.Namespace, ServiceAccount: req.ServiceAccount,
			Audiences: req.Audiences, ExpirationSeconds: req.ExpirationSeconds,
		})
		return Minted{token.Raw, token.ExpiresAt}, err
	}
	return nil, &StatusError{Status: http.StatusNotFound, Err: fmt.Errorf("issuer %q: expected the name of a hosted issuer", req.Issuer), Field: "issuer"}
}

// ExamineRequest asks what Entra ID would say to an assertion.
type ExamineRequest struct {
	Tenant    string `json:"tenant"`
	ClientID  string `json:"clientId"`
	Assertion string `json:"assertion"`
}

func (s *Server) examine(r *http.Request) (any, error) {
	var req ExamineRequest
	if err := Decode(r, &req); err != nil {
		return nil, err
	}
	return s.lab.Entra.Examine(r.Context(), req.Tenant, req.ClientID, req.Assertion), nil
}
