package lab

import (
	"cmp"
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
// wiemu.yaml, and everything else is as the file has it now. What changes often is in
// logs: see [store.Log]. A nil *persister keeps nothing.
type persister struct {
	dir *store.Dir
	log *slog.Logger

	mu      sync.Mutex
	changes changes
	kept    *store.Log // of changes
}

// changes are those of the directory, one for each principal, in the order of the first.
type changes struct {
	all []change
	at  map[changed]int
}

type changed struct{ tenant, clientID string }

func (c *change) of() changed { return changed{c.Tenant, c.ClientID} }

// index finds the changes again once all is set.
func (c *changes) index() {
	c.at = make(map[changed]int, len(c.all))
	for n := range c.all {
		c.at[c.all[n].of()] = n
	}
}

// apply makes a change take the place of the one of the same principal. One that is undone goes.
func (c *changes) apply(made loggedChange) {
	n, ok := c.at[made.of()]
	switch {
	case made.Undone && ok:
		c.all = slices.Delete(c.all, n, n+1)
		c.index()
	case made.Undone:
	case ok:
		c.all[n] = made.change
	default:
		c.at[made.of()] = len(c.all)
		c.all = append(c.all, made.change)
	}
}

// loggedChange is a line of the directory's log.
type loggedChange struct {
	change
	Undone bool `json:"undone,omitempty"` // the principal is as wiemu.yaml has it, again
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
	l.persist.log = cmp.Or(l.persist.log, slog.New(slog.DiscardHandler))
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

// openLog opens the log of a file, has an operator know what was dropped of it, and closes it
// with the lab.
func (l *Lab) openLog(file string, into any, apply func(json.RawMessage) error, value func() any) (*store.Log, error) {
	made, torn, err := l.persist.dir.OpenLog(file, into, apply, value)
	if err != nil {
		return nil, err
	}
	if torn != nil {
		l.persist.log.Warn("the last change was not written to its end when the process ended, and is dropped; it was not acknowledged", "file", torn.Path, "bytes", torn.Bytes)
	}
	l.onClose(made.Close)
	return made, nil
}

// restoreDirectory makes the changes of earlier runs again, once the directory is
// as wiemu.yaml has it, and keeps those that follow.
func (l *Lab) restoreDirectory(context.Context, Options) (err error) {
	if l.persist == nil {
		return nil
	}
	p := l.persist
	index := sync.OnceFunc(p.changes.index)
	p.kept, err = l.openLog(directoryFile, &p.changes.all, func(line json.RawMessage) error {
		index()
		var made loggedChange
		if err := store.Decode(line, &made); err != nil {
			return err
		}
		p.changes.apply(made)
		return nil
	}, func() any { return p.changes.all })
	if err != nil {
		return err
	}
	index()
	if err := p.restore(l.directory); err != nil {
		return p.dir.Damaged(directoryFile, err)
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
	kept, err := l.openLog(rolesFile, &state, func(line json.RawMessage) error {
		var made roles.Change
		if err := store.Decode(line, &made); err != nil {
			return err
		}
		state.Apply(made)
		return nil
	}, func() any { return state })
	if err != nil {
		return err
	}
	given := state.Clone()
	if err := l.roles.Start(&given, func(c roles.Change) error {
		if err := kept.Append(c); err != nil {
			return err
		}
		state.Apply(c)
		return nil
	}); err != nil {
		return l.persist.dir.Damaged(rolesFile, err)
	}
	return nil
}

// restoreResources makes again what clients made in earlier runs of the resources that keep it
// in files of their own, and keeps what follows.
func (l *Lab) restoreResources(context.Context, Options) error {
	for name, made := range l.resources {
		stateful, ok := made.(resource.StatefulService)
		if !ok {
			continue
		}
		state, keep := stateful.State(), func(any) error { return nil }
		file := name + ".json"
		if l.persist != nil {
			kept, err := l.openLog(file, state, state.Apply, func() any { return state })
			if err != nil {
				return err
			}
			keep = kept.Append
		}
		if err := stateful.Restore(keep); err != nil {
			if l.persist == nil {
				return err
			}
			return l.persist.dir.Damaged(file, err)
		}
	}
	return nil
}

// restore makes the changes again. Who has by now what another had before, such as an identifier
// URI, waits until that one is as it was; those that have exchanged something are cleared first.
func (p *persister) restore(d *tenants.Directory) error {
	waiting, cleared := p.expected(d), false
	for len(waiting) > 0 {
		var still []int
		var last error
		for _, n := range waiting {
			c := p.changes.all[n]
			err := c.restore(d)
			if err != nil {
				last = fmt.Errorf("[%d] (client id %s): %w", n, c.ClientID, err)
				still = append(still, n)
			}
			if err != nil && !errors.Is(err, tenants.ErrDuplicate) {
				return last
			}
		}
		if len(still) == len(waiting) {
			if cleared {
				return last
			}
			for _, n := range still {
				if err := d.Clear(p.changes.all[n].Tenant, p.changes.all[n].ClientID); err != nil {
					return err
				}
			}
			cleared = true
		}
		waiting = still
	}
	return nil
}

// expected returns which changes can be made again, and tells an operator where wiemu.yaml has
// another opinion by now.
func (p *persister) expected(d *tenants.Directory) (all []int) {
	for n, c := range p.changes.all {
		if _, known := d.Tenant(c.Tenant); !known {
			p.log.Warn("an identity that was changed at run time is left out: wiemu.yaml does not have its tenant any more", "tenant", c.Tenant, "clientId", c.ClientID, "file", p.dir.Path(directoryFile))
			continue
		}
		now, _ := d.Principal(c.Tenant, c.ClientID)
		if fingerprint(now) != c.Configured {
			p.log.Warn("wiemu.yaml says something else about an identity than when it was changed at run time; the change stays", "tenant", c.Tenant, "clientId", c.ClientID, "file", p.dir.Path(directoryFile))
		}
		all = append(all, n)
	}
	return all
}

func (c *change) restore(d *tenants.Directory) error {
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
	made := loggedChange{change: change{Tenant: c.Tenant, ClientID: c.ClientID, Principal: c.New}}
	if n, ok := p.changes.at[made.of()]; ok {
		made.Configured = p.changes.all[n].Configured
	} else {
		made.Configured = fingerprint(c.Old)
	}
	if made.Configured != "" && c.New != nil && fingerprint(c.New) == made.Configured {
		made.Undone, made.Principal = true, nil
	}
	if err := p.kept.Append(made); err != nil {
		return err
	}
	p.changes.apply(made)
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
