// Package lab makes a lab: a clock, tenants, signing keys, issuers as Kubernetes
// clusters have them, an Entra ID that trusts them, the resources that its access tokens
// open, faults, and a journal. A lab is a value that answers by handlers. It listens
// nowhere and knows no port, address or CA: package server hosts it.
package lab

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
	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/internal/cloud"
	"github.com/wiemu/wiemu/internal/entra"
	"github.com/wiemu/wiemu/internal/faults"
	"github.com/wiemu/wiemu/internal/githubjob"
	"github.com/wiemu/wiemu/internal/hostmux"
	"github.com/wiemu/wiemu/internal/httppath"
	"github.com/wiemu/wiemu/internal/identitybinding"
	"github.com/wiemu/wiemu/internal/issuer"
	"github.com/wiemu/wiemu/internal/journals"
	"github.com/wiemu/wiemu/internal/keyring"
	"github.com/wiemu/wiemu/internal/managedidentity"
	"github.com/wiemu/wiemu/internal/metadata"
	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/resource/table"
	"github.com/wiemu/wiemu/internal/roles"
	"github.com/wiemu/wiemu/internal/serviceconnection"
	"github.com/wiemu/wiemu/internal/tenants"
)

// Options say what a lab is made of. The zero value is a lab whose keys live in memory
// until Close.
type Options struct {
	ConfigFile  string            // where the configuration was read from: for error texts and the certificate files it names
	StateDir    string            // where Keep keeps; if empty, nothing is stored
	Keys        *keyring.Pool     // where signing keys come from. If nil, a pool in memory
	Clock       *clock.Lab        // If nil, a clock that shows the machine's time
	JournalFile string            // events as JSON lines. If empty, they are in memory only
	KeepEvents  int               // events kept in memory. If 0, package journal's default
	Log         *slog.Logger      // for operators. If nil, nothing is logged
	Outside     http.RoundTripper // reaches external issuers. If nil, HTTPS with the system's roots
	Faults      []fault.Fault     // injected before the first request, after those of the configuration
	Seed        uint64            // decides about faults with a probability. If 0, it is chosen at random; Faults returns it
	Keep        bool              // StateDir keeps the signing keys, and what changes in the directory at run time; see persister

	// InCluster says that the first hosted issuer is a real cluster's, or that the
	// workloads are: the API server makes the claims of tokens, kubelets write the
	// files, and everything lives on real time. What only a lab can do is refused.
	InCluster bool

	// SharedKey is the first hosted issuer's only key, which the cluster's API server
	// has as well and signs with; see keyring.Options. If nil, it has keys of its own.
	SharedKey crypto.Signer

	// AccountNames names identities that are made after their application or service
	// account, as before they had the names of their workloads.
	AccountNames bool

	// ObserveOutside wraps what reaches external issuers. If nil, nothing is observed.
	ObserveOutside func(http.RoundTripper) http.RoundTripper
}

// Lab is one lab.
type Lab struct {
	config       config.Config
	configFile   string // absolute; "": none
	configDir    string // certificate files are looked up from here
	accountNames bool
	cloud        cloud.Cloud
	clock        *clock.Lab
	time         *Timekeeper
	journal      *journals.Journal
	faults       *faults.Set
	directory    *tenants.Directory
	issuers      []*issuer.Issuer
	rings        map[string]*keyring.Ring // by issuer name; "entra" is the token service's
	entra        *entra.Service
	resources    map[string]resource.Service // by name; see table
	roles        *roles.Set                  // who may do what to them
	machines     *managedidentity.Service
	bindings     *identitybinding.Proxy
	jobs         *githubjob.Endpoint         // nil: no workload is a job of GitHub Actions
	connections  *serviceconnection.Endpoint // nil: no workload is a task with a service connection
	routes       []hostmux.Route
	mux          *hostmux.Mux // of routes

	own     ownCredentials
	persist *persister    // nil: keys and directory are not stored
	pool    *keyring.Pool // where later keys come from
	known   introduced

	later struct { // key rings that are made when they are asked for
		sync.Mutex
		rings []*keyring.Ring
	}
	cleanup []func() error // in the order in which things were opened
}

