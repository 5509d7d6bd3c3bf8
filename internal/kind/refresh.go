package kind

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/wiemu/wiemu/internal/kind/records"
	"github.com/wiemu/wiemu/internal/nodeservice"
)

// refresh brings an existing cluster into the state that opts describe, or returns why that
// needs a new cluster. Its objects, keys and directory stay.
func (h *Host) refresh(ctx context.Context, name string, f found, opts Options) (Report, error) {
	if err := h.fits(name, f.record, opts); err != nil {
		return Report{}, err
	}
	report := Report{Did: Unchanged}
	if f.condition == stopped {
		report.Did = Started
		if err := h.start(ctx, f.nodes); err != nil {
			return Report{}, err
		}
	}
	h.progress("configuration")
	service := h.service(opts, image{f.record.Image, f.record.Kubernetes})
	changed, err := differs(service, h.nodeDir(name))
	if err != nil {
		return Report{}, err
	}
	if !changed && report.Did == Unchanged && opts.ClusterDNS == f.record.ClusterDNS {
		h.progress("API server, emulator, webhook")
		if h.healthy(ctx, name) {
			report.Status = h.status(ctx, name, f)
			return report, nil
		}
		report.Did = Repaired
	}
	if changed {
		if err := service.Write(h.nodeDir(name)); err != nil {
			return Report{}, noSpace(err)
		}
	}
	if changed || report.Did == Repaired {
		if err := h.restartService(ctx, name); err != nil {
			return Report{}, err
		}
	}
	if report.Did == Unchanged {
		report.Did = Reconfigured
	}
	if report.Secret, err = h.reprove(ctx, name, f.record, opts); err != nil {
		return Report{}, fmt.Errorf("cluster %s is there, but: %w\nmake it anew with: wiemu kind down --name %s, then wiemu kind up --name %s", name, err, name, name)
	}
	report.Status, err = h.Status(ctx, name)
	return report, err
}

func (h *Host) start(ctx context.Context, nodes []container) error {
	h.progress("start the containers")
	for _, node := range nodes {
		if _, err := h.docker.Output(ctx, "start", node.name()); err != nil {
			return h.docker.Explain(err)
		}
	}
	return nil
}

// restartService restarts the emulator in the node with the node's current files.
func (h *Host) restartService(ctx context.Context, name string) error {
	h.progress("restart the emulator in the node")
	_, err := h.docker.Exec(ctx, nodeName(name), "sh", "-c", "systemctl daemon-reload && systemctl restart "+nodeservice.Unit)
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("%w\n%w", err, h.serviceError(ctx, name))
	}
	return err
}

// reprove is proveReady for an existing cluster.
func (h *Host) reprove(ctx context.Context, name string, r records.Record, opts Options) (secret bool, err error) {
	r.ClusterDNS = opts.ClusterDNS
	if err := h.meet(ctx, name, &r); err != nil { // Docker may have assigned another port
		return false, err
	}
	h.progress("image of the first pod")
	if err := h.loadWorkload(ctx, name, opts.Workload); err != nil {
		return false, err
	}
	return h.proveReady(ctx, name, opts)
}

// fits returns an error for a change that an existing cluster cannot make.
func (h *Host) fits(name string, r records.Record, opts Options) error {
	version, err := checkVersion(opts.Kubernetes)
	if err != nil {
		return err
	}
	again := fmt.Sprintf("; make it anew with: wiemu kind down --name %s, or make another one with --name", name)
	if opts.Image != "" && opts.Image != r.Image {
		return fmt.Errorf("cluster %s runs the image %s: expected %s, as --image says%s", name, r.Image, opts.Image, again)
	}
	if version != "" && version != r.Kubernetes {
		return fmt.Errorf("cluster %s runs Kubernetes %s: expected %s, as --k8s-version says%s", name, r.Kubernetes, version, again)
	}
	if opts.Kubeconfig != r.Kubeconfig && opts.Kubeconfig != "" {
		return fmt.Errorf("cluster %s has its context in another kubeconfig (%s); write it into this one with: kind export kubeconfig --name %s --kubeconfig %s", name, cmp.Or(r.Kubeconfig, "the one that kubectl uses"), name, opts.Kubeconfig)
	}
	issuer, err := issuerOf(opts)
	if err != nil {
		return err
	}
	if issuer != r.Issuer {
		return fmt.Errorf("cluster %s has the issuer %s, which its API server was started with: expected %s, the first of the configuration%s", name, r.Issuer, issuer, again)
	}
	return nil
}

func differs(service nodeservice.Options, dir string) (bool, error) {
	files, err := service.Files()
	if err != nil {
		return false, err
	}
	for name, f := range files {
		if strings.HasPrefix(name, "keys/") { // created once; see nodeservice.Options.Write
			continue
		}
		there, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
		if errors.Is(err, os.ErrNotExist) {
			return true, nil
		}
		if err != nil {
			return false, fmt.Errorf("read what the node was given: %w", err)
		}
		if !bytes.Equal(there, f.Data) {
			return true, nil
		}
	}
	return false, nil
}

func (h *Host) healthy(ctx context.Context, name string) bool {
	ctx, cancel := context.WithTimeout(ctx, changePatience)
	defer cancel()
	client, err := h.Control(name)
	if err != nil {
		return false
	}
	api := h.api(name)
	defer api.Close()
	_, statusErr := client.Status(ctx)
	_, readyErr := api.Text(ctx, "/readyz")
	return statusErr == nil && readyErr == nil && webhookThere(ctx, api) == nil
}
