//go:build !light

package main

import (
	"context"
	"errors"

	"github.com/testcontainers/testcontainers-go/log"

	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/keyring"
	"github.com/wiemu/wiemu/harness/compose"
	"github.com/wiemu/wiemu/harness/compose/stack"
	"github.com/wiemu/wiemu/harness/state"
)

// openCompose finds Docker. Containers are made for each scenario.
func (p *placesToRun) openCompose(ctx context.Context, _ *keyring.Pool) (place, error) {
	dir, err := state.Open(*p.stateDir)
	if err != nil {
		return place{}, err
	}
	log.SetDefault(log.NewNoopLogger()) // which Docker it is, Docker itself says
	told := newSteps(p.told)
	defer told.end()
	told.step("images of the emulator and of programs")
	opened, err := compose.OpenPlace(ctx, compose.PlaceOptions{Workload: p.program, Base: p.appImage, Keys: dir.KeyDir()})
	if err != nil {
		return place{}, err
	}
	return place{opened, func(context.Context) error { return opened.Close() }}, nil
}

// controlProject steers the emulator of a compose project.
func controlProject(ctx context.Context, name string) (*control.Client, error) {
	docker, err := stack.Open(ctx, nil)
	if err != nil {
		return nil, err
	}
	client, err := stack.Control(ctx, docker.Client(), name)
	return client, errors.Join(err, docker.Close())
}
