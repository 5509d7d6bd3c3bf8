// Package emulator runs a lab's servers in one process: token issuers as
// Kubernetes clusters have them, an Entra ID that trusts them, and the resources
// that its access tokens open. It wires the rooms below it together and has no
// logic of its own; workloads and their token files are package harness.
package emulator

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/gorilla/mux"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/cloud"
	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/emulator/entra"
	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/emulator/gateway"
	"github.com/wiemu/wiemu/emulator/gateway/httppath"
	"github.com/wiemu/wiemu/emulator/issuer"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/emulator/keyring"
	"github.com/wiemu/wiemu/emulator/managedidentity"
	"github.com/wiemu/wiemu/emulator/metadata"
	"github.com/wiemu/wiemu/emulator/resource"
	"github.com/wiemu/wiemu/emulator/resource/arm"
	"github.com/wiemu/wiemu/emulator/resource/graph"
	"github.com/wiemu/wiemu/emulator/resource/keyvault"
	"github.com/wiemu/wiemu/emulator/tokenproxy"
	"github.com/wiemu/wiemu/emulator/trust"
)

// Options say what an emulator is made of. The zero value is a lab of the
// defaults whose CA and keys live in memory until Close.
type Options struct {
	Config      config.Config     // wiemu.yaml
	ConfigFile  string            // where Config was read from: for error texts and the certificate files it names
	Digests     map[string]string // of what ConfigFile says (config.Config.Digests): the status of the lab tells them. nil: nobody compares
	StateDir    string            // the CA, kept from run to run. "": it lives in memory
	Keys        *keyring.Pool     // where signing keys come from. nil: a pool in memory
	Clock       *clock.Lab        // nil: a running clock
	JournalFile string            // events as JSON lines. "": in memory only
	KeepEvents  int               // events kept in memory. 0: journal's default
	Log         *slog.Logger      // for operators. nil: none
	Outside     http.RoundTripper // reaches external issuers. nil: HTTPS with the system's roots
	Faults      []fault.Fault     // injected before the doors open, after those of Config
	Seed        uint64            // decides about faults with a probability. 0: one is chosen; Faults tells it
	Keep        bool              // StateDir also keeps the signing keys, and what becomes of the directory at run time; see keeper
	Token       string            // opens the control and the cluster door. "": one is made; Token tells it

	// InCluster says that the first hosted issuer is a real cluster's, or that the
	// workloads are: the API server makes the claims of tokens, kubelets lay out the
	// files, and everybody lives on real time. What only a lab can do is refused.
	InCluster bool

	// SharedKey is the first hosted issuer's only key, which the cluster's API server
	// has as well and signs with; see keyring.Options. nil: keys of its own.
	SharedKey crypto.Signer

	// InMemory is a lab without doors: it opens no port, and whoever uses it does so
	// by Transport and Answer, in this process. Made inside a testing/synctest
	// bubble, with Keys that are Bounded, it lives on the bubble's time.
	InMemory bool

	// AccountNames names identities that are made after their application or service
	// account, as before they had the names of their workloads.
	AccountNames bool

	// Steer adds paths to the control door before it opens. nil: none.
	Steer func(*control.Server)

	// Observe stands before what answers at a door, and sees every request and
	// its answer in the clear, steering included; but not how the lab's rooms ask
	// each other. nil: nobody looks on.
	Observe func(door string, next http.Handler) http.Handler

	// ObserveOutside stands before what reaches external issuers. nil: nobody looks on.
	ObserveOutside func(http.RoundTripper) http.RoundTripper
}

// Emulator is a running lab of servers.
type Emulator struct {
	config       config.Config
	configFile   string
	accountNames bool
	cloud        cloud.Cloud
	inMemory     bool
	clock        *clock.Lab
	time         *control.Timekeeper
	journal      *journal.Journal
	faults       *fault.Set
	directory    *directory.Directory
	authority    *trust.Authority
	issuers      []*issuer.Issuer
	rings        map[string]*keyring.Ring // by issuer name; "entra" is the token service's
	entra        *entra.Service
	vaults       *keyvault.Service
	gateway      *gateway.Gateway
	control      *control.Server
	machines     *managedidentity.Service
	cluster      *door
	steering     *door
	token        string // bearer token of the cluster and control doors
	answers      answers
	cleanup      []func() error // in the order in which things were opened

	stateDir  string // "": nothing is kept
	configDir string // certificate files are looked up from here
	own       ownCredentials
	keep      *keeper       // nil: keys and directory are not
	pool      *keyring.Pool // where later keys come from
	bindings  *tokenproxy.Proxy
	known     introduced

	extraDoors struct { // opened when they are asked for
		sync.Mutex
		open             []*door
		imds, tokenProxy *door // of them
		clusterCA        *trust.Authority
		rings            []*keyring.Ring
	}
}

