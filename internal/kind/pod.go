package kind

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/wiemu/wiemu/internal/azwi"
	"github.com/wiemu/wiemu/internal/backend"
	"github.com/wiemu/wiemu/internal/cluster"
	"github.com/wiemu/wiemu/internal/docker/dockercli"
	"github.com/wiemu/wiemu/internal/nodeservice"
)

// What pods have.
const (
	programContainer = "program"
	fileContainer    = "token-file" // keeps the pod, and with it the token file, after the program has ended

	podBin      = nodeservice.Dir + "/" + binDir
	podTokenDir = "/var/run/secrets/wiemu/token" // of a program with a token file of its own
)

type pod struct {
	backend.End
	session         *session
	namespace, name string
	program         backend.Program
	manifest        map[string]any

	stop func(error) // asks it to end
	own  context.Context

	mu  sync.Mutex
	uid string
}

// pod returns the pod of a program, which is not created yet.
func (r *podWorkload) pod(ctx context.Context, program backend.Program) (*pod, error) {
	random := make([]byte, 4)
	_, _ = rand.Read(random) // it never fails
	w := r.declared.Workload
	account := w.ServiceAccount[:min(len(w.ServiceAccount), 50)]
	p := &pod{
		session: r.session, namespace: w.Namespace, name: strings.TrimRight(account, "-.") + "-" + hex.EncodeToString(random), program: program, End: backend.End{Over: make(chan struct{})},
	}
	p.own, p.stop = context.WithCancelCause(context.WithoutCancel(ctx))
	holder := map[string]any{"name": fileContainer, "image": r.session.backend.pause, "imagePullPolicy": "IfNotPresent"}
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
		secret := object("Secret", p.namespace, p.name, map[string]any{"stringData": map[string]string{azwi.TokenFile: string(program.Token)}})
		if err := r.session.create(ctx, p.namespace, "secrets", p.name, secret); err != nil {
			return nil, err
		}
		volumes = append(volumes, map[string]any{"name": "wiemu-token", "secret": map[string]any{"secretName": p.name}})
	}
	annotations := map[string]string{}
	if len(program.Command) > 0 { // else only this container needs the token file
		annotations[azwi.SkipAnnotation] = fileContainer
	}
	if lifetime := r.declared.TokenLifetime; lifetime > 0 {
		annotations[azwi.ExpirationAnnotation] = fmt.Sprint(int(lifetime.Seconds()))
	}
	p.manifest = object("Pod", p.namespace, p.name, map[string]any{"spec": map[string]any{
		"serviceAccountName": w.ServiceAccount, "automountServiceAccountToken": false, "enableServiceLinks": false,
		"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "containers": containers, "volumes": volumes,
	}})
	metadata := p.manifest["metadata"].(map[string]any)
	metadata["annotations"], metadata["labels"] = annotations, map[string]string{azwi.UseLabel: "true", "app.kubernetes.io/managed-by": "wiemu"}
	return p, nil
}

