package issuer

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/wiemu/wiemu/emulator/journal"
)

// JobToken describes a token of something that is in no cluster, such as a job of GitHub Actions.
type JobToken struct {
	Workload string // as the journal and faults name it
	Subject  string
	Audience string
	Lifetime time.Duration

	// Claims returns what is signed, for the issuer's URL, a new jti and the time of issue. It
	// has Subject and Audience, and expires Lifetime after the time of issue.
	Claims func(url, id string, issued time.Time) any
}

// SignJob signs a token and journals it as [Issuer.Mint] does.
func (i *Issuer) SignJob(ctx context.Context, t JobToken) (raw string, err error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	id, err := i.newID()
	if err != nil {
		return "", fmt.Errorf("token of %s: %w", t.Workload, err)
	}
	now, hit := i.mistime(i.clock.Now(), t.Lifetime, t.Workload)
	issued := now.Truncate(time.Second)
	payload, err := json.Marshal(t.Claims(i.url, id, issued))
	if err != nil {
		return "", fmt.Errorf("token of %s: %w", t.Workload, err)
	}
	raw, key, err := i.keys.Sign(typedHeader, payload)
	if err != nil {
		return "", fmt.Errorf("token of %s: %w", t.Workload, err)
	}
	expires := issued.Add(t.Lifetime)
	e := journal.Event{
		Kind: journal.Mint, Outcome: journal.OK, Component: i.opts.Name, Workload: t.Workload,
		Summary: fmt.Sprintf("token of %s for %s, good for %v", t.Workload, t.Audience, t.Lifetime),
		Issuer:  i.url, Subject: t.Subject, Audience: []string{t.Audience}, Kid: key.ID, JTI: id, IssuedAt: &issued, ExpiresAt: &expires,
	}
	hit.Note(&e)
	i.journal.Record(e)
	return raw, nil
}
