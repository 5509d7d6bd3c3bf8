package webhook

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/wiemu/wiemu/internal/azwi"
	"github.com/wiemu/wiemu/internal/ca"
	"github.com/wiemu/wiemu/internal/cluster"
	"github.com/wiemu/wiemu/internal/server"
)

// The names in a cluster.
const (
	Configuration = "wiemu" // of the MutatingWebhookConfiguration
	webhookName   = "mutation.wiemu.dev"

	// azure-workload-identity's own.
	// Source: azure-workload-identity, deploy/azure-wi-webhook.yaml.
	upstream = "azure-wi-webhook-mutating-webhook-configuration"

	configurations = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
)

// pollEvery is the interval between two checks of the cluster (wall time).
const pollEvery = 2 * time.Second

// NativeSidecars is the minor version of Kubernetes from which on sidecars are init containers.
// Source: azure-workload-identity, pkg/webhook/webhook.go, NewPodMutator.
const NativeSidecars = 32

// stayRegistered keeps the webhook registered until ctx ends. An error is logged once.
func (s *Server) stayRegistered(ctx context.Context) {
	tick := time.NewTicker(cmp.Or(s.config.poll, pollEvery))
	defer tick.Stop()
	for {
		err := s.look(ctx)
		if ctx.Err() != nil {
			return
		}
		s.tell(err)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// look reads what has to be known of the cluster, and writes what is missing in it.
func (s *Server) look(ctx context.Context) error {
	return inTurn(ctx, s.readVersion, s.readAddress, s.lookAside, s.register, s.renewTrust)
}

// inTurn takes steps until one fails.
func inTurn(ctx context.Context, steps ...func(context.Context) error) error {
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) tell(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	before := s.told.Swap(&text)
	switch {
	case before != nil && *before == text:
	case cluster.Refused(err) != nil:
		s.log.Warn("the cluster lets the webhook not do its work", "error", err)
	case err != nil:
		s.log.Info("the webhook waits for its cluster", "reason", err)
	default:
		s.log.Info("the webhook is registered", "configuration", Configuration)
	}
}

func (s *Server) readVersion(ctx context.Context) error {
	if s.minor.Load() != 0 {
		return nil
	}
	var version struct{ Minor string }
	if err := s.config.Cluster.Get(ctx, "/version", &version); err != nil {
		return err
	}
	digits := version.Minor // 32+, as some clusters have it
	if i := strings.IndexFunc(digits, func(c rune) bool { return c < '0' || c > '9' }); i >= 0 {
		digits = digits[:i]
	}
	minor, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return fmt.Errorf("the cluster's version: expected a minor such as 37, found %q", version.Minor)
	}
	s.minor.Store(minor)
	return nil
}

// readAddress looks up the gateway's Service, if there is one: it may be a new one.
func (s *Server) readAddress(ctx context.Context) error {
	if s.service == nil {
		return nil
	}
	var read struct {
		Spec struct {
			ClusterIP string `json:"clusterIP"`
		} `json:"spec"`
	}
	if err := s.config.Cluster.Get(ctx, "/api/v1/namespaces/"+s.service.namespace+"/services/"+s.service.name, &read); err != nil {
		return err
	}
	address, err := netip.ParseAddr(read.Spec.ClusterIP)
	if err != nil {
		return fmt.Errorf("service %s/%s: spec.clusterIP: expected an address, found %q; pods map names to it, so it cannot be headless", s.service.namespace, s.service.name, read.Spec.ClusterIP)
	}
	s.address.Store(&address)
	return nil
}

// lookAside checks whether azure-workload-identity's own webhook is installed. If it is, that
// one injects the identity, in whatever order the two are called.
func (s *Server) lookAside(ctx context.Context) error {
	err := s.config.Cluster.Get(ctx, configurations+"/"+upstream, nil)
	if err != nil && !cluster.IsNotFound(err) {
		return fmt.Errorf("look for azure-workload-identity's webhook: %w", err)
	}
	if there := err == nil; s.aside.Swap(there) != there {
		s.log.Info("azure-workload-identity's webhook", "installed", there)
	}
	return nil
}

// settings returns what pods get at this moment.
func (s *Server) settings(ctx context.Context) (Settings, error) {
	if err := inTurn(ctx, s.lookAside, s.readAddress, s.readVersion); err != nil {
		return Settings{}, err
	}
	settings, err := Offer(s.config.Emulator, s.config.Bundle, *s.address.Load(), s.minor.Load())
	if s.aside.Load() {
		settings.Identity = nil
	}
	return settings, err
}

// Offer returns what pods of a cluster of Kubernetes 1.minor get from an emulator: its hosts
// at an address, the files of a CA bundle, and identities as its configuration says.
func Offer(e *server.Server, b ca.Bundle, gateway netip.Addr, minor int64) (Settings, error) {
	tenant, err := e.Tenant("")
	w := e.Config().Webhook
	return Settings{
		HostRouting: &HostRouting{Address: gateway, Hosts: e.Hosts(), Bundle: b.At(TrustDir)},
		Identity: &IdentitySettings{
			Layout: Layout(w.Layout), Tenant: tenant, AuthorityHost: e.Cloud().Authority(), Audience: e.Cloud().TokenExchange,
			Sidecar: Sidecar{Image: w.Sidecar.Image, InitImage: w.Sidecar.InitImage, Native: minor >= NativeSidecars},
		},
	}, err
}

// register creates or updates the webhook's configuration.
func (s *Server) register(ctx context.Context) error {
	wanted, err := s.configuration()
	if err != nil {
		return err
	}
	var there map[string]any
	err = s.config.Cluster.Get(ctx, configurations+"/"+Configuration, &there)
	if cluster.IsNotFound(err) {
		return s.config.Cluster.Create(ctx, configurations, wanted)
	}
	if err != nil || includes(there["webhooks"], wanted["webhooks"]) {
		return err
	}
	wanted["metadata"] = there["metadata"] // other labels stay
	return s.config.Cluster.Replace(ctx, configurations+"/"+Configuration, wanted)
}

func (s *Server) configuration() (map[string]any, error) {
	client, err := s.clientConfig()
	if err != nil {
		return nil, err
	}
	wanted := map[string]any{
		"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
		"metadata": map[string]any{"name": Configuration, "labels": managed()},
		"webhooks": []any{map[string]any{
			"name": webhookName, "clientConfig": client, "admissionReviewVersions": []any{"v1"},
			"rules":          []any{map[string]any{"apiGroups": []any{""}, "apiVersions": []any{"v1"}, "operations": []any{"CREATE"}, "resources": []any{"pods"}, "scope": "Namespaced"}},
			"objectSelector": map[string]any{"matchLabels": map[string]any{azwi.UseLabel: "true"}}, "failurePolicy": "Fail", "matchPolicy": "Equivalent",
			"reinvocationPolicy": "IfNeeded", "sideEffects": "NoneOnDryRun", "timeoutSeconds": 10,
		}},
	}
	data, err := json.Marshal(wanted)
	if err != nil {
		return nil, err
	}
	clear(wanted)
	return wanted, json.Unmarshal(data, &wanted)
}

func managed() map[string]any { return map[string]any{"app.kubernetes.io/managed-by": "wiemu"} }

// clientConfig tells an API server how to reach the listener.
func (s *Server) clientConfig() (map[string]any, error) {
	host, port, err := net.SplitHostPort(s.Address())
	if err != nil {
		return nil, err
	}
	client := map[string]any{"caBundle": base64.StdEncoding.EncodeToString(s.CA())}
	if s.service != nil {
		number, err := strconv.Atoi(port)
		client["service"] = map[string]any{"namespace": s.service.namespace, "name": s.service.name, "path": path, "port": number}
		return client, err
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsUnspecified() {
		host = s.config.Advertise
	}
	client["url"] = "https://" + net.JoinHostPort(host, port) + path
	return client, nil
}

// includes reports whether an object has every field that is wanted. An API server adds defaults.
func includes(there, wanted any) bool {
	switch w := wanted.(type) {
	case map[string]any:
		t, ok := there.(map[string]any)
		for field := range w {
			ok = ok && includes(t[field], w[field])
		}
		return ok
	case []any:
		t, ok := there.([]any)
		ok = ok && len(t) == len(w)
		for i := range w {
			ok = ok && includes(t[i], w[i])
		}
		return ok
	}
	return reflect.DeepEqual(there, wanted)
}

// renewTrust replaces, once, the bundles that an earlier emulator has written into
// namespaces: if the CA has changed, running pods work again when they read it again.
func (s *Server) renewTrust(ctx context.Context) error {
	if s.renewed.Load() {
		return nil
	}
	var all struct{ Items []configMap }
	if err := s.config.Cluster.Get(ctx, "/api/v1/configmaps?fieldSelector=metadata.name%3D"+TrustConfigMap, &all); err != nil {
		return fmt.Errorf("look for the trust bundles of before: %w", err)
	}
	for _, there := range all.Items {
		namespace, _ := there.Metadata["namespace"].(string)
		if err := s.putTrust(ctx, namespace); err != nil {
			return fmt.Errorf("renew the trust bundle of namespace %s: %w", namespace, err)
		}
	}
	s.renewed.Store(true)
	return nil
}

// errRace means that the same ConfigMap was changed by others at each attempt.
var errRace = errors.New("the ConfigMap " + TrustConfigMap + " is changed by others again and again")

// putTrust writes the bundle into a namespace, unless it is there.
func (s *Server) putTrust(ctx context.Context, namespace string) error {
	wanted, err := trustConfigMap(s.config.Bundle)
	if err != nil {
		return err
	}
	path := "/api/v1/namespaces/" + namespace + "/configmaps"
	for range 5 { // pods of a namespace are created at the same time
		var there configMap
		err := s.config.Cluster.Get(ctx, path+"/"+TrustConfigMap, &there)
		switch {
		case cluster.IsNotFound(err):
			err = s.config.Cluster.Create(ctx, path, wanted)
		case err != nil:
			return err
		case there.holds(wanted):
			return nil
		default:
			replacing := wanted
			replacing.Metadata = there.Metadata
			err = s.config.Cluster.Replace(ctx, path+"/"+TrustConfigMap, replacing)
		}
		if !cluster.IsConflict(err) {
			return err
		}
	}
	return errRace
}

type configMap struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Metadata   map[string]any    `json:"metadata"`
	Data       map[string]string `json:"data"`
	BinaryData map[string][]byte `json:"binaryData"`
}

// holds reports whether a ConfigMap has the files of another one. Java's trust store has the
// same roots as the PEM files but differs each time it is written, so it only has to exist.
func (c configMap) holds(wanted configMap) bool {
	for name := range wanted.BinaryData {
		if len(c.BinaryData[name]) == 0 {
			return false
		}
	}
	return reflect.DeepEqual(c.Data, wanted.Data)
}

func trustConfigMap(b ca.Bundle) (configMap, error) {
	c := configMap{
		APIVersion: "v1", Kind: "ConfigMap", Metadata: map[string]any{"name": TrustConfigMap, "labels": managed()},
		Data: map[string]string{}, BinaryData: map[string][]byte{},
	}
	for _, file := range []string{b.Root, b.Roots, b.TrustStore} {
		data, err := os.ReadFile(file)
		if err != nil {
			return configMap{}, fmt.Errorf("read the trust bundle: %w", err)
		}
		if name := filepath.Base(file); file == b.TrustStore {
			c.BinaryData[name] = data
		} else {
			c.Data[name] = string(data)
		}
	}
	return c, nil
}
