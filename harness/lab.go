// Package harness runs workloads against an emulator: it gives each one the
// token file, the environment and the trust that a pod would have. Who answers
// the workload is package emulator; where it runs is a package below this one.
//
// # Go tests
//
// [New] starts a lab for one test and closes it when the test ends:
//
//	lab := harness.New(t)
//	web := lab.Workload("shop/web-sa")
//	credential := azure.Credential(t, lab, web) // package azure below this one
//
// Everything that a [TestLab] gives fails the test where it cannot do its work, and
// a test that fails says what happened in its lab. docs/go-tests.md has the
// conventions.
//
// A lab in memory, made inside a [testing/synctest] bubble, lives on the bubble's
// time. Code that uses an Azure SDK is tested with days between two lines, in
// milliseconds; it is told nothing but its Transport:
//
//	synctest.Test(t, func(t *testing.T) {
//		lab := harness.New(t)
//		credential := azure.Credential(t, lab, lab.Workload("shop/web-sa"))
//		_, err := credential.GetToken(t.Context(), scope)
//		time.Sleep(25 * time.Hour) // the token file rotates, and the access token expires
//		_, err = credential.GetToken(t.Context(), scope)
//	})
//
// The token file is a real file; nothing listens, so machines with a managed
// identity, identity bindings and programs of their own are for labs that are
// [Listening].
//
// # Programs
//
// [Start] starts the lab of a program, such as wiemu run, and [Place] is where a
// scenario's workloads run.
package harness

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wiemu/wiemu/emulator"
	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/issuer"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/emulator/tokenproxy"
	"github.com/wiemu/wiemu/emulator/trust"
	"github.com/wiemu/wiemu/harness/projection"
	"github.com/wiemu/wiemu/harness/state"
	"github.com/wiemu/wiemu/harness/workload"
)

// Options say what a lab is made of. The zero value is a lab of the defaults in
// a temporary directory.
type Options struct {
	Emulator emulator.Options
	Dir      string // holds Directories (the CA bundle, the token files, …) until Close. "": a temporary directory
	Bundle   trust.BundleOptions
	Seed     uint64 // of the kubelet's jitter

	Workloads []Declared // declared when the lab starts; see Lab.Declare

	// OnAttach is told of each workload that another process attached, before that one
	// learns its environment; an error is what it learns instead. If nil, nobody is told.
	OnAttach func(Attachment, Environment) error

	// OnError is told when a token file could not be refreshed; the old token
	// stays and the next attempt follows. nil: the journal alone is told.
	OnError func(error)
}

// Lab is an emulator with the workloads that run against it.
type Lab struct {
	emulator *emulator.Emulator
	dir      string
	remove   []string // by Close
	seed     uint64
	onError  func(error)
	onAttach func(Attachment, Environment) error
	bundle   trust.Bundle

	opened chan struct{} // closed when Start returns

	attaching sync.Mutex // held while a workload is attached, so that onAttach is told in the order of their directories

	mu        sync.Mutex
	declared  []Declared
	workloads map[string]*Workload // by what was asked for
	laidOut   map[string]bool      // directories of token files; what a killed lab left in one is taken over
}

// Directories are the names of all that a lab makes in its directory.
func Directories() []string { return []string{"trust", "tokens", "home", "credentials"} }

// Start starts a lab. Close it when it is no longer needed.
func Start(ctx context.Context, opts Options) (_ *Lab, err error) {
	l := &Lab{dir: opts.Dir, seed: opts.Seed, onError: opts.OnError, onAttach: opts.OnAttach, workloads: map[string]*Workload{}, laidOut: map[string]bool{}, opened: make(chan struct{})}
	if l.dir == "" {
		if l.dir, err = state.MakeTemp(); err != nil {
			return nil, fmt.Errorf("make the lab's directory: %w", err)
		}
		l.remove = append(l.remove, l.dir)
	} else if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the lab's directory: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.Close(context.WithoutCancel(ctx)))
		}
	}()
	defer close(l.opened)
	given := opts.Emulator.Steer
	opts.Emulator.Steer = func(s *control.Server) {
		if l.steer(s); given != nil {
			given(s)
		}
	}
	if l.emulator, err = emulator.Start(ctx, opts.Emulator); err != nil {
		return nil, err
	}
	for _, name := range Directories() {
		made := l.path(name)
		if _, err := os.Lstat(made); errors.Is(err, fs.ErrNotExist) { // else it is somebody's, such as a volume
			l.remove = append(l.remove, made)
		}
	}
	if !opts.Emulator.InMemory {
		if l.bundle, err = l.emulator.Authority().WriteBundle(l.path("trust"), opts.Bundle); err != nil {
			return nil, err
		}
	}
	if err = l.Declare(opts.Workloads); err != nil {
		return nil, err
	}
	return l, nil
}

