// Command wiemu-workload is the application under test: a small program on the
// Azure SDK for Go that reads a secret, shows an access token or calls Microsoft
// Graph with its workload identity. Scenarios start it, and so may anybody who
// wants to know whether an identity works.
//
// It sets no option of the SDK, unless its own options ask for one. What it is
// told, it is told as any application in a pod is: by AZURE_CLIENT_ID, AZURE_TENANT_ID, AZURE_FEDERATED_TOKEN_FILE
// and AZURE_AUTHORITY_HOST, and outside of a pod by HTTPS_PROXY and
// SSL_CERT_FILE.
//
//	wiemu-workload secret get mykeyvault mysecret
//	wiemu-workload token --scope https://graph.microsoft.com/.default
//	wiemu-workload graph GET /v1.0/organization
//	wiemu-workload watch --every 1m --for 26h secret get mykeyvault mysecret
//
// It prints one JSON object, see [Answer], and exits with 0 when that says ok, 1
// when it does not, 2 when it did not understand its arguments. With watch it
// prints one a line, see [Attempt], and exits with 0 when all of them say ok.
//
// Its options are the habits of programs in bug reports, so that scenarios can
// show what comes of them: a token file that is read once, an access token that
// is kept for good, an authority that is put together wrongly.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

const usage = `Use a workload identity the way an application does, and print what came of it as JSON.

  wiemu-workload secret get VAULT NAME   read a secret of https://VAULT.vault.azure.net
  wiemu-workload token --scope SCOPE     get an access token and show its claims
  wiemu-workload graph GET PATH          ask Microsoft Graph, such as /v1.0/organization
  wiemu-workload watch COMMAND...        do one of these again and again with one credential,
                                         and print a line for each attempt

Options, between the command and its arguments:
  --credential NAME   workload (WorkloadIdentityCredential, the default),
                      default (DefaultAzureCredential),
                      environment (EnvironmentCredential: a secret or certificate),
                      managed (ManagedIdentityCredential with AZURE_CLIENT_ID),
                      binding (WorkloadIdentityCredential with EnableAzureProxy),
                      assertion (ClientAssertionCredential),
                      msal (MSAL, without azidentity),
                      post (HTTP, without either; caches nothing), or
                      imds (HTTP to the machine's metadata service)
  --assertion HOW     what assertion, msal and post present: file (the token file, read
                      each time it is needed, the default), once (the token file, read at
                      the start), hourly (read when the last time was an hour ago), or
                      managed (a token of the machine's managed identity)
  --authority URL     msal, post: the tenant's URL (default: AZURE_AUTHORITY_HOST and
                      AZURE_TENANT_ID put together)
  --keep-token        get an access token once and use it for good
  --retry N           ask up to N times more when the token service refuses
  --scope SCOPE       secret: read it without the SDK, with a token for this scope
  --print-token       token: print the access token itself too

Options of watch:
  --every DURATION    how often (default 1m)
  --times N           how many times (default: until it is stopped)
  --for DURATION      how long (default: until it is stopped)
  --fresh             make a new credential each time

The exit code is 0 when all went well, 1 when something did not, 2 when the
arguments are wrong.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run does what the arguments say and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	command, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stdout, usage)
		return 0
	}
	if err != nil {
		fmt.Fprintf(stderr, "wiemu-workload: %v\n\n%s", err, usage)
		return 2
	}
	var ok bool
	if command.watch != nil {
		ok, err = command.watch.run(ctx, command, stdout)
	} else {
		answer := command.answer(ctx)
		ok, err = answer.OK, json.NewEncoder(stdout).Encode(answer)
	}
	if err != nil {
		fmt.Fprintf(stderr, "wiemu-workload: print the answer: %v\n", err)
		return 1
	}
	if !ok {
		return 1
	}
	return 0
}

// A command is one thing to do with a credential, once or again and again.
type command struct {
	options options
	do      action
	watch   *watch // nil: once
}

// answer does it with a credential of its own.
func (c command) answer(ctx context.Context) Answer { return c.withOneCredential()(ctx) }

// withOneCredential makes the credential, and returns what does it with that.
func (c command) withOneCredential() func(context.Context) Answer {
	credential, err := c.options.newCredential()
	return func(ctx context.Context) Answer {
		if err != nil {
			return refusal(err)
		}
		answer, err := c.do(ctx, credential)
		if err != nil {
			return refusal(err)
		}
		answer.OK = true
		return answer
	}
}

// parse reads the command line. Options may stand before and between the
// arguments of a command.
func parse(args []string) (command, error) {
	if len(args) == 0 {
		return command{}, errors.New("expected a command: secret, token, graph or watch")
	}
	var c command
	var w watch
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&c.options.credential, "credential", "workload", "")
	flags.StringVar(&c.options.assertion, "assertion", "file", "")
	flags.StringVar(&c.options.authority, "authority", "", "")
	flags.BoolVar(&c.options.keepToken, "keep-token", false, "")
	flags.IntVar(&c.options.retry, "retry", 0, "")
	flags.DurationVar(&w.every, "every", time.Minute, "")
	flags.IntVar(&w.times, "times", 0, "")
	flags.DurationVar(&w.lasts, "for", 0, "")
	flags.BoolVar(&w.fresh, "fresh", false, "")
	scope := flags.String("scope", "", "")
	printToken := flags.Bool("print-token", false, "")
	var words []string
	for left := args; len(left) > 0; {
		if err := flags.Parse(left); err != nil {
			return command{}, err
		}
		if left = flags.Args(); len(left) > 0 {
			words, left = append(words, left[0]), left[1:]
		}
	}
	if len(words) > 0 && words[0] == "help" {
		return command{}, flag.ErrHelp
	}
	if len(words) > 0 && words[0] == "watch" {
		words, c.watch = words[1:], &w
	}
	if err := check(c, w, flags); err != nil {
		return command{}, err
	}
	var err error
	c.do, err = choose(words, *scope, *printToken)
	return c, err
}

// check looks at the options.
func check(c command, w watch, flags *flag.FlagSet) error {
	if _, known := credentials[c.options.credential]; !known {
		return fmt.Errorf("--credential: expected one of %s, found %q", strings.Join(slices.Sorted(maps.Keys(credentials)), ", "), c.options.credential)
	}
	if _, known := assertions[c.options.assertion]; !known {
		return fmt.Errorf("--assertion: expected one of %s, found %q", strings.Join(slices.Sorted(maps.Keys(assertions)), ", "), c.options.assertion)
	}
	own := !slices.Contains([]string{"assertion", "msal", "post"}, c.options.credential)
	var err error
	flags.Visit(func(f *flag.Flag) {
		switch f.Name {
		case "assertion":
			if own {
				err = errors.New("--assertion: expected --credential assertion, msal or post, as the others bring their own")
			}
		case "authority":
			if own || c.options.credential == "assertion" {
				err = errors.New("--authority: expected --credential msal or post; the others go by AZURE_AUTHORITY_HOST")
			}
		case "every", "times", "for", "fresh":
			if c.watch == nil {
				err = fmt.Errorf("--%s: expected watch before the command", f.Name)
			}
		}
	})
	switch {
	case err != nil:
		return err
	case w.every <= 0:
		return fmt.Errorf("--every: expected a duration above zero, found %v", w.every)
	case w.times < 0 || w.lasts < 0 || c.options.retry < 0:
		return errors.New("--times, --for and --retry: expected nothing below zero")
	}
	return nil
}

// choose finds what is to be done.
func choose(words []string, scope string, printToken bool) (action, error) {
	if len(words) == 0 {
		return nil, errors.New("expected a command: secret, token or graph")
	}
	name, rest := words[0], words[1:]
	switch {
	case name == "secret" && len(rest) == 3 && rest[0] == "get" && scope != "":
		return secretWith(scope, rest[1], rest[2]), nil
	case name == "secret" && len(rest) == 3 && rest[0] == "get":
		return secret(rest[1], rest[2]), nil
	case name == "secret":
		return nil, errors.New("secret: expected get VAULT NAME")
	case name == "token" && len(rest) == 0 && scope != "":
		return token(scope, printToken), nil
	case name == "token":
		return nil, errors.New("token: expected --scope SCOPE, such as https://vault.azure.net/.default")
	case name == "graph" && len(rest) == 2 && rest[0] == "GET":
		return graph(rest[1]), nil
	case name == "graph":
		return nil, errors.New("graph: expected GET PATH")
	}
	return nil, fmt.Errorf("expected secret, token, graph or watch, found %q", name)
}