// Start opens every door and returns when they answer. What was opened is
// closed again if something fails; the error says what and where.
func Start(ctx context.Context, opts Options) (_ *Emulator, err error) {
	completed, err := opts.Config.Complete(opts.ConfigFile)
	if err != nil {
		return nil, err
	}
	in, _ := cloud.Named(completed.Cloud) // Complete refuses one that there is not
	e := &Emulator{config: completed, configFile: opts.ConfigFile, accountNames: opts.AccountNames, inMemory: opts.InMemory, cloud: in, clock: opts.Clock, rings: map[string]*keyring.Ring{}, answers: answers{observe: opts.Observe}}
	if e.configFile != "" {
		if e.configFile, err = filepath.Abs(e.configFile); err != nil {
			return nil, err
		}
	}
	if e.clock == nil {
		e.clock = clock.Running()
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.Close(context.WithoutCancel(ctx)))
		}
	}()
	e.stateDir, e.configDir = opts.StateDir, filepath.Dir(opts.ConfigFile)
	for _, step := range []func(context.Context, Options) error{
		e.openJournal, e.openFaults, e.openKept, e.openDirectory, e.openKeys, e.openIssuers, e.openCloud, e.bindConfigured, e.restoreDirectory, e.openNames, e.openDoors,
	} {
		if err := step(ctx, opts); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// kept is the directory of that name in the state directory; "" where there is none.
func (e *Emulator) kept(name string) string {
	if e.stateDir == "" {
		return ""
	}
	return filepath.Join(e.stateDir, name)
}

func (e *Emulator) onClose(f func() error) { e.cleanup = append(e.cleanup, f) }

// Close shuts the doors, waiting for answers under way until ctx ends, and
// removes what was temporary.
func (e *Emulator) Close(ctx context.Context) error {
	var errs []error
	e.extraDoors.Lock()
	doors := slices.Concat(e.extraDoors.open, []*door{e.cluster, e.steering})
	rings := e.extraDoors.rings
	e.extraDoors.open, e.extraDoors.imds, e.extraDoors.tokenProxy, e.extraDoors.rings = nil, nil, nil, nil
	e.extraDoors.Unlock()
	for _, d := range doors {
		if d != nil {
			errs = append(errs, d.close(ctx))
		}
	}
	if e.gateway != nil {
		errs = append(errs, e.gateway.Close(ctx))
	}
	for _, ring := range rings {
		ring.Close()
	}
	for _, f := range slices.Backward(e.cleanup) {
		errs = append(errs, f())
	}
	e.cleanup, e.cluster, e.steering, e.gateway = nil, nil, nil, nil
	return errors.Join(errs...)
}

func (e *Emulator) openJournal(_ context.Context, opts Options) (err error) {
	e.journal, err = journal.New(e.clock, journal.Options{File: opts.JournalFile, Keep: opts.KeepEvents})
	if err == nil {
		e.onClose(e.journal.Close)
	}
	return err
}

func (e *Emulator) openFaults(_ context.Context, opts Options) error {
	e.faults = fault.New(e.clock, e.journal, opts.Seed)
	issuers := map[string]string{entraRing: entraRing} // whose keys faults may be about
	for _, i := range e.config.Issuers {
		issuers[i.Name] = i.URL
	}
	e.faults.Know(issuers)
	if opts.InCluster {
		e.faults.Exclude(outOfReach())
	}
	if err := e.faults.InjectChaos(e.config.Chaos); err != nil {
		return err
	}
	for _, f := range slices.Concat(e.config.Faults, opts.Faults) {
		if _, err := e.faults.Inject(f); err != nil {
			return err
		}
	}
	return nil
}

func (e *Emulator) openDirectory(_ context.Context, opts Options) (err error) {
	if e.directory, err = e.config.Directory(filepath.Dir(opts.ConfigFile)); err == nil {
		e.directory.Date(e.clock) // what is configured has been known for long; what workloads need is made now
		e.directory.Secrets(func(application, value string) { e.journal.Secrets().Add("client secret of "+application, value) })
	}
	return err
}

// openKeys makes the rings: Entra ID's first, so that every issuer has the same
// key in every run, whatever the number of issuers.
func (e *Emulator) openKeys(ctx context.Context, opts Options) (err error) {
	pool := opts.Keys
	if pool == nil {
		if pool, err = keyring.OpenPool("", keyring.PoolOptions{}); err != nil {
			return err
		}
		e.onClose(pool.Close)
	}
	e.pool = pool
	shared := opts.SharedKey
	add := func(name string, o keyring.Options) error {
		o.Name, o.Journal, o.Faults = name, e.journal, e.faults
		ring, err := e.keep.ring(ctx, e.clock.Part(name), pool, o)
		if err != nil {
			return fmt.Errorf("make the key ring of %s: %w", name, err)
		}
		e.rings[name] = ring
		e.onClose(func() error { ring.Close(); return nil })
		return nil
	}
	if err := add(entraRing, keyring.Options{Identify: entra.KeyID}); err != nil {
		return err
	}
	for _, i := range e.config.Issuers {
		if i.External {
			continue
		}
		if err := add(i.Name, keyring.Options{
			Identify: issuer.KeyID, Issuer: i.URL, Algorithm: i.KeyAlgorithm,
			RotateEvery: i.RotateKeysEvery, PublishAhead: i.PublishKeysAhead, RetireAfter: i.RemoveKeysAfter, Shared: shared,
		}); err != nil {
			return err
		}
		shared = nil // it is the first one's
	}
	return nil
}

// entraRing is the name of Entra ID's ring; config lets no issuer have it.
const entraRing = config.EntraRing

func (e *Emulator) openIssuers(context.Context, Options) error {
	for _, c := range e.config.Issuers {
		if c.External {
			continue
		}
		i, err := issuer.New(c.URL, e.rings[c.Name], e.clock.Part(c.Name), issuer.Options{Name: c.Name, MaxExpiration: c.MaxTokenLifetime, Journal: e.journal, Faults: e.faults})
		if err != nil {
			return fmt.Errorf("issuer %s: %w", c.Name, err)
		}
		e.issuers = append(e.issuers, i)
	}
	for _, w := range e.config.Workloads {
		e.Introduce(w.Namespace, w.ServiceAccount, w.ClientID, w.Name)
		if w.IdentityBinding != "" { // bound when there is a proxy; see bindConfigured
			continue
		}
		trust := e.Trust
		if config.OfApplication(w.Credential) {
			trust = e.Register
		}
		if err := trust(Workload{Namespace: w.Namespace, ServiceAccount: w.ServiceAccount, ClientID: w.ClientID, Tenant: w.Tenant, Issuer: w.Issuer, Audience: w.Audience, Name: w.Name, Identity: w.Name}); err != nil {
			return err
		}
	}
	return nil
}

// openCloud makes Entra ID, the resources and the gateway before them.
func (e *Emulator) openCloud(_ context.Context, opts Options) (err error) {
	outside := opts.Outside
	if outside == nil {
		outside = transportTo(anybodyPublic, nil)
	}
	if opts.ObserveOutside != nil {
		outside = opts.ObserveOutside(outside)
	}
	router := &route{outside: outside}
	access, err := e.issuerAccess(opts)
	if err != nil {
		return err
	}
	entraTime, resourceTime := e.clock.Part(clock.Entra), e.clock.Part(clock.Resources)
	issuers := metadata.New(entraTime, metadata.Options{
		Transport: fault.Spare(router), Journal: e.journal, Faults: e.faults, For: func(issuer string) metadata.Access { return access[issuer] },
	})
	e.entra = entra.New(entra.Config{Directory: e.directory, Keys: e.rings[entraRing], Clock: entraTime, Journal: e.journal, Issuers: issuers, Cloud: e.cloud, Faults: e.faults, Limits: entra.Limits{Requests: e.config.Limits.Requests, Same: e.config.Limits.SameRequest}})
	// Entra ID's own keys are next door: a resource that meets a new one looks at once.
	own := metadata.New(resourceTime, metadata.Options{Transport: fault.Spare(router), Journal: e.journal, RefetchAfter: -1})
	tokens := resource.NewValidator(resourceTime, own, resource.Options{Cloud: e.cloud, Name: e.knownName})

	if e.vaults, err = keyvault.New(e.vaultList(), tokens, resourceTime, e.journal); err != nil {
		return err
	}
	routes := []gateway.Route{
		{Hosts: cloud.LoginHosts(), Handler: dated(entraTime, e.faults.Answers(fault.PartEntra, e.entra.Handler())), MaxBody: entra.MaxBody, Unreadable: dated(entraTime, e.entra.Unreadable())},
		{Hosts: []string{e.cloud.Graph}, Handler: dated(resourceTime, e.faults.Answers("graph", graph.New(e.directory, tokens, resourceTime, e.journal).Handler()))},
		{Hosts: []string{"." + e.cloud.Vault}, Handler: dated(resourceTime, e.faults.Answers("keyvault", e.vaults.Handler())), MaxBody: e.vaults.MaxBody, Unreadable: dated(resourceTime, e.vaults.Unreadable())},
		{Hosts: e.cloud.Management, Handler: dated(resourceTime, e.faults.Answers("arm", arm.New(e.subscriptions(), e.directory, tokens, resourceTime, e.journal).Handler()))},
	}
	e.openBindings(e.pool, router)
	routes = append(routes, e.issuerRoutes()...)
	hosts := []string{"." + config.IssuerDomain} // whatever the issuers are called, the CA stays the same
	for _, r := range routes {
		hosts = append(hosts, r.Hosts...)
	}
	if e.authority, err = trust.Open(e.kept("ca"), e.clock, trust.Options{Names: hosts}); err != nil {
		return err
	}
	e.gateway, err = gateway.New(gateway.Config{
		Clock: e.clock, Authority: e.authority, Journal: e.journal, Routes: routes, AllowHosts: e.config.AllowHosts, Login: cloud.IsLoginHost,
		Metadata: e.metadata, Observe: e.answers.at(GatewayDoor), Listen: e.config.Listen.Gateway, ProxyListen: e.config.Listen.Proxy, Log: opts.Log,
	})
	router.inside = e.gateway
	e.answers.put(GatewayDoor, e.gateway)
	e.machines = managedidentity.New(managedidentity.Config{
		Entra: e.entra, Directory: e.directory, Clock: e.clock, Journal: e.journal, Faults: e.faults, Login: router, Unavailable: e.config.ManagedIdentity.Unavailable,
	})
	return err
}

// issuerRoutes groups the hosted issuers by host: two may share one.
func (e *Emulator) issuerRoutes() []gateway.Route {
	var routes []gateway.Route
	bindings := mux.NewRouter().SkipClean(true)
	routes = append(routes, gateway.Route{Hosts: []string{bindingHost}, Handler: bindings})
	bindings.MatcherFunc(func(r *http.Request, _ *mux.RouteMatch) bool { return e.bindings.Publishes(httppath.Original(r)) }).Handler(e.bindings.Discovery())
	byHost := map[string]*mux.Router{bindingHost: bindings}
	for _, i := range e.issuers {
		host := strings.ToLower(i.Host())
		if byHost[host] == nil {
			byHost[host] = mux.NewRouter().SkipClean(true)
			routes = append(routes, gateway.Route{Hosts: []string{host}, Handler: byHost[host]})
		}
		publishes := func(r *http.Request, _ *mux.RouteMatch) bool { return i.Publishes(httppath.Original(r)) }
		byHost[host].MatcherFunc(publishes).Handler(dated(e.clock.Part(i.Name()), i.Discovery()))
	}
	return routes
}

func (e *Emulator) vaultList() []keyvault.Vault {
	vaults := make([]keyvault.Vault, len(e.config.Vaults))
	for n, v := range e.config.Vaults {
		vaults[n] = keyvault.Vault{Name: v.Name, Tenant: v.Tenant, Secrets: v.Secrets}
		for _, a := range v.Access {
			vaults[n].Access = append(vaults[n].Access, keyvault.Access{ClientID: a.Identity, Permissions: a.Permissions})
		}
	}
	return vaults
}

// route sends requests for emulated hosts to the gateway, in memory, and the
// rest outside.
type route struct {
	inside  *gateway.Gateway
	outside http.RoundTripper
}

func (r *route) RoundTrip(req *http.Request) (*http.Response, error) {
	if r.inside.Emulates(req.URL.Hostname()) {
		return r.inside.Inner().RoundTrip(req)
	}
	return r.outside.RoundTrip(req)
}

// subscriptions are those of the configuration.
func (e *Emulator) subscriptions() []arm.Subscription {
	all := make([]arm.Subscription, len(e.config.Subscriptions))
	for i, s := range e.config.Subscriptions {
		all[i] = arm.Subscription{ID: s.ID, Name: s.Name, Tenant: s.Tenant}
	}
	return all
}
