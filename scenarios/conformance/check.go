package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/wiemu/wiemu/emulator/journal"
)

// The workloads are those of the Radix documentation's example: component web
// in dev, and the same identity from a namespace that no federated credential names.
var (
	trusted = []string{"--env", "dev", "web"}
	refused = []string{"--namespace", "my-radix-app-test", "--service-account", "web-sa", "--client-id", "b96d264b-7053-4465-a4a7-32be5b0fec49"}
)

const (
	trustedWorkload = "my-radix-app-dev/web-sa"
	secret          = "the secret of wiemu" // of vault mykeyvault, by default

	// patience is how long one round may take (wall time). Azure CLI starts
	// several Pythons in one, and they share two processors with others.
	patience = 5 * time.Minute
)

// Checked is what came of a client in one mode.
type Checked struct {
	Rotated bool   `json:"rotated"`           // it used the token file that came later
	Refusal string `json:"refusal,omitempty"` // what it printed when its subject was refused
}

// check runs a client twice, with the token file rotated between, then as a refused workload.
func check(ctx context.Context, l *Lab, client Client, mode Mode, dir string) (Checked, error) {
	var c Checked
	if err := rounds(ctx, l, client, mode, dir); err != nil {
		return c, err
	}
	c.Rotated = true
	said, err := refusal(ctx, l, mode, dir, stranger{workload: refused, run: client.Run, code: 700213, says: client.Refusal})
	c.Refusal = said
	return c, err
}

// rounds lets the client do its work with one token file and again with the next.
func rounds(ctx context.Context, l *Lab, client Client, mode Mode, dir string) error {
	start, err := l.Events(ctx, "")
	if err != nil {
		return err
	}
	p, err := begin(ctx, l.command(ctx, mode, dir, trusted, client.Run))
	if err != nil {
		return err
	}
	defer p.end()
	seen, earlier := start, []string(nil)
	for n, round := range []string{"first round", "second round"} {
		if n > 0 {
			if err := l.rotate(ctx, trustedWorkload); err != nil {
				return err
			}
			if _, err := io.WriteString(p.stdin, "again\n"); err != nil {
				return p.failure(fmt.Errorf("ask for another round: %w", err))
			}
		}
		if err := p.round(secretRead); err != nil {
			return fmt.Errorf("%s: %w", round, err)
		}
		events, err := l.Events(ctx, lastID(seen))
		if err != nil {
			return err
		}
		if err := client.granted(events); err != nil {
			return fmt.Errorf("%s: %w", round, err)
		}
		presented := assertions(events)
		for _, jti := range presented {
			if slices.Contains(earlier, jti) {
				return fmt.Errorf("%s: the service-account token %s was used again, although the token file was rotated", round, jti)
			}
		}
		seen, earlier = append(seen, events...), presented
	}
	return p.finish()
}

// granted checks that a round got both tokens and the secret, and nothing else.
func (c Client) granted(events []journal.Event) error {
	var graph, vault, read bool
	for _, e := range events {
		switch {
		case e.Kind == journal.Escape && !slices.Contains(c.Escapes, e.Host):
			return fmt.Errorf("the client tried to reach %s: %s", e.Host, e.Summary)
		case e.Kind == journal.Exchange && e.Outcome != journal.Granted:
			return fmt.Errorf("a token request was refused: %s", e.Summary)
		case e.Kind == journal.Access && e.Outcome != journal.Granted && e.Detail["challenge"] == "" && !slices.Contains(c.Escapes, e.Host):
			return fmt.Errorf("%s %s%s was refused: %s", e.Method, e.Host, e.Path, e.Summary)
		case e.Kind == journal.Exchange:
			graph = graph || strings.Contains(e.Resource, "graph.microsoft.com")
			vault = vault || strings.Contains(e.Resource, "vault.azure.net")
		case e.Kind == journal.Access && e.Outcome == journal.Granted:
			read = read || e.Host == "mykeyvault.vault.azure.net" && strings.HasPrefix(e.Path, "/secrets/mysecret")
		}
	}
	for _, want := range []struct {
		there bool
		what  string
	}{{graph, "a token for Microsoft Graph"}, {vault, "a token for Key Vault"}, {read, "reading secret mysecret of mykeyvault"}} {
		if !want.there {
			return fmt.Errorf("expected %s in the journal, found none", want.what)
		}
	}
	return nil
}

// assertions are the ids of the service-account tokens that were exchanged.
func assertions(events []journal.Event) []string {
	var ids []string
	for _, e := range events {
		if e.Kind == journal.Exchange {
			ids = append(ids, e.JTI)
		}
	}
	return ids
}

// A stranger is a run of a client that has to be refused.
type stranger struct {
	workload []string // flags of wiemu run
	env      []string
	run      string
	code     int    // AADSTS; 0: Entra ID gives it a token, and the resource refuses it
	says     string // in the client's own output
}

