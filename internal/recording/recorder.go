package recording

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/file"
	"github.com/wiemu/wiemu/internal/keyring"
	"github.com/wiemu/wiemu/internal/resource/keyvault"
	"github.com/wiemu/wiemu/internal/session"
	"github.com/wiemu/wiemu/internal/workload"
)

// Options say what a recording holds.
type Options struct {
	// Keys has the file carry private keys and the secrets of the configuration.
	Keys bool
	// Most is the number of inputs after which no more are taken; 0: 20,000.
	Most int
	// MostBytes is about how many bytes of requests, answers and events are kept in memory, after which
	// no more are taken; 0: any number.
	MostBytes int
}

// Recorder records what comes into a lab.
type Recorder struct {
	opts   Options
	config config.Config
	file   string        // of the configuration
	pool   *keyring.Pool // that the rings take from
	lab    *session.Session
	names  *names
	tokens *tokens
	keys   *keys

	standIns   keyvault.StandIns // guarded by mu
	vaultFiles map[string]string // of the configuration's keys and certificates, by their new names; with opts.Keys alone

	mu        sync.Mutex
	begun     bool
	start     time.Time
	state     State
	last      int // input
	inputs    []*Input
	bytes     int             // of what is kept, about
	full      bool            // nothing is kept any more: see giveUp
	open      int             // requests being answered
	unclaimed []journal.Event // exchanges and accesses that no input has claimed
	events    []Event
	most      int             // of them, after which stop is called; 0: any number
	stop      func(time.Time) // called with lab time
	outside   []Fetched
	minted    map[string]int    // by issuer
	made      int               // credentials of applications that have names
	workload  map[string]string // of access tokens that were given out
	journal   map[int]string    // ids of the inputs' events
}

// Start opens a lab that is recorded from the beginning, and declares the workloads. Take
// the [Recording] before closing the lab.
func Start(ctx context.Context, opts session.Options, declared []workload.Spec, o Options) (*session.Session, *Recorder, error) {
	o.Most = cmp.Or(o.Most, 20_000)
	if o.Keys && opts.Emulator.Keys == nil {
		return nil, nil, errors.New("record a lab with its keys: expected a pool that they come from, found none")
	}
	n := newNames()
	k := newKeys(n)
	r := &Recorder{
		opts: o, config: opts.Emulator.Config, file: opts.Emulator.ConfigFile, pool: opts.Emulator.Keys, names: n, keys: k, tokens: newTokens(n, k),
		minted: map[string]int{}, workload: map[string]string{}, journal: map[int]string{},
	}
	opts.Emulator.Observe, opts.Emulator.ObserveOutside = r.observe, func(next http.RoundTripper) http.RoundTripper { return watched{r, next} }
	lab, err := session.Start(ctx, opts)
	if err != nil {
		return nil, nil, err
	}
	if err := lab.Declare(declared); err != nil {
		return nil, nil, errors.Join(err, lab.Close(context.WithoutCancel(ctx)))
	}
	if err := r.begin(lab, declared); err != nil {
		return nil, nil, errors.Join(err, lab.Close(context.WithoutCancel(ctx)))
	}
	return lab, r, nil
}

// begin records the state of the lab, and starts to watch its journal.
func (r *Recorder) begin(lab *session.Session, declared []workload.Spec) error {
	e := lab.Emulator()
	start := lab.Clock().Now()
	r.mu.Lock()
	r.lab, r.start = lab, start
	r.mu.Unlock()
	rings := []string{clock.Entra}
	for _, i := range e.Issuers() {
		rings = append(rings, i.Name())
		r.tokens.issuers[i.URL()] = i.Name()
	}
	for _, name := range rings {
		ring, err := e.KeyRing(name)
		if err != nil {
			return err
		}
		r.keys.look(name, ring.Keys())
	}
	r.names.put("lab token", e.Token())
	r.vaultFiles = map[string]string{}
	world, err := r.sharedConfig()
	if err != nil {
		return err
	}
	certificates, err := readCertificates(&world, filepath.Dir(r.file))
	if err != nil {
		return err
	}
	r.state = State{Config: world, Declared: declared, Names: namesOfWorkloads, Seed: e.Faults().Seed(), Certificates: certificates, Files: r.vaultFiles}
	for _, f := range e.Faults().Active() {
		r.state.Faults = append(r.state.Faults, f.Fault)
	}
	if err := r.nameCertificates(); err != nil {
		return err
	}
	completed, err := r.config.Complete(r.file)
	if err != nil {
		return err
	}
	fixed, err := json.Marshal([]any{completed, declared})
	if err != nil {
		return err
	}
	r.names.keep(string(fixed))
	r.mu.Lock()
	r.begun = true
	r.mu.Unlock()
	e.Journal().Watch(r.watch)
	return nil
}

// sharedConfig is the configuration without what is of this machine alone, and without its secrets.
func (r *Recorder) sharedConfig() (config.Config, error) {
	c := r.config
	withoutThisMachine(&c)
	c.Faults, c.Chaos = nil, 0 // the recording has the faults as they were at its start
	completed, err := c.Complete(r.file)
	if err != nil {
		return config.Config{}, err
	}
	hide := func(value string) string {
		name := r.names.secret(value)
		if r.opts.Keys {
			return value
		}
		return name
	}
	if c.Vaults == nil {
		c.Vaults = config.DefaultVaults()
	} else {
		c.Vaults = slices.Clone(c.Vaults)
	}
	for i := range c.Vaults {
		secrets := map[string]string{}
		for _, name := range slices.Sorted(maps.Keys(completed.Vaults[i].Secrets)) {
			secrets[name] = hide(completed.Vaults[i].Secrets[name])
		}
		c.Vaults[i].Secrets = secrets
		if err := r.shareVault(&c.Vaults[i]); err != nil {
			return config.Config{}, err
		}
	}
	c.Applications = slices.Clone(c.Applications)
	for i := range c.Applications {
		a := &c.Applications[i]
		a.Secrets = slices.Clone(a.Secrets)
		for n := range a.Secrets {
			a.Secrets[n].Value = hide(a.Secrets[n].Value)
		}
	}
	return c, nil
}