// steer adds to the control door what is about workloads. The door opens before all
// else is ready, so who comes early waits.
func (l *Lab) steer(s *control.Server) {
	handle := func(method, path string, a control.Action) {
		s.Handle(method, path, func(r *http.Request) (any, error) {
			if <-l.opened; l.emulator == nil {
				return nil, errors.New("the lab could not be started")
			}
			return a(r)
		})
	}
	handle(http.MethodPost, "/v1/workloads", l.attach)
	handle(http.MethodGet, "/v1/workloads", l.list)
	handle(http.MethodPost, declarePath, l.declareAll)
	handle(http.MethodPost, "/v1/workloads/move", l.move)
	s.HandleStream(control.ClockPath, func(conn io.ReadWriteCloser) {
		if <-l.opened; l.emulator == nil {
			_ = conn.Close() // the other end learns by that
			return
		}
		l.serveClock(conn)
	})
}

func (l *Lab) path(name string) string { return filepath.Join(l.dir, name) }

// Close ends the workloads' token files, shuts the emulator down and removes
// what the lab wrote. It waits for answers under way until ctx ends.
func (l *Lab) Close(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	for _, w := range l.workloads {
		errs = append(errs, w.volume.Close())
	}
	clear(l.workloads)
	if l.emulator != nil {
		errs = append(errs, l.emulator.Close(ctx))
	}
	for _, path := range l.remove {
		errs = append(errs, os.RemoveAll(path))
	}
	return errors.Join(errs...)
}

// Emulator is who answers the workloads.
func (l *Lab) Emulator() *emulator.Emulator { return l.emulator }

// Client reaches the emulated hosts in memory: what a Go test gives to the code
// that it tests.
func (l *Lab) Client() *http.Client { return &http.Client{Transport: l.emulator.Transport()} }

// Bundle names the files by which programs trust the lab, until Close; none of a
// lab in memory, which no program meets.
func (l *Lab) Bundle() trust.Bundle { return l.bundle }

// Clock is the lab clock.
func (l *Lab) Clock() *clock.Lab { return l.emulator.Clock() }

// Journal is the record of what happens in the lab.
func (l *Lab) Journal() *journal.Journal { return l.emulator.Journal() }

// Identity says whose tokens a workload gets beyond what its own file says. The
// zero value is the first tenant and issuer, Entra ID's audience and one hour.
type Identity struct {
	Tenant        string        `json:"tenant,omitempty"`        // id or domain
	Issuer        string        `json:"issuer,omitempty"`        // name of a hosted issuer
	Audience      string        `json:"audience,omitempty"`      // of the service-account token
	TokenLifetime time.Duration `json:"tokenLifetime,omitempty"` // what the projected volume asks for

	Credential      string `json:"credential,omitempty"`      // what it proves who it is with: one of config.CredentialKinds. "": its service-account token
	ManagedIdentity string `json:"managedIdentity,omitempty"` // imds, app-service or sidecar: it runs on a machine with a managed identity
	IdentityBinding string `json:"identityBinding,omitempty"` // ca-file or ca-data: it uses its cluster's identity-binding proxy
}

