package deploy

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
)

// Forward makes a port of a Deployment's pod reachable on this machine's loopback
// until stop is called; it takes the right to forward ports to pods, and no port
// of the cluster is opened.
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

// runningPod is a pod of a Deployment that answers.
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

// Secret reads a value of a Secret; found is false where there is none.
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
