package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

// A Credential is one of a client's: a row of the table.
type Credential struct {
	Name string `yaml:"name"` // as the library calls it

	// Run is the program's argument. It begins with what wiemu run hands out: secret,
	// certificate or certificate-pfx; else the program gets the token file.
	Run string `yaml:"run"`
}

// The applications of the rows: the one whose secret or certificate the client has,
// and another one.
const (
	application = "7c2b7e47-9a0c-4f4c-8f0e-2c3a4b5d6e7f"
	another     = "2f0e8e5b-6a57-4d0c-9a43-6f9f0f1d2a35"
)

// handedOut is the value of wiemu run --credential, with the AADSTS code for one that
// belongs to another application; "" is the token file.
func (c Credential) handedOut() (kind string, code int) {
	switch {
	case strings.HasPrefix(c.Run, "certificate-pfx"):
		return "certificate-pfx", 700027
	case strings.HasPrefix(c.Run, "certificate"):
		return "certificate", 700027
	case strings.HasPrefix(c.Run, "secret"):
		return "secret", 7000215
	}
	return "", 700213
}

// workload is the flags of wiemu run for an application that is handed out its own.
func (c Credential) workload(clientID string) []string {
	kind, _ := c.handedOut()
	return []string{"--credential", kind, "--namespace", "shop", "--service-account", "daemon-sa", "--client-id", clientID}
}

// credentials runs an installed client with each of its credentials, in the first of
// its modes. The outcome is of all of them, if there is an error.
func (d *driver) credentials(ctx context.Context, c Client, of Result, dir string, outcome Outcome, failed error) (rows []Result) {
	for _, credential := range c.Credentials {
		_, code := credential.handedOut()
		r := of
		r.Credential, r.Refusal, r.Modes = credential.Name, fmt.Sprintf("AADSTS%d", code), map[Mode]ModeResult{}
		for _, m := range d.modes {
			if m != c.Modes[0] {
				r.Modes[m] = ModeResult{Outcome: NotMeant}
				continue
			}
			result := ModeResult{Outcome: outcome}
			if failed != nil {
				result.Why = failed.Error()
			} else {
				result = d.credential(ctx, c, credential, m, dir)
			}
			r.Modes[m] = result
			d.say("%-8s %-72s %-18s %-8s %5.1fs", result.Outcome, c.Name+", "+credential.Name, r.Version, m, result.Seconds)
			if result.Why != "" {
				d.say("    %s", strings.ReplaceAll(result.Why, "\n", "\n    "))
			}
		}
		rows = append(rows, r)
	}
	return rows
}

// credential lets a client do its work once with a credential, and has it refused.
func (d *driver) credential(ctx context.Context, c Client, credential Credential, m Mode, dir string) (result ModeResult) {
	if m == Isolate {
		if err := d.isolated(); err != nil {
			return ModeResult{Outcome: LeftOut, Why: err.Error()}
		}
	}
	start := time.Now() // wall time, for people
	defer func() { result.Seconds = time.Since(start).Seconds() }()
	l, err := startLab(ctx, d.wiemu, d.environ, filepath.Join(d.root, "docs", "examples", "radixconfig.yaml"), c)
	if err != nil {
		return ModeResult{Outcome: Failed, Why: err.Error()}
	}
	said, err := prove(ctx, l, c, credential, m, dir)
	if err = errors.Join(err, l.Close()); err != nil {
		return ModeResult{Outcome: Failed, Why: err.Error()}
	}
	return ModeResult{Outcome: Passed, Checked: Checked{Refusal: said}}
}

// prove checks a round with a credential, and the refusal of another's.
func prove(ctx context.Context, l *Lab, client Client, credential Credential, mode Mode, dir string) (string, error) {
	kind, code := credential.handedOut()
	s := stranger{workload: refused, run: client.Run + " " + credential.Run, code: code, says: fmt.Sprintf("AADSTS%d", code)}
	own := trusted
	if kind != "" {
		own, s.workload, s.env = credential.workload(application), credential.workload(another), []string{"AZURE_CLIENT_ID=" + application}
	}
	p, err := begin(ctx, l.command(ctx, mode, dir, own, s.run))
	if err != nil {
		return "", err
	}
	defer p.end()
	if err := p.round(); err != nil {
		return "", err
	}
	events, err := l.Events(ctx, "")
	if err != nil {
		return "", err
	}
	if err := client.granted(events); err != nil {
		return "", err
	}
	if err := p.finish(); err != nil {
		return "", err
	}
	return refusal(ctx, l, mode, dir, s)
}