// With returns the identity with the fields that over sets taken from there.
func (id Identity) With(over Identity) Identity {
	if over.Tenant != "" {
		id.Tenant = over.Tenant
	}
	if over.Issuer != "" {
		id.Issuer = over.Issuer
	}
	if over.Audience != "" {
		id.Audience = over.Audience
	}
	if over.TokenLifetime != 0 {
		id.TokenLifetime = over.TokenLifetime
	}
	if over.Credential != "" {
		id.Credential = over.Credential
		if config.OfApplication(over.Credential) {
			id.ManagedIdentity, id.IdentityBinding = "", ""
		}
	}
	if over.ManagedIdentity != "" {
		id.Credential, id.ManagedIdentity, id.IdentityBinding = over.Credential, over.ManagedIdentity, ""
	}
	if over.IdentityBinding != "" {
		id.Credential, id.IdentityBinding = over.Credential, over.IdentityBinding
		if over.ManagedIdentity == "" {
			id.ManagedIdentity = ""
		}
		if over.Audience == "" && (id.Audience == "" || id.Audience == config.DefaultAudience) {
			id.Audience = tokenproxy.Audience
		}
	}
	return id
}

// Workload is an application with its identity: what a pod is in a cluster.
type Workload struct {
	workload.Workload
	Environment Environment
	volume      *projection.Volume
	home        atomic.Pointer[home]
	emulator    *emulator.Emulator
}

// Declare makes the service accounts of workloads and the trust in them, without
// running them: in a cluster they would all be deployed.
func (l *Lab) Declare(all []Declared) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range all {
		l.introduce(d)
		if slices.ContainsFunc(l.declared, d.same) {
			continue
		}
		if err := l.declare(d); err != nil {
			return err
		}
		l.declared = append(l.declared, d)
	}
	return nil
}

// introduce says by which name the workload is known.
func (l *Lab) introduce(d Declared) {
	l.emulator.Introduce(d.Workload.Namespace, d.Workload.ServiceAccount, d.Workload.ClientID, d.Workload.Component)
}

// declare makes the trust in one workload: a federated credential, a binding, or
// none where it has a secret or certificate.
func (l *Lab) declare(d Declared) error {
	trusted := d.trusted()
	if config.OfApplication(d.Identity.Credential) {
		return l.emulator.Register(trusted)
	}
	if d.Identity.IdentityBinding != "" {
		return l.emulator.BindIdentity(context.Background(), trusted)
	}
	trusted.Audience = d.Identity.Audience
	return l.emulator.Trust(trusted)
}

// same reports whether other is the same service account with the same identity.
func (d Declared) same(other Declared) bool { return d.trusted() == other.trusted() }

// key tells admitted workloads apart.
func (d Declared) key() string {
	return fmt.Sprint(d.Workload.Namespace, "/", d.Workload.ServiceAccount, " ", d.Workload.ClientID, " ", d.Identity)
}

// trusted is the workload as the emulator knows it, but for the audience: what a
// token is for and what its identity trusts are two things, which only a file
// that declares both makes one.
func (d Declared) trusted() emulator.Workload {
	return emulator.Workload{
		Name: d.Workload.CredentialName(), Identity: d.Workload.IdentityName(), Application: d.Workload.Application, Namespace: d.Workload.Namespace, ServiceAccount: d.Workload.ServiceAccount,
		ClientID: d.Workload.ClientID, Tenant: d.Identity.Tenant, Issuer: d.Identity.Issuer,
	}
}

// Workload admits a workload: its service account exists and is trusted, if it
// was declared or nobody knows its client id (see emulator.Trust), a pod runs under it, and a token file is laid out and kept
// fresh as a kubelet does. The same workload asked for again is the same pod.
func (l *Lab) Workload(ctx context.Context, w workload.Workload, id Identity) (*Workload, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := Declared{Workload: w, Identity: id}.key()
	if known, ok := l.workloads[key]; ok {
		return known, nil
	}
	if err := id.checkAccess(w.ClientID); err != nil {
		return nil, err
	}
	tenant, err := l.emulator.Tenant(id.Tenant)
	if err != nil {
		return nil, err
	}
	from, err := l.emulator.Issuer(id.Issuer)
	if err != nil {
		return nil, err
	}
	l.introduce(Declared{Workload: w, Identity: id})
	if err := l.trust(ctx, Declared{Workload: w, Identity: id}, tenant, from); err != nil {
		return nil, err
	}
	admitted := &Workload{Workload: w, emulator: l.emulator}
	admitted.settle(from)
	volume, err := l.project(ctx, admitted, id)
	if err != nil {
		return nil, err
	}
	admitted.volume, admitted.Environment = volume, Environment{
		ClientID: w.ClientID, TenantID: tenant, TokenFile: volume.Path(), AuthorityHost: l.emulator.Cloud().Authority(),
		ProxyURL: l.emulator.ProxyURL(), IsolatedProxy: l.emulator.IsolatedAddress(), Bundle: l.bundle, ConfigDir: l.path("home"), OpenPorts: l.emulator.OpenPorts(),
	}
	if err := os.MkdirAll(filepath.Join(admitted.Environment.ConfigDir, "azure"), 0o700); err != nil {
		return nil, errors.Join(err, volume.Close())
	}
	if err := errors.Join(l.access(admitted, id), l.prove(ctx, admitted, id)); err != nil {
		return nil, errors.Join(err, volume.Close())
	}
	l.workloads[key] = admitted
	return admitted, nil
}

