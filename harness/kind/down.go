package kind

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	kindcluster "sigs.k8s.io/kind/pkg/cluster"
)

// Down takes a cluster away: its containers with their volumes, the entries of
// the kubeconfig and the host's directory. It reports whether there was anything.
// Without Docker it takes away the rest; the error then is an *Unreachable that
// says what is left.
func (h *Host) Down(ctx context.Context, name string) (was bool, err error) {
	defer h.progress("")
	if err := CheckName(name); err != nil {
		return false, err
	}
	release, err := h.lock(name)
	if err != nil {
		return false, err
	}
	defer release()
	h.progress("docker")
	if _, err := h.docker.check(ctx); err != nil {
		var gone *Unreachable
		if !errors.As(err, &gone) {
			return false, err
		}
		return h.downWithoutDocker(name, gone)
	}
	f, err := h.find(ctx, name)
	if err != nil {
		return false, err
	}
	if f.condition == foreign {
		return false, notOurs(name)
	}
	h.progress("containers, volumes, kubeconfig entries")
	return f.condition != absent, h.remove(ctx, name, f)
}

// remove takes away what was found of a cluster. Removing what is not there is no
// error, so that it can be tried again.
func (h *Host) remove(ctx context.Context, name string, f found) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if err := h.provider().Delete(name, f.record.Kubeconfig); err != nil {
		return h.explainKind(name, err)
	}
	if !f.record.Ready && f.record.Image != "" {
		if err := h.settle(ctx, name, f.record); err != nil {
			return err
		}
	}
	return h.removeDir(name)
}

// removeAll is remove for whatever is there by now.
func (h *Host) removeAll(ctx context.Context, name string) error {
	f, err := h.find(ctx, name)
	if err != nil {
		return err
	}
	return h.remove(ctx, name, f)
}

// settle takes away the node that Docker may still be making for a command that has
// ended: Ctrl-C ends the commands that kind runs, too. Docker reserves the name of
// a container at the beginning, so that a container of our own gets it only when
// there is nothing under way.
func (h *Host) settle(ctx context.Context, name string, r record) error {
	node := nodeName(name)
	for {
		made, err := h.docker.output(ctx, "create", "--name", node, r.Image)
		if err == nil {
			_, err = h.docker.output(ctx, "rm", "--force", "--volumes", made)
			return err
		}
		if !strings.Contains(err.Error(), "already in use") {
			return nil // nor could Docker make the node
		}
		if err := h.provider().Delete(name, r.Kubeconfig); err != nil {
			return h.explainKind(name, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("docker does not let go of the container %s; it goes with: docker rm --force --volumes %[1]s", node)
		case <-time.After(300 * time.Millisecond):
		}
	}
}

// removeDir removes the host's directory of a cluster.
func (h *Host) removeDir(name string) error {
	if err := os.RemoveAll(h.path(name)); err != nil {
		return fmt.Errorf("remove the cluster's directory: %w", err)
	}
	return nil
}

// downWithoutDocker takes away what is not Docker's.
func (h *Host) downWithoutDocker(name string, gone *Unreachable) (was bool, err error) {
	r, was, _ := h.recall(name) // one that cannot be read goes, too
	if _, err := os.Stat(h.path(name)); err == nil {
		was = true
	}
	left := "containers of cluster " + name + " (if there are any)"
	// kind takes entries out of a kubeconfig after it has listed the containers;
	// true(1) lists none, whatever it is asked.
	if runtime.GOOS == "windows" || kindcluster.NewProvider(kindcluster.ProviderWithNerdctl("true")).Delete(name, r.Kubeconfig) != nil {
		left += ", the entries kind-" + name + " of the kubeconfig"
	}
	if err := h.removeDir(name); err != nil {
		return was, err
	}
	return was, &Unreachable{gone.why + "; left are: " + left, gone.next + ", then type again: wiemu kind down --name " + name}
}
