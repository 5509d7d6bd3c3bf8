// Package deploy works on a Kubernetes cluster through its API server: it
// applies objects, and reports when their pods run or why they do not. It creates no
// clusters; see internal/kind. The packages below it create the objects.
package deploy

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
)

// Cluster is an existing cluster, named by a kubeconfig's context.
type Cluster struct {
	Context string // of the kubeconfig

	config  *rest.Config
	client  kubernetes.Interface
	dynamic dynamic.Interface
	poll    time.Duration // between two checks (wall time)
}

// Open reads a kubeconfig. file defaults to that of kubectl ($KUBECONFIG, else
// ~/.kube/config), context to the file's current one.
func Open(file, named string) (*Cluster, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.WarnIfAllMissing = false
	if file != "" {
		if _, err := os.Stat(file); err != nil {
			return nil, fmt.Errorf("--kubeconfig: %w", err)
		}
		rules.ExplicitPath = file
	}
	where := cmp.Or(file, strings.Join(rules.GetLoadingPrecedence(), string(filepath.ListSeparator)))
	raw, err := rules.Load()
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig %s: %w", where, err)
	}
	named = cmp.Or(named, raw.CurrentContext)
	known := slices.Sorted(maps.Keys(raw.Contexts))
	if named == "" || !slices.Contains(known, named) {
		return nil, fmt.Errorf("kubeconfig %s: context %q: expected one of [%s]; name one with --context (kubectl config get-contexts lists them)", where, named, strings.Join(known, " "))
	}
	config, err := clientcmd.NewNonInteractiveClientConfig(*raw, named, &clientcmd.ConfigOverrides{}, rules).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("kubeconfig %s: context %q: %w", where, named, err)
	}
	config.QPS = -1 // no limit for one command: the API server limits requests itself
	c := &Cluster{Context: named, config: config, poll: 250 * time.Millisecond}
	if c.client, err = kubernetes.NewForConfig(config); err != nil {
		return nil, err
	}
	if c.dynamic, err = dynamic.NewForConfig(config); err != nil {
		return nil, err
	}
	return c, nil
}

// Issuer asks the API server for the issuer of its service-account tokens.
func (c *Cluster) Issuer(ctx context.Context) (string, error) {
	data, err := c.client.Discovery().RESTClient().Get().AbsPath("/.well-known/openid-configuration").DoRaw(ctx)
	if err != nil {
		return "", c.explain("ask for the issuer of its service-account tokens", err)
	}
	var document struct {
		Issuer string `json:"issuer"`
	}
	if err := json.Unmarshal(data, &document); err != nil || document.Issuer == "" {
		return "", fmt.Errorf("cluster %s: /.well-known/openid-configuration: expected a document with the issuer, found %.100q", c.Context, data)
	}
	return document.Issuer, nil
}

// explain adds to an error what was being done with which cluster.
func (c *Cluster) explain(doing string, err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("cluster %s (%s): %s: %w", c.Context, c.config.Host, doing, err)
}

// Forward makes a port of a Deployment's pod reachable on this machine's loopback until stop is
// called; it takes the right to forward ports to pods, and no port of the cluster is opened.
func (c *Cluster) Forward(ctx context.Context, namespace, deployment string, port int) (address string, stop func(), err error) {
	pod, err := c.runningPod(ctx, namespace, deployment)
	if err != nil {
		return "", nil, err
	}
	doing := fmt.Sprintf("forward port %d of pod %s/%s", port, namespace, pod)
	to := c.client.CoreV1().RESTClient().Post().Resource("pods").Namespace(namespace).Name(pod).SubResource("portforward").URL()
	transport, upgrader, err := spdy.RoundTripperFor(c.config)
	if err != nil {
		return "", nil, c.explain(doing, err)
	}
	dialer := spdy.NewDialer(upgrader, &http.Client{Transport: transport}, http.MethodPost, to)
	end, ready, failed := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	forwarder, err := portforward.NewOnAddresses(dialer, []string{"127.0.0.1"}, []string{fmt.Sprintf("0:%d", port)}, end, ready, io.Discard, io.Discard)
	if err != nil {
		return "", nil, c.explain(doing, err)
	}
	var running sync.WaitGroup
	running.Go(func() { failed <- forwarder.ForwardPorts() })
	stop = func() {
		close(end)
		running.Wait()
	}
	select {
	case <-ready:
	case err := <-failed:
		return "", nil, c.explain(doing, err)
	case <-ctx.Done():
		stop()
		return "", nil, context.Cause(ctx)
	}
	ports, err := forwarder.GetPorts()
	if err != nil {
		stop()
		return "", nil, c.explain(doing, err)
	}
	return fmt.Sprintf("127.0.0.1:%d", ports[0].Local), stop, nil
}

