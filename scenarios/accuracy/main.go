// Accuracy asks an emulator of Entra ID what is in accuracy.yaml and compares the
// answers with what Entra ID answers. Without -target it asks wiemu itself, and
// wiemu's Key Vault, Graph, Resource Manager and metadata service, too.
//
//	make accuracy
//	go run ./scenarios/accuracy -o json
//	go run ./scenarios/accuracy -setup                the directory to make in another emulator
//	go run ./scenarios/accuracy -target https://localhost:8443 -insecure \
//	    -set tenant=… -set app=… -set secret=…        and to ask it
//
// With -target, -issuer-listen HOST:PORT serves the issuer's metadata in clear
// text there, for emulators that fetch it at the URL of -set issuer=….
package main

import (
	"context"
	"crypto/tls"
	_ "embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/internal/lab"
	"github.com/wiemu/wiemu/internal/managedidentity"
	"github.com/wiemu/wiemu/internal/server"
)

//go:embed accuracy.yaml
var builtIn []byte

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "accuracy:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	over := map[string]string{}
	flags := flag.NewFlagSet("accuracy", flag.ContinueOnError)
	target := flags.String("target", "", "URL of another emulator's login host")
	insecure := flags.Bool("insecure", false, "do not check the target's certificate")
	issuerListen := flags.String("issuer-listen", "", "HOST:PORT where the issuer's metadata is served for the target")
	only := flags.String("run", "", "only the cases whose names match this regular expression")
	format := flags.String("o", "table", "table or json")
	setup := flags.Bool("setup", false, "print the directory that the cases need, as a wiemu.yaml")
	counts := flags.Bool("count", false, "print how many cases there are of each confidence, as docs/accuracy.md has it")
	flags.Func("set", "NAME=VALUE: another value for a variable of the table; repeatable", func(s string) error {
		name, value, ok := strings.Cut(s, "=")
		if !ok {
			return errors.New("expected NAME=VALUE")
		}
		over[name] = value
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return err
	}
	matches, err := regexp.Compile(*only)
	if err != nil {
		return fmt.Errorf("-run: %w", err)
	}
	if *format != "table" && *format != "json" {
		return fmt.Errorf("-o: expected table or json, found %q", *format)
	}
	t, err := readTable("accuracy.yaml", builtIn, over)
	if err != nil {
		return err
	}
	if *counts {
		return printCounts(out, t.count())
	}
	if *setup {
		_, err := io.WriteString(out, t.fill(t.Setup))
		return err
	}
	asked, keys, err := open(ctx, t, *target, *issuerListen, *insecure)
	if err != nil {
		return err
	}
	defer asked.close()
	results, err := t.ask(ctx, asked, keys, matches)
	if err != nil {
		return err
	}
	if *format == "json" {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(results)
	} else {
		err = print(out, results)
	}
	if differ := len(results) - count(results, true); err == nil && differ > 0 {
		err = fmt.Errorf("%d of %d replies differ from Entra ID's", differ, len(results))
	}
	return err
}

// asked is the emulator that the requests are sent to.
type asked struct {
	base   string
	client *http.Client
	alone  bool // there is a login host and nothing else
	close  func()
}

// url is where a request to a host goes.
func (a asked) url(host string) string {
	switch host {
	case "":
		return a.base
	case imds:
		return "http://" + host
	}
	return "https://" + host
}

const imds = "169.254.169.254"

// open makes keys and certificates, adds their names to the variables of the table,
// and opens the emulator to ask.
func open(ctx context.Context, t Table, target, issuerListen string, insecure bool) (a asked, keys Keys, err error) {
	if keys, err = newKeys(); err != nil {
		return a, keys, err
	}
	dir, err := os.MkdirTemp("", "wiemu-accuracy-")
	if err != nil {
		return a, keys, err
	}
	if err = t.certify(keys, dir); err == nil {
		if target == "" {
			a, err = wiemu(ctx, t, keys, dir)
		} else {
			a, err = other(t, keys, target, issuerListen, insecure)
		}
	}
	if err != nil {
		return a, keys, errors.Join(err, os.RemoveAll(dir))
	}
	end := a.close
	a.close = func() {
		end()
		_ = os.RemoveAll(dir)
	}
	return a, keys, nil
}

// certify makes certificates in a folder, and adds their names and the time to the variables.
func (t Table) certify(keys Keys, dir string) error {
	now := time.Now() // wall time, on which wiemu's clock runs here, too
	more, err := keys.certify(dir, now)
	if err != nil {
		return err
	}
	more["now"], more["soon"] = fmt.Sprint(now.Unix()), fmt.Sprint(now.Add(10*time.Minute).Unix())
	maps.Copy(t.Variables, more)
	return nil
}

// wiemu is an emulator of this process, which finds the issuer in memory.
func wiemu(ctx context.Context, t Table, keys Keys, dir string) (asked, error) {
	c, err := config.Parse("setup of accuracy.yaml", []byte(t.fill(t.Setup)))
	if err != nil {
		return asked{}, err
	}
	e, err := t.start(ctx, keys, c, lab.Options{StateDir: filepath.Join(dir, "state")})
	if err != nil {
		return asked{}, err
	}
	return t.led(e)
}

func (t Table) start(ctx context.Context, keys Keys, c config.Config, options lab.Options) (*server.Server, error) {
	issuer, err := t.issuer(keys)
	if err != nil {
		return nil, err
	}
	options.Outside = inMemory{strings.Split(t.Variables["issuer"], "/")[2], issuer}
	return server.Start(ctx, server.Options{Config: c, Options: options})
}

