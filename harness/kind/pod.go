package kind

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/wiemu/wiemu/harness"
	"github.com/wiemu/wiemu/harness/nodeservice"
	"github.com/wiemu/wiemu/harness/webhook"
)

// What pods of a place have.
const (
	programContainer = "program"
	fileContainer    = "token-file" // keeps the pod, and with it the token file, when the program has ended

	podBin      = nodeservice.Dir + "/" + binDir
	podTokenDir = "/var/run/secrets/wiemu/token" // of a program with a token file of its own
	tokenFile   = "azure-identity-token"
)

// pod is one program.
type pod struct {
	site            *site
	namespace, name string
	program         harness.Program
	manifest        map[string]any

	stop func(error) // ends it
	own  context.Context

	mu   sync.Mutex
	uid  string
	done chan struct{} // closed at the end; the rest is readable then
	code int
	err  error
}

// pod describes the pod of a program; it is not there yet.
func (r *runner) pod(ctx context.Context, program harness.Program) (*pod, error) {
	random := make([]byte, 4)
	if _, err := rand.Read(random); err != nil {
		return nil, err
	}
	w := r.declared.Workload
	account := w.ServiceAccount[:min(len(w.ServiceAccount), 50)]
	p := &pod{
		site: r.site, namespace: w.Namespace, name: strings.TrimRight(account, "-.") + "-" + hex.EncodeToString(random), program: program, done: make(chan struct{}),
	}
	own, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	p.own, p.stop = own, stop
	holder := map[string]any{"name": fileContainer, "image": r.site.place.pause, "imagePullPolicy": "IfNotPresent"}
	containers, volumes := []any{holder}, []any{}
	if len(program.Command) > 0 {
		container, err := r.container(ctx, program)
		if err != nil {
			return nil, err
		}
		containers = []any{container, holder}
		volumes = append(volumes, map[string]any{"name": "wiemu-bin", "hostPath": map[string]any{"path": podBin, "type": "Directory"}})
	}
	if program.Token != nil {
		secret := object("Secret", p.namespace, p.name, map[string]any{"stringData": map[string]string{tokenFile: string(program.Token)}})
		if err := r.site.create(ctx, p.namespace, "secrets", p.name, secret); err != nil {
			return nil, err
		}
		volumes = append(volumes, map[string]any{"name": "wiemu-token", "secret": map[string]any{"secretName": p.name}})
	}
	annotations := map[string]string{}
	if len(program.Command) > 0 { // else it is for this container that there is a token file
		annotations[webhook.SkipAnnotation] = fileContainer
	}
	if lifetime := r.declared.Identity.TokenLifetime; lifetime > 0 {
		annotations[webhook.ExpirationAnnotation] = fmt.Sprint(int(lifetime.Seconds()))
	}
	p.manifest = object("Pod", p.namespace, p.name, map[string]any{"spec": map[string]any{
		"serviceAccountName": w.ServiceAccount, "automountServiceAccountToken": false, "enableServiceLinks": false,
		"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "containers": containers, "volumes": volumes,
	}})
	metadata := p.manifest["metadata"].(map[string]any)
	metadata["annotations"], metadata["labels"] = annotations, map[string]string{webhook.UseLabel: "true", "app.kubernetes.io/managed-by": "wiemu"}
	return p, nil
}

// container is that of a program.
func (r *runner) container(ctx context.Context, program harness.Program) (map[string]any, error) {
	image, search, err := r.site.place.imageOf(ctx, program)
	if err != nil {
		return nil, err
	}
	env := maps.Clone(program.Env)
	if env == nil {
		env = map[string]string{}
	}
	mounts := []any{map[string]any{"name": "wiemu-bin", "mountPath": podBin, "readOnly": true}}
	if _, given := env["PATH"]; !given {
		env["PATH"] = search + ":" + podBin
	}
	if program.Token != nil {
		mounts = append(mounts, map[string]any{"name": "wiemu-token", "mountPath": podTokenDir, "readOnly": true})
		if _, given := env["AZURE_FEDERATED_TOKEN_FILE"]; !given {
			env["AZURE_FEDERATED_TOKEN_FILE"] = path.Join(podTokenDir, tokenFile)
		}
	}
	var variables []any
	for _, name := range slices.Sorted(maps.Keys(env)) {
		// Kubernetes expands $(NAME); $$ is a dollar.
		variables = append(variables, map[string]any{"name": name, "value": strings.ReplaceAll(env[name], "$(", "$$(")})
	}
	command := make([]string, len(program.Command))
	for i, argument := range program.Command {
		command[i] = strings.ReplaceAll(argument, "$(", "$$(")
	}
	return map[string]any{
		"name": programContainer, "image": image, "imagePullPolicy": "Never", "command": command, "env": variables, "volumeMounts": mounts,
	}, nil
}

