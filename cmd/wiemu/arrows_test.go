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

// With the tag light, wiemu links kind's library alone, whose start is short.
func TestLightWiemuLeavesHeavyLibrariesOut(t *testing.T) {
	heavy := regexp.MustCompile(`^(github\.com/(testcontainers|docker|moby|compose-spec|santhosh-tekuri)/|k8s\.io/|github\.com/Azure/|github\.com/AzureAD/)`)
	for _, dependency := range dependencies(t, "-tags=light", module+"cmd/wiemu") {
		if heavy.MatchString(dependency) {
			t.Errorf("the light wiemu links %s; what needs it has the constraint !light, and its stand-in is in light.go", dependency)
		}
	}
	if !slices.ContainsFunc(dependencies(t, module+"cmd/wiemu"), heavy.MatchString) {
		t.Error("the whole wiemu links no heavy library: this test looks for the wrong names")
	}
}

// harness.New, which is for tests, takes its own TB instead of package testing's.
func TestLightProgramsDoNotLinkPackageTesting(t *testing.T) {
	for _, light := range []string{"harness", "scenarios", "cmd/wiemu-server"} {
		if slices.Contains(dependencies(t, module+light), "testing") {
			t.Errorf("%s links package testing", light)
		}
	}
}

func TestImportsRunDownOnly(t *testing.T) {
	for room, above := range map[string][]string{
		"emulator/...":  {"harness", "scenarios", "cmd"},
		"harness/...":   {"scenarios", "cmd"},
		"scenarios/...": {"cmd"},
	} {
		for _, dependency := range dependencies(t, module+room) {
			for _, up := range above {
				if strings.HasPrefix(dependency, module+up) {
					t.Errorf("%s imports %s: arrows run down only", room, dependency)
				}
			}
		}
	}
}
