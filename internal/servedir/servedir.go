// Package servedir keeps the files of a lab in a directory of the user's choice, with the
// same paths, ports and token at each start, and attaches again the workloads that were
// attached: wiemu serve --dir.
package servedir

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/wiemu/wiemu/internal/kubename"
	"github.com/wiemu/wiemu/internal/lazyregexp"
	"github.com/wiemu/wiemu/internal/server"
	"github.com/wiemu/wiemu/internal/session"
	"github.com/wiemu/wiemu/internal/store"
	"github.com/wiemu/wiemu/internal/workload"
)

// Dir is such a directory: the lab's files are in it, and it remembers what else the
// environment of a workload is made of. This process alone has it open.
type Dir struct {
	files *store.Dir
	notes io.Writer

	mu    sync.Mutex
	value remembered
}

// rememberedFile is what a Dir remembers, in the versioned JSON of package store; besides
// it and a lab's directories there are the files of package store itself.
const (
	rememberedFile = "serve.json"
	lockFile       = ".held"
	unfinishedFile = "." + rememberedFile + ".new"
)

type remembered struct {
	Ports    ports      `json:"ports"`
	Token    string     `json:"token,omitempty"` // of the control and cluster listeners, which kubeconfigs carry
	Attached []attached `json:"attached,omitempty"`
}

// ports are those of the last start; 0 before the first.
type ports struct {
	Gateway uint16 `json:"gateway"`
	Proxy   uint16 `json:"proxy"`
	Cluster uint16 `json:"cluster"`
	Control uint16 `json:"control"`
}

// attached is a workload that wiemu env or wiemu run asked for.
type attached struct {
	session.Attachment
	Variables map[string]string `json:"variables"` // digests of the values that it was told, by name
}

var tokenForm = lazyregexp.New(`^[0-9a-f]{48}$`)

// UnusableError means that another directory has to be named.
type UnusableError struct{ reason string }

func (e *UnusableError) Error() string { return e.reason }

// Open opens the directory, which it creates (0700) if it is missing, and removes what a
// killed server left in it. What is not as it was the last time is written to notes.
func Open(path string, notes io.Writer) (_ *Dir, err error) {
	if err := checkNothingForeign(path); err != nil {
		return nil, err
	}
	d := &Dir{notes: notes}
	if d.files, err = store.Open(path); errors.Is(err, store.ErrHeld) {
		return nil, &UnusableError{path + ": another wiemu serve uses it; stop that one, or name another directory"}
	} else if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.files.Close())
		}
	}()
	if err := os.Chmod(d.files.Path(""), 0o700); err != nil { // the files in it count on that
		return nil, err
	}
	if _, err := d.files.Read(rememberedFile, &d.value); err != nil {
		return nil, err
	}
	if err := d.value.check(); err != nil {
		return nil, d.files.Damaged(rememberedFile, err)
	}
	for _, name := range session.Directories() {
		if err := os.RemoveAll(d.files.Path(name)); err != nil {
			return nil, fmt.Errorf("remove what the last server left: %w", err)
		}
	}
	return d, nil
}

// checkNothingForeign refuses a directory with files that are not of wiemu serve --dir.
func checkNothingForeign(path string) error {
	entries, err := os.ReadDir(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	own := []string{lockFile}
	if slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == lockFile }) { // it was ours before
		own = append(session.Directories(), lockFile, rememberedFile, unfinishedFile)
	}
	for _, e := range entries {
		if !slices.Contains(own, e.Name()) {
			return &UnusableError{fmt.Sprintf("%s: expected only files of wiemu serve --dir, found %s; name another directory, which is created if it is missing, or move the file", path, e.Name())}
		}
	}
	return nil
}

func (r remembered) check() error {
	if r.Token != "" && !tokenForm().MatchString(r.Token) {
		return errors.New("token: expected 48 hexadecimal digits")
	}
	for i, a := range r.Attached {
		for _, d := range append([]workload.Spec{a.Spec}, a.Beside...) {
			if err := kubename.CheckAccount(d.Namespace, d.ServiceAccount); err != nil {
				return fmt.Errorf("attached[%d]: %w", i, err)
			}
		}
	}
	return nil
}

// Close lets another process open the directory.
func (d *Dir) Close() error { return d.files.Close() }

