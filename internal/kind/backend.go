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
	"github.com/wiemu/wiemu/internal/azwi"
	"github.com/wiemu/wiemu/internal/backend"
	"github.com/wiemu/wiemu/internal/cluster"
	"github.com/wiemu/wiemu/internal/nodeservice"
	"github.com/wiemu/wiemu/internal/workload"
)

// Backend runs programs as pods of one cluster. One session is open at a time: for each, the
// emulator in the node restarts with another configuration and directory; its keys, its CA and the
// cluster stay. Time in a cluster is real, so a session's time is that at which it is opened.
type Backend struct {
	host  *Host
	name  string
	opts  BackendOptions
	pause string        // image
	open  chan struct{} // holds a value while a session is open

	mu         sync.Mutex
	searchPath map[string]string // PATH of images that the node has
	namespaces []string          // that were made
}

// BackendOptions say what the pods run.
type BackendOptions struct {
	// Image is the image that programs run in. If empty, wiemu-workload has an image of its
	// own, and everything else runs in CommandImage.
	Image string

	Server   string // file of wiemu-server that the cluster was made with
	Workload string // file of wiemu-workload, likewise
}

// CommandImage is the default image of programs: it has curl and a shell.
const CommandImage = "curlimages/curl:8.11.1"

// Backend returns a backend that runs programs in a running cluster; see Up. Close it.
func (h *Host) Backend(ctx context.Context, name string, opts BackendOptions) (*Backend, error) {
	program, err := os.ReadFile(opts.Workload)
	if err != nil {
		return nil, fmt.Errorf("read the program for pods: %w", err)
	}
	bin := filepath.Join(h.nodeDir(name), binDir)
	if err := errors.Join(os.MkdirAll(bin, 0o755), os.WriteFile(filepath.Join(bin, backend.WorkloadProgram), program, 0o755)); err != nil {
		return nil, fmt.Errorf("write the program for pods: %w", err)
	}
	pause, err := h.pauseImage(ctx, name)
	if err != nil {
		return nil, err
	}
	return &Backend{host: h, name: name, opts: opts, pause: pause, open: make(chan struct{}, 1), searchPath: map[string]string{}}, nil
}

