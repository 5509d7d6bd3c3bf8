// Package deploy works on a Kubernetes cluster through its API server: it
// applies objects, and tells when their pods run or why they do not. It makes no
// clusters; see harness/kind. What is applied is made by the packages below it.
package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Cluster is a cluster that somebody runs, as a kubeconfig's context names it.
type Cluster struct {
	Context string // of the kubeconfig

	config  *rest.Config
	client  kubernetes.Interface
	dynamic dynamic.Interface
	poll    time.Duration // between two looks (wall time)
}

// Open reads a kubeconfig. An empty file is what kubectl would take ($KUBECONFIG,
// else ~/.kube/config), an empty context the file's current one.
func Open(file, named string) (*Cluster, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.WarnIfAllMissing = false
	if file != "" {
		if _, err := os.Stat(file); err != nil {
			return nil, fmt.Errorf("--kubeconfig: %w", err)
		}
		rules.ExplicitPath = file
	}
	where := file
	if where == "" {
		where = strings.Join(rules.GetLoadingPrecedence(), string(filepath.ListSeparator))
	}
	raw, err := rules.Load()
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig %s: %w", where, err)
	}
	if named == "" {
		named = raw.CurrentContext
	}
	var known []string
	for name := range raw.Contexts {
		known = append(known, name)
	}
	slices.Sort(known)
	if named == "" || !slices.Contains(known, named) {
		return nil, fmt.Errorf("kubeconfig %s: context %q: expected one of [%s]; name one with --context (kubectl config get-contexts lists them)", where, named, strings.Join(known, " "))
	}
	config, err := clientcmd.NewNonInteractiveClientConfig(*raw, named, &clientcmd.ConfigOverrides{}, rules).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("kubeconfig %s: context %q: %w", where, named, err)
	}
	config.QPS = -1 // of one command: the API server itself says when it is too much
	c := &Cluster{Context: named, config: config, poll: 250 * time.Millisecond}
	if c.client, err = kubernetes.NewForConfig(config); err != nil {
		return nil, err
	}
	if c.dynamic, err = dynamic.NewForConfig(config); err != nil {
		return nil, err
	}
	return c, nil
}

// Issuer asks the API server who signs its service-account tokens.
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

// explain says what was being done with which cluster when something failed.
func (c *Cluster) explain(doing string, err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("cluster %s (%s): %s: %w", c.Context, c.config.Host, doing, err)
}
