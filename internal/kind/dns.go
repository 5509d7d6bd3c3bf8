package kind

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/wiemu/wiemu/internal/cluster"
	"github.com/wiemu/wiemu/internal/docker/dockercli"
	"github.com/wiemu/wiemu/internal/lab"
	"github.com/wiemu/wiemu/internal/lazyregexp"
	"github.com/wiemu/wiemu/internal/nodeservice"
)

// The objects of CoreDNS. Kubernetes: cmd/kubeadm/app/constants, CoreDNSConfigMap
const (
	corefilePath = "/api/v1/namespaces/kube-system/configmaps/coredns"
	corednsPath  = "/apis/apps/v1/namespaces/kube-system/deployments/coredns"
)

// zones returns the emulated hosts of a configuration; each includes all names below it.
func zones(opts Options) ([]string, error) {
	completed, err := opts.Config.Complete(opts.ConfigFile)
	if err != nil {
		return nil, err
	}
	return lab.Zones(completed), nil
}

// answered is what dnsBlock has added to a Corefile.
var answered = lazyregexp.New(`(?s) *# wiemu: .*?# wiemu end\n`)

// withZones returns the Corefile with a first server that answers for zones, or, without
// zones, the Corefile that kubeadm wrote.
func withZones(corefile string, zones []string) (string, error) {
	corefile = answered().ReplaceAllString(corefile, "")
	if len(zones) == 0 {
		return corefile, nil
	}
	begin := strings.Index(corefile, "{\n")
	if begin < 0 {
		return "", fmt.Errorf("expected a Corefile with a server block, found %s", dockercli.Shortened(corefile, 80))
	}
	begin += len("{\n")
	names := strings.Join(zones, " ")
	return corefile[:begin] + `    # wiemu: the emulated hosts
    template IN A ` + names + ` {
        answer "{{ .Name }} 30 IN A ` + nodeservice.Advertised + `"
    }
    template IN AAAA ` + names + ` {
        rcode NOERROR
    }
    # wiemu end
` + corefile[begin:], nil
}

// answerAll makes the cluster's DNS answer for the emulated hosts, for every pod, or, without
// zones, no longer answer for them. It restarts CoreDNS, which reads its file only every 30
// seconds.
func answerAll(ctx context.Context, api *cluster.Client, zones []string) error {
	var file map[string]any
	if err := api.Get(ctx, corefilePath, &file); err != nil {
		return fmt.Errorf("read the configuration of CoreDNS: %w", err)
	}
	data, _ := file["data"].(map[string]any)
	before, _ := data["Corefile"].(string)
	after, err := withZones(before, zones)
	if err != nil {
		return fmt.Errorf("change the configuration of CoreDNS: %w", err)
	}
	if after == before {
		return nil
	}
	data["Corefile"] = after
	if err := api.Replace(ctx, corefilePath, file); err != nil {
		return fmt.Errorf("change the configuration of CoreDNS: %w", err)
	}
	return await(ctx, changePatience, func(ctx context.Context) error { // it may be changed by others meanwhile
		var deployment map[string]any
		if err := api.Get(ctx, corednsPath, &deployment); err != nil {
			return fmt.Errorf("start CoreDNS anew: %w", err)
		}
		if !annotate(deployment, "wiemu.dev/zones", strings.Join(zones, " ")) {
			return errors.New("start CoreDNS anew: expected a pod template in its deployment")
		}
		return api.Replace(ctx, corednsPath, deployment)
	})
}

// annotate sets an annotation of a deployment's pods, which replaces them.
func annotate(deployment map[string]any, name, value string) bool {
	spec, _ := deployment["spec"].(map[string]any)
	template, _ := spec["template"].(map[string]any)
	metadata, ok := template["metadata"].(map[string]any)
	if !ok {
		return false
	}
	annotations, _ := metadata["annotations"].(map[string]any)
	if annotations == nil {
		annotations = map[string]any{}
		metadata["annotations"] = annotations
	}
	annotations[name] = value
	return true
}