// New returns a lab. If it fails, it has closed what it opened; the error says what and
// where.
func New(ctx context.Context, c config.Config, opts Options) (_ *Lab, err error) {
	completed, err := c.Complete(opts.ConfigFile)
	if err != nil {
		return nil, err
	}
	in, _ := cloud.Named(completed.Cloud) // Complete refuses one that there is not
	l := &Lab{
		config: completed, configFile: opts.ConfigFile, configDir: filepath.Dir(opts.ConfigFile), accountNames: opts.AccountNames,
		cloud: in, clock: opts.Clock, rings: map[string]*keyring.Ring{},
	}
	if l.configFile != "" {
		if l.configFile, err = filepath.Abs(l.configFile); err != nil {
			return nil, err
		}
	}
	if l.clock == nil {
		l.clock = clock.Running()
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.Close())
		}
	}()
	for _, step := range []func(context.Context, Options) error{
		l.openJournal, l.openFaults, l.openStore, l.openDirectory, l.openKeys, l.openIssuers, l.openServices, l.bindConfigured, l.restoreDirectory, l.restoreRoles, l.restoreResources, l.openNames,
	} {
		if err := step(ctx, opts); err != nil {
			return nil, err
		}
	}
	return l, nil
}

func (l *Lab) onClose(f func() error) { l.cleanup = append(l.cleanup, f) }

// Close stops what runs in the background. The lab must not be asked any more.
func (l *Lab) Close() error {
	l.later.Lock()
	for _, ring := range l.later.rings {
		ring.Close()
	}
	l.later.rings = nil
	l.later.Unlock()
	var errs []error
	for _, f := range slices.Backward(l.cleanup) {
		errs = append(errs, f())
	}
	l.cleanup = nil
	return errors.Join(errs...)
}

func (l *Lab) openJournal(_ context.Context, opts Options) (err error) {
	l.journal, err = journals.New(l.clock, journals.Options{File: opts.JournalFile, Keep: opts.KeepEvents})
	if err == nil {
		l.onClose(l.journal.Close)
	}
	return err
}

func (l *Lab) openFaults(_ context.Context, opts Options) error {
	l.faults = faults.New(l.clock, l.journal, opts.Seed)
	issuers := map[string]string{entraRing: entraRing} // whose keys faults may be about
	for _, i := range l.config.Issuers {
		issuers[i.Name] = i.URL
	}
	l.faults.SetIssuers(issuers)
	if opts.InCluster {
		l.faults.Disallow(outOfReach())
	}
	if err := l.faults.InjectChaos(l.config.Chaos, table.Chaos()); err != nil {
		return err
	}
	for _, f := range slices.Concat(l.config.Faults, opts.Faults) {
		if _, err := l.faults.Inject(f); err != nil {
			return err
		}
	}
	return nil
}

func (l *Lab) openDirectory(_ context.Context, opts Options) error {
	configured, err := l.config.Directory(filepath.Dir(opts.ConfigFile))
	if err != nil {
		return err
	}
	if l.directory, err = tenants.New(configured...); err == nil {
		l.directory.Date(l.clock) // configured credentials have always been there; those of workloads are added now
		l.directory.Secrets(func(application, value string) { l.journal.Secrets().Add("client secret of "+application, value) })
	}
	return err
}

