package containers_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/internal/containers"
	"github.com/wiemu/wiemu/internal/scenario"
	"github.com/wiemu/wiemu/internal/workload"
	"github.com/wiemu/wiemu/scenarios"
)

func TestTheConfigurationInAContainerIsTheSame(t *testing.T) {
	all, err := scenario.LoadFS(scenarios.Library())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		c := s.Config
		c.Workloads = slices.Concat(c.Workloads, s.Workloads)
		want, err := c.Complete("")
		if err != nil {
			t.Fatal(err)
		}
		lab, err := containers.NewConfiguration(want, "", true) // some have a PostgreSQL that is started
		if err != nil {
			t.Fatal(err)
		}
		read, err := config.Parse("wiemu.yaml", lab.Config)
		if err != nil {
			t.Errorf("%s: %v\n%s", s.Metadata.Name, err, lab.Config)
			continue
		}
		read, err = read.Complete("")
		if err != nil {
			t.Fatal(err)
		}
		read.Listen = config.Listen{}
		if !reflect.DeepEqual(read, want) {
			t.Errorf("%s: in the container it is\n%+v, want\n%+v", s.Metadata.Name, read, want)
		}
	}
}

func TestVariablesOfAContainer(t *testing.T) {
	lab, err := containers.NewConfiguration(config.Config{}, "", false)
	if err != nil {
		t.Fatal(err)
	}
	d := workload.Spec{Workload: workload.Workload{Namespace: "shop", ServiceAccount: "web-sa", ClientID: "b96d264b-7053-4465-a4a7-32be5b0fec49"}}
	got := containers.Variables(lab.Environment(d), []string{"JAVA_TOOL_OPTIONS=-Xmx1g", "AZURE_CLIENT_SECRET=not ours"})
	bundle := containers.Bundle()
	want := map[string]string{
		"AZURE_CLIENT_ID": d.ClientID, "AZURE_TENANT_ID": config.DefaultTenant, "AZURE_AUTHORITY_HOST": "https://login.microsoftonline.com/",
		"AZURE_FEDERATED_TOKEN_FILE": "/var/run/secrets/azure/tokens/azure-identity-token",
		"JAVA_TOOL_OPTIONS":          "-Xmx1g " + strings.Join(bundle.JavaOptions(), " "),
	}
	for _, v := range bundle.Environ(nil) {
		if name, value, _ := strings.Cut(v, "="); want[name] == "" {
			want[name] = value
		}
	}
	if _, there := want["SSL_CERT_DIR"]; there || want["SSL_CERT_FILE"] == "" {
		t.Errorf("the image's own directory of roots counts, and the lab's file: %v", want)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%v,\nwant %v", got, want)
	}
}

func TestFilesThatTheConfigurationNames(t *testing.T) {
	lab, err := containers.NewConfiguration(config.Config{Issuers: []config.Issuer{{Name: "aks", URL: "https://aks.example/t/", External: true, CA: "ca.pem", BearerTokenFile: "/run/token"}, {Name: "local"}}}, "/etc/shop/wiemu.yaml", false)
	if err != nil {
		t.Fatal(err)
	}
	want := []containers.File{{Host: "/etc/shop/ca.pem", Container: "/etc/wiemu/files/0-ca.pem"}, {Host: "/run/token", Container: "/etc/wiemu/files/1-token"}}
	if !slices.Equal(lab.Files, want) || !strings.Contains(string(lab.Config), "ca: /etc/wiemu/files/0-ca.pem") {
		t.Errorf("%v, %s", lab.Files, lab.Config)
	}
}
