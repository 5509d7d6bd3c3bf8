package lab

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"sync"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/internal/keyring"
	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/roles"
	"github.com/wiemu/wiemu/internal/store"
	"github.com/wiemu/wiemu/internal/tenants"
)

// directoryFile holds what became of the directory at run time. Who starts a lab
// again with another directory removes it.
const directoryFile = "directory.json"

// rolesFile holds what became of role definitions and assignments at run time.
const rolesFile = "roles.json"

// persister lets signing keys and the directory outlive the process, with
// Options.Keep. A ring is stored whole, with its private keys. Of the directory it
// keeps what was changed at run time, principal by principal: that wins over
// wiemu.yaml, and everything else is as the file has it now. A nil *persister keeps
// nothing.
type persister struct {
	dir *store.Dir
	log *slog.Logger

	mu      sync.Mutex
	changes []change
}

type change struct {
	Tenant     string               `json:"tenant"`
	ClientID   string               `json:"clientId"`
	Principal  *directory.Principal `json:"principal,omitempty"`  // nil: it was removed
	Configured string               `json:"configured,omitempty"` // fingerprint of what wiemu.yaml made of it; "": nothing
}

func (l *Lab) openStore(_ context.Context, opts Options) error {
	if !opts.Keep {
		return nil
	}
	if opts.StateDir == "" {
		return errors.New("keep keys and directory: no state directory is named")
	}
	dir, err := store.Open(opts.StateDir)
	if err != nil {
		return err
	}
	l.onClose(dir.Close)
	l.persist = &persister{dir: dir, log: opts.Log}
	if l.persist.log == nil {
		l.persist.log = slog.New(slog.DiscardHandler)
	}
	return nil
}

func (p *persister) ring(ctx context.Context, clk clock.Clock, pool *keyring.Pool, opts keyring.Options) (*keyring.Ring, error) {
	if p == nil || opts.Shared != nil {
		return keyring.New(ctx, clk, pool, opts)
	}
	file := "rings/" + url.PathEscape(opts.Name) + ".json"
	var state keyring.State
	found, err := p.dir.Read(file, &state)
	if err != nil {
		return nil, err
	}
	if found {
		if err := state.Check(); err != nil {
			return nil, p.dir.Damaged(file, err)
		}
		opts.State = &state
	}
	opts.Persist = func(s keyring.State) error { return p.dir.Write(file, s) }
	return keyring.New(ctx, clk, pool, opts)
}

// restoreDirectory makes the changes of earlier runs again, once the directory is
// as wiemu.yaml has it, and keeps those that follow.
func (l *Lab) restoreDirectory(context.Context, Options) error {
	if l.persist == nil {
		return nil
	}
	p := l.persist
	if _, err := p.dir.Read(directoryFile, &p.changes); err != nil {
		return err
	}
	for n, c := range p.changes {
		if err := p.restore(l.directory, c); err != nil {
			return p.dir.Damaged(directoryFile, fmt.Errorf("[%d] (client id %s): %w", n, c.ClientID, err))
		}
	}
	l.directory.Keep(p.record)
	return nil
}

// restoreRoles assigns again what was assigned in earlier runs, and keeps what follows.
// What wiemu.yaml assigns has always been there; see [roles.Set.Start].
func (l *Lab) restoreRoles(context.Context, Options) error {
	if l.persist == nil {
		return l.roles.Start(nil, nil)
	}
	var state roles.State
	if _, err := l.persist.dir.Read(rolesFile, &state); err != nil {
		return err
	}
	if err := l.roles.Start(&state, func(s roles.State) error { return l.persist.dir.Write(rolesFile, s) }); err != nil {
		return l.persist.dir.Damaged(rolesFile, err)
	}
	return nil
}

// restoreResources makes again what clients made in earlier runs of the resources that keep it
// in files of their own, and keeps what follows.
func (l *Lab) restoreResources(context.Context, Options) error {
	for name, made := range l.resources {
		stateful, ok := made.(resource.StatefulService)
		switch {
		case !ok:
			continue
		case l.persist == nil:
			if err := stateful.Restore(nil, nil); err != nil {
				return err
			}
			continue
		}
		file := name + ".json"
		var stored json.RawMessage
		if _, err := l.persist.dir.Read(file, &stored); err != nil {
			return err
		}
		if err := stateful.Restore(stored, func(state any) error { return l.persist.dir.Write(file, state) }); err != nil {
			return l.persist.dir.Damaged(file, err)
		}
	}
	return nil
}

// restore makes a change again, and tells an operator where wiemu.yaml has another
// opinion by now.
func (p *persister) restore(d *tenants.Directory, c change) error {
	if _, known := d.Tenant(c.Tenant); !known {
		p.log.Warn("an identity that was changed at run time is left out: wiemu.yaml does not have its tenant any more", "tenant", c.Tenant, "clientId", c.ClientID, "file", p.dir.Path(directoryFile))
		return nil
	}
	now, _ := d.Principal(c.Tenant, c.ClientID)
	if fingerprint(now) != c.Configured {
		p.log.Warn("wiemu.yaml says something else about an identity than when it was changed at run time; the change stays", "tenant", c.Tenant, "clientId", c.ClientID, "file", p.dir.Path(directoryFile))
	}
	if c.Principal == nil {
		return d.Clear(c.Tenant, c.ClientID)
	}
	if c.Principal.ClientID != c.ClientID {
		return fmt.Errorf("principal.clientId: expected the same, found %q", c.Principal.ClientID)
	}
	return d.Put(c.Tenant, *c.Principal)
}

// record keeps a change of the directory; it is called with one at a time.
func (p *persister) record(c tenants.Change) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	changes := slices.Clone(p.changes)
	i := slices.IndexFunc(changes, func(o change) bool { return o.Tenant == c.Tenant && o.ClientID == c.ClientID })
	if i < 0 {
		i = len(changes)
		changes = append(changes, change{Tenant: c.Tenant, ClientID: c.ClientID, Configured: fingerprint(c.Old)})
	}
	changes[i].Principal = c.New
	if c.New != nil && fingerprint(c.New) == changes[i].Configured { // as wiemu.yaml has it, again
		changes = slices.Delete(changes, i, i+1)
	}
	if err := p.dir.Write(directoryFile, changes); err != nil {
		return err
	}
	p.changes = changes
	return nil
}

// fingerprint tells principals apart; "" is that of none.
func fingerprint(p *directory.Principal) string {
	if p == nil {
		return ""
	}
	data, err := json.Marshal(p)
	if err != nil {
		panic(err) // it holds nothing that JSON does not know
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:12])
}