// trust makes the trust in a workload that was not declared. An identity that is
// there already has its owners, who decided whom it trusts; one that they removed
// stays away; one that never was could not be used for anything.
func (l *Lab) trust(ctx context.Context, d Declared, tenant string, from *issuer.Issuer) error {
	if config.OfApplication(d.Identity.Credential) {
		return l.emulator.Register(d.trusted())
	}
	if d.Identity.IdentityBinding != "" {
		return l.bind(ctx, d, tenant, from)
	}
	if l.owned(d, tenant) {
		if err := config.CheckNames(d.Workload.Namespace, d.Workload.ServiceAccount); err != nil {
			return err
		}
		from.PutServiceAccount(d.Workload.Namespace, d.Workload.ServiceAccount, nil)
		return nil
	}
	return l.emulator.Trust(d.trusted())
}

// owned reports whether the identity is there already, or was and somebody has
// removed it, so that its owners alone decide whom it trusts.
func (l *Lab) owned(d Declared, tenant string) bool {
	_, exists := l.emulator.Directory().Principal(tenant, d.Workload.ClientID)
	if l.emulator.Directory().Removed(tenant, d.Workload.ClientID) {
		return true
	}
	return exists && !slices.ContainsFunc(l.declared, d.same)
}

// project lays out the token file of a workload, in a directory named after its
// service account.
func (l *Lab) project(ctx context.Context, w *Workload, id Identity) (*projection.Volume, error) {
	audience := id.Audience
	switch {
	case audience != "":
	case id.IdentityBinding != "":
		audience = tokenproxy.Audience
	default:
		audience = l.emulator.Cloud().TokenExchange
	}
	mint := func(ctx context.Context) (issuer.Token, error) {
		at := w.home.Load()
		return at.issuer.Mint(ctx, issuer.TokenRequest{
			Namespace: at.pod.Namespace, ServiceAccount: at.pod.ServiceAccount, Audiences: []string{audience},
			ExpirationSeconds: int64(id.TokenLifetime / time.Second),
			BoundObject:       &issuer.BoundObject{APIVersion: "v1", Kind: "Pod", Name: at.pod.Name, UID: at.pod.UID},
		})
	}
	name := w.Namespace + "_" + w.ServiceAccount
	sum := sha256.Sum256([]byte(name))
	dir := filepath.Join(l.path("tokens"), name)
	for n := 2; l.laidOut[dir]; n++ { // the same account with another identity
		dir = filepath.Join(l.path("tokens"), fmt.Sprintf("%s_%d", name, n))
	}
	l.laidOut[dir] = true
	return projection.Start(ctx, dir, l.Clock(), mint, projection.Options{
		File: "azure-identity-token", Faults: l.emulator.Faults(), Seed: l.seed ^ binary.LittleEndian.Uint64(sum[:]), Journal: l.Journal(), Workload: w.Namespace + "/" + w.ServiceAccount, OnError: l.onError,
	})
}

// Environ returns the environment of the workload's process: base without what
// would name another identity, and with the workload's own.
func (w *Workload) Environ(base []string) []string { return w.Injected().Environ(base) }

// Refresh renews the token file now, whatever its age.
func (w *Workload) Refresh(ctx context.Context) error { return w.volume.Refresh(ctx) }

func (l *Lab) list(*http.Request) (any, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.declared, nil
}

// Attached returns what was declared in the running lab that the client steers.
func Attached(ctx context.Context, c *control.Client) ([]Declared, error) {
	var declared []Declared
	return declared, c.Do(ctx, http.MethodGet, "/v1/workloads", nil, &declared)
}
