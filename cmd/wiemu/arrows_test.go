package main

import (
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/wiemu/wiemu/"

// dependencies lists what a package links, itself included.
func dependencies(t *testing.T, packages ...string) []string {
	t.Helper()
	out, err := exec.Command("go", append([]string{"list", "-deps"}, packages...)...).Output()
	if err != nil {
		t.Fatalf("go list -deps %v: %v", packages, err)
	}
	return strings.Fields(string(out))
}

func TestHeavyLibrariesStayWhereTheyAreNeeded(t *testing.T) {
	heavy := regexp.MustCompile(`^(sigs\.k8s\.io/kind|github\.com/(testcontainers|docker|moby|compose-spec)/|k8s\.io/|github\.com/Azure/|github\.com/AzureAD/)`)
	for _, light := range []string{"emulator", "harness", "scenarios", "cmd/wiemu-server"} {
		for _, dependency := range dependencies(t, module+light) {
			if light == "cmd/wiemu-server" && dependency == "k8s.io/externaljwt/apis/v1" { // three messages, and gRPC
				continue
			}
			if heavy.MatchString(dependency) {
				t.Errorf("%s links %s, which belongs elsewhere (CONTRIBUTING.md, Layout)", light, dependency)
			}
		}
	}
	if !slices.ContainsFunc(dependencies(t, module+"cmd/wiemu-workload"), heavy.MatchString) {
		t.Error("cmd/wiemu-workload links no heavy library: this test looks for the wrong names")
	}
}

// What links those is in wiemu-containers, which wiemu hands over to.
func TestWiemuLeavesHeavyLibrariesOut(t *testing.T) {
	heavy := regexp.MustCompile(`^(sigs\.k8s\.io/kind|github\.com/(testcontainers|docker|moby|compose-spec|santhosh-tekuri)/|k8s\.io/|github\.com/Azure/|github\.com/AzureAD/)`)
	for _, dependency := range dependencies(t, module+"cmd/wiemu") {
		if heavy.MatchString(dependency) {
			t.Errorf("wiemu links %s; what needs it belongs in cmd/wiemu-containers", dependency)
		}
	}
	if !slices.ContainsFunc(dependencies(t, module+"cmd/wiemu-containers"), heavy.MatchString) {
		t.Error("wiemu-containers links no heavy library: this test looks for the wrong names")
	}
}

// harness.New, which is for tests, takes its own TB instead of package testing's, and packages
// for tests alone, such as tokentest, are linked by tests.
func TestLightProgramsDoNotLinkPackageTesting(t *testing.T) {
	for _, light := range []string{"harness", "scenarios", "cmd/wiemu", "cmd/wiemu-server", "cmd/wiemu-workload"} {
		if slices.Contains(dependencies(t, module+light), "testing") {
			t.Errorf("%s links package testing", light)
		}
	}
}

// What drives a browser is for tests alone.
func TestProgramsDriveNoBrowser(t *testing.T) {
	for _, dependency := range dependencies(t, module+"cmd/...", module+"harness/...", module+"scenarios/...") {
		if strings.HasPrefix(dependency, "github.com/chromedp/") {
			t.Errorf("a program links %s", dependency)
		}
	}
}

func TestImportsRunDownOnly(t *testing.T) {
	programs := []string{"harness", "scenarios", "cmd", "internal/session", "internal/backend", "internal/run", "internal/process", "internal/scenario", "internal/recording", "internal/cli"}
	for room, above := range map[string][]string{
		"emulator/...":          programs,
		"internal/lab":          append([]string{"internal/server", "internal/gateway", "internal/ca", "internal/controlapi"}, programs...),
		"internal/server":       programs,
		"internal/resource/...": append([]string{"internal/lab", "internal/server", "internal/gateway", "internal/ca"}, programs...),
		"harness/...":           {"scenarios", "cmd", "internal/scenario", "internal/cli"},
		"scenarios/...":         {"cmd", "internal/cli"},
		"internal/...":          {"harness", "cmd"},
	} {
		for _, dependency := range dependencies(t, module+room) {
			for _, up := range above {
				if dependency == module+up || strings.HasPrefix(dependency, module+up+"/") {
					t.Errorf("%s imports %s: arrows run down only", room, dependency)
				}
			}
		}
	}
}
