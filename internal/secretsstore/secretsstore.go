// Package secretsstore mounts secrets, keys and certificates of key vaults for a workload,
// as the Secrets Store CSI driver with its Azure provider does: it fetches them with the
// workload's own identity, over the same requests that the provider makes, writes them into
// files, and looks again every two minutes of lab time. It does not decide what a workload
// may read; the vault does.
package secretsstore

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/cloud"
	"github.com/wiemu/wiemu/internal/file"
	"github.com/wiemu/wiemu/internal/journals"
	"github.com/wiemu/wiemu/internal/workload"
)

// PollInterval is how often the driver looks for new versions. Kubernetes:
// secrets-store-csi-driver, --rotation-poll-interval.
const PollInterval = 2 * time.Minute

// Options describe a pod with mounted vaults.
type Options struct {
	Namespace, Pod string
	Workload       string // namespace/service account, for the journal
	Tenant         string // id
	ClientID       string
	Cloud          cloud.Cloud

	// Assertion returns a service-account token for Entra ID, which the kubelet gives the
	// driver: it is not the one in the pod's token file.
	Assertion func(context.Context) (string, error)

	Mode fs.FileMode // of the files. Defaults to 0600: the driver's 0644, but for other users of this machine

	Transport http.RoundTripper // reaches Entra ID and the vaults
	Clock     clock.Clock
	Journal   *journals.Journal
}

// Mount has the files of a pod's vaults, until Close.
type Mount struct {
	opts   Options
	dir    string
	vaults []workload.KeyVault
	ctx    context.Context // of looking again; ended by Close
	cancel context.CancelFunc

	variables []string

	mu       sync.Mutex
	token    token
	timer    clock.Timer
	closed   bool
	failing  bool // looking again failed the last time
	versions map[string]string
}

// Volume is where the files of one vault are.
type Volume struct {
	Vault string `json:"vault"`
	Dir   string `json:"dir"` // on this machine
	Path  string `json:"path"`
}

// Start fetches everything that the vaults' items name, writes the files below dir, and
// looks for changes from then on. If something cannot be fetched it returns a
// [*FailedMount] and leaves nothing.
func Start(ctx context.Context, dir string, vaults []workload.KeyVault, o Options) (*Mount, error) {
	m := &Mount{opts: o, dir: dir, vaults: vaults, versions: map[string]string{}}
	m.ctx, m.cancel = context.WithCancel(context.WithoutCancel(ctx))
	m.mu.Lock()
	defer m.mu.Unlock()
	fetched, err := m.fetch(ctx)
	if err == nil {
		_, err = m.write(fetched)
	}
	if err != nil {
		m.cancel()
		m.record(journal.Failed, "the mount of its key vaults failed", err)
		return nil, errors.Join(err, m.remove())
	}
	for _, f := range fetched {
		if f.item.EnvVar != "" {
			m.variables = append(m.variables, f.item.EnvVar+"="+string(f.content))
		}
	}
	m.record(journal.OK, fmt.Sprintf("%d objects of its key vaults are mounted", len(fetched)), nil)
	m.timer = o.Clock.AfterFunc(PollInterval, m.look)
	return m, nil
}

// Variables returns NAME=VALUE for each item with a variable, as it was when the pod
// started: Kubernetes changes no variable of a pod that runs.
func (m *Mount) Variables() []string { return slices.Clone(m.variables) }

// Volumes returns where the files of each vault are.
func (m *Mount) Volumes() []Volume {
	var all []Volume
	for _, v := range m.vaults {
		all = append(all, Volume{Vault: v.Name, Dir: filepath.Join(m.dir, v.Name), Path: v.MountPath()})
	}
	return all
}

// Close ends the looking and removes the files.
func (m *Mount) Close() error {
	m.cancel()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil
	}
	m.closed = true
	m.timer.Stop()
	return m.remove()
}

// remove removes the files. A directory stays if it is a volume, which only its owner can
// remove.
func (m *Mount) remove() error {
	vaults, err := os.ReadDir(m.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	errs := []error{err}
	for _, v := range vaults {
		dir := filepath.Join(m.dir, v.Name())
		files, err := os.ReadDir(dir)
		errs = append(errs, err)
		for _, f := range files {
			errs = append(errs, os.RemoveAll(filepath.Join(dir, f.Name())))
		}
		_ = os.Remove(dir)
	}
	_ = os.Remove(m.dir)
	return errors.Join(errs...)
}

// look writes what has changed since the last time. What cannot be fetched stays as it is.
func (m *Mount) look() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return
	}
	defer func() { m.timer = m.opts.Clock.AfterFunc(PollInterval, m.look) }()
	fetched, err := m.fetch(m.ctx)
	var changed []string
	if err == nil {
		changed, err = m.write(fetched)
	}
	switch {
	case err != nil && !m.failing:
		m.record(journal.Failed, "its key vaults cannot be read again; the files stay as they are", err)
	case len(changed) > 0:
		m.record(journal.OK, "mounted files have changed: "+strings.Join(changed, ", ")+"; its variables have not", nil)
	}
	m.failing = err != nil
}