func (r *podWorkload) container(ctx context.Context, program backend.Program) (map[string]any, error) {
	image, search, err := r.session.backend.imageOf(ctx, program)
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
			env["AZURE_FEDERATED_TOKEN_FILE"] = path.Join(podTokenDir, azwi.TokenFile)
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

func (p *pod) Stop() { p.stop(nil) }

// hopeless lists the reasons for waiting from which a container does not recover.
// Kubernetes: pkg/kubelet/images/types.go, pkg/kubelet/kuberuntime/kuberuntime_container.go
var hopeless = []string{"ErrImageNeverPull", "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "CreateContainerError", "CreateContainerConfigError", "RunContainerError"}

func (p *pod) look(ctx context.Context) (now corev1.Pod, err error) {
	err = p.session.api.Get(ctx, "/api/v1/namespaces/"+p.namespace+"/pods/"+p.name, &now)
	if err == nil {
		p.mu.Lock()
		p.uid = string(now.UID)
		p.mu.Unlock()
	}
	return now, err
}

// containerOf returns the status of a pod's container, or nil if it has none yet.
func containerOf(p corev1.Pod, name string) *corev1.ContainerStatus {
	for i := range p.Status.ContainerStatuses {
		if p.Status.ContainerStatuses[i].Name == name {
			return &p.Status.ContainerStatuses[i]
		}
	}
	return nil
}

func ended(p corev1.Pod, name string) (code int, ended bool, err error) {
	c := containerOf(p, name)
	switch {
	case p.Status.Phase == corev1.PodFailed && c == nil:
		return 0, true, fmt.Errorf("the pod did not start: %s: %s", p.Status.Reason, p.Status.Message)
	case c == nil:
		return 0, false, nil
	case c.State.Terminated != nil:
		if t := c.State.Terminated; t.Reason == "StartError" || t.Reason == "ContainerCannotRun" {
			return int(t.ExitCode), true, errors.New(t.Message)
		}
		return int(c.State.Terminated.ExitCode), true, nil
	case c.State.Waiting != nil && slices.Contains(hopeless, c.State.Waiting.Reason):
		return 0, true, fmt.Errorf("%s: %s", c.State.Waiting.Reason, c.State.Waiting.Message)
	}
	return 0, false, nil
}

// watch watches the pod until its program has ended. It ends the program when ctx ends or Stop
// is called.
func (p *pod) watch(ctx context.Context) {
	defer close(p.Over)
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
		var now corev1.Pod
		var refused error
		err := await(asking, podPatience, func(ctx context.Context) (err error) { // an answer that is lost is not the program's end
			now, err = p.look(ctx)
			if r := cluster.Refused(err); r != nil && r.Code < http.StatusInternalServerError {
				refused, err = err, nil
			}
			return err
		})
		if err = errors.Join(err, refused); err != nil {
			p.Err = fmt.Errorf("look at the pod %s/%s: %w", p.namespace, p.name, err)
			return
		}
		code, over, err := ended(now, programContainer)
		c := containerOf(now, programContainer)
		if (over || looks%logLooks == 0) && c != nil && c.State.Waiting == nil {
			if failed := p.copyLog(asking, &copied); failed != nil && over {
				err = errors.Join(err, failed)
			}
		}
		if over {
			if p.Code = code; err != nil {
				p.Err = fmt.Errorf("start %s: %w", p.program.Command[0], err)
			}
			return
		}
		select {
		case <-every.C:
		case <-stopped:
			stopped, deadline = nil, time.After(killPatience)
			if c != nil && c.State.Running != nil {
				p.terminate(asking, c)
			} else { // it has not begun
				p.Err = fmt.Errorf("start %s: %w", p.program.Command[0], p.unborn(now))
				return
			}
		case <-deadline:
			p.Err = fmt.Errorf("the pod %s/%s does not end", p.namespace, p.name)
			return
		}
	}
}

// Wall time.
const (
	logLooks     = 10 // looks at a running pod until its output is read
	killPatience = time.Minute
)

// unborn returns what a pod was waiting for that was ended before its program began.
func (p *pod) unborn(now corev1.Pod) error {
	if why := context.Cause(p.own); why != nil && !errors.Is(why, context.Canceled) {
		return why
	}
	phase := strings.ToLower(string(now.Status.Phase))
	if c := containerOf(now, programContainer); c != nil && c.State.Waiting != nil {
		return fmt.Errorf("its pod was %s when it was to end: %s %s", phase, c.State.Waiting.Reason, c.State.Waiting.Message)
	}
	return fmt.Errorf("its pod was %s when it was to end", phase)
}

// terminate sends SIGTERM, and SIGKILL a moment later.
func (p *pod) terminate(ctx context.Context, c *corev1.ContainerStatus) {
	_, id, _ := strings.Cut(c.ContainerID, "://")
	// That a program has ended meanwhile is found out by watch.
	_, _ = p.session.backend.host.docker.Exec(ctx, nodeName(p.session.backend.name), "crictl", "stop", "--timeout", fmt.Sprint(int(ending.Seconds())), id)
}

// token returns the content of the pod's token file, or nil if there is none.
func (p *pod) token(ctx context.Context) ([]byte, error) {
	var file string
	if err := await(ctx, podPatience, func(ctx context.Context) error {
		now, err := p.look(ctx)
		if err != nil {
			return err
		}
		if len(now.Status.ContainerStatuses) == 0 || now.Status.Phase == corev1.PodPending {
			return fmt.Errorf("the pod %s/%s does not start", p.namespace, p.name)
		}
		file = tokenFile(now)
		return nil
	}); err != nil {
		return nil, err
	}
	if file == "" {
		return nil, nil
	}
	text, err := p.session.backend.read(ctx, file)
	if err != nil {
		return nil, fmt.Errorf("read the token file of %s/%s: %w", p.namespace, p.name, err)
	}
	return text, nil
}

// tokenFile returns the path in the node of the token file that the webhook projects, or "".
// Kubernetes: pkg/volume/util, GetPodVolumeDir
func tokenFile(p corev1.Pod) string {
	for _, v := range p.Spec.Volumes {
		if v.Projected == nil {
			continue
		}
		for _, source := range v.Projected.Sources {
			if t := source.ServiceAccountToken; t != nil && path.Base(t.Path) == azwi.TokenFile {
				return path.Join("/var/lib/kubelet/pods", string(p.UID), "volumes/kubernetes.io~projected", v.Name, t.Path)
			}
		}
	}
	return ""
}

func (p *pod) copyLog(ctx context.Context, copied *logCopy) error {
	p.mu.Lock()
	file := path.Join("/var/log/pods", p.namespace+"_"+p.name+"_"+p.uid, programContainer, "0.log")
	p.mu.Unlock()
	text, err := p.session.backend.read(ctx, file)
	if err != nil {
		return fmt.Errorf("read what %s/%s has written: %w", p.namespace, p.name, err)
	}
	return copied.write(string(text), p.program.Stdout, p.program.Stderr)
}

// logCopy forwards the output of a container as its log grows.
type logCopy struct {
	passed int // bytes of the log
}

// write takes the whole log and forwards what is new, each stream to its own writer. An
// incomplete line waits for the next call.
// Kubernetes: kubernetes/kubernetes, pkg/kubelet/kuberuntime/logs/logs.go, parseCRILog:
// TIME STREAM TAGS TEXT, of which the tag P says that the line goes on.
func (c *logCopy) write(log string, stdout, stderr io.Writer) error {
	if c.passed > len(log) {
		return fmt.Errorf("the log has become shorter: expected %d bytes, found %d", c.passed, len(log))
	}
	for line := range strings.Lines(log[c.passed:]) {
		if !strings.HasSuffix(line, "\n") {
			break
		}
		fields := strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 4)
		if len(fields) < 3 {
			return fmt.Errorf("the log: expected TIME STREAM TAGS TEXT, found %s", dockercli.Shortened(line, 80))
		}
		text := ""
		if len(fields) == 4 {
			text = fields[3]
		}
		if tag, _, _ := strings.Cut(fields[2], ":"); tag != "P" {
			text += "\n"
		}
		to := stdout
		if fields[1] == "stderr" {
			to = stderr
		}
		if _, err := io.WriteString(to, text); err != nil {
			return err
		}
		c.passed += len(line)
	}
	return nil
}
