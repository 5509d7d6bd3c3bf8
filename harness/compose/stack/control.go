package stack

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/compose/v5/pkg/api"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/harness/compose/engine"
	"github.com/wiemu/wiemu/harness/compose/layout"
)

// Control finds the emulator of a running project and how it is steered. Its control
// door is on a port of this machine; its token is read from the container, by
// whoever may use Docker.
func Control(ctx context.Context, c client.APIClient, project string) (*control.Client, error) {
	list, err := c.ContainerList(ctx, client.ContainerListOptions{Filters: make(client.Filters).Add("label", layout.ProjectLabel+"=true")})
	if err != nil {
		return nil, fmt.Errorf("look for emulators in containers: %w", err)
	}
	var running []string
	for _, found := range list.Items {
		name := found.Labels[api.ProjectLabel]
		if name != project {
			running = append(running, name)
			continue
		}
		return controlOf(ctx, c, found)
	}
	slices.Sort(running)
	has := "none has one now"
	if len(running) > 0 {
		has = "these have one: " + strings.Join(slices.Compact(running), ", ")
	}
	return nil, fmt.Errorf("project %s runs no emulator; %s. Start it with wiemu compose up, or docker compose up with an overlay", project, has)
}

func controlOf(ctx context.Context, c client.APIClient, found container.Summary) (*control.Client, error) {
	for _, p := range found.Ports {
		if p.PrivatePort != layout.ControlPort || p.PublicPort == 0 {
			continue
		}
		token, err := engine.ReadFile(ctx, c, found.ID, layout.ControlTokenFile)
		if err != nil {
			return nil, fmt.Errorf("read the control door's token from container %s: %w", found.ID[:12], err)
		}
		return &control.Client{URL: "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(int(p.PublicPort))), Token: strings.TrimSpace(string(token))}, nil
	}
	return nil, fmt.Errorf("container %s publishes no port of its control door (%d/tcp) on this machine; make the overlay anew with wiemu compose", found.ID[:12], layout.ControlPort)
}
