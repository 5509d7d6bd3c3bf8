package main

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
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/wiemu/wiemu/emulator"
	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/kept"
	"github.com/wiemu/wiemu/harness"
)

// serveDir is the directory of wiemu serve --dir: the lab's files are in it, so that
// they have the same paths at each start, and it remembers what else the environment
// of a workload is made of. This process alone has it open.
type serveDir struct {
	files *kept.Dir
	notes io.Writer

	mu    sync.Mutex
	value remembered
}

// rememberedFile is what a serveDir remembers, in package kept's versioned JSON;
// besides it and a lab's directories there are the files of package kept itself.
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
	harness.Attachment
	Variables map[string]string `json:"variables"` // digests of the values that it was told, by name
}

var tokenForm = regexp.MustCompile(`^[0-9a-f]{48}$`)

// openServeDir opens the directory, which it makes (0700) if there is none, and
// removes what a killed server left in it. Notes are about what is not as the last
// time.
func openServeDir(path string, notes io.Writer) (_ *serveDir, err error) {
	if err := checkNothingForeign(path); err != nil {
		return nil, err
	}
	d := &serveDir{notes: notes}
	if d.files, err = kept.Open(path); errors.Is(err, kept.ErrHeld) {
		return nil, usagef("--dir %s: another wiemu serve has it open; stop that one, or name another directory", path)
	} else if err != nil {
		return nil, fmt.Errorf("--dir: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.files.Close())
		}
	}()
	if err := os.Chmod(d.files.Path(""), 0o700); err != nil { // the files in it count on that
		return nil, fmt.Errorf("--dir: %w", err)
	}
	if _, err := d.files.Read(rememberedFile, &d.value); err != nil {
		return nil, err
	}
	if err := d.value.check(); err != nil {
		return nil, d.files.Damaged(rememberedFile, err)
	}
	for _, name := range harness.Directories() {
		if err := os.RemoveAll(d.files.Path(name)); err != nil {
			return nil, fmt.Errorf("remove what the last server left: %w", err)
		}
	}
	return d, nil
}

// checkNothingForeign refuses a directory with files of somebody else: they would be
// mixed with the lab's, or removed.
func checkNothingForeign(path string) error {
	entries, err := os.ReadDir(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("--dir: %w", err)
	}
	own := []string{lockFile}
	if slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == lockFile }) { // it was ours before
		own = append(harness.Directories(), lockFile, rememberedFile, unfinishedFile)
	}
	for _, e := range entries {
		if !slices.Contains(own, e.Name()) {
			return usagef("--dir %s: expected files of wiemu serve --dir alone, found %s; name another directory, which is made if there is none, or move the file", path, e.Name())
		}
	}
	return nil
}

// check says what is wrong with what was read.
func (r remembered) check() error {
	if r.Token != "" && !tokenForm.MatchString(r.Token) {
		return errors.New("token: expected 48 hexadecimal digits")
	}
	for i, a := range r.Attached {
		for _, d := range append([]harness.Declared{a.Declared}, a.Beside...) {
			if err := config.CheckNames(d.Workload.Namespace, d.Workload.ServiceAccount); err != nil {
				return fmt.Errorf("attached[%d]: %w", i, err)
			}
		}
	}
	return nil
}

// close lets go of the directory.
func (d *serveDir) close() {
	if err := d.files.Close(); err != nil {
		fmt.Fprintln(d.notes, "wiemu: while cleaning up:", err)
	}
}

// apply gives a lab the directory, and the addresses and the token of the last time.
func (d *serveDir) apply(opts *harness.Options) {
	if d == nil {
		return
	}
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
func (d *serveDir) listenAgain(name string, address *string, last uint16) {
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
			fmt.Fprintf(d.notes, "wiemu: the %s has another port than the last time: %v\n", name, err)
			last = 0
		}
	}
}

// opened remembers where the lab listens, and attaches again what was attached the
// last time, as its programs would: by the control listener.
func (d *serveDir) opened(ctx context.Context, e *emulator.Emulator) error {
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
	own := &control.Client{URL: e.ControlURL(), Token: e.Token()}
	for _, a := range last {
		if _, err := harness.Attach(ctx, own, a.Declared, a.Beside); err != nil {
			fmt.Fprintf(d.notes, "wiemu: %s/%s, which was attached the last time, could not be attached again: %v\n", a.Workload.Namespace, a.Workload.ServiceAccount, err)
		}
	}
	return nil
}

// remember writes down that a workload was attached. A workload of the last time
// whose variables have other values now is reported: what was written of them is
// no longer true.
func (d *serveDir) remember(a harness.Attachment, env harness.Environment) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := attached{a, map[string]string{}}
	for _, v := range env.Environ(nil) {
		name, value, _ := strings.Cut(v, "=")
		sum := sha256.Sum256([]byte(value))
		now.Variables[name] = hex.EncodeToString(sum[:8])
	}
	i := slices.IndexFunc(d.value.Attached, func(known attached) bool { return reflect.DeepEqual(known.Declared, a.Declared) })
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
		fmt.Fprintf(d.notes, "wiemu: %s/%s: other values than the last time: %s; write its .env again with wiemu env\n", a.Workload.Namespace, a.Workload.ServiceAccount, strings.Join(changed, ", "))
	}
	if reflect.DeepEqual(d.value.Attached[i], now) {
		return nil
	}
	d.value.Attached[i] = now
	return d.files.Write(rememberedFile, d.value)
}
