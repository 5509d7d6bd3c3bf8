package kind

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"sigs.k8s.io/kind/pkg/apis/config/defaults"

	"github.com/wiemu/wiemu/internal/docker/dockercli"
	"github.com/wiemu/wiemu/internal/lazyregexp"
)

type image struct {
	Name       string
	Kubernetes string // version, such as v1.37.2
}

// offlineRepository is where make node-image puts what it builds: the repository of
// kind's own images, with the tag offline-VERSION.
const offlineRepository = "kindest/node"

// chooseImage returns the node image: the one that was asked for, else one that exists here
// (kind's own before the one that make node-image builds), else one to pull.
func (h *Host) chooseImage(ctx context.Context, asked, version string) (image, error) {
	if asked != "" && version != "" {
		return image{}, fmt.Errorf("--image %s and --k8s-version %s: expected one of the two", asked, version)
	}
	version, err := checkVersion(version)
	if err != nil {
		return image{}, err
	}
	h.progress("node image")
	candidates := []string{asked}
	if asked == "" {
		if candidates, err = h.usual(ctx, version); err != nil {
			return image{}, err
		}
	}
	name := ""
	for _, candidate := range candidates {
		there, err := h.docker.HasImage(ctx, candidate)
		if err != nil {
			return image{}, err
		}
		if there {
			name = candidate
			break
		}
	}
	if name == "" {
		name = candidates[0]
		h.progress("node image " + name + ", pulled")
		if _, err := h.docker.Output(ctx, "pull", "--quiet", name); err != nil {
			return image{}, cannotPull(ctx, name, err)
		}
	}
	found := image{Name: name}
	if found.Kubernetes, err = h.versionOf(ctx, name); err != nil {
		return image{}, err
	}
	return found, nil
}

var versionPattern = lazyregexp.New(`^v?(1\.\d+\.\d+)$`)

// checkVersion returns a version of Kubernetes in the form of images: v1.37.2.
func checkVersion(version string) (string, error) {
	if version == "" {
		return "", nil
	}
	m := versionPattern().FindStringSubmatch(version)
	if m == nil {
		return "", fmt.Errorf("--k8s-version: expected a version such as v1.37.0 for which there is an image kindest/node (https://github.com/kubernetes-sigs/kind/releases lists them), found %q", version)
	}
	return "v" + m[1], nil
}

// usual returns the images for a version, the one to pull first. For "" these are kind's
// default and whatever make node-image has built.
func (h *Host) usual(ctx context.Context, version string) ([]string, error) {
	if version != "" {
		return []string{"kindest/node:" + version, offlineRepository + ":offline-" + version}, nil
	}
	tag, _, _ := strings.Cut(defaults.Image, "@")                                                                                                  // what docker load brings has no digest
	listed, err := h.docker.Output(ctx, "images", "--filter", "reference="+offlineRepository+":offline-*", "--format", "{{.Repository}}:{{.Tag}}") // newest first
	if err != nil {
		return nil, h.docker.Explain(err)
	}
	return append([]string{defaults.Image, tag}, strings.Fields(listed)...), nil
}

func cannotPull(ctx context.Context, name string, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	said := err.Error()
	if failed := (*dockercli.CommandError)(nil); errors.As(err, &failed) {
		said = dockercli.LastLine(failed.Complaint)
	}
	name, _, _ = strings.Cut(name, "@")
	return fmt.Errorf("the node image %s is not here and could not be pulled: %s; try docker pull %s, name an image that is here with --image (docker images), or, without a registry, build one with make node-image in the wiemu repository", name, said, name)
}

// tagged returns the names of node images with the version as their tag.
var tagged = lazyregexp.New(`^kindest/node:(?:offline-)?(v1\.\d+\.\d+)(?:@sha256:[0-9a-f]+)?$`)

// versionOf returns the version of Kubernetes in a node image, of its tag or else of the file
// that kind writes into node images (kind: pkg/build/nodeimage/const.go).
func (h *Host) versionOf(ctx context.Context, name string) (string, error) {
	if m := tagged().FindStringSubmatch(name); m != nil {
		return m[1], nil
	}
	said, err := h.docker.Output(ctx, "run", "--rm", "--network", "none", "--entrypoint", "cat", name, "/kind/version")
	if err != nil {
		if explained := h.docker.Explain(err); !isCommandError(explained) {
			return "", explained
		}
		return "", fmt.Errorf("%s is no node image of kind: expected the file /kind/version in it: %w; name another with --image, such as kindest/node:v1.37.0", name, err)
	}
	version, err := checkVersion(said)
	if err != nil || version == "" {
		return "", fmt.Errorf("%s: /kind/version: expected a version such as v1.37.0, found %s", name, dockercli.Shortened(said, 80))
	}
	return version, nil
}

// signerSince is the minor version since which API servers ask a signer without being built or
// switched for it (Kubernetes: ExternalServiceAccountTokenSigner, beta and on by default in 1.34).
const signerSince = 34

func signs(version string) bool {
	var minor int
	_, err := fmt.Sscanf(version, "v1.%d.", &minor)
	return err == nil && minor >= signerSince
}
