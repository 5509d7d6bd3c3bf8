package emulator

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
	"github.com/wiemu/wiemu/emulator/kept"
	"github.com/wiemu/wiemu/emulator/keyring"
)

// directoryFile holds what became of the directory at run time. Who starts a lab
// again with another directory removes it.
const directoryFile = "directory.json"

// keeper lets signing keys and the directory outlive the process, with
// Options.Keep. A ring is kept whole, with its private keys. Of the directory it
// keeps what was changed at run time, principal by principal: that wins over
// wiemu.yaml, and everything else is as the file has it now. A nil *keeper keeps
// nothing.
type keeper struct {
	dir *kept.Dir
	log *slog.Logger

	mu      sync.Mutex
	changes []change
}

// change is what became of one principal.
type change struct {
	Tenant     string               `json:"tenant"`
	ClientID   string               `json:"clientId"`
	Principal  *directory.Principal `json:"principal,omitempty"`  // nil: it was removed
	Configured string               `json:"configured,omitempty"` // fingerprint of what wiemu.yaml made of it; "": nothing
}

func (e *Emulator) openKept(_ context.Context, opts Options) error {
	if !opts.Keep {
		return nil
	}
	if opts.StateDir == "" {
		return errors.New("keep keys and directory: no state directory is named")
	}
	dir, err := kept.Open(opts.StateDir)
	if err != nil {
		return err
	}
	e.onClose(dir.Close)
	e.keep = &keeper{dir: dir, log: opts.Log}
	if e.keep.log == nil {
		e.keep.log = slog.New(slog.DiscardHandler)
	}
	return nil
}

// ring makes a key ring, or goes on with the one that was kept.
func (k *keeper) ring(ctx context.Context, clk clock.Clock, pool *keyring.Pool, opts keyring.Options) (*keyring.Ring, error) {
	if k == nil || opts.Shared != nil {
		return keyring.New(ctx, clk, pool, opts)
	}
	file := "rings/" + url.PathEscape(opts.Name) + ".json"
	var state keyring.State
	found, err := k.dir.Read(file, &state)
	if err != nil {
		return nil, err
	}
	if found {
		if err := state.Check(); err != nil {
			return nil, k.dir.Damaged(file, err)
		}
		opts.State = &state
	}
	opts.Keep = func(s keyring.State) error { return k.dir.Write(file, s) }
	return keyring.New(ctx, clk, pool, opts)
}

// restoreDirectory makes the changes of earlier runs again, once the directory is
// as wiemu.yaml has it, and keeps those that follow.
func (e *Emulator) restoreDirectory(context.Context, Options) error {
	if e.keep == nil {
		return nil
	}
	k := e.keep
	if _, err := k.dir.Read(directoryFile, &k.changes); err != nil {
		return err
	}
	for n, c := range k.changes {
		if err := k.restore(e.directory, c); err != nil {
			return k.dir.Damaged(directoryFile, fmt.Errorf("[%d] (client id %s): %w", n, c.ClientID, err))
		}
	}
	e.directory.Keep(k.record)
	return nil
}

// restore makes a change again, and tells an operator where wiemu.yaml has another
// opinion by now.
func (k *keeper) restore(d *directory.Directory, c change) error {
	if _, known := d.Tenant(c.Tenant); !known {
		k.log.Warn("an identity that was changed at run time is left out: wiemu.yaml does not have its tenant any more", "tenant", c.Tenant, "clientId", c.ClientID, "file", k.dir.Path(directoryFile))
		return nil
	}
	now, _ := d.Principal(c.Tenant, c.ClientID)
	if fingerprint(now) != c.Configured {
		k.log.Warn("wiemu.yaml says something else about an identity than when it was changed at run time; the change stays", "tenant", c.Tenant, "clientId", c.ClientID, "file", k.dir.Path(directoryFile))
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
func (k *keeper) record(c directory.Change) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	changes := slices.Clone(k.changes)
	i := slices.IndexFunc(changes, func(o change) bool { return o.Tenant == c.Tenant && o.ClientID == c.ClientID })
	if i < 0 {
		i = len(changes)
		changes = append(changes, change{Tenant: c.Tenant, ClientID: c.ClientID, Configured: fingerprint(c.Old)})
	}
	changes[i].Principal = c.New
	if c.New != nil && fingerprint(c.New) == changes[i].Configured { // as wiemu.yaml has it, again
		changes = slices.Delete(changes, i, i+1)
	}
	if err := k.dir.Write(directoryFile, changes); err != nil {
		return err
	}
	k.changes = changes
	return nil
}

// fingerprint tells principals apart; "" is nobody's.
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
