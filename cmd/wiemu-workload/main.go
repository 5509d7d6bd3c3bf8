// Command wiemu-workload is the application under test: a small program on the Azure SDK for Go
// that uses secrets, keys, certificates, blobs, queues, Azure SQL, PostgreSQL and Redis, shows an
// access token or calls Microsoft Graph or Azure Resource Manager with its workload identity. Scenarios start it, and so may
// anyone who wants to know whether an identity works.
//
// It sets no option of the SDK, unless its own options ask for one. Its configuration is that of
// any application in a pod: AZURE_CLIENT_ID, AZURE_TENANT_ID, AZURE_FEDERATED_TOKEN_FILE and
// AZURE_AUTHORITY_HOST, and outside of a pod HTTPS_PROXY and SSL_CERT_FILE.
//
// Its clock is package time's, as in any application: it must not know the lab's. In
// lockstep the kernel's answers are shifted (see package timeshift), so that caching,
// waiting and expiry here happen on lab time all the same.
//
//	wiemu-workload secret get mykeyvault mysecret
//	wiemu-workload token --scope https://graph.microsoft.com/.default
//	wiemu-workload graph GET /v1.0/organization
//	wiemu-workload arm PUT /subscriptions/ID/resourceGroups/shop?api-version=2021-04-01 --body '{"location": "westeurope"}'
//	wiemu-workload watch --every 1m --for 26h secret get mykeyvault mysecret
//	wiemu-workload watch --every 1h sql query orders sales 'SELECT 1' + redis set orders seen yes
//
// It prints one JSON object, see [Answer], and exits with 0 when that says ok, 1
// when it does not, 2 when it did not understand its arguments. With watch it
// prints one a line, see [Attempt], and exits with 0 when all of them say ok; of several commands, with
// + between them, one line each.
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
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"
)

const usage = `Use a workload identity the way an application does, and print what came of it as JSON.

  wiemu-workload secret get VAULT NAME                  read a secret of https://VAULT.vault.azure.net
  wiemu-workload secret set VAULT NAME VALUE            write one
  wiemu-workload key rotate VAULT NAME                  make a new version of a key
  wiemu-workload key unwrap VAULT NAME                  unwrap a data key that the key wrapped at first
  wiemu-workload certificate get VAULT NAME             read a certificate with its private key (PKCS#12),
                                                        which must not have expired
  wiemu-workload blob get ACCOUNT CONTAINER NAME        read a blob as text
  wiemu-workload blob put ACCOUNT CONTAINER NAME TEXT   put one
  wiemu-workload blob link ACCOUNT CONTAINER NAME       read one by a link (user delegation SAS) that
                                                        was made at first
  wiemu-workload blob lease ACCOUNT CONTAINER NAME TEXT put one with a lease of it, for a minute, that
                                                        was taken at first
  wiemu-workload queue get ACCOUNT QUEUE                take a message out of a queue
  wiemu-workload queue put ACCOUNT QUEUE TEXT           put one in
  wiemu-workload redis get CACHE KEY                    read a key by one connection that stays open
  wiemu-workload redis set CACHE KEY VALUE              write one
  wiemu-workload sql query SERVER DATABASE STATEMENT    have Azure SQL execute a statement, and print the
                                                        rows, by one connection that stays open
  wiemu-workload postgres query SERVER DATABASE ROLE STATEMENT
                                                        the same of PostgreSQL, logged in as a role
  wiemu-workload token --scope SCOPE                    get an access token and show its claims
  wiemu-workload graph METHOD PATH                      ask Microsoft Graph, such as GET /v1.0/organization
  wiemu-workload arm METHOD PATH                        ask Azure Resource Manager, such as
                                                        GET '/subscriptions?api-version=2022-12-01'
  wiemu-workload watch COMMAND...                       do one of these again and again with one
                                                        credential, and print a line for each attempt
  wiemu-workload watch COMMAND... + COMMAND...          do several each time, one after another

Options, between the command and its arguments:
  --credential NAME   workload (WorkloadIdentityCredential, the default),
                      default (DefaultAzureCredential),
                      environment (EnvironmentCredential: a secret or certificate),
                      managed (ManagedIdentityCredential with AZURE_CLIENT_ID),
                      binding (WorkloadIdentityCredential with EnableAzureProxy),
                      pipelines (AzurePipelinesCredential: a service connection),
                      assertion (ClientAssertionCredential),
                      msal (MSAL, without azidentity),
                      post (HTTP, without either; caches nothing), or
                      imds (HTTP to the machine's metadata service)
  --assertion HOW     what assertion, msal and post present: file (the token file, read
                      each time it is needed, the default), once (the token file, read at
                      the start), hourly (read when the last time was an hour ago),
                      managed (a token of the machine's managed identity), or github
                      (that of a job of GitHub Actions)
  --authority URL     msal, post: the tenant's URL (default: AZURE_AUTHORITY_HOST and
                      AZURE_TENANT_ID put together)
  --keep-token        get an access token once and use it for good
  --retry N           ask up to N times more when the token service refuses
  --scope SCOPE       secret get: read it without the SDK, with a token for this scope;
                      blob, queue, redis, sql, postgres: use a token for this scope
  --latest            key unwrap: with the latest version, not the one that wrapped
  --link-for DURATION blob link: how long the link is good (default 1h)
  --key-for DURATION  blob link: how long the key that signs it is (default: as long)
  --renew             blob lease: renew the lease before each put
  --reauth            redis: send the connection a new token before the old one ends
  --conn-lifetime DURATION
                      sql, postgres: how long a connection stays open (default: for good)
  --keep-certificate  certificate: read it once and use it for good
  --body JSON         graph, arm: what PUT, POST and PATCH send
  --cae HOW           graph, arm: declare that claims challenges are understood (cp1), with which revoked
                      tokens are refused, and then answer or ignore them
  --print-token       token: print the access token itself too

Options of watch:
  --every DURATION    how often (default 1m)
  --times N           how many times (default: until it is stopped)
  --for DURATION      how long (default: until it is stopped)
  --fresh             make a new credential each time

Examples:
  wiemu-workload sql query orders sales 'SELECT USER_NAME()'
  wiemu-workload sql query orders sales 'CREATE USER [web] FROM EXTERNAL PROVIDER'
  wiemu-workload postgres query orders postgres web 'select current_user'
  wiemu-workload watch --every 1h --for 26h secret get shop password + redis --reauth set orders seen yes
  wiemu-workload graph POST /v1.0/applications --body '{"displayName": "web"}'

The exit code is 0 when all went well, 1 when something did not, 2 when the
arguments are wrong.
`

