// Package controlapi serves the API by which package control's client changes a lab and
// asks about it.
package controlapi

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

	"github.com/gorilla/mux"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/issuer"
	"github.com/wiemu/wiemu/internal/keyring"
	"github.com/wiemu/wiemu/internal/lab"
	"github.com/wiemu/wiemu/internal/tenants"
)

// Endpoints are where the server of a lab listens, and what it knows of its traffic.
type Endpoints struct {
	Gateway string                 // address
	Proxy   string                 // URL
	Cluster string                 // address
	CA      []byte                 // PEM
	Traffic func() control.Traffic // what programs have asked for; if nil, nothing

	Configuration map[string]string // what the lab's wiemu.yaml says, by section: see config.Config.Digests
}

// Server answers at the control listener. Every request needs the bearer token; that for
// the clock's stream may carry one of its own, which opens nothing else.
type Server struct {
	lab        *lab.Lab
	at         Endpoints
	token      string
	clockToken string
	router     *mux.Router
}

// ClockPath is where programs of other processes follow a lab's clock: a stream.
const ClockPath = "/v1/clock/follow"

// New returns the server for a lab; token is what requests must carry.
func New(l *lab.Lab, at Endpoints, token string) *Server {
	s := &Server{lab: l, at: at, token: token, clockToken: rand.Text(), router: mux.NewRouter().UseEncodedPath().SkipClean(true)}
	s.Handle(http.MethodGet, "/v1/status", s.status)
	s.Handle(http.MethodGet, "/v1/events", s.events)
	s.Handle(http.MethodPost, "/v1/events", withBody(s.record))
	s.Handle(http.MethodPost, "/v1/directory", withBody(s.changeDirectory))
	s.handleClock()
	s.handleFaults()
	s.handleRoles()
	s.handleReading()
	s.Handle(http.MethodPost, "/v1/keys/{ring}/rotate", s.rotate)
	s.Handle(http.MethodPost, "/v1/keys/{ring}/publish", s.publish)
	s.Handle(http.MethodPost, "/v1/keys/{ring}/remove", withBody(s.removeKey))
	s.Handle(http.MethodPost, "/v1/tokens", withBody(s.mint))
	s.Handle(http.MethodPost, "/v1/examine", withBody(s.examine))
	s.Handle(http.MethodPost, BlobPath, withBody(s.blob))
	return s
}

// ClockToken opens the stream at [ClockPath], and nothing else: it is for workloads
// that live on the lab clock and must not change the lab.
func (s *Server) ClockToken() string { return s.clockToken }

// Action answers a request with a value that becomes JSON. An error becomes
// {"error": text} with status 400, or the status of a *control.StatusError; 500 where the
// machine, and not who asked, is to blame.
type Action func(*http.Request) (any, error)

type problem struct {
	Error  string    `json:"error"`
	Field  string    `json:"field,omitempty"`
	Fields []refusal `json:"fields,omitempty"` // of the value that the directory refuses
}

// refusal says what is wrong with one field, as the directory calls it.
type refusal struct {
	Field    string `json:"field"`
	Expected string `json:"expected"`
	Found    string `json:"found"`
}

// refusals are what the directory has refused, field by field.
func refusals(err error) (all []refusal) {
	switch e := err.(type) { //nolint:errorlint // the tree of errors is walked
	case *tenants.Error:
		return []refusal{{e.Field, e.Expected, e.Found}}
	case interface{ Unwrap() []error }:
		for _, each := range e.Unwrap() {
			all = append(all, refusals(each)...)
		}
	case interface{ Unwrap() error }:
		return refusals(e.Unwrap())
	}
	return all
}

// Handle adds an action; path is a gorilla/mux template.
func (s *Server) Handle(method, path string, a Action) {
	s.router.Methods(method).Path(path).HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		value, err := a(r)
		status := http.StatusOK
		if err != nil {
			p := problem{Error: err.Error(), Fields: refusals(err)}
			status = http.StatusBadRequest
			if with := (*control.StatusError)(nil); errors.As(err, &with) {
				status, p.Field = with.Status, with.Field
			} else if ofMachine(err) {
				status = http.StatusInternalServerError
			}
			value = p
		}
		body, err := json.Marshal(value)
		if err != nil {
			status = http.StatusInternalServerError
			body, _ = json.Marshal(problem{Error: fmt.Sprintf("%s %s: the answer cannot be written as JSON: %v", method, path, err)}) // it is text
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write(append(body, '\n')) // it fails if the client is gone
	})
}

// Routes returns the method and path of everything that the API answers, such as GET
// /v1/status, sorted.
func (s *Server) Routes() ([]string, error) {
	var all []string
	err := s.router.Walk(func(route *mux.Route, _ *mux.Router, _ []*mux.Route) error {
		path, err := route.GetPathTemplate()
		if err != nil {
			return err
		}
		methods, err := route.GetMethods()
		for _, method := range methods {
			all = append(all, method+" "+path)
		}
		return err
	})
	slices.Sort(all)
	return all, err
}