// refusal runs the client as an untrusted workload and returns the line that says so.
func refusal(ctx context.Context, l *Lab, mode Mode, dir string, s stranger) (string, error) {
	before, err := l.Events(ctx, "")
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := l.command(ctx, mode, dir, s.workload, s.run, s.env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	all := fmt.Sprintf("standard output:\n%s\nstandard error:\n%s", lastLines(string(out), 40), lastLines(stderr.String(), 40))
	if code := (*exec.ExitError)(nil); err == nil {
		return "", fmt.Errorf("refused: the client exited with 0; %s", all)
	} else if !errors.As(err, &code) || code.ExitCode() == 125 {
		return "", fmt.Errorf("refused: %w; %s", err, all)
	}
	after, err := l.Events(ctx, lastID(before))
	if err != nil {
		return "", err
	}
	switch {
	case s.code == 0 && !slices.ContainsFunc(after, func(e journal.Event) bool { return e.Kind == journal.Access && e.Outcome == journal.Denied }):
		return "", fmt.Errorf("refused: expected that the resource refuses it, found nothing of that in the journal; %s", all)
	case s.code != 0 && !slices.ContainsFunc(after, func(e journal.Event) bool { return e.Kind == journal.Exchange && e.Code == s.code }):
		return "", fmt.Errorf("refused: expected a token request that was refused with AADSTS%d, found none in the journal; %s", s.code, all)
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, s.says) {
			return strings.TrimSpace(line), nil
		}
	}
	return "", fmt.Errorf("refused: expected %q in the client's own output; %s", s.says, all)
}

type program struct {
	cmd    *exec.Cmd
	ctx    context.Context
	stdin  io.WriteCloser
	lines  chan string // of its standard output; closed at the end
	said   []string
	stderr bytes.Buffer
	waited bool
}

func begin(ctx context.Context, cmd *exec.Cmd) (*program, error) {
	p := &program{cmd: cmd, ctx: ctx, lines: make(chan string, 1024)}
	cmd.Stderr = &p.stderr
	var err error
	if p.stdin, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the client: %w", err)
	}
	go func() {
		defer close(p.lines)
		lines := bufio.NewScanner(stdout)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			p.lines <- lines.Text()
		}
		_, _ = io.Copy(io.Discard, stdout)
	}()
	return p, nil
}

// once lets a program do its work once. done looks at what it said, and behaved at what is in the
// lab's journal then.
func once(ctx context.Context, l *Lab, cmd *exec.Cmd, done func(said []string) error, behaved func([]journal.Event) error) error {
	p, err := begin(ctx, cmd)
	if err != nil {
		return err
	}
	defer p.end()
	if err := p.round(done); err != nil {
		return err
	}
	events, err := l.Events(ctx, "")
	if err != nil {
		return err
	}
	if err := behaved(events); err != nil {
		return err
	}
	return p.finish()
}

// secretRead says what is missing in the lines of a client that reads the secret.
func secretRead(said []string) error {
	for _, want := range []string{"graph ok", "secret " + secret} {
		if !slices.Contains(said, want) {
			return fmt.Errorf("expected %q before \"round done\"", want)
		}
	}
	return nil
}

// round waits until the client says that it has done its work, and checks that done finds
// nothing missing in its lines.
func (p *program) round(done func(said []string) error) error {
	p.said = nil
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		select {
		case line, more := <-p.lines:
			if !more {
				return p.failure(errors.New("the client ended"))
			}
			p.said = append(p.said, line)
			if line != "round done" {
				continue
			}
			if err := done(p.said); err != nil {
				return p.failure(err)
			}
			return nil
		case <-late.C:
			return p.failure(fmt.Errorf("not done after %v", patience))
		case <-p.ctx.Done():
			return p.ctx.Err()
		}
	}
}

// finish ends the client's input, which ends the client.
func (p *program) finish() error {
	if err := p.stdin.Close(); err != nil {
		return err
	}
	late := time.AfterFunc(patience, func() { _ = p.cmd.Cancel() })
	defer late.Stop()
	for line := range p.lines {
		p.said = append(p.said, line)
	}
	p.waited = true
	if err := p.cmd.Wait(); err != nil {
		return p.failure(fmt.Errorf("expected that the client ends with its input: %w", err))
	}
	return nil
}

func (p *program) end() {
	if p.waited {
		return
	}
	p.waited = true
	_ = p.stdin.Close()
	_ = p.cmd.Cancel()
	go func() {
		for range p.lines { // so that it is not held up
		}
	}()
	_ = p.cmd.Wait()
}

// failure ends the client and adds what it said to the error.
func (p *program) failure(err error) error {
	p.end()
	return fmt.Errorf("%w; standard output:\n%s\nstandard error:\n%s", err, lastLines(strings.Join(p.said, "\n"), 40), lastLines(p.stderr.String(), 40))
}
