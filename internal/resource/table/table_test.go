package table_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/internal/cloud"
	"github.com/wiemu/wiemu/internal/resource/table"
)

// What cannot read the table names every resource all the same: the page of what is
// emulated, and the description of a fault's selector.
func TestEveryResourceIsDocumented(t *testing.T) {
	for _, d := range table.Resources() {
		for _, host := range d.Hosts(cloud.Public()) {
			if strings.HasPrefix(host, ".") {
				host = "*" + host
			}
			if !strings.Contains(read(t, "../../../docs/emulated.md"), "`"+host+"`") {
				t.Errorf("docs/emulated.md does not have %s of %s", host, d.Title)
			}
		}
		if !strings.Contains(read(t, "../../../emulator/fault/fault.go"), "entra, "+strings.Join(table.Names(), ", ")+", imds") {
			t.Errorf("fault.Selector.Resource does not name %s", d.Name)
		}
	}
}

// What leads names to the emulator in containers and clusters leads each port of a resource.
func TestEveryPortIsLed(t *testing.T) {
	var ports []uint16
	for _, d := range table.Resources() {
		for _, host := range d.Hosts(cloud.Public()) {
			if d.Ports != nil {
				ports = append(ports, d.Ports(host)...)
			}
		}
	}
	if len(ports) < 5 {
		t.Errorf("the resources have %d ports", len(ports))
	}
	for _, port := range ports {
		for file, pattern := range map[string]string{
			"../../../Dockerfile":                       `\nEXPOSE( \d+)* %d\b`,
			"../../deploy/install/base/service.yaml":    `\bport: %d, targetPort: `,
			"../../deploy/install/base/deployment.yaml": `\bcontainerPort: %d\b`,
			"../../../docs/network.md":                  `\b%d\b`,
		} {
			if !regexp.MustCompile(fmt.Sprintf(pattern, port)).MatchString(read(t, file)) {
				t.Errorf("%s does not have port %d", file, port)
			}
		}
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestDescriptions(t *testing.T) {
	for _, d := range table.Resources() {
		if d.Name == "" || d.Title == "" || len(d.AppID) != 36 || d.New == nil {
			t.Errorf("%+v", d)
		}
		for _, name := range cloud.Names() {
			in, _ := cloud.Named(name)
			for _, host := range d.Hosts(in) {
				if d.Ports != nil && len(d.Ports(host)) == 0 {
					t.Errorf("%s has no port at %s", d.Name, host)
				}
			}
			if len(d.Hosts(in)) == 0 || len(d.Audiences(in)) == 0 {
				t.Errorf("%s has no hosts or no audiences in %s", d.Name, name)
			}
		}
	}
}