// withBody returns an action that decodes the body of its request.
func withBody[T any](do func(*http.Request, T) (any, error)) Action {
	return func(r *http.Request) (any, error) {
		var body T
		if err := Decode(r, &body); err != nil {
			return nil, err
		}
		return do(r, body)
	}
}

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
		http.Error(w, `{"error":"the control endpoint needs the bearer token of this lab"}`, http.StatusUnauthorized)
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

func (s *Server) status(*http.Request) (any, error) {
	clk, made := s.lab.Clock(), s.lab.Made()
	status := control.Status{
		PID: os.Getpid(), Now: clk.Now(), Runs: clk.Runs(), Speed: clk.Speed(), Skews: map[string]string{}, Joined: clk.Joined(), Events: len(s.lab.Journal().Events()),
		Gateway: s.at.Gateway, Proxy: s.at.Proxy, Cluster: s.at.Cluster, CA: string(s.at.CA), Configuration: s.at.Configuration,
		Tenant: s.lab.Config().Tenants[0].ID, Audience: s.lab.Cloud().TokenExchange, ConfigFile: s.lab.ConfigFile(), Made: made[:min(len(made), 100)],
	}
	if s.at.Traffic != nil {
		status.Traffic = s.at.Traffic()
	}
	for component, by := range clk.Skews() {
		status.Skews[component] = by.String()
	}
	for _, i := range s.lab.Issuers() {
		status.Issuers = append(status.Issuers, control.IssuerStatus{Name: i.Name(), URL: i.URL()})
	}
	rings := s.lab.KeyRings()
	for _, name := range slices.Sorted(maps.Keys(rings)) {
		for _, k := range rings[name].Usable() {
			status.Keys = append(status.Keys, keyStatus(name, k))
		}
	}
	return status, nil
}

// events answers with the events after the one that ?after= names.
func (s *Server) events(r *http.Request) (any, error) {
	events := s.lab.Journal().Events()
	after := r.URL.Query().Get("after")
	if i := slices.IndexFunc(events, func(e journal.Event) bool { return e.ID == after }); i >= 0 {
		return events[i+1:], nil
	}
	return events, nil
}

// record writes down what happened to a program of another process, which this one does not see.
func (s *Server) record(_ *http.Request, e journal.Event) (any, error) {
	if e.Kind != journal.Run || e.Summary == "" {
		return nil, fmt.Errorf("record an event of kind %q: expected kind %s and a summary; of everything else the lab knows itself", e.Kind, journal.Run)
	}
	return s.lab.Journal().Record(e), nil
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

func (s *Server) removeKey(r *http.Request, req RemoveKeyRequest) (any, error) {
	return s.onKeys(r, func(ring *keyring.Ring) (keyring.Key, error) {
		key, err := ring.Find(req.Key)
		if err == nil {
			err = ring.Remove(key.ID)
		}
		key.Stage = keyring.Removed
		return key, err
	})
}

func (s *Server) onKeys(r *http.Request, do func(*keyring.Ring) (keyring.Key, error)) (any, error) {
	name, err := url.PathUnescape(mux.Vars(r)["ring"]) // gorilla/mux: as it is in the encoded path
	if err != nil {
		return nil, err
	}
	rings := s.lab.KeyRings()
	ring, ok := rings[name]
	if !ok && slices.ContainsFunc(s.lab.Config().Issuers, func(i config.Issuer) bool { return i.Name == name && i.External }) {
		return nil, &control.StatusError{Status: http.StatusConflict, Err: fmt.Errorf("the keys of issuer %s are its own: it is external, and wiemu reads what it publishes, as Entra ID does; where wiemu signs, as with wiemu kind up, keys can be rotated", name)}
	}
	if !ok {
		return nil, &control.StatusError{Status: http.StatusNotFound, Err: fmt.Errorf("key ring %q: expected one of %s", name, strings.Join(slices.Sorted(maps.Keys(rings)), ", "))}
	}
	key, err := do(ring)
	return keyStatus(name, key), err
}

func keyStatus(ring string, k keyring.Key) control.KeyStatus {
	return control.KeyStatus{Ring: ring, ID: k.ID, Stage: string(k.Stage), Unpublished: k.PublishedAt.IsZero()}
}

func (s *Server) mint(r *http.Request, req control.MintRequest) (any, error) {
	for _, i := range s.lab.Issuers() {
		if req.Issuer != "" && i.Name() != req.Issuer {
			continue
		}
		token, err := i.Mint(r.Context(), issuer.TokenRequest{
			Namespace: req.Namespace, ServiceAccount: req.ServiceAccount,
			Audiences: req.Audiences, ExpirationSeconds: req.ExpirationSeconds,
		})
		return control.Minted{Token: token.Raw, ExpiresAt: token.ExpiresAt}, err
	}
	return nil, &control.StatusError{Status: http.StatusNotFound, Err: fmt.Errorf("issuer %q: expected the name of a hosted issuer", req.Issuer), Field: "issuer"}
}

func (s *Server) examine(r *http.Request, req control.ExamineRequest) (any, error) {
	return s.lab.Examine(r.Context(), req.Tenant, req.ClientID, req.Assertion), nil
}
