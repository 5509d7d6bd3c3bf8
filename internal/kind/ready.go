package kind

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/kind/pkg/cluster/nodeutils"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/internal/azwi"
	"github.com/wiemu/wiemu/internal/cluster"
	"github.com/wiemu/wiemu/internal/webhook"

	"github.com/wiemu/wiemu/internal/docker"
	"github.com/wiemu/wiemu/internal/kind/records"
)

// WorkloadImage is an image with only wiemu-workload, which the node of every cluster has.
const WorkloadImage = "wiemu/workload:local"

// Timeouts, and the interval between two checks (wall time).
const (
	answerPatience  = 3 * time.Second  // an answer, where it tells something that there is none
	changePatience  = 30 * time.Second // an answer, where the work would be for nothing without
	startPatience   = 2 * time.Minute
	podPatience     = 3 * time.Minute
	betweenTwoLooks = 200 * time.Millisecond
)

// await repeats a check until it succeeds, and returns the last error if that takes too long.
func await(ctx context.Context, patience time.Duration, look func(context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		err := look(limited)
		if err == nil {
			return nil
		}
		select {
		case <-limited.Done():
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return fmt.Errorf("%w (for %v)", err, patience)
		case <-time.After(betweenTwoLooks):
		}
	}
}

func (h *Host) api(name string) *cluster.Client { return cluster.Open(h.Path(name, "kubeconfig")) }

// proveReady waits until the cluster is usable: its components run, and a pod has exchanged
// its token. It reports whether that pod read a secret, too.
func (h *Host) proveReady(ctx context.Context, name string, opts Options) (secret bool, err error) {
	api := h.api(name)
	defer api.Close()
	h.progress("emulator, webhook")
	if err := h.awaitService(ctx, name, api); err != nil {
		return false, err
	}
	var answered []string
	if opts.ClusterDNS {
		if answered, err = zones(opts); err != nil {
			return false, err
		}
	}
	if err := answerAll(ctx, api, answered); err != nil {
		return false, err
	}
	h.progress("first pod, kube-proxy, CoreDNS")
	work, workCtx := errgroup.WithContext(ctx)
	work.Go(func() error { return awaitSystem(workCtx, api) })
	work.Go(func() error { secret, err = h.firstPod(workCtx, name, api, opts); return err })
	return secret, work.Wait()
}

// awaitService waits for the emulator in the node, and for what it registers.
func (h *Host) awaitService(ctx context.Context, name string, api *cluster.Client) error {
	r, _, err := h.Read(name)
	if err != nil {
		return err
	}
	client := control.Client{URL: r.Control, Token: r.Token}
	if err := await(ctx, startPatience, func(ctx context.Context) error {
		_, err := client.Status(ctx)
		return err
	}); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("%w\n%w", err, h.serviceError(ctx, name))
	}
	if err := await(ctx, startPatience, func(ctx context.Context) error { return webhookThere(ctx, api) }); err != nil {
		return fmt.Errorf("%w; the emulator in the node registers it: wiemu kind logs --name %s", err, name)
	}
	return nil
}

// webhookThere returns an error until the emulator has registered its webhook.
func webhookThere(ctx context.Context, api *cluster.Client) error {
	err := api.Get(ctx, "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/"+webhook.Configuration, nil)
	if err != nil {
		return fmt.Errorf("the webhook is not registered: %w", err)
	}
	return nil
}

