package kubeversion_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/internal/kubeversion"
)

// Whatever names the version of Kubernetes has the same one.
func TestOneVersion(t *testing.T) {
	version := strings.TrimPrefix(kubeversion.Version, "v")
	if !strings.HasPrefix(version, fmt.Sprintf("1.%d.", kubeversion.Minor)) {
		t.Errorf("version %s, minor %d", version, kubeversion.Minor)
	}
	library := strings.Replace(version, "1.", "0.", 1) // k8s.io/client-go v0.37.2 is that of Kubernetes 1.37.2
	for _, row := range []struct {
		file, pattern, want string
	}{
		{"go.mod", `\tk8s\.io/(?:api|apimachinery|client-go|externaljwt|streaming) v(\S+)`, library},
		{"cmd/wiemu/testdata/kubectl/go.mod", `\tk8s\.io/(?:component-base|kubectl) v(\S+)`, library},
		{"cmd/wiemu/testdata/kubectl/README.md", `gitVersion=v([0-9.]+)`, version},
		{"internal/kind/nodeimage/update-modules.sh", `kubernetes=\$\{1:-v([0-9.]+)\}`, version},
		{"internal/kind/nodeimage/kubernetes/go.mod", `\tk8s\.io/kubernetes v(\S+)`, version},
		{"internal/kind/nodeimage/README.md", `update-modules\.sh v([0-9.]+)`, version},
		{"docs/conformance.md", `\| kubectl create token \| federated \| ([0-9.]+) \|`, version},
	} {
		text, err := os.ReadFile(filepath.Join("../..", row.file))
		if err != nil {
			t.Error(err)
			continue
		}
		found := regexp.MustCompile(row.pattern).FindAllSubmatch(text, -1)
		if len(found) == 0 {
			t.Errorf("%s: nothing is like %s", row.file, row.pattern)
		}
		for _, f := range found {
			if string(f[1]) != row.want {
				t.Errorf("%s: expected %s, found %s", row.file, row.want, f[0])
			}
		}
	}
}