// openKeys makes the rings: Entra ID's first, so that every issuer has the same
// key in every run, whatever the number of issuers.
func (l *Lab) openKeys(ctx context.Context, opts Options) (err error) {
	pool := opts.Keys
	if pool == nil {
		if pool, err = keyring.OpenPool("", keyring.PoolOptions{}); err != nil {
			return err
		}
		l.onClose(pool.Close)
	}
	l.pool = pool
	shared := opts.SharedKey
	add := func(name string, o keyring.Options) error {
		o.Name, o.Journal, o.Faults = name, l.journal, l.faults
		ring, err := l.persist.ring(ctx, l.clock.Part(name), pool, o)
		if err != nil {
			return fmt.Errorf("make the key ring of %s: %w", name, err)
		}
		l.rings[name] = ring
		l.onClose(func() error { ring.Close(); return nil })
		return nil
	}
	if err := add(entraRing, keyring.Options{Identify: entra.KeyID}); err != nil {
		return err
	}
	for _, i := range l.config.Issuers {
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
const entraRing = clock.Entra

func (l *Lab) openIssuers(context.Context, Options) error {
	if l.hasJobs("") {
		l.jobs = githubjob.New(l.journal)
	}
	if l.hasConnections("") {
		l.connections = serviceconnection.New(l.journal)
	}
	for _, c := range l.config.Issuers {
		if c.External {
			continue
		}
		i, err := issuer.New(c.URL, l.rings[c.Name], l.clock.Part(c.Name), issuer.Options{Name: c.Name, MaxExpiration: c.MaxTokenLifetime, Journal: l.journal, Faults: l.faults, GitHub: l.onlyJobs(c), AzureDevOps: l.hasConnections(c.Name)})
		if err != nil {
			return fmt.Errorf("issuer %s: %w", c.Name, err)
		}
		l.issuers = append(l.issuers, i)
	}
	for _, w := range l.config.Workloads {
		l.Introduce(w.Namespace, w.ServiceAccount, w.ClientID, w.Name)
		if subject := subjectOf(w); subject != "" {
			l.faults.NameSubject(subject, w.Namespace+"/"+w.ServiceAccount)
		}
		if w.IdentityBinding != "" { // bound when there is a proxy; see bindConfigured
			continue
		}
		trust := l.Trust
		if config.OfApplication(w.Credential) {
			trust = l.Register
		}
		if err := trust(Account{Namespace: w.Namespace, ServiceAccount: w.ServiceAccount, ClientID: w.ClientID, Tenant: w.Tenant, Issuer: w.Issuer, Audience: w.Audience, Name: w.Name, Identity: w.Name, Subject: subjectOf(w), ByEntra: serviceconnection.OfEntra(w.ServiceConnection)}); err != nil {
			return err
		}
	}
	return nil
}

// openServices makes Entra ID, the resources, and what leads to them by host.
func (l *Lab) openServices(_ context.Context, opts Options) (err error) {
	outside := opts.Outside
	if outside == nil {
		outside = transportTo(requirePublicAddr, nil)
	}
	if opts.ObserveOutside != nil {
		outside = opts.ObserveOutside(outside)
	}
	router := &router{outside: outside}
	access, err := l.issuerAccess(opts)
	if err != nil {
		return err
	}
	entraTime := l.clock.Part(clock.Entra)
	issuers := metadata.New(entraTime, metadata.Options{
		Transport: faults.WithoutFaults(router), Journal: l.journal, Faults: l.faults, For: func(issuer string) metadata.Access { return access[issuer] },
	})
	l.entra = entra.New(entra.Config{Directory: l.directory, Keys: l.rings[entraRing], Clock: entraTime, Journal: l.journal, Issuers: issuers, Cloud: l.cloud, Faults: l.faults, Limits: entra.Limits{Requests: l.config.Limits.Requests, Repeated: l.config.Limits.SameRequest}})
	// Entra ID's own keys are in the same lab: a resource that meets a new one fetches them at once.
	resourceTime := l.clock.Part(clock.Resources)
	own := metadata.New(resourceTime, metadata.Options{Transport: faults.WithoutFaults(router), Journal: l.journal, RefetchAfter: -1})
	tokens := resource.NewValidator(resourceTime, own, resource.Options{Cloud: l.cloud, Name: l.knownName})
	if l.roles, err = l.newRoles(resourceTime); err != nil {
		return err
	}
	if err := l.openResources(resource.Kit{Tokens: tokens, Clock: resourceTime, Directory: l.directory, Journal: l.journal, Faults: l.faults, Keys: l.pool, Roles: l.roles}); err != nil {
		return err
	}
	l.openBindings(l.pool, router)
	l.routes = slices.Concat([]hostmux.Route{
		{Hosts: cloud.LoginHosts(), Handler: withDate(entraTime, l.faults.Answers(faults.Entra, l.entra.Handler())), MaxBody: entra.MaxBody, Unreadable: withDate(entraTime, l.entra.UnreadableBody())},
	}, l.resourceRoutes(), l.issuerRoutes())
	if l.mux, err = hostmux.New(l.clock, l.routes, hostmux.Options{Journal: l.journal, Log: opts.Log}); err != nil {
		return err
	}
	router.inside = l.mux
	l.machines = managedidentity.New(managedidentity.Config{
		Entra: l.entra, Directory: l.directory, Clock: l.clock, Journal: l.journal, Faults: l.faults, Login: router, Unavailable: l.config.ManagedIdentity.Unavailable,
	})
	l.time = &Timekeeper{clock: l.clock, journal: l.journal, parts: l.components()}
	if opts.InCluster {
		l.time.Fix(realTime)
	}
	return nil
}

// Routes lead requests by host to the lab's handlers.
func (l *Lab) Routes() []hostmux.Route { return l.routes }

// Transport reaches the lab's hosts in this process.
func (l *Lab) Transport() http.RoundTripper { return l.mux.Transport() }

// Cluster returns the Kubernetes API of each hosted issuer's cluster, below
// /clusters/NAME. Requests carry the bearer token.
func (l *Lab) Cluster(token string) http.Handler {
	clusters := mux.NewRouter().SkipClean(true)
	for _, i := range l.issuers {
		prefix := "/clusters/" + i.Name()
		clusters.PathPrefix(prefix + "/").Handler(withDate(l.clock.Part(i.Name()), http.StripPrefix(prefix, i.Cluster(token))))
	}
	return clusters
}

// issuerRoutes groups the hosted issuers by host: two may share one.
func (l *Lab) issuerRoutes() []hostmux.Route {
	var routes []hostmux.Route
	bindings := mux.NewRouter().SkipClean(true)
	routes = append(routes, hostmux.Route{Hosts: []string{bindingHost}, Handler: bindings})
	bindings.MatcherFunc(func(r *http.Request, _ *mux.RouteMatch) bool { return l.bindings.Publishes(httppath.Original(r)) }).Handler(l.bindings.Discovery())
	byHost := map[string]*mux.Router{bindingHost: bindings}
	if l.jobs != nil {
		routes = append(routes, hostmux.Route{Hosts: []string{githubjob.Host}, Handler: withDate(l.clock, l.jobs)})
	}
	if l.connections != nil {
		routes = append(routes, hostmux.Route{Hosts: []string{serviceconnection.Host}, Handler: withDate(l.clock, l.connections)})
	}
	for _, i := range l.issuers {
		host := strings.ToLower(i.Host())
		if byHost[host] == nil {
			byHost[host] = mux.NewRouter().SkipClean(true)
			routes = append(routes, hostmux.Route{Hosts: []string{host}, Handler: byHost[host]})
		}
		publishes := func(r *http.Request, _ *mux.RouteMatch) bool { return i.Publishes(httppath.Original(r)) }
		byHost[host].MatcherFunc(publishes).Handler(withDate(l.clock.Part(i.Name()), i.Discovery()))
	}
	return routes
}

// router sends requests for the lab's own hosts to its handlers, and the rest outside.
type router struct {
	inside  *hostmux.Mux
	outside http.RoundTripper
}

func (r *router) RoundTrip(req *http.Request) (*http.Response, error) {
	if r.inside.Has(req.URL.Hostname()) {
		return r.inside.Transport().RoundTrip(req)
	}
	return r.outside.RoundTrip(req)
}
