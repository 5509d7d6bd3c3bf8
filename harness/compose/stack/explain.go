package stack

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"syscall"

	"github.com/compose-spec/compose-go/v2/types"
)

// What Docker says, and what to do then. Docker's errors come as text.
var remedies = []struct {
	says   *regexp.Regexp
	remedy string
}{
	{regexp.MustCompile(`port is already allocated|address already in use`), "something else has this port: stop it, or let the service publish another; docker ps shows whose it is. The control door's is chosen with --control-port"},
	{regexp.MustCompile(`is already in use by container`), "another container has this name: remove it with docker rm -f NAME, or take the service's container_name away"},
	{regexp.MustCompile(`no space left on device`), "Docker's disk is full: docker system df shows of what, docker system prune makes room"},
	{regexp.MustCompile(`(?i)pull access denied|manifest unknown|no such host|failed to resolve reference|i/o timeout.*registry|No such image`), "the image cannot be pulled: load it with docker load, build it, or check the network and docker login"},
	{regexp.MustCompile(`sysctl .* is not|net\.ipv4\.ip_unprivileged_port_start`), "this runtime does not let containers set sysctls: allow net.ipv4.ip_unprivileged_port_start (podman and rootless Docker: see docs/compose.md)"},
	{regexp.MustCompile(`all predefined address pools have been fully subnetted|non-overlapping IPv4 address pool`), "Docker has no network left: docker network prune removes unused ones"},
	{regexp.MustCompile(`(?i)dependency failed to start: container .* is unhealthy`), "the emulator did not become healthy; what it said is above"},
}

// explain adds what to do, and what the emulator said when it is the one that failed.
func (e *Engine) explain(ctx context.Context, err error, project *types.Project) error {
	if ctx.Err() != nil {
		return context.Cause(ctx) // not what was under way
	}
	if errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("start project %s: %w. %s", project.Name, err, remedies[2].remedy)
	}
	text := err.Error()
	for _, r := range remedies {
		if r.says.MatchString(text) {
			return fmt.Errorf("start project %s: %w. %s", project.Name, err, r.remedy)
		}
	}
	return fmt.Errorf("start project %s: %s", project.Name, strings.TrimSpace(text))
}