func (c *Cluster) runningPod(ctx context.Context, namespace, deployment string) (string, error) {
	seen, err := c.observe(ctx, Rollout{Kind: "Deployment", Namespace: namespace, Name: deployment})
	if err != nil {
		return "", c.explain("look for Deployment "+namespace+"/"+deployment, err)
	}
	for _, pod := range seen.pods {
		for _, condition := range pod.Status.Conditions {
			if condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue {
				return pod.Name, nil
			}
		}
	}
	now := Rollout{Kind: "Deployment", Namespace: namespace, Name: deployment, State: Waiting}
	seen.judge(&now)
	return "", fmt.Errorf("cluster %s: Deployment %s/%s has no pod that is ready: %s", c.Context, namespace, deployment, now.Doing)
}

// Secret reads a value of a Secret; found is false if there is none.
func (c *Cluster) Secret(ctx context.Context, namespace, name, key string) (value string, found bool, err error) {
	secret, err := c.client.CoreV1().Secrets(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		if apierrors.IsNotFound(err) {
			return "", false, nil
		}
		return "", false, c.explain(fmt.Sprintf("read Secret %s/%s", namespace, name), err)
	}
	data, found := secret.Data[key]
	return string(data), found, nil
}

// manager is the field manager of server-side apply.
const manager = "wiemu"

// named returns the name of an object in messages: Deployment my-radix-app-dev/web.
func named(o *unstructured.Unstructured) string {
	if o.GetNamespace() == "" {
		return o.GetKind() + " " + o.GetName()
	}
	return o.GetKind() + " " + o.GetNamespace() + "/" + o.GetName()
}

// resource returns the resource of a kind. Kubernetes' own kinds have regular plurals.
func (c *Cluster) resource(o *unstructured.Unstructured) dynamic.ResourceInterface {
	plural, _ := meta.UnsafeGuessKindToResource(o.GroupVersionKind())
	if o.GetNamespace() == "" {
		return c.dynamic.Resource(plural)
	}
	return c.dynamic.Resource(plural).Namespace(o.GetNamespace())
}

// Apply applies objects, one after another (server-side apply), and calls tell for each. An
// existing job is replaced, as jobs cannot be changed: it runs again.
func (c *Cluster) Apply(ctx context.Context, objects []*unstructured.Unstructured, tell func(object string)) error {
	for _, o := range objects {
		if o.GetKind() == "Job" {
			if err := c.remove(ctx, o); err != nil {
				return err
			}
		}
		if _, err := c.resource(o).Apply(ctx, o.GetName(), o, metav1.ApplyOptions{FieldManager: manager, Force: true}); err != nil {
			return c.explain("apply "+named(o), err)
		}
		tell(named(o))
	}
	return nil
}

// Delete deletes objects, the last first, waits until they are gone, and calls tell for each
// that existed.
func (c *Cluster) Delete(ctx context.Context, objects []*unstructured.Unstructured, tell func(object string)) error {
	for _, o := range slices.Backward(objects) {
		if _, err := c.resource(o).Get(ctx, o.GetName(), metav1.GetOptions{}); apierrors.IsNotFound(err) {
			continue
		}
		if err := c.remove(ctx, o); err != nil {
			return err
		}
		tell(named(o))
	}
	return nil
}

// Named returns the objects of a kind that have the same name in every namespace.
func (c *Cluster) Named(ctx context.Context, kind schema.GroupVersionKind, name string) ([]*unstructured.Unstructured, error) {
	plural, _ := meta.UnsafeGuessKindToResource(kind)
	list, err := c.dynamic.Resource(plural).List(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + name})
	if err != nil {
		return nil, c.explain("list "+plural.Resource+" named "+name, err)
	}
	var all []*unstructured.Unstructured
	for i := range list.Items {
		list.Items[i].SetGroupVersionKind(kind)
		all = append(all, &list.Items[i])
	}
	return all, nil
}

// remove deletes an object, if it exists, with what it owns, and waits.
func (c *Cluster) remove(ctx context.Context, o *unstructured.Unstructured) error {
	with := metav1.DeletePropagationForeground
	err := c.resource(o).Delete(ctx, o.GetName(), metav1.DeleteOptions{PropagationPolicy: &with})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return c.explain("delete "+named(o), err)
	}
	// Wall time: pods have a grace period.
	err = wait.PollUntilContextTimeout(ctx, c.poll, 5*time.Minute, true, func(ctx context.Context) (bool, error) {
		_, err := c.resource(o).Get(ctx, o.GetName(), metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return true, nil
		}
		return false, err
	})
	if err != nil {
		return c.explain(fmt.Sprintf("wait until %s is gone", named(o)), err)
	}
	return nil
}