// Done implements harness.Process.
func (p *pod) Done() <-chan struct{} { return p.done }

// Stop implements harness.Process.
func (p *pod) Stop() { p.end(nil) }

func (p *pod) end(why error) { p.stop(why) }

// Wait implements harness.Process.
func (p *pod) Wait(ctx context.Context) (exitCode int, err error) {
	select {
	case <-p.done:
		return p.code, p.err
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

// podStatus is what the API server knows of a pod.
type podStatus struct {
	Metadata struct{ UID string }
	Spec     struct {
		Volumes []struct {
			Name      string
			Projected struct {
				Sources []struct {
					ServiceAccountToken *struct{ Path string }
				}
			}
		}
	}
	Status struct {
		Phase, Reason, Message string
		ContainerStatuses      []containerStatus
	}
}

type containerStatus struct {
	Name, ContainerID string
	State             struct {
		Waiting    *struct{ Reason, Message string }
		Running    *struct{}
		Terminated *struct {
			ExitCode        int
			Reason, Message string
		}
	}
}

// hopeless are the reasons for which a container waits in vain.
// Kubernetes: pkg/kubelet/images/types.go, pkg/kubelet/kuberuntime/kuberuntime_container.go
var hopeless = []string{"ErrImageNeverPull", "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "CreateContainerError", "CreateContainerConfigError", "RunContainerError"}

// look asks the API server for the pod.
func (p *pod) look(ctx context.Context) (status podStatus, err error) {
	err = p.site.api.Get(ctx, "/api/v1/namespaces/"+p.namespace+"/pods/"+p.name, &status)
	if err == nil {
		p.mu.Lock()
		p.uid = status.Metadata.UID
		p.mu.Unlock()
	}
	return status, err
}

func (s podStatus) container(name string) (containerStatus, bool) {
	i := slices.IndexFunc(s.Status.ContainerStatuses, func(c containerStatus) bool { return c.Name == name })
	if i < 0 {
		return containerStatus{}, false
	}
	return s.Status.ContainerStatuses[i], true
}

// ended reports whether the program has ended, and how.
func (s podStatus) ended(name string) (code int, ended bool, err error) {
	c, there := s.container(name)
	switch {
	case s.Status.Phase == "Failed" && !there:
		return 0, true, fmt.Errorf("the pod did not start: %s: %s", s.Status.Reason, s.Status.Message)
	case !there:
		return 0, false, nil
	case c.State.Terminated != nil:
		if t := c.State.Terminated; t.Reason == "StartError" || t.Reason == "ContainerCannotRun" {
			return t.ExitCode, true, errors.New(t.Message)
		}
		return c.State.Terminated.ExitCode, true, nil
	case c.State.Waiting != nil && slices.Contains(hopeless, c.State.Waiting.Reason):
		return 0, true, fmt.Errorf("%s: %s", c.State.Waiting.Reason, c.State.Waiting.Message)
	}
	return 0, false, nil
}

// watch looks after the pod until its program has ended, or is to end because ctx
// has or because somebody stopped it.
func (p *pod) watch(ctx context.Context) {
	defer close(p.done)
	if len(p.program.Command) == 0 {
		<-p.own.Done()
		return
	}
	defer context.AfterFunc(ctx, func() { p.stop(nil) })()
	asking := context.WithoutCancel(ctx) // until it is known how the program ended
	var copied logCopy
	var deadline <-chan time.Time
	stopped, every := p.own.Done(), time.NewTicker(betweenTwoLooks)
	defer every.Stop()
	for looks := 1; ; looks++ {
		status, err := p.look(asking)
		if err != nil {
			p.err = fmt.Errorf("look at the pod %s/%s: %w", p.namespace, p.name, err)
			return
		}
		code, ended, err := status.ended(programContainer)
		if ended || looks%logLooks == 0 {
			if c, there := status.container(programContainer); there && c.State.Waiting == nil {
				if failed := p.copyLog(asking, &copied); failed != nil && ended {
					err = errors.Join(err, failed)
				}
			}
		}
		if ended {
			if p.code = code; err != nil {
				p.err = fmt.Errorf("start %s: %w", p.program.Command[0], err)
			}
			return
		}
		select {
		case <-every.C:
		case <-stopped:
			stopped, deadline = nil, time.After(killPatience)
			if c, there := status.container(programContainer); there && c.State.Running != nil {
				p.terminate(asking, c)
			} else { // it has not begun
				p.err = fmt.Errorf("start %s: %w", p.program.Command[0], p.unborn(status))
				return
			}
		case <-deadline:
			p.err = fmt.Errorf("the pod %s/%s does not end", p.namespace, p.name)
			return
		}
	}
}

// Wall time.
const (
	logLooks     = 10 // looks at a running pod until its output is read
	killPatience = 10 * time.Second
)

// unborn says what a pod was doing that was ended before its program began.
func (p *pod) unborn(status podStatus) error {
	if why := context.Cause(p.own); why != nil && !errors.Is(why, context.Canceled) {
		return why
	}
	if c, there := status.container(programContainer); there && c.State.Waiting != nil {
		return fmt.Errorf("its pod was %s when it was to end: %s %s", strings.ToLower(status.Status.Phase), c.State.Waiting.Reason, c.State.Waiting.Message)
	}
	return fmt.Errorf("its pod was %s when it was to end", strings.ToLower(status.Status.Phase))
}

// terminate sends SIGTERM, and SIGKILL a moment later.
func (p *pod) terminate(ctx context.Context, c containerStatus) {
	_, id, _ := strings.Cut(c.ContainerID, "://")
	// One that has ended meanwhile is found to have ended.
	_, _ = p.site.place.host.in(ctx, nodeName(p.site.place.name), "crictl", "stop", "--timeout", fmt.Sprint(int(ending.Seconds())), id)
}

// token is what the pod's token file holds; nil when there is none.
func (p *pod) token(ctx context.Context) ([]byte, error) {
	var file string
	if err := await(ctx, podPatience, func(ctx context.Context) error {
		status, err := p.look(ctx)
		if err != nil {
			return err
		}
		if len(status.Status.ContainerStatuses) == 0 || status.Status.Phase == "Pending" {
			return fmt.Errorf("the pod %s/%s does not start", p.namespace, p.name)
		}
		file = status.tokenFile()
		return nil
	}); err != nil {
		return nil, err
	}
	if file == "" {
		return nil, nil
	}
	text, err := p.site.place.read(ctx, file)
	if err != nil {
		return nil, fmt.Errorf("read the token file of %s/%s: %w", p.namespace, p.name, err)
	}
	return text, nil
}

// tokenFile is where the node has what the webhook projects; "": it does not.
// Kubernetes: pkg/volume/util, GetPodVolumeDir
func (s podStatus) tokenFile() string {
	for _, v := range s.Spec.Volumes {
		for _, source := range v.Projected.Sources {
			if t := source.ServiceAccountToken; t != nil && path.Base(t.Path) == tokenFile {
				return path.Join("/var/lib/kubelet/pods", s.Metadata.UID, "volumes/kubernetes.io~projected", v.Name, t.Path)
			}
		}
	}
	return ""
}

// copyLog passes on what the program has written since the last time.
func (p *pod) copyLog(ctx context.Context, copied *logCopy) error {
	p.mu.Lock()
	file := path.Join("/var/log/pods", p.namespace+"_"+p.name+"_"+p.uid, programContainer, "0.log")
	p.mu.Unlock()
	text, err := p.site.place.read(ctx, file)
	if err != nil {
		return fmt.Errorf("read what %s/%s has written: %w", p.namespace, p.name, err)
	}
	return copied.write(string(text), p.program.Stdout, p.program.Stderr)
}