// Apply gives a session the directory, and the addresses and the token of the last time.
func (d *Dir) Apply(opts *session.Options) {
	opts.Dir, opts.OnAttach, opts.Emulator.Token = d.files.Path(""), d.remember, d.value.Token
	listen := &opts.Emulator.Config.Listen
	d.listenAgain("gateway", &listen.Gateway, d.value.Ports.Gateway)
	d.listenAgain("proxy", &listen.Proxy, d.value.Ports.Proxy)
	d.listenAgain("cluster listener", &listen.Cluster, d.value.Ports.Cluster)
	d.listenAgain("control listener", &listen.Control, d.value.Ports.Control)
}

// Ports that a directory takes the first time: systems give none of them to outgoing
// connections (Linux: 32768 and up, ip_local_port_range; macOS and Windows: 49152 and
// up, RFC 6335, section 6), so that they are likely free at the next start.
const (
	firstPort = 20_000
	portCount = 10_000
)

// listenAgain fills in the port of the last time where an address leaves the port
// open; where that is taken, or there was none, another one.
func (d *Dir) listenAgain(name string, address *string, last uint16) {
	host, port, err := net.SplitHostPort(*address)
	if *address == "" {
		host, port, err = "127.0.0.1", "0", nil
	}
	if n, wrong := strconv.Atoi(port); err != nil || wrong != nil || n != 0 { // wiemu.yaml says which, or is refused
		return
	}
	for range 100 {
		candidate := last
		if candidate == 0 {
			candidate = uint16(firstPort + rand.IntN(portCount))
		}
		same := net.JoinHostPort(host, strconv.Itoa(int(candidate)))
		probe, err := net.Listen("tcp", same)
		if err == nil {
			if probe.Close() == nil {
				*address = same
			}
			return
		}
		if last != 0 {
			fmt.Fprintf(d.notes, "wiemu: the %s does not have the port of the last start: %v\n", name, err)
			last = 0
		}
	}
}

// Opened remembers where the lab listens, and attaches again what was attached the last
// time, as its programs would: by a request to the control API.
func (d *Dir) Opened(ctx context.Context, e *server.Server) error {
	now := remembered{Token: e.Token()}
	for _, one := range []struct {
		url  string
		port *uint16
	}{
		{"https://" + e.Address(), &now.Ports.Gateway}, {e.ProxyURL(), &now.Ports.Proxy}, {e.ClusterURL(""), &now.Ports.Cluster}, {e.ControlURL(), &now.Ports.Control},
	} {
		at, err := url.Parse(one.url)
		if err != nil {
			return err
		}
		port, err := strconv.ParseUint(at.Port(), 10, 16)
		if err != nil {
			return err
		}
		*one.port = uint16(port)
	}
	d.mu.Lock()
	now.Attached = d.value.Attached
	d.value = now
	last := slices.Clone(now.Attached)
	err := d.files.Write(rememberedFile, d.value)
	d.mu.Unlock()
	if err != nil {
		return err
	}
	for _, a := range last {
		if _, err := session.Admit(ctx, e.ControlClient(), a.Spec, a.Beside); err != nil {
			fmt.Fprintf(d.notes, "wiemu: %s/%s was attached at the last start and could not be attached again: %v\n", a.Namespace, a.ServiceAccount, err)
		}
	}
	return nil
}

// remember writes down that a workload was attached. A workload of the last time whose variables
// have other values now is reported: what was written of them is no longer true.
func (d *Dir) remember(a session.Attachment, env session.PodEnv) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := attached{a, map[string]string{}}
	for _, v := range env.Environ(nil) {
		name, value, _ := strings.Cut(v, "=")
		sum := sha256.Sum256([]byte(value))
		now.Variables[name] = hex.EncodeToString(sum[:8])
	}
	i := slices.IndexFunc(d.value.Attached, func(known attached) bool { return reflect.DeepEqual(known.Spec, a.Spec) })
	if i < 0 {
		d.value.Attached = append(d.value.Attached, now)
		return d.files.Write(rememberedFile, d.value)
	}
	var changed []string
	for name, digest := range d.value.Attached[i].Variables {
		if now.Variables[name] != digest {
			changed = append(changed, name)
		}
	}
	if len(changed) > 0 {
		slices.Sort(changed)
		fmt.Fprintf(d.notes, "wiemu: %s/%s: these variables have changed since the last start: %s; write its .env again with wiemu env\n", a.Namespace, a.ServiceAccount, strings.Join(changed, ", "))
	}
	if reflect.DeepEqual(d.value.Attached[i], now) {
		return nil
	}
	d.value.Attached[i] = now
	return d.files.Write(rememberedFile, d.value)
}
