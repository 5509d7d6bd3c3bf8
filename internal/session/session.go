// Package session starts labs and admits workloads to them: each gets the token file,
// the environment and the trust that its pod would have in a cluster. [Start] starts a
// session in this process; [Admit], [Declare], [List] and [Move] do in a running one,
// over its control API, what the methods of [Session] do. [ReadFiles] reads what
// describes the workloads, and [Processes] runs them as processes of this machine.
// What answers a workload's requests is package emulator.
package session

import (
	"cmp"
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
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/internal/azwi"
	"github.com/wiemu/wiemu/internal/ca"
	"github.com/wiemu/wiemu/internal/controlapi"
	"github.com/wiemu/wiemu/internal/githubjob"
	"github.com/wiemu/wiemu/internal/identitybinding"
	"github.com/wiemu/wiemu/internal/issuer"
	"github.com/wiemu/wiemu/internal/journals"
	"github.com/wiemu/wiemu/internal/projection"
	"github.com/wiemu/wiemu/internal/secretsstore"
	"github.com/wiemu/wiemu/internal/server"
	"github.com/wiemu/wiemu/internal/serviceconnection"
	"github.com/wiemu/wiemu/internal/timeshift"
	"github.com/wiemu/wiemu/internal/userstate"
	"github.com/wiemu/wiemu/internal/workload"
)

// Options configure a lab. The zero value is a lab of the defaults in a temporary
// directory.
type Options struct {
	Emulator server.Options
	Dir      string // holds Directories (the CA bundle, the token files, …) until Close. If empty, a temporary directory
	Bundle   ca.BundleOptions
	Seed     uint64 // of the kubelet's jitter

	// MountMode is the mode of files that are mounted of key vaults. Defaults to 0600.
	MountMode fs.FileMode

	Workloads []workload.Spec // declared when the lab starts; see Session.Declare

	// OnAttach is called for each workload that another process admits, before it gets its
	// environment; an error is returned to it instead. If nil, it is not called.
	OnAttach func(Attachment, PodEnv) error

	// OnError is called when a token file could not be refreshed; the old token
	// stays and the next attempt follows. If nil, only the journal records it.
	OnError func(error)
}

// Session is an emulator with the workloads that run against it.
type Session struct {
	emulator *server.Server
	dir      string
	remove   []string    // by Close
	mode     fs.FileMode // of mounted files
	seed     uint64
	onError  func(error)
	onAttach func(Attachment, PodEnv) error
	bundle   ca.Bundle

	opened chan struct{} // closed when Start returns

	attaching sync.Mutex // held while a workload is admitted, so that onAttach is called in the order of their directories

	mu        sync.Mutex
	declared  []workload.Spec
	vaults    map[string]bool      // that were added for declared workloads, by name in lower case
	workloads map[string]*Workload // by key
	laidOut   map[string]bool      // names of directories of token files; files that a killed lab left there are replaced
}

// Directories returns the names of everything that a lab creates in its directory.
func Directories() []string { return []string{"trust", "tokens", "home", "credentials", "mounts"} }