// pauseImage returns the image of the sandbox container of every pod, which only sleeps:
// every node has one.
func (h *Host) pauseImage(ctx context.Context, name string) (string, error) {
	text, err := h.docker.Exec(ctx, nodeName(name), "crictl", "images", "--output", "json")
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

func (p *Backend) read(ctx context.Context, file string) ([]byte, error) {
	var text bytes.Buffer
	err := p.host.docker.Run(ctx, nil, &text, "exec", nodeName(p.name), "cat", file)
	return text.Bytes(), err
}

// binDir is the directory, in the files of the node, that is in the PATH of pods.
const binDir = "bin"

// Name implements backend.Backend.
func (p *Backend) Name() string { return "kind" }

// Exclusive implements backend.Exclusive.
func (p *Backend) Exclusive() {}

// Containers implements backend.Containers.
func (p *Backend) Containers() {}

// Close removes what sessions have left in the cluster, without waiting for it.
func (p *Backend) Close(ctx context.Context) error {
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

// Open implements backend.Backend. It blocks while another session is open.
func (p *Backend) Open(ctx context.Context, w backend.Spec) (_ backend.Session, err error) {
	if w.Lockstep {
		return nil, errors.New("time in a cluster is real: expected programs that live on the machine's clock")
	}
	select {
	case p.open <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() {
		if err != nil {
			<-p.open
		}
	}()
	if err := p.configure(ctx, w); err != nil {
		return nil, err
	}
	s := &session{backend: p, spec: w, api: p.host.api(p.name)}
	if s.control, err = p.host.Control(p.name); err != nil {
		return nil, err
	}
	if err := await(ctx, startPatience, func(ctx context.Context) error { _, err := s.control.Status(ctx); return err }); err != nil {
		return nil, fmt.Errorf("%w\n%w", err, p.host.serviceError(context.WithoutCancel(ctx), p.name))
	}
	return s, nil
}

// configure restarts the emulator in the node with the configuration of a session.
func (p *Backend) configure(ctx context.Context, w backend.Spec) error {
	r, there, err := p.host.Read(p.name)
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
	restart := fmt.Sprintf("systemctl stop %[1]s && rm -rf %[2]s && systemctl start %[1]s", nodeservice.Unit, forgotten())
	if _, err := p.host.docker.Exec(ctx, nodeName(p.name), "sh", "-c", restart); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("%w\n%w", err, p.host.serviceError(ctx, p.name))
	}
	return nil
}

// configuration returns the emulator's configuration for a session: all its workloads are
// declared, as they are once their manifests have been applied.
func configuration(w backend.Spec) config.Config {
	c := w.Config
	c.Faults = slices.Clone(c.Faults)
	for i := range c.Faults {
		if when := &c.Faults[i].When; when.Probability > 0 {
			when.Seed = cmp.Or(when.Seed, w.Seed)
		}
	}
	c.Workloads = slices.Clone(c.Workloads)
	for _, d := range w.Workloads {
		if d.ClientID == "" || slices.ContainsFunc(c.Workloads, func(known config.Workload) bool {
			return known.Namespace == d.Namespace && known.ServiceAccount == d.ServiceAccount && strings.EqualFold(known.ClientID, d.ClientID)
		}) {
			continue
		}
		c.Workloads = append(c.Workloads, config.Workload{
			Name: d.CredentialName(), Namespace: d.Namespace, ServiceAccount: d.ServiceAccount, ClientID: d.ClientID, Tenant: d.Tenant,
		})
	}
	return c
}

type session struct {
	backend *Backend
	spec    backend.Spec
	api     *cluster.Client
	control *control.Client

	mu      sync.Mutex
	made    []string // paths of objects, in the order in which they were made
	running []*pod
}

func (s *session) Control() *control.Client { return s.control }

func (s *session) Workload(ctx context.Context, d workload.Spec) (backend.Workload, error) {
	if err := s.backend.namespace(ctx, s.api, d.Namespace); err != nil {
		return nil, err
	}
	r := &podWorkload{session: s, declared: d}
	return r, r.account(ctx)
}

// account writes the service account as this workload needs it. Another workload may share
// its name; pods that have started are not affected.
func (r *podWorkload) account(ctx context.Context) error {
	w, s := r.declared.Workload, r.session
	tenant := r.declared.Tenant
	for _, t := range s.spec.Config.Tenants {
		if slices.Contains(t.Domains, tenant) {
			tenant = t.ID
		}
	}
	annotations := map[string]string{}
	if w.ClientID != "" {
		annotations[azwi.ClientIDAnnotation] = w.ClientID
	}
	if tenant != "" {
		annotations[azwi.TenantIDAnnotation] = tenant
	}
	account := object("ServiceAccount", w.Namespace, w.ServiceAccount, map[string]any{"automountServiceAccountToken": false})
	account["metadata"].(map[string]any)["annotations"] = annotations
	return s.create(ctx, w.Namespace, "serviceaccounts", w.ServiceAccount, account)
}

// create makes an object that Close removes; one that an earlier session has left is replaced.
func (s *session) create(ctx context.Context, namespace, kind, name string, object any) error {
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

// namespace creates a namespace unless it exists. Namespaces stay between sessions: to
// remove one takes longer than most sessions last.
func (p *Backend) namespace(ctx context.Context, api *cluster.Client, name string) error {
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

func (s *session) Close(ctx context.Context) error {
	s.mu.Lock()
	running, made := s.running, slices.Clone(s.made)
	s.mu.Unlock()
	for _, p := range running {
		p.stop(errors.New("its session is closed"))
	}
	var errs []error
	for _, path := range slices.Backward(made) { // pods before their accounts
		errs = append(errs, s.api.Delete(ctx, path+"?gracePeriodSeconds=0"))
	}
	for _, p := range running {
		select {
		case <-p.Over:
		case <-ctx.Done():
		}
	}
	s.api.Close()
	<-s.backend.open
	return errors.Join(errs...)
}

type podWorkload struct {
	session  *session
	declared workload.Spec

	mu       sync.Mutex
	youngest *pod
}

// Token implements backend.Workload: the token of the youngest pod, which is created if
// there is none.
func (r *podWorkload) Token(ctx context.Context) ([]byte, error) {
	r.mu.Lock()
	p := r.youngest
	r.mu.Unlock()
	if p == nil {
		var err error
		if p, err = r.start(ctx, backend.Program{Stdout: io.Discard, Stderr: io.Discard}); err != nil {
			return nil, err
		}
	}
	return p.token(ctx)
}

func (r *podWorkload) Start(ctx context.Context, program backend.Program) (backend.Process, error) {
	if other, ok := program.TokenOf.(*podWorkload); ok && program.Token == nil {
		var err error
		if program.Token, err = other.Token(ctx); err != nil {
			return nil, err
		}
	} else if program.TokenOf != nil && program.Token == nil {
		return nil, fmt.Errorf("the token of a workload of another backend: expected one of %s", r.session.backend.Name())
	}
	return r.start(ctx, program)
}

// start creates a pod and watches it. A program without a command only sleeps.
func (r *podWorkload) start(ctx context.Context, program backend.Program) (*pod, error) {
	p, err := r.pod(ctx, program)
	if err != nil {
		return nil, err
	}
	if r.session.shared(r.declared) {
		if err := r.account(ctx); err != nil {
			return nil, err
		}
	}
	if err := r.session.create(ctx, p.namespace, "pods", p.name, p.manifest); err != nil {
		return nil, err
	}
	r.mu.Lock()
	r.youngest = p
	r.mu.Unlock()
	r.session.mu.Lock()
	r.session.running = append(r.session.running, p)
	r.session.mu.Unlock()
	go p.watch(ctx)
	return p, nil
}

func (s *session) shared(d workload.Spec) bool {
	n := 0
	for _, other := range s.spec.Workloads {
		if other.Namespace == d.Namespace && other.ServiceAccount == d.ServiceAccount {
			n++
		}
	}
	return n > 1
}

// imageOf returns the image that a program runs in, and its PATH.
func (p *Backend) imageOf(ctx context.Context, program backend.Program) (name, path string, err error) {
	name = cmp.Or(p.opts.Image, CommandImage)
	if len(program.Command) > 0 && program.Command[0] == backend.WorkloadProgram && p.opts.Image == "" {
		return WorkloadImage, "/", nil // Up has loaded it
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if path, loaded := p.searchPath[name]; loaded {
		return name, path, nil
	}
	there, err := p.host.docker.HasImage(ctx, name)
	if err != nil {
		return "", "", err
	}
	if !there {
		if _, err := p.host.docker.Output(ctx, "pull", "--quiet", name); err != nil {
			return "", "", fmt.Errorf("the image %s is not here and cannot be pulled: %w; build it, or name another one with --app-image", name, p.host.docker.Explain(err))
		}
	}
	if err := p.host.Load(ctx, p.name, []string{name}); err != nil {
		return "", "", err
	}
	text, err := p.host.docker.Output(ctx, "image", "inspect", "--format", "{{range .Config.Env}}{{println .}}{{end}}", name)
	if err != nil {
		return "", "", p.host.docker.Explain(err)
	}
	path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" // containerd: oci/spec_opts.go, defaultUnixEnv
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "PATH="); ok {
			path = value
		}
	}
	p.searchPath[name] = path
	return name, path, nil
}

// ending is how long a program has, on the wall clock, between being asked to end and being killed.
const ending = time.Second

// forgotten returns, as words of a shell, what the emulator in a node stores and the next
// session must not see: see server.Options.Keep.
func forgotten() string {
	words := nodeservice.LabDir
	for _, pattern := range nodeservice.Changes {
		words += " " + nodeservice.StateDir + "/" + pattern
	}
	return words
}