// led is the emulator with a machine that has the managed identity, and closes it if there can be none.
func (t Table) led(e *server.Server) (asked, error) {
	end := func() { _ = e.Close(context.Background()) } // the answers are known
	machine, err := e.AddMachine(lab.Machine{Kind: managedidentity.IMDS, Name: "accuracy/machine", ClientID: t.Variables["identity"]})
	if err != nil {
		end()
		return asked{}, err
	}
	transport := led{imds: machine.Address, others: e.Transport()}
	return asked{base: "https://login.microsoftonline.com", client: &http.Client{Transport: transport}, close: end}, nil
}

// led leads requests for the metadata service to the machine's own.
type led struct {
	imds   string
	others http.RoundTripper
}

func (l led) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host != imds {
		return l.others.RoundTrip(r)
	}
	r = r.Clone(r.Context())
	r.Host, r.URL.Host = imds, l.imds
	return http.DefaultTransport.RoundTrip(r)
}

// inMemory is the network outside, with one issuer.
type inMemory struct {
	host   string
	issuer http.Handler
}

func (m inMemory) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host != m.host {
		return nil, fmt.Errorf("no such host %s", r.URL.Host)
	}
	w := httptest.NewRecorder()
	m.issuer.ServeHTTP(w, r)
	answer := w.Result()
	answer.Request = r
	return answer, nil
}

// patience with another emulator (wall time).
const patience = 20 * time.Second

func other(t Table, keys Keys, target, issuerListen string, insecure bool) (asked, error) {
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: insecure, MinVersion: tls.VersionTLS12}} //nolint:gosec // asked for
	a := asked{strings.TrimSuffix(target, "/"), &http.Client{Transport: transport, Timeout: patience}, true, transport.CloseIdleConnections}
	if issuerListen == "" {
		return a, nil
	}
	issuer, err := t.issuer(keys)
	if err != nil {
		return asked{}, err
	}
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", issuerListen)
	if err != nil {
		return asked{}, fmt.Errorf("-issuer-listen: %w", err)
	}
	server := &http.Server{Handler: issuer, ReadHeaderTimeout: patience}
	go func() { _ = server.Serve(l) }() // until it is closed
	a.close = func() { _ = server.Close(); transport.CloseIdleConnections() }
	return a, nil
}

func (t Table) ask(ctx context.Context, a asked, keys Keys, matches *regexp.Regexp) ([]Result, error) {
	var results []Result
	for _, c := range t.Cases {
		if !matches.MatchString(c.Name) || a.alone && c.Host != "" {
			continue
		}
		r, err := t.request(c, a.url(c.Host), keys, time.Now()) // wall time, on which wiemu's clock runs here, too
		if err != nil {
			return nil, err
		}
		if c.Bearer != "" {
			token, err := t.bearer(a.client, a.base, c.Bearer)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.Name, err)
			}
			r.Header.Set("Authorization", "Bearer "+token)
		}
		result := Result{Name: c.Name, Source: c.Source, Confidence: c.Confidence}
		if resp, err := a.client.Do(r.WithContext(ctx)); err != nil {
			result.Differences = []string{err.Error()}
		} else if got, err := read(resp); err != nil {
			result.Differences = []string{err.Error()}
		} else {
			result.Differences = t.differences(c.Reply, got)
		}
		result.Same = len(result.Differences) == 0
		results = append(results, result)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	if len(results) == 0 {
		return nil, errors.New("no case matches")
	}
	return results, nil
}

// Result is what came of a case.
type Result struct {
	Name        string   `json:"name"`
	Same        bool     `json:"same"`
	Confidence  string   `json:"confidence"`
	Source      string   `json:"source"`
	Differences []string `json:"differences,omitempty"`
}

func count(results []Result, same bool) int {
	n := 0
	for _, r := range results {
		if r.Same == same {
			n++
		}
	}
	return n
}

// confidences are the grades, best first.
func confidences() []string { return []string{"recorded", "documented", "inferred"} }

func printCounts(out io.Writer, count map[string]int) error {
	text, all := "| confidence | requests |\n|---|---|\n", 0
	for _, confidence := range confidences() {
		text += fmt.Sprintf("| %s | %d |\n", confidence, count[confidence])
		all += count[confidence]
	}
	_, err := io.WriteString(out, text+fmt.Sprintf("| all | %d |\n", all))
	return err
}

func print(out io.Writer, results []Result) error {
	scores := map[string][2]int{}
	var text strings.Builder
	for _, r := range results {
		mark, score := "✗", scores[r.Confidence]
		if score[1]++; r.Same {
			mark = "✓"
			score[0]++
		}
		scores[r.Confidence] = score
		fmt.Fprintf(&text, "%s %-58s %s\n", mark, r.Name, r.Confidence)
		for _, d := range r.Differences {
			fmt.Fprintf(&text, "    %s\n", d)
		}
	}
	fmt.Fprintf(&text, "\n%d of %d replies are Entra ID's", count(results, true), len(results))
	for _, confidence := range confidences() {
		if s := scores[confidence]; s[1] > 0 {
			fmt.Fprintf(&text, "; %s %d of %d", confidence, s[0], s[1])
		}
	}
	_, err := io.WriteString(out, text.String()+"\n")
	return err
}