// Start starts a lab. Close it when it is no longer needed.
func Start(ctx context.Context, opts Options) (_ *Session, err error) {
	l := &Session{dir: opts.Dir, mode: opts.MountMode, seed: opts.Seed, onError: opts.OnError, onAttach: opts.OnAttach, workloads: map[string]*Workload{}, laidOut: map[string]bool{}, vaults: map[string]bool{}, opened: make(chan struct{})}
	if l.dir == "" {
		if l.dir, err = userstate.MakeTemp(); err != nil {
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
	given := opts.Emulator.Control
	opts.Emulator.Control = func(s *controlapi.Server) {
		if l.addRoutes(s); given != nil {
			given(s)
		}
	}
	if l.emulator, err = server.Start(ctx, opts.Emulator); err != nil {
		return nil, err
	}
	for _, name := range Directories() {
		made := l.path(name)
		if _, err := os.Lstat(made); errors.Is(err, fs.ErrNotExist) { // else it is the caller's, such as a volume
			l.remove = append(l.remove, made)
		}
	}
	if !opts.Emulator.InMemory {
		if l.bundle, err = l.emulator.Authority().WriteBundle(l.path("trust"), opts.Bundle); err != nil {
			return nil, err
		}
	}
	for _, v := range opts.Emulator.Config.Vaults {
		l.vaults[strings.ToLower(v.Name)] = ofWorkloads(v)
	}
	if err = l.Declare(opts.Workloads); err != nil {
		return nil, err
	}
	return l, nil
}

// addRoutes adds the requests about workloads to the control API. Requests that arrive before
// startup has finished block until it has.
func (l *Session) addRoutes(s *controlapi.Server) {
	handle := func(method, path string, a controlapi.Action) {
		s.Handle(method, path, func(r *http.Request) (any, error) {
			if <-l.opened; l.emulator == nil {
				return nil, errors.New("the lab could not be started")
			}
			return a(r)
		})
	}
	handle(http.MethodPost, "/v1/workloads", l.attach)
	handle(http.MethodGet, "/v1/workloads", l.list)
	handle(http.MethodGet, "/v1/workloads/trust", l.show)
	handle(http.MethodPost, declarePath, l.declareAll)
	handle(http.MethodPost, declareFilesPath, l.declareFiles)
	handle(http.MethodPost, "/v1/workloads/move", l.move)
	s.HandleStream(controlapi.ClockPath, func(conn io.ReadWriteCloser) {
		if <-l.opened; l.emulator == nil {
			_ = conn.Close() // which tells the client
			return
		}
		timeshift.Serve(conn, l.Clock())
	})
}

func (l *Session) path(name string) string { return filepath.Join(l.dir, name) }

// Close stops refreshing token files, shuts the emulator down and removes what the
// session wrote. It waits for requests under way until ctx ends.
func (l *Session) Close(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	for _, w := range l.workloads {
		errs = append(errs, w.close())
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

// Emulator returns the server that answers the workloads.
func (l *Session) Emulator() *server.Server { return l.emulator }

// Client returns a client that reaches the emulated hosts in memory.
func (l *Session) Client() *http.Client { return &http.Client{Transport: l.emulator.Transport()} }

// Bundle names the files by which programs trust the lab, which exist until Close. A lab
// in memory has none.
func (l *Session) Bundle() ca.Bundle { return l.bundle }

// Clock returns the lab clock.
func (l *Session) Clock() *clock.Lab { return l.emulator.Clock() }

// Journal returns the record of what happens in the lab.
func (l *Session) Journal() *journals.Journal { return l.emulator.Journal() }

// Workload is an application with its identity: what a pod is in a cluster.
type Workload struct {
	workload.Workload
	Env      PodEnv
	options  workload.TokenOptions
	volume   *projection.Volume  // nil: it is a job or a task of a pipeline
	mount    *secretsstore.Mount // of key vaults; nil if there is none
	home     atomic.Pointer[home]
	emulator *server.Server
}

// Workload admits a workload: its service account exists and, unless its identity keeps
// its own trust (see keepsItsTrust), is trusted; a pod runs under it, whose token file is
// written and refreshed as a kubelet does. The same workload asked for again is the same pod.
func (l *Session) Workload(ctx context.Context, d workload.Spec) (*Workload, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if known, ok := l.workloads[key(d)]; ok {
		return known, nil
	}
	if err := cmp.Or(checkAccess(d.TokenOptions, d.ClientID), checkJob(d)); err != nil {
		return nil, err
	}
	tenant, err := l.emulator.Tenant(d.Tenant)
	if err != nil {
		return nil, err
	}
	from, err := l.emulator.Issuer(d.Issuer)
	if err != nil {
		return nil, err
	}
	l.introduce(d)
	if err := l.trust(ctx, d, tenant, from); err != nil {
		return nil, err
	}
	admitted := &Workload{Workload: d.Workload, options: d.TokenOptions, emulator: l.emulator}
	if githubjob.Is(d.GitHubJob) {
		return l.admitJob(admitted, d, tenant, from)
	}
	if serviceconnection.Is(d.ServiceConnection) {
		return l.admitTask(admitted, d, tenant, from)
	}
	admitted.settle(from)
	volume, err := l.project(ctx, admitted, d.TokenOptions)
	if err != nil {
		return nil, err
	}
	admitted.volume = volume
	admitted.Env = l.environment(admitted, tenant)
	if err := l.makeConfigDir(); err != nil {
		return nil, errors.Join(err, volume.Close())
	}
	if err := errors.Join(l.access(admitted, d.TokenOptions), l.prove(ctx, admitted, d.TokenOptions)); err != nil {
		return nil, errors.Join(err, volume.Close())
	}
	if err := l.mountVaults(ctx, admitted); err != nil {
		return nil, errors.Join(err, volume.Close())
	}
	l.workloads[key(d)] = admitted
	return admitted, nil
}

// environment is what a workload's program has of every lab.
func (l *Session) environment(w *Workload, tenant string) PodEnv {
	env := PodEnv{
		ClientID: w.ClientID, TenantID: tenant, AuthorityHost: l.emulator.Cloud().Authority(),
		ProxyURL: l.emulator.ProxyURL(), IsolatedProxy: l.emulator.IsolatedAddress(), Drivers: l.emulator.Variables(), Bundle: l.bundle, ConfigDir: l.path("home"), OpenPorts: l.emulator.OpenPorts(),
	}
	if w.volume != nil {
		env.TokenFile = w.volume.Path()
	}
	if address := l.emulator.HandoverAddress(); address != "" {
		env.Leading = &Leading{Handover: address, Hosts: l.emulator.LedHosts(), Metadata: l.emulator.MetadataAddress()}
	}
	return env
}

func (l *Session) makeConfigDir() error {
	return os.MkdirAll(filepath.Join(l.path("home"), "azure"), 0o700)
}

func (w *Workload) close() (err error) {
	if w.volume != nil {
		err = w.volume.Close()
	}
	if w.mount != nil {
		err = errors.Join(err, w.mount.Close())
	}
	return err
}

// mountVaults mounts what the workload takes from key vaults, as Radix has the Secrets
// Store CSI driver do before a pod starts.
func (l *Session) mountVaults(ctx context.Context, w *Workload) (err error) {
	if len(w.KeyVaults) == 0 || w.ClientID == "" {
		return nil
	}
	w.mount, err = secretsstore.Start(ctx, filepath.Join(l.path("mounts"), filepath.Base(filepath.Dir(w.Env.TokenFile))), w.KeyVaults, secretsstore.Options{
		Namespace: w.Namespace, Pod: w.home.Load().pod.Name, Workload: w.Namespace + "/" + w.ServiceAccount,
		Tenant: w.Env.TenantID, ClientID: w.ClientID, Cloud: l.emulator.Cloud(),
		Assertion: func(ctx context.Context) (string, error) {
			token, err := w.mint(ctx, l.emulator.Cloud().TokenExchange, 0)
			return token.Raw, err
		},
		Mode: l.mode,
		// Not the gateway's, which a recorder watches: a replay mounts by itself.
		Transport: l.emulator.Lab.Transport(), Clock: l.Clock(), Journal: l.Journal(),
	})
	if failed := (*secretsstore.FailedMount)(nil); errors.As(err, &failed) { // nothing is wrong with what was typed
		err = &control.StatusError{Status: http.StatusConflict, Err: fmt.Errorf("%w\n%s\nwiemu explain says why", err, failed.Remedy)}
	}
	if err != nil {
		return fmt.Errorf("start the pod of %s/%s: %w", w.Namespace, w.ServiceAccount, err)
	}
	w.Env.Mounted, w.Env.Volumes = w.mount.Variables(), w.mount.Volumes()
	return nil
}

// project lays out the token file of a workload, in a directory named after its
// service account.
func (l *Session) project(ctx context.Context, w *Workload, id workload.TokenOptions) (*projection.Volume, error) {
	mint := func(ctx context.Context) (issuer.Token, error) { return w.mint(ctx, l.audience(id), id.TokenLifetime) }
	sum := sha256.Sum256([]byte(w.Namespace + "_" + w.ServiceAccount))
	name := w.TokenDirectory(func(name string) bool { return l.laidOut[name] })
	l.laidOut[name] = true
	return projection.Start(ctx, filepath.Join(l.path("tokens"), name), l.Clock(), mint, projection.Options{
		File: azwi.TokenFile, Faults: l.emulator.Faults(), Seed: l.seed ^ binary.LittleEndian.Uint64(sum[:]), Journal: l.Journal(), Workload: w.Namespace + "/" + w.ServiceAccount, OnError: l.onError,
	})
}

// audience is that of a workload's tokens.
func (l *Session) audience(id workload.TokenOptions) string {
	if id.IdentityBinding != "" {
		return cmp.Or(id.Audience, identitybinding.Audience)
	}
	return cmp.Or(id.Audience, l.emulator.Cloud().TokenExchange)
}

// mint returns a token of the workload's pod. Its lifetime defaults to the issuer's.
func (w *Workload) mint(ctx context.Context, audience string, lifetime time.Duration) (issuer.Token, error) {
	at := w.home.Load()
	return at.issuer.Mint(ctx, issuer.TokenRequest{
		Namespace: at.pod.Namespace, ServiceAccount: at.pod.ServiceAccount, Audiences: []string{audience}, ExpirationSeconds: int64(lifetime / time.Second),
		BoundObject: &issuer.BoundObject{APIVersion: "v1", Kind: "Pod", Name: at.pod.Name, UID: at.pod.UID},
	})
}

// Environ returns the environment of the workload's process: base without what
// would name another identity, and with the workload's own.
func (w *Workload) Environ(base []string) []string { return w.Injected().Environ(base) }

// Refresh renews the token file now, whatever its age. A job of GitHub Actions has none.
func (w *Workload) Refresh(ctx context.Context) error {
	if w.volume == nil {
		return nil
	}
	return w.volume.Refresh(ctx)
}

func (l *Session) list(*http.Request) (any, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.declared), nil
}

// List returns what was declared in the running lab that the client controls.
func List(ctx context.Context, c *control.Client) ([]workload.Spec, error) {
	var declared []workload.Spec
	return declared, c.Do(ctx, http.MethodGet, "/v1/workloads", nil, &declared)
}