// awaitSystem waits for what else pods need: kube-proxy, CoreDNS, and the
// service account of pods that name none. A node is ready seconds before they are.
func awaitSystem(ctx context.Context, api *cluster.Client) error {
	return await(ctx, startPatience, func(ctx context.Context) error {
		var proxy appsv1.DaemonSet
		if err := api.Get(ctx, "/apis/apps/v1/namespaces/kube-system/daemonsets/kube-proxy", &proxy); err != nil {
			return err
		}
		if s := proxy.Status; s.NumberReady == 0 || s.NumberReady < s.DesiredNumberScheduled {
			return fmt.Errorf("kube-proxy is not ready (%d of %d); see kubectl -n kube-system get pods", s.NumberReady, s.DesiredNumberScheduled)
		}
		var dns appsv1.Deployment
		if err := api.Get(ctx, corednsPath, &dns); err != nil {
			return err
		}
		// Those of a change before may still be ready: as kubectl rollout status.
		wanted := *cmp.Or(dns.Spec.Replicas, new(int32))
		if s := dns.Status; s.ObservedGeneration < dns.Generation || s.UpdatedReplicas < wanted || s.Replicas > s.UpdatedReplicas || s.ReadyReplicas < wanted {
			return fmt.Errorf("CoreDNS is not ready (%d of %d); see kubectl -n kube-system get pods", s.ReadyReplicas, wanted)
		}
		return api.Get(ctx, "/api/v1/namespaces/default/serviceaccounts/default", nil)
	})
}

// loadWorkload loads WorkloadImage into the node as soon as that accepts images, long before
// Kubernetes is ready.
func (h *Host) loadWorkload(ctx context.Context, name, program string) error {
	var archive bytes.Buffer
	if err := docker.WriteImage(&archive, WorkloadImage, docker.ArchitectureOf(program), program); err != nil {
		return err
	}
	if err := await(ctx, startPatience, func(ctx context.Context) error {
		_, err := h.docker.Exec(ctx, nodeName(name), "ctr", "version")
		return err
	}); err != nil {
		return fmt.Errorf("load the image %s: the node's containerd does not answer: %w", WorkloadImage, err)
	}
	return h.loadArchive(ctx, name, WorkloadImage, &archive)
}

// loadArchive loads the image of a docker save archive into every node of a cluster.
func (h *Host) loadArchive(ctx context.Context, name, image string, archive *bytes.Buffer) error {
	nodes, err := h.provider().ListInternalNodes(name)
	if err != nil {
		return h.explainKind(name, err)
	}
	for _, node := range nodes {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if err := nodeutils.LoadImageArchive(node, bytes.NewReader(archive.Bytes())); err != nil {
			return fmt.Errorf("load the image %s into %s: %w", image, node, h.explainKind(name, err))
		}
	}
	return nil
}

// The first pod. Its namespace goes when it has ended, and so does its identity.
const (
	firstNamespace = "wiemu-first-pod"
	firstAccount   = "first-pod-sa"
	firstClientID  = "6d1c3f0e-5b0a-4a55-9d5c-3c3f8b6f7f10"
)

// firstPod runs a pod that exchanges its token, and reads a secret if every identity may read one:
// nothing less shows that kubelet, signer, webhook, trust, names and emulator work together.
func (h *Host) firstPod(ctx context.Context, name string, api *cluster.Client, opts Options) (secret bool, err error) {
	command := []string{"token", "--scope", "https://graph.microsoft.com/.default"}
	vault, named := openSecret(opts)
	if vault != "" {
		command = []string{"secret", "get", vault, named}
	}
	namespace := "/api/v1/namespaces/" + firstNamespace
	defer func() {
		cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), changePatience)
		defer cancel()
		err = errors.Join(err, api.Delete(cleanup, namespace)) // the cluster deletes what is in it
	}()
	// A namespace of that name may still be terminating.
	if err := await(ctx, podPatience, func(ctx context.Context) error {
		return api.Create(ctx, "/api/v1/namespaces", object("Namespace", "", firstNamespace, nil))
	}); err != nil {
		return false, fmt.Errorf("make the namespace of the first pod: %w", err)
	}
	account := object("ServiceAccount", firstNamespace, firstAccount, map[string]any{"automountServiceAccountToken": false})
	account["metadata"].(map[string]any)["annotations"] = map[string]string{azwi.ClientIDAnnotation: firstClientID}
	if err := api.Create(ctx, namespace+"/serviceaccounts", account); err != nil {
		return false, fmt.Errorf("make the service account of the first pod: %w", err)
	}
	pod := object("Pod", firstNamespace, "first", map[string]any{"spec": map[string]any{
		"serviceAccountName": firstAccount, "restartPolicy": "Never", "automountServiceAccountToken": false, "terminationGracePeriodSeconds": 1,
		"containers": []any{map[string]any{"name": "first", "image": WorkloadImage, "imagePullPolicy": "Never", "args": command}},
	}})
	pod["metadata"].(map[string]any)["labels"] = map[string]string{azwi.UseLabel: "true"}
	if err := await(ctx, podPatience, func(ctx context.Context) error { // the webhook may be registered a moment before it is called
		return api.Create(ctx, namespace+"/pods", pod)
	}); err != nil {
		return false, fmt.Errorf("make the first pod: %w", err)
	}
	var state corev1.Pod
	if err := await(ctx, podPatience, func(ctx context.Context) error {
		if err := api.Get(ctx, namespace+"/pods/first", &state); err != nil {
			return err
		}
		if p := state.Status.Phase; p != corev1.PodSucceeded && p != corev1.PodFailed {
			return fmt.Errorf("the first pod does not end: %s", waitsFor(state))
		}
		return nil
	}); err != nil {
		return false, err
	}
	if state.Status.Phase == corev1.PodSucceeded {
		return vault != "", nil
	}
	if len(opts.Config.Faults) > 0 || opts.Config.Chaos != 0 {
		return false, nil // it was answered; a denial is configured
	}
	said, err := api.Text(ctx, namespace+"/pods/first/log")
	if err != nil {
		said = err.Error()
	}
	return false, fmt.Errorf("the first pod did not get its token:\n%s\nthe emulator in the node says:\n%s", indented(said), indented(h.lastWords(ctx, name, 5)))
}