func main() {
	// Months of lab time are seconds here, and Go's runtime collects garbage every two minutes of it.
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(64 << 20) // bytes
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

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

// A command is what to do with a credential, once or again and again.
type command struct {
	options options
	parts   []part
	watch   *watch // nil: once
}

// A part of a command is one thing that it does. Without watch there is one part.
type part struct {
	name string // such as sql query
	do   action
}

func (c command) answer(ctx context.Context) Answer { return c.withOneCredential()(ctx, c.parts[0]) }

// withOneCredential makes the credential, and returns what does a part of the command with that.
func (c command) withOneCredential() func(context.Context, part) Answer {
	credential, err := c.options.newCredential()
	return func(ctx context.Context, p part) Answer {
		if err != nil {
			return refusal(err)
		}
		answer, err := p.do(ctx, credential)
		if err != nil {
			return refusal(err)
		}
		answer.OK = true
		return answer
	}
}

// parse reads the command line. Options may stand before and between the arguments of a command;
// those of the credential and of watch are the same for all its parts.
func parse(args []string) (command, error) {
	if len(args) == 0 {
		return command{}, errors.New("expected a command: " + commands + " or watch")
	}
	c := command{options: options{credential: "workload", assertion: "file"}}
	w := watch{every: time.Minute}
	for more := true; more; {
		o := doing{linkLives: time.Hour}
		flags := optionsOf(&c.options, &w, &o)
		var words []string
		var err error
		if words, args, more, err = split(flags, args, c.watch != nil); err != nil {
			return command{}, err
		}
		if len(words) > 0 && words[0] == "help" {
			return command{}, flag.ErrHelp
		}
		if c.watch == nil && len(words) > 0 && words[0] == "watch" {
			words, c.watch = words[1:], &w
		}
		if err := check(c, w, flags); err != nil {
			return command{}, err
		}
		if err := o.check(strings.Join(words, " "), flags); err != nil {
			return command{}, err
		}
		do, err := choose(words, o)
		if err != nil {
			return command{}, err
		}
		c.parts = append(c.parts, part{strings.Join(words[:min(2, len(words))], " "), do})
	}
	return c, nil
}

// and stands between the parts of a watch.
const and = "+"

// split reads the options of a command's next part, and returns its other arguments, what comes
// after the + behind them, and whether there is one.
func split(flags *flag.FlagSet, args []string, watches bool) (words, rest []string, more bool, err error) {
	for len(args) > 0 {
		if err := flags.Parse(args); err != nil {
			return nil, nil, false, err
		}
		if args = flags.Args(); len(args) == 0 {
			break
		}
		if args[0] == and && (watches || len(words) > 0 && words[0] == "watch") {
			return words, args[1:], true, nil
		}
		words, args = append(words, args[0]), args[1:]
	}
	return words, nil, false, nil
}

// optionsOf are the options, which are what they were before where they are not given.
func optionsOf(credential *options, w *watch, o *doing) *flag.FlagSet {
	flags := flag.NewFlagSet("wiemu-workload", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&credential.credential, "credential", credential.credential, "")
	flags.StringVar(&credential.assertion, "assertion", credential.assertion, "")
	flags.StringVar(&credential.authority, "authority", credential.authority, "")
	flags.BoolVar(&credential.keepToken, "keep-token", credential.keepToken, "")
	flags.IntVar(&credential.retry, "retry", credential.retry, "")
	flags.DurationVar(&w.every, "every", w.every, "")
	flags.IntVar(&w.times, "times", w.times, "")
	flags.DurationVar(&w.lasts, "for", w.lasts, "")
	flags.BoolVar(&w.fresh, "fresh", w.fresh, "")
	flags.StringVar(&o.scope, "scope", "", "")
	flags.BoolVar(&o.printToken, "print-token", false, "")
	flags.BoolVar(&o.latest, "latest", false, "")
	flags.BoolVar(&o.keepCertificate, "keep-certificate", false, "")
	flags.DurationVar(&o.linkLives, "link-for", o.linkLives, "")
	flags.DurationVar(&o.keyLives, "key-for", 0, "")
	flags.BoolVar(&o.renew, "renew", false, "")
	flags.BoolVar(&o.reauth, "reauth", false, "")
	flags.DurationVar(&o.connectionLives, "conn-lifetime", 0, "")
	flags.StringVar((*string)(&o.cae), "cae", "", "")
	flags.StringVar(&o.body, "body", "", "")
	return flags
}

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

// doing are the options of single commands.
type doing struct {
	scope           string
	printToken      bool
	latest          bool
	keepCertificate bool
	cae             challenge
	body            string
	linkLives       time.Duration
	keyLives        time.Duration // 0: as long as the link
	renew           bool
	reauth          bool
	connectionLives time.Duration // 0: for good
}

// commandsOf names the commands of each option that is of no other.
var commandsOf = map[string][]string{
	"print-token": {"token"}, "latest": {"key unwrap"}, "keep-certificate": {"certificate"}, "cae": {"graph", "arm"}, "body": {"graph", "arm"},
	"link-for": {"blob link"}, "key-for": {"blob link"}, "renew": {"blob lease"}, "reauth": {"redis"}, "conn-lifetime": {"sql", "postgres"},
}

func (o doing) check(command string, flags *flag.FlagSet) error {
	var err error
	flags.Visit(func(f *flag.Flag) {
		of, own := commandsOf[f.Name]
		if own && !slices.ContainsFunc(of, func(one string) bool { return command == one || strings.HasPrefix(command, one+" ") }) {
			err = fmt.Errorf("--%s: expected the command %s, found %q", f.Name, strings.Join(of, " or "), command)
		}
	})
	if err == nil && (o.linkLives <= 0 || o.keyLives < 0 || o.connectionLives < 0) {
		err = errors.New("--link-for, --key-for and --conn-lifetime: expected a duration above zero")
	}
	return err
}

const commands = "secret, key, certificate, blob, queue, redis, sql, postgres, token, graph, arm"

func choose(words []string, o doing) (action, error) {
	if len(words) == 0 {
		return nil, errors.New("expected a command: " + commands)
	}
	name, rest := words[0], words[1:]
	switch {
	case name == "secret" && len(rest) == 3 && rest[0] == "get" && o.scope != "":
		return secretWith(o.scope, rest[1], rest[2]), nil
	case name == "secret" && len(rest) == 3 && rest[0] == "get":
		return secret(rest[1], rest[2]), nil
	case name == "secret" && len(rest) == 4 && rest[0] == "set":
		return setSecret(rest[1], rest[2], rest[3]), nil
	case name == "secret":
		return nil, errors.New("secret: expected get VAULT NAME or set VAULT NAME VALUE")
	case name == "key" && len(rest) == 3 && rest[0] == "rotate":
		return rotateKey(rest[1], rest[2]), nil
	case name == "key" && len(rest) == 3 && rest[0] == "unwrap":
		return unwrapKey(rest[1], rest[2], o.latest), nil
	case name == "key":
		return nil, errors.New("key: expected rotate VAULT NAME or unwrap VAULT NAME")
	case name == "certificate" && len(rest) == 3 && rest[0] == "get":
		return certificate(rest[1], rest[2], o.keepCertificate), nil
	case name == "certificate":
		return nil, errors.New("certificate: expected get VAULT NAME")
	case name == "blob" || name == "queue":
		return chooseStorage(words, o)
	case name == "redis":
		return chooseRedis(words, o)
	case name == "sql":
		return chooseSQL(words, o)
	case name == "postgres":
		return choosePostgres(words, o)
	case name == "token" && len(rest) == 0 && o.scope != "":
		return token(o.scope, o.printToken), nil
	case name == "token":
		return nil, errors.New("token: expected --scope SCOPE, such as https://vault.azure.net/.default")
	case name == "graph" || name == "arm":
		return chooseAPI(words, o)
	}
	return nil, fmt.Errorf("expected %s or watch, found %q", commands, name)
}
