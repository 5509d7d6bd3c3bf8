package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/internal/faultkind"
	"github.com/wiemu/wiemu/internal/keyring/keyringtest"
	"github.com/wiemu/wiemu/internal/lab"
	"github.com/wiemu/wiemu/internal/server"
)

const (
	keptApp  = "11111111-1111-4111-8111-111111111111"
	keptWork = "22222222-2222-4222-8222-222222222222"
	keptNew  = "33333333-3333-4333-8333-333333333333"
)

// lasting is an emulator whose state outlives it.
type lasting struct {
	*server.Server
	dir string
	log bytes.Buffer
}

func (l *lasting) start(t *testing.T, c config.Config) {
	t.Helper()
	l.log.Reset()
	e, err := server.Start(t.Context(), l.options(t, c))
	if err != nil {
		t.Fatal(err)
	}
	l.Server = e
	t.Cleanup(func() { _ = e.Close(context.Background()) })
}

func (l *lasting) options(t *testing.T, c config.Config) server.Options {
	return server.Options{Config: c, InMemory: true, Options: lab.Options{Keys: keyringtest.Keys(t), StateDir: l.dir, Keep: true, Log: slog.New(slog.NewTextHandler(&l.log, nil))}}
}

func (l *lasting) restart(t *testing.T, c config.Config) {
	t.Helper()
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.start(t, c)
}

func (l *lasting) principal(t *testing.T, clientID string) *directory.Principal {
	t.Helper()
	tenant, err := l.Tenant("")
	if err != nil {
		t.Fatal(err)
	}
	p, _ := l.Directory().Principal(tenant, clientID)
	return p
}

// update changes a principal as its owners would.
func (l *lasting) update(t *testing.T, clientID string, change func(*directory.Principal)) {
	t.Helper()
	tenant, err := l.Tenant("")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Directory().Update(tenant, clientID, func(p *directory.Principal) error { change(p); return nil }); err != nil {
		t.Fatal(err)
	}
}

// lab is a wiemu.yaml with an application and a workload whose identity is made.
func smallLab() config.Config {
	return config.Config{
		Applications: []config.Application{{Principal: config.Principal{Name: "app", ClientID: keptApp}}},
		Workloads:    []config.Workload{{Namespace: "shop", ServiceAccount: "web-sa", ClientID: keptWork}},
	}
}

