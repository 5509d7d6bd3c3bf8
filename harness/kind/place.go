package kind

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/harness"
	"github.com/wiemu/wiemu/harness/cluster"
	"github.com/wiemu/wiemu/harness/nodeservice"
	"github.com/wiemu/wiemu/harness/webhook"
)

// Place is the place of pods of one cluster, in which every program is a pod of its
// own. One world is open at a time: for each the emulator in the node starts
// anew, with another configuration and directory; its keys, its CA and the
// cluster stay. Time in a cluster is real, so worlds begin when they are opened.
type Place struct {
	host  *Host
	name  string
	opts  PlaceOptions
	pause string        // image
	turn  chan struct{} // held by the world that is open

	mu         sync.Mutex
	searchPath map[string]string // PATH of images that the node has
	namespaces []string          // that were made
}

// PlaceOptions say what pods of a place run. The zero value will do.
type PlaceOptions struct {
	// Image is what programs run in. "": wiemu-workload is an image of its own, and
	// everything else runs in CommandImage.
	Image string

	Server   string // file of wiemu-server that the cluster was made with
	Workload string // file of wiemu-workload, likewise
}

// CommandImage is what programs run in that bring no image: it has curl and a shell.
const CommandImage = "curlimages/curl:8.11.1"

// Place makes a running cluster a place; see Up. Close it.
func (h *Host) Place(ctx context.Context, name string, opts PlaceOptions) (*Place, error) {
	program, err := os.ReadFile(opts.Workload)
	if err != nil {
		return nil, fmt.Errorf("read the program for pods: %w", err)
	}
	bin := filepath.Join(h.nodeDir(name), binDir)
	if err := errors.Join(os.MkdirAll(bin, 0o755), os.WriteFile(filepath.Join(bin, harness.WorkloadProgram), program, 0o755)); err != nil {
		return nil, fmt.Errorf("write the program for pods: %w", err)
	}
	pause, err := h.pauseImage(ctx, name)
	if err != nil {
		return nil, err
	}
	return &Place{host: h, name: name, opts: opts, pause: pause, turn: make(chan struct{}, 1), searchPath: map[string]string{}}, nil
}

// pauseImage is the image of the container that every pod begins with, which does
// nothing for as long as it lives: every node has one.
func (h *Host) pauseImage(ctx context.Context, name string) (string, error) {
	text, err := h.in(ctx, nodeName(name), "crictl", "images", "--output", "json")
	if err != nil {
		return "", fmt.Errorf("list the images of the node: %w", err)
	}
	var there struct{ Images []struct{ RepoTags []string } }
	if err := json.Unmarshal([]byte(text), &there); err != nil {
		return "", fmt.Errorf("list the images of the node: %w", err)
	}
	for _, image := range there.Images {
		for _, tag := range image.RepoTags {
			if strings.Contains(tag, "/pause:") {
				return tag, nil
			}
		}
	}
	return "", errors.New("the node has no image of a pause container, such as registry.k8s.io/pause:3.10")
}

// read returns what a file of the node holds.
func (p *Place) read(ctx context.Context, file string) ([]byte, error) {
	var text bytes.Buffer
	err := p.host.docker.run(ctx, nil, &text, "exec", nodeName(p.name), "cat", file)
	return text.Bytes(), err
}

// binDir, of what the node is given, is in the PATH of pods.
const binDir = "bin"

// Name implements harness.Place.
func (p *Place) Name() string { return "kind" }

// OneByOne implements harness.OneByOne.
func (p *Place) OneByOne() {}

// Close removes what worlds have left in the cluster. It does not wait for that.
func (p *Place) Close(ctx context.Context) error {
	api := p.host.api(p.name)
	defer api.Close()
	var errs []error
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, namespace := range p.namespaces {
		errs = append(errs, api.Delete(ctx, "/api/v1/namespaces/"+namespace))
	}
	return errors.Join(errs...)
}

// Open implements harness.Place. It waits until no other world is open.
func (p *Place) Open(ctx context.Context, w harness.World) (_ harness.Site, err error) {
	if w.Lockstep {
		return nil, errors.New("time in a cluster is real: expected a world whose programs live on the machine's clock")
	}
	select {
	case p.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() {
		if err != nil {
			<-p.turn
		}
	}()
	if err := p.configure(ctx, w); err != nil {
		return nil, err
	}
	s := &site{place: p, world: w, api: p.host.api(p.name)}
	if s.control, err = p.host.Control(p.name); err != nil {
		return nil, err
	}
	if err := await(ctx, startPatience, func(ctx context.Context) error { _, err := s.control.Status(ctx); return err }); err != nil {
		return nil, fmt.Errorf("%w\n%w", err, p.host.serviceError(context.WithoutCancel(ctx), p.name))
	}
	return s, nil
}

// configure starts the emulator in the node anew, as the emulator of a world.
func (p *Place) configure(ctx context.Context, w harness.World) error {
	r, there, err := p.host.recall(p.name)
	if err != nil {
		return err
	}
	if !there {
		return fmt.Errorf("there is no cluster %s any more", p.name)
	}
	opts := Options{Config: configuration(w), ConfigFile: w.File, Server: p.opts.Server}
	if issuer, err := issuerOf(opts); err != nil || issuer != r.Issuer {
		return errors.Join(err, fmt.Errorf("the issuer %s: expected %s, which is the cluster's", issuer, r.Issuer))
	}
	if err := p.host.service(opts, image{r.Image, r.Kubernetes}).Write(p.host.nodeDir(p.name)); err != nil {
		return noSpace(err)
	}
	restart := fmt.Sprintf("systemctl stop %[1]s && rm -rf %[2]s && systemctl start %[1]s", nodeservice.Unit, strings.Join(forgotten(), " "))
	if _, err := p.host.in(ctx, nodeName(p.name), "sh", "-c", restart); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("%w\n%w", err, p.host.serviceError(ctx, p.name))
	}
	return nil
}

