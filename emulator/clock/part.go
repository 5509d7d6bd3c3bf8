package clock

import (
	"fmt"
	"maps"
	"time"
)

// The names of the parts that every lab has. The others are called as their
// issuers are.
const (
	Entra     = "entra"     // the token service, its keys and its memory of issuers' keys
	Resources = "resources" // what access tokens open
	Workloads = "workloads" // programs on the lab clock
)

// Reserved are the names that no issuer may have.
func Reserved() []string { return []string{Entra, Resources, Workloads} }

// maxSkew keeps a skewed time within what tokens can say.
const maxSkew = 100 * 365 * 24 * time.Hour

// Part returns the lab's time as one part of the lab sees it: with that part's
// skew, now and whatever it will be. Waiting is not skewed: AfterFunc counts from
// when it is called.
func (l *Lab) Part(name string) Clock { return &part{l, name} }

// Skew lets the clock of one part, by the name that Part was given, go ahead of
// lab time, or behind it if by is negative; 0 puts it right. It is the one way in
// which time goes backwards.
func (l *Lab) Skew(name string, by time.Duration) error {
	if by > maxSkew || by < -maxSkew {
		return fmt.Errorf("skew the clock of %s by %v: expected at most %d years", name, by, maxSkew/(365*24*time.Hour))
	}
	l.order.Lock()
	defer l.order.Unlock()
	l.mu.Lock()
	if l.skews == nil {
		l.skews = map[string]time.Duration{}
	}
	l.skews[name] = by
	if by == 0 {
		delete(l.skews, name)
	}
	setting := l.setting
	l.mu.Unlock()
	l.tell(setting)
	return nil
}

// Skews returns the skew of every part that has one.
func (l *Lab) Skews() map[string]time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.skews)
}

type part struct {
	lab  *Lab
	name string
}

func (p *part) Now() time.Time {
	p.lab.mu.Lock()
	defer p.lab.mu.Unlock()
	return p.lab.now().Add(p.lab.skews[p.name])
}

func (p *part) Followed() bool { return p.lab.Followed() }

func (p *part) AfterFunc(d time.Duration, f func()) Timer { return p.lab.AfterFunc(d, f) }