func TestKeysAndDirectoryOutliveTheProcess(t *testing.T) {
	l := &lasting{dir: t.TempDir()}
	l.start(t, smallLab())
	rings := map[string]string{}
	for _, name := range []string{"local", "entra"} {
		ring, err := l.KeyRing(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ring.Rotate(t.Context()); err != nil {
			t.Fatal(err)
		}
		rings[name] = ring.Signing().ID
	}
	if err := l.Trust(lab.Account{Namespace: "shop", ServiceAccount: "job-sa", ClientID: keptNew}); err != nil {
		t.Fatal(err)
	}
	l.update(t, keptApp, func(p *directory.Principal) { p.Disabled = true })
	l.update(t, keptWork, func(p *directory.Principal) { p.FederatedCredentials = nil })
	made := l.principal(t, keptNew)

	l.restart(t, smallLab())
	for name, want := range rings {
		ring, err := l.KeyRing(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := ring.Signing().ID; got != want || len(ring.Published()) != 2 {
			t.Errorf("%s signs with %s and publishes %d keys, want %s and two", name, got, len(ring.Published()), want)
		}
	}
	if p := l.principal(t, keptNew); p == nil || p.ObjectID != made.ObjectID || len(p.FederatedCredentials) != 1 || p.FederatedCredentials[0] != made.FederatedCredentials[0] {
		t.Errorf("the identity that was made at run time is %+v, want %+v", p, made)
	}
	if p := l.principal(t, keptApp); !p.Disabled {
		t.Error("the application that was disabled may sign in again")
	}
	if p := l.principal(t, keptWork); len(p.FederatedCredentials) > 0 {
		t.Errorf("trust that was taken away is back: %+v", p.FederatedCredentials)
	}
	if l.log.Len() > 0 {
		t.Errorf("an operator is told: %s", l.log.String())
	}
}

// Whoever was deleted stays deleted: not even a workload that uses it brings it back.
func TestWhoWasDeletedStaysDeleted(t *testing.T) {
	l := &lasting{dir: t.TempDir()}
	l.start(t, smallLab())
	tenant, err := l.Tenant("")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Trust(lab.Account{Namespace: "shop", ServiceAccount: "job-sa", ClientID: keptNew}); err != nil {
		t.Fatal(err)
	}
	gone := []string{keptApp, keptWork, keptNew}
	for _, clientID := range gone {
		if err := l.Directory().Remove(tenant, clientID); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := l.Trust(lab.Account{Namespace: "shop", ServiceAccount: "job-sa", ClientID: keptNew}); err != nil {
			t.Fatal(err)
		}
		for _, clientID := range gone {
			if p := l.principal(t, clientID); p != nil {
				t.Errorf("%s is there again", p.DisplayName)
			}
		}
		l.restart(t, smallLab())
	}
	if err := l.Directory().Put(tenant, directory.Principal{Kind: directory.ManagedIdentity, ClientID: keptNew}); err != nil {
		t.Fatal(err)
	}
	l.restart(t, smallLab())
	if l.principal(t, keptNew) == nil {
		t.Error("who was made again is gone")
	}
}

func TestWhatWasChangedWinsOverWiemuYAML(t *testing.T) {
	l := &lasting{dir: t.TempDir()}
	l.start(t, smallLab())
	l.update(t, keptApp, func(p *directory.Principal) { p.Disabled = true })

	c := smallLab()
	c.Applications[0].Name = "renamed"
	c.Identities = []config.Identity{{Principal: config.Principal{Name: "added", ClientID: keptNew}}}
	l.restart(t, c)
	if p := l.principal(t, keptApp); p.DisplayName != "app" || !p.Disabled {
		t.Errorf("the application that was changed is %+v", p)
	}
	if l.principal(t, keptNew) == nil {
		t.Error("what wiemu.yaml adds is not there")
	}
	if log := l.log.String(); !strings.Contains(log, "wiemu.yaml says something else") || !strings.Contains(log, keptApp) || strings.Contains(log, keptWork) {
		t.Errorf("an operator is told: %s", log)
	}

	l.restart(t, smallLab())
	l.update(t, keptApp, func(p *directory.Principal) { p.Disabled = false }) // as wiemu.yaml has it
	l.restart(t, c)
	if p := l.principal(t, keptApp); p.DisplayName != "renamed" {
		t.Errorf("the application that is as it was is called %s, want renamed", p.DisplayName)
	}
	if l.log.Len() > 0 {
		t.Errorf("an operator is told: %s", l.log.String())
	}
}

func TestATenantThatIsGoneLeavesItsIdentitiesOut(t *testing.T) {
	const other = "44444444-4444-4444-8444-444444444444"
	c := smallLab()
	c.Tenants = []config.Tenant{{ID: config.DefaultTenant}, {ID: other}}
	l := &lasting{dir: t.TempDir()}
	l.start(t, c)
	if err := l.Trust(lab.Account{Namespace: "shop", ServiceAccount: "job-sa", ClientID: keptNew, Tenant: other}); err != nil {
		t.Fatal(err)
	}
	l.restart(t, smallLab())
	if log := l.log.String(); !strings.Contains(log, "wiemu.yaml does not have its tenant any more") || !strings.Contains(log, keptNew) {
		t.Errorf("an operator is told: %s", log)
	}
	l.restart(t, c)
	if _, there := l.Directory().Principal(other, keptNew); !there {
		t.Error("with its tenant the identity is not back")
	}
}

// What somebody had and gave up, another may have; and two may have exchanged it.
func TestIdentifierURIsThatChangeHandsSurvive(t *testing.T) {
	c := smallLab()
	c.Applications[0].IdentifierURIs = []string{"api://first"}
	other := c.Applications[0]
	other.Name, other.ClientID, other.ObjectID, other.IdentifierURIs, other.FederatedCredentials = "other", keptNew, "", []string{"api://second"}, nil
	c.Applications = append(c.Applications, other)
	l := &lasting{dir: t.TempDir()}
	l.start(t, c)
	take := func(clientID string, uris ...string) {
		t.Helper()
		l.update(t, clientID, func(p *directory.Principal) { p.IdentifierURIs = uris })
	}
	holds := func(clientID string, want ...string) {
		t.Helper()
		l.restart(t, c)
		if p := l.principal(t, clientID); p == nil || !slices.Equal(p.IdentifierURIs, want) {
			t.Errorf("%s: %+v, want %s", clientID, p, want)
		}
	}
	take(keptApp, "api://first", "api://third") // its change is the first
	take(keptNew)
	take(keptApp, "api://second")
	holds(keptApp, "api://second")
	take(keptNew, "api://first")
	holds(keptNew, "api://first")
}

func TestDamagedStateIsAnErrorThatSaysWhatToDo(t *testing.T) {
	for _, row := range []struct {
		file string
		from string // what stands there
		to   string
		want string
	}{
		{"rings/local.json", `"stage": "signing"`, `"stage": "dozing"`, `keys[0].stage: expected published, signing, retired or removed, found "dozing"`},
		{"rings/entra.json", `"private": "`, `"private": "!`, "expected a JSON document"},
		{"directory.json", `"kind": "managedIdentity"`, `"kind": "cat"`, `[0] (client id ` + keptNew + `): directory: tenant ` + config.DefaultTenant},
		{"directory.json", `"clientId": "` + keptNew + `"`, `"clientId": 7`, "clientId: expected a string, found a number"},
	} {
		t.Run(row.file+" "+row.to, func(t *testing.T) {
			l := &lasting{dir: t.TempDir()}
			l.start(t, smallLab())
			if err := l.Trust(lab.Account{Namespace: "shop", ServiceAccount: "job-sa", ClientID: keptNew}); err != nil {
				t.Fatal(err)
			}
			if err := l.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(l.dir, filepath.FromSlash(row.file))
			data, err := os.ReadFile(file)
			if err != nil || !bytes.Contains(data, []byte(row.from)) {
				t.Fatalf("%v, no %s in\n%s", err, row.from, data)
			}
			broken := bytes.Replace(data, []byte(row.from), []byte(row.to), 1)
			if err := os.WriteFile(file, broken, 0o600); err != nil {
				t.Fatal(err)
			}
			_, err = server.Start(t.Context(), l.options(t, smallLab()))
			if err == nil || !strings.Contains(err.Error(), file+": ") || !strings.Contains(err.Error(), row.want) || !strings.Contains(err.Error(), "put a copy back, or remove the file") {
				t.Errorf("%v, want the file, %q and what to do", err, row.want)
			}
			if now, err := os.ReadFile(file); err != nil || !bytes.Equal(now, broken) {
				t.Errorf("the damaged file was touched: %v", err)
			}
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
			l.start(t, smallLab()) // as it says
		})
	}
}

func TestAStateDirectoryHasOneEmulator(t *testing.T) {
	l := &lasting{dir: t.TempDir()}
	l.start(t, smallLab())
	if _, err := server.Start(t.Context(), l.options(t, smallLab())); err == nil || !strings.Contains(err.Error(), "another process has it open") {
		t.Errorf("a second one: %v", err)
	}
	opts := l.options(t, smallLab())
	opts.StateDir = ""
	if _, err := server.Start(t.Context(), opts); err == nil || !strings.Contains(err.Error(), "no state directory") {
		t.Errorf("without a directory: %v", err)
	}
}

// A change that cannot be kept is not made.
func TestTheDirectoryDoesNotChangeWhereNothingCanBeKept(t *testing.T) {
	l := &lasting{dir: t.TempDir()}
	l.start(t, smallLab())
	if err := os.MkdirAll(filepath.Join(l.dir, "directory.log", "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := l.Trust(lab.Account{Namespace: "shop", ServiceAccount: "job-sa", ClientID: keptNew}); err == nil || !strings.Contains(err.Error(), "directory.log") {
		t.Errorf("trusted: %v", err)
	}
	if l.principal(t, keptNew) != nil {
		t.Error("the identity is there all the same")
	}
}

func TestNoPrivateKeyCanBeReadByOthers(t *testing.T) {
	l := &lasting{dir: t.TempDir()}
	l.start(t, smallLab())
	if err := l.Trust(lab.Account{Namespace: "shop", ServiceAccount: "job-sa", ClientID: keptNew}); err != nil {
		t.Fatal(err)
	}
	var files []string
	err := filepath.WalkDir(l.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files = append(files, strings.TrimPrefix(path, l.dir+string(os.PathSeparator)))
		info, err := d.Info()
		if err == nil && os.PathSeparator == '/' && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, want 0600", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"directory.log", filepath.Join("rings", "local.json"), filepath.Join("rings", "entra.json")} {
		if !slices.Contains(files, want) {
			t.Errorf("%s is not kept: %q", want, files)
		}
	}
}

func TestWhatOnlyALabCanDoIsRefusedInACluster(t *testing.T) {
	c := smallLab()
	c.Chaos = 7
	e, err := server.Start(t.Context(), server.Options{Config: c, InMemory: true, Options: lab.Options{InCluster: true}})
	if err != nil {
		t.Fatalf("chaos in a cluster: %v", err)
	}
	defer func() { _ = e.Close(context.Background()) }()
	for _, active := range e.Faults().Active() {
		if kind, err := fault.Named(active.Name); err != nil || slices.Contains([]string{faultkind.AtMint, faultkind.AtRenewal, faultkind.AtEarlyRenewal, faultkind.AtTokenFile}, kind.Point) {
			t.Errorf("chaos does what cannot be done: %s", active.Name)
		}
	}
	if len(e.Faults().Active()) == 0 {
		t.Error("chaos does nothing")
	}
	for _, f := range []string{faultkind.ExpiredServiceAccountToken, faultkind.TokenNotRotated, faultkind.TokenFileMissing} {
		if _, err := e.Faults().Inject(fault.Fault{Name: f}); err == nil || !strings.Contains(err.Error(), "it cannot be made here") {
			t.Errorf("fault %s: %v", f, err)
		}
	}
	for _, f := range []string{faultkind.SignBeforePublish, faultkind.Throttled} {
		if _, err := e.Faults().Inject(fault.Fault{Name: f}); err != nil {
			t.Errorf("fault %s: %v", f, err)
		}
	}
	now := e.Clock().Now()
	for name, change := range map[string]func() error{
		"advance": func() error { return e.Time().Advance(t.Context(), 1) },
		"set":     func() error { return e.Time().Set(t.Context(), now.AddDate(1, 0, 0)) },
		"freeze":  func() error { return e.Time().Freeze() },
		"speed":   func() error { return e.Time().SetSpeed(2) },
	} {
		if err := change(); err == nil || !strings.Contains(err.Error(), "time here is real and cannot be changed: the kubelets") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := e.Time().Skew("entra", 1); err != nil {
		t.Errorf("the clock of a part: %v", err)
	}
}

func TestFingerprintsAreOfWhatIsKept(t *testing.T) {
	l := &lasting{dir: t.TempDir()}
	l.start(t, smallLab())
	l.update(t, keptApp, func(p *directory.Principal) { p.Disabled = true })
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(l.dir, "directory.json"))
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Value []struct{ ClientID, Configured string }
	}
	if err := json.Unmarshal(data, &doc); err != nil || len(doc.Value) != 1 || doc.Value[0].ClientID != keptApp || doc.Value[0].Configured == "" {
		t.Errorf("%+v %v in\n%s", doc, err, data)
	}
}

// Who was made by code keeps the trust that code gave, and its id is never used again: not for
// a workload, nor after a restart.
func TestWhoWasMadeByCode(t *testing.T) {
	l := &lasting{dir: t.TempDir()}
	l.start(t, smallLab())
	tenant, err := l.Tenant("")
	if err != nil {
		t.Fatal(err)
	}
	id := l.Directory().NewClientID(tenant, "managed identity", "one")
	if err := l.Directory().Put(tenant, directory.Principal{Kind: directory.ManagedIdentity, ClientID: id, OwnTrust: true, Tags: map[string]string{"team": "shop"}}); err != nil {
		t.Fatal(err)
	}
	if err := l.Trust(lab.Account{Namespace: "shop", ServiceAccount: "job-sa", ClientID: id}); err != nil {
		t.Fatal(err)
	}
	l.restart(t, smallLab())
	if p := l.principal(t, id); p == nil || len(p.FederatedCredentials) != 0 || p.Tags["team"] != "shop" {
		t.Errorf("expected an identity with a tag that trusts nobody, found %+v", p)
	}
	if err := l.Directory().Remove(tenant, id); err != nil {
		t.Fatal(err)
	}
	l.restart(t, smallLab())
	if again := l.Directory().NewClientID(tenant, "managed identity", "one"); again == id {
		t.Errorf("%s is used again", id)
	}
}