// configuration is what the emulator is told of a world: all its workloads are
// declared, as they are by the time that somebody applies their manifests.
func configuration(w harness.World) config.Config {
	c := w.Config
	c.Faults = slices.Clone(c.Faults)
	for i := range c.Faults {
		if when := &c.Faults[i].When; when.Probability > 0 {
			when.Seed = cmp.Or(when.Seed, w.Seed)
		}
	}
	c.Workloads = slices.Clone(c.Workloads)
	for _, d := range w.Workloads {
		if d.Workload.ClientID == "" || slices.ContainsFunc(c.Workloads, func(known config.Workload) bool {
			return known.Namespace == d.Workload.Namespace && known.ServiceAccount == d.Workload.ServiceAccount && strings.EqualFold(known.ClientID, d.Workload.ClientID)
		}) {
			continue
		}
		c.Workloads = append(c.Workloads, config.Workload{
			Name: d.Workload.CredentialName(), Namespace: d.Workload.Namespace, ServiceAccount: d.Workload.ServiceAccount, ClientID: d.Workload.ClientID, Tenant: d.Identity.Tenant,
		})
	}
	return c
}

// site is an open world.
type site struct {
	place   *Place
	world   harness.World
	api     *cluster.Client
	control *control.Client

	mu      sync.Mutex
	made    []string // paths of objects, in the order in which they were made
	running []*pod
}

// Control implements harness.Site.
func (s *site) Control() *control.Client { return s.control }

// Workload implements harness.Site.
func (s *site) Workload(ctx context.Context, d harness.Declared) (harness.Runner, error) {
	if err := s.place.namespace(ctx, s.api, d.Workload.Namespace); err != nil {
		return nil, err
	}
	r := &runner{site: s, declared: d}
	return r, r.account(ctx)
}

// account makes the service account of the workload what the workload needs: others
// may share its name, of which a pod that starts takes no notice any more.
func (r *runner) account(ctx context.Context) error {
	w, s := r.declared.Workload, r.site
	tenant := r.declared.Identity.Tenant
	for _, t := range s.world.Config.Tenants {
		if slices.Contains(t.Domains, tenant) {
			tenant = t.ID
		}
	}
	annotations := map[string]string{}
	if w.ClientID != "" {
		annotations[webhook.ClientIDAnnotation] = w.ClientID
	}
	if tenant != "" {
		annotations[webhook.TenantIDAnnotation] = tenant
	}
	account := object("ServiceAccount", w.Namespace, w.ServiceAccount, map[string]any{"automountServiceAccountToken": false})
	account["metadata"].(map[string]any)["annotations"] = annotations
	return s.create(ctx, w.Namespace, "serviceaccounts", w.ServiceAccount, account)
}

// create makes an object that Close removes; one that a world before has left is
// replaced.
func (s *site) create(ctx context.Context, namespace, kind, name string, object any) error {
	all := "/api/v1/namespaces/" + namespace + "/" + kind
	s.mu.Lock()
	if one := all + "/" + name; !slices.Contains(s.made, one) {
		s.made = append(s.made, one)
	}
	s.mu.Unlock()
	err := s.api.Create(ctx, all, object)
	if cluster.IsConflict(err) {
		err = s.api.Replace(ctx, all+"/"+name, object)
	}
	if err != nil {
		return fmt.Errorf("make %s %s/%s: %w", strings.TrimSuffix(kind, "s"), namespace, name, err)
	}
	return nil
}