// withoutThisMachine takes out of a configuration what names addresses and files of one machine. A
// replay, whatever its file says, listens on free ports, reads no file and sends no requests.
func withoutThisMachine(c *config.Config) {
	c.Listen, c.AllowHosts = config.Listen{}, nil
	withoutBackend(c)
	withoutEngines(c)
	c.Issuers = slices.Clone(c.Issuers)
	for i := range c.Issuers {
		c.Issuers[i].CA, c.Issuers[i].BearerTokenFile, c.Issuers[i].Server = "", "", ""
	}
}

// readCertificates reads the files that the configuration names, and gives them
// names that any folder can have.
func readCertificates(c *config.Config, dir string) (map[string]string, error) {
	files, renamed := map[string]string{}, map[string]string{}
	for i, name := range certificateFiles(*c) {
		data, err := os.ReadFile(file.In(dir, name))
		if err != nil {
			return nil, fmt.Errorf("read a certificate for the recording: %w", err)
		}
		block, _ := pem.Decode(data) // the first, as config reads it; what else is there may be a key
		if block == nil {
			return nil, fmt.Errorf("%s: expected a PEM block CERTIFICATE first, found none", name)
		}
		renamed[name] = fmt.Sprintf("certificate-%d.pem", i+1)
		files[renamed[name]] = string(pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: block.Bytes}))
	}
	for i := range c.Applications {
		own := slices.Clone(c.Applications[i].Certificates)
		for n := range own {
			own[n].File = renamed[own[n].File]
		}
		c.Applications[i].Certificates = own
	}
	return files, nil
}

// Recording is the session until now.
func (r *Recorder) Recording(ctx context.Context) (*Recording, error) {
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.full {
		return nil, r.tooLong()
	}
	recorded := &Recording{
		APIVersion: APIVersion, Kind: Kind, Start: r.start, State: r.state, Tokens: r.tokens.inTheEnd(), Outside: slices.Clone(r.outside), Events: slices.Clone(r.events),
		Length: Since(max(0, now.Sub(r.start))), Inputs: []Input{},
	}
	for _, in := range r.inputs {
		if in.done {
			recorded.Inputs = append(recorded.Inputs, *in)
		}
	}
	if r.opts.Keys {
		var err error
		if recorded.State.Keys, err = r.privateKeys(ctx); err != nil {
			return nil, err
		}
	}
	return recorded, nil
}

// grow counts what is kept. r.mu is held.
func (r *Recorder) grow(bytes int) {
	if r.bytes += bytes; r.opts.MostBytes > 0 && r.bytes > r.opts.MostBytes {
		r.giveUp()
	}
}

// giveUp forgets what was recorded, since a part of a session is no recording. r.mu is held.
func (r *Recorder) giveUp() {
	r.full = true
	r.inputs, r.events, r.unclaimed, r.outside = nil, nil, nil, nil
	r.workload, r.journal = map[string]string{}, map[int]string{}
	r.names.forget()
}

func (r *Recorder) tooLong() error {
	if r.opts.MostBytes > 0 {
		return fmt.Errorf("this session has more than %d requests, or %d KiB of requests, answers and events, which is not kept in memory; start the server with wiemu serve --record FILE", r.opts.Most, r.opts.MostBytes>>10)
	}
	return fmt.Errorf("this session has more than %d requests, which a recording does not take; record a shorter one", r.opts.Most)
}

// privateKeys are the keys of the pool that are in use, in its order.
func (r *Recorder) privateKeys(ctx context.Context) ([]string, error) {
	again := r.pool.Lease()
	defer func() { _ = again.Close() }() // a lease writes nothing
	var all []string
	for range r.pool.Taken() {
		key, err := again.Take(ctx)
		if err != nil {
			return nil, fmt.Errorf("take the keys for the recording: %w", err)
		}
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return nil, fmt.Errorf("write a key into the recording: %w", err)
		}
		all = append(all, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
	}
	return all, nil
}

// File is the file that a recording is written into when its session ends.
type File struct {
	Name        string
	keys        bool
	replacement *file.Replacement // until it is complete
}

// CreateFile returns the file, or the error why it could not be written at the end. With
// keys, the recording includes private keys and secrets.
func CreateFile(name string, keys bool) (*File, error) {
	replacement, err := file.Create(name)
	if err != nil {
		return nil, fmt.Errorf("write the session into %s: %w", name, err)
	}
	return &File{Name: name, keys: keys, replacement: replacement}, nil
}

// Options are those to record the file's session with. If f is nil, so are they.
func (f *File) Options() *Options {
	if f == nil {
		return nil
	}
	return &Options{Keys: f.keys}
}

// Write writes what was recorded until now, even if ctx has ended, and returns it.
func (f *File) Write(ctx context.Context, r *Recorder) (*Recording, error) {
	recorded, err := r.Recording(context.WithoutCancel(ctx))
	if err == nil {
		err = recorded.Write(f.replacement)
	}
	if err == nil {
		err = f.replacement.Commit()
		f.replacement = nil
	}
	if err != nil {
		return nil, fmt.Errorf("write the session into %s: %w", f.Name, err)
	}
	return recorded, nil
}

// Abandon removes the file unless all of it was written. If f is nil, it does nothing.
func (f *File) Abandon() {
	if f == nil || f.replacement == nil {
		return
	}
	_ = f.replacement.Abandon() // it is hidden
}
