package kind

import (
	"slices"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/emulator/config"
)

// corefile is kubeadm's. Kubernetes: cmd/kubeadm/app/phases/addons/dns/manifests.go
const corefile = `.:53 {
    errors
    health {
       lameduck 5s
    }
    forward . /etc/resolv.conf {
       max_concurrent 1000
    }
    reload
}
`

func TestClusterDNSAnswersForTheEmulatedHosts(t *testing.T) {
	all, err := zones(Options{Config: config.Config{Issuers: []config.Issuer{{Name: "own", URL: "https://issuer.example/own/"}}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"login.microsoftonline.com", "vault.azure.net", "graph.microsoft.com", "oic.wiemu.test", "issuer.example"} {
		if !slices.Contains(all, want) {
			t.Errorf("expected %s among %v", want, all)
		}
	}
	with, err := withZones(corefile, all)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(with, ".:53 {\n    # wiemu: the emulated hosts\n    template IN A ") || !strings.Contains(with, `answer "{{ .Name }} 30 IN A 169.254.7.7"`) {
		t.Errorf("found\n%s", with)
	}
	fewer, err := withZones(with, []string{"vault.azure.net"})
	if err != nil || strings.Count(fewer, "# wiemu: ") != 1 || strings.Contains(fewer, "login.microsoftonline.com") {
		t.Errorf("zones that are replaced: %v\n%s", err, fewer)
	}
	if without, err := withZones(fewer, nil); err != nil || without != corefile {
		t.Errorf("expected the file of before: %v\n%s", err, without)
	}
	if _, err := withZones("import /etc/other", all); err == nil || !strings.Contains(err.Error(), "expected a Corefile with a server block") {
		t.Errorf("a file without a server: %v", err)
	}
}

func TestZonesHoldNoneThatIsBelowAnother(t *testing.T) {
	all, err := zones(Options{})
	if err != nil {
		t.Fatal(err)
	}
	if slices.Contains(all, "local.oic.wiemu.test") || !slices.Contains(all, "oic.wiemu.test") {
		t.Errorf("%v", all)
	}
}

func TestAnnotateReplacesPods(t *testing.T) {
	deployment := map[string]any{"spec": map[string]any{"template": map[string]any{"metadata": map[string]any{}}}}
	if !annotate(deployment, "a", "b") || deployment["spec"].(map[string]any)["template"].(map[string]any)["metadata"].(map[string]any)["annotations"].(map[string]any)["a"] != "b" {
		t.Errorf("%v", deployment)
	}
	if annotate(map[string]any{}, "a", "b") {
		t.Error("there is no template")
	}
}