// namespace makes a namespace, unless it is there. Namespaces stay from world to
// world: to take one away takes longer than most worlds last.
func (p *Place) namespace(ctx context.Context, api *cluster.Client, name string) error {
	err := await(ctx, podPatience, func(ctx context.Context) error {
		var there struct{ Status struct{ Phase string } }
		err := api.Get(ctx, "/api/v1/namespaces/"+name, &there)
		if cluster.IsNotFound(err) {
			err = api.Create(ctx, "/api/v1/namespaces", object("Namespace", "", name, nil))
			if err == nil {
				p.mu.Lock()
				p.namespaces = append(p.namespaces, name)
				p.mu.Unlock()
			}
		}
		if err == nil && there.Status.Phase == "Terminating" {
			err = errors.New("it is going away")
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("make the namespace %s: %w", name, err)
	}
	return nil
}

// Close implements harness.Site.
func (s *site) Close(ctx context.Context) error {
	s.mu.Lock()
	running, made := s.running, slices.Clone(s.made)
	s.mu.Unlock()
	for _, p := range running {
		p.end(errors.New("its world is closed"))
	}
	var errs []error
	for _, path := range slices.Backward(made) { // pods before their accounts
		errs = append(errs, s.api.Delete(ctx, path+"?gracePeriodSeconds=0"))
	}
	for _, p := range running {
		select {
		case <-p.done:
		case <-ctx.Done():
		}
	}
	s.api.Close()
	<-s.place.turn
	return errors.Join(errs...)
}

// runner is a workload whose programs are pods.
type runner struct {
	site     *site
	declared harness.Declared

	mu       sync.Mutex
	youngest *pod
}

// Token implements harness.Runner: it is what the youngest pod has, which is made
// for the purpose where there is none.
func (r *runner) Token(ctx context.Context) ([]byte, error) {
	r.mu.Lock()
	p := r.youngest
	r.mu.Unlock()
	if p == nil {
		var err error
		if p, err = r.start(ctx, harness.Program{Stdout: io.Discard, Stderr: io.Discard}); err != nil {
			return nil, err
		}
	}
	return p.token(ctx)
}

// Start implements harness.Runner.
func (r *runner) Start(ctx context.Context, program harness.Program) (harness.Process, error) {
	if other, is := program.TokenOf.(*runner); is && program.Token == nil {
		var err error
		if program.Token, err = other.Token(ctx); err != nil {
			return nil, err
		}
	} else if program.TokenOf != nil && program.Token == nil {
		return nil, fmt.Errorf("the token of a workload of another place: expected one of %s", r.site.place.Name())
	}
	return r.start(ctx, program)
}

// start makes a pod and looks after it. A program without a command is one that
// only waits.
func (r *runner) start(ctx context.Context, program harness.Program) (*pod, error) {
	p, err := r.pod(ctx, program)
	if err != nil {
		return nil, err
	}
	if r.site.shared(r.declared) {
		if err := r.account(ctx); err != nil {
			return nil, err
		}
	}
	if err := r.site.create(ctx, p.namespace, "pods", p.name, p.manifest); err != nil {
		return nil, err
	}
	r.mu.Lock()
	r.youngest = p
	r.mu.Unlock()
	r.site.mu.Lock()
	r.site.running = append(r.site.running, p)
	r.site.mu.Unlock()
	go p.watch(ctx)
	return p, nil
}

// shared reports whether another workload of the world has the same service account.
func (s *site) shared(d harness.Declared) bool {
	n := 0
	for _, other := range s.world.Workloads {
		if other.Workload.Namespace == d.Workload.Namespace && other.Workload.ServiceAccount == d.Workload.ServiceAccount {
			n++
		}
	}
	return n > 1
}

// imageOf is what a program runs in, and where programs are looked for there.
func (p *Place) imageOf(ctx context.Context, program harness.Program) (name, path string, err error) {
	name = cmp.Or(p.opts.Image, CommandImage)
	if len(program.Command) > 0 && program.Command[0] == harness.WorkloadProgram && p.opts.Image == "" {
		return WorkloadImage, "/", nil // Up has loaded it
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if path, loaded := p.searchPath[name]; loaded {
		return name, path, nil
	}
	there, err := p.host.docker.hasImage(ctx, name)
	if err != nil {
		return "", "", err
	}
	if !there {
		if _, err := p.host.docker.output(ctx, "pull", "--quiet", name); err != nil {
			return "", "", fmt.Errorf("the image %s is not here and cannot be pulled: %w; build it, or name another one with --app-image", name, p.host.docker.explain(err))
		}
	}
	if err := p.host.Load(ctx, p.name, []string{name}); err != nil {
		return "", "", err
	}
	text, err := p.host.docker.output(ctx, "image", "inspect", "--format", "{{range .Config.Env}}{{println .}}{{end}}", name)
	if err != nil {
		return "", "", p.host.docker.explain(err)
	}
	path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" // containerd: oci/spec_opts.go, defaultUnixEnv
	for line := range strings.Lines(text) {
		if value, is := strings.CutPrefix(strings.TrimSpace(line), "PATH="); is {
			path = value
		}
	}
	p.searchPath[name] = path
	return name, path, nil
}

// ending is how long a program has, on the wall clock, between being asked to end
// and being killed.
const ending = time.Second

// forgotten is what the emulator in a node keeps of one world and the next must
// not know.
func forgotten() []string {
	return []string{nodeservice.LabDir, nodeservice.StateDir + "/directory.json"} // see emulator.Options.Keep
}