// openSecret returns a secret that every identity of the first tenant may read.
func openSecret(opts Options) (vault, name string) {
	completed, err := opts.Config.Complete(opts.ConfigFile)
	if err != nil {
		return "", ""
	}
	for _, v := range completed.Vaults {
		open := slices.ContainsFunc(v.Access, func(a config.Access) bool {
			return a.Identity == "*" && (slices.Contains(a.Permissions, "*") || slices.Contains(a.Permissions, "get"))
		})
		if !open || v.Tenant != completed.Tenants[0].ID {
			continue
		}
		for secret := range v.Secrets {
			return v.Name, secret
		}
	}
	return "", ""
}

// object returns an object of the core group with metadata and further fields.
func object(kind, namespace, name string, more map[string]any) map[string]any {
	metadata := map[string]any{"name": name}
	if namespace != "" {
		metadata["namespace"] = namespace
	}
	o := map[string]any{"apiVersion": "v1", "kind": kind, "metadata": metadata}
	maps.Copy(o, more)
	return o
}

func waitsFor(p corev1.Pod) string {
	for _, c := range p.Status.ContainerStatuses {
		if w := c.State.Waiting; w != nil {
			return strings.TrimSpace(w.Reason + " " + w.Message)
		}
	}
	for _, c := range p.Status.Conditions {
		if c.Status == corev1.ConditionFalse {
			return strings.TrimSpace(c.Reason + " " + c.Message)
		}
	}
	return string(p.Status.Phase)
}

// Load loads images of this machine's Docker into the nodes of a cluster.
func (h *Host) Load(ctx context.Context, name string, images []string) error {
	defer h.progress("")
	if err := records.CheckName(name); err != nil {
		return err
	}
	f, err := h.find(ctx, name)
	if err != nil {
		return err
	}
	if f.condition == foreign {
		return notOurs(name)
	}
	if f.condition != running {
		return fmt.Errorf("cluster %s is %s: expected a running one; wiemu kind up --name %s makes it", name, f.condition, name)
	}
	for _, image := range images {
		there, err := h.docker.HasImage(ctx, image)
		if err != nil {
			return err
		}
		if !there {
			return fmt.Errorf("the image %s is not here; build it, or: docker pull %s", image, image)
		}
		h.progress("load " + image)
		var archive bytes.Buffer
		if err := h.docker.Run(ctx, nil, &archive, "save", image); err != nil {
			return h.docker.Explain(err)
		}
		if err := h.loadArchive(ctx, name, image, &archive); err != nil {
			return err
		}
	}
	return nil
}