// object is what an item names, as it was fetched.
type object struct {
	vault   string
	item    workload.KeyVaultItem
	content []byte
	version string
}

func (o object) name() string { return o.vault + "/" + o.item.FileName() }

// fetch asks for everything, in the order of the items; m.mu is held.
func (m *Mount) fetch(ctx context.Context) ([]object, error) {
	var all []object
	for _, v := range m.vaults {
		for _, item := range v.Items {
			content, version, err := m.get(ctx, v.Name, item)
			if err != nil {
				return nil, m.failed(item, err)
			}
			all = append(all, object{v.Name, item, content, version})
		}
	}
	return all, nil
}

// write replaces the files whose content has changed and returns their names; m.mu is held.
func (m *Mount) write(all []object) (changed []string, err error) {
	for _, o := range all {
		path := filepath.Join(m.dir, o.vault, o.item.FileName())
		if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, o.content) {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return changed, fmt.Errorf("mount key vault %s: %w", o.vault, err)
		}
		if err := file.Replace(path, bytes.NewReader(o.content), cmp.Or(m.opts.Mode, 0o600)); err != nil {
			return changed, fmt.Errorf("mount key vault %s: %w", o.vault, err)
		}
		if m.versions[o.name()] != "" {
			changed = append(changed, o.name())
		}
		m.versions[o.name()] = o.version
	}
	return changed, nil
}

// record notes what became of the mount.
func (m *Mount) record(outcome journal.Outcome, what string, err error) {
	e := journal.Event{
		Kind: journal.Admission, Outcome: outcome, Workload: m.opts.Workload, ClientID: m.opts.ClientID,
		Summary: "pod of " + m.opts.Workload + ": " + what, Detail: map[string]string{},
	}
	for _, v := range m.vaults {
		e.Detail["key vault "+v.Name] = v.MountPath()
	}
	if err != nil {
		e.Message = err.Error()
		e.Meaning = "The Secrets Store CSI driver fetches what secretRefs.azureKeyVaults names with the workload's own identity, before its containers start."
		e.Remedy = m.remedy(err)
	}
	m.opts.Journal.Record(e)
}

// remedy is what to change so that an object can be fetched: if a request was refused, what
// the journal says of that.
func (m *Mount) remedy(failure error) string {
	if refused := (*refusedRequest)(nil); errors.As(failure, &refused) {
		for _, e := range slices.Backward(m.opts.Journal.Events()) {
			asked := e.Kind == journal.Exchange || e.Kind == journal.Access
			if asked && e.Outcome == journal.Denied && (e.ClientID == "" || strings.EqualFold(e.ClientID, m.opts.ClientID)) {
				return e.Remedy
			}
		}
	}
	return "Correct the component's secretRefs.azureKeyVaults, or what the vault holds, as the message says."
}

// FailedMount is why a pod does not start.
type FailedMount struct {
	Remedy string // what to change

	namespace, pod string
	item           workload.KeyVaultItem
	cause          error
}

func (m *Mount) failed(item workload.KeyVaultItem, cause error) error {
	return &FailedMount{m.remedy(cause), m.opts.Namespace, m.opts.Pod, item, cause}
}

// Error says what the kubelet writes into the pod's events, in the driver's words.
// secrets-store-csi-driver: pkg/secrets-store/nodeserver.go;
// secrets-store-csi-driver-provider-azure: pkg/server/server.go, pkg/provider/provider.go.
func (e *FailedMount) Error() string {
	return fmt.Sprintf("failed to mount secrets store objects for pod %s/%s, err: rpc error: code = Unknown desc = failed to mount objects, error: failed to get objectType:%s, objectName:%s, objectVersion:%s: %v",
		e.namespace, e.pod, e.item.Type, e.item.Name, e.item.Version, e.cause)
}

// Unwrap returns the cause.
func (e *FailedMount) Unwrap() error { return e.cause }
