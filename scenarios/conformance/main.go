// Command conformance runs the official clients of Entra ID, unmodified and
// with no option set, against wiemu: each gets tokens and reads a secret, has
// its token file rotated under it, and is refused once. It is make conformance.
//
// A client is a directory below clients/ with a client.yaml (see [Client]) and a
// program that uses only what its library's documentation shows. The program has
// only the environment that wiemu run gives it. It
//
//   - gets a token for https://graph.microsoft.com/.default and prints "graph ok";
//   - reads secret mysecret of vault mykeyvault and prints "secret VALUE";
//   - prints "round done" and waits for a line on standard input: "again" means
//     the same again with a new credential, the end of input means to exit with 0;
//   - on an error prints the library's own text in full on standard output and
//     exits with 1.
//
// A client with credentials (see [Credential]) does one round with each of them, with its
// name as argument, and is refused with one of another application.
//
// A client that has the mode lockstep runs on the lab clock in scenarios, too, for 26 hours and
// more: see lockstep/. There it is run as "client watch SECONDS". It does the same work again and
// again, with the one credential that it made at its start and so many seconds between, prints
// {"ok":true,"secret":"VALUE"} or {"ok":false,"error":"TEXT"} each time, and ends when it is asked
// to. Some take a third argument: "once" presents what the token file had at the start (a mistake),
// "always" reads it for each exchange.
//
// A client with programs (see [Program]) is also what uses a resource: each program does
// operations of blobs, queues, tables, keys, certificates or databases once, is a row of its own for
// each backend that stores them, and is refused once. Storage accounts and the vault are in
// storage.yaml; Azurite is what make azurite installs. A program with settings has what it uses
// in a file of its own beside storage.yaml, such as sql.yaml, and is refused by the resource if it has
// a refusal. In lockstep a program is run as "client watch SECONDS" and puts a blob, wraps a data key, or
// asks a database each time; with a third argument, such as 9h, its pool closes connections of that age.
//
// What happened is not taken from the program alone: the journal must have the exchanges and the
// access, no escape, and another service-account token in the second round.
package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(1)
	}
}

type options struct {
	run         *regexp.Regexp
	modes       []Mode
	output      string
	jobs        int
	wiemu       string
	root        string
	clients     string
	cache       string
	update      bool
	updateTable bool
	list        bool
	require     bool // what is left out is an error
}

func parse(args []string, stderr io.Writer) (options, error) {
	o := options{require: os.Getenv("WIEMU_REQUIRE") != ""}
	flags := flag.NewFlagSet("conformance", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprint(stderr, `Run the official clients of Entra ID, unmodified, against wiemu.
What this machine lacks programs for is left out and named; with WIEMU_REQUIRE=1
that is an error. Run it in the repository, after make build.

`)
		flags.PrintDefaults()
	}
	flags.Func("run", "run only the clients whose name or directory matches this `regexp`", func(text string) (err error) {
		o.run, err = regexp.Compile(text)
		return err
	})
	mode := flags.String("mode", "", "run in this `mode` only: transparent, proxy, isolate or lockstep")
	flags.StringVar(&o.output, "o", "table", "`format` of the result: table or json")
	flags.IntVar(&o.jobs, "jobs", min(3, runtime.NumCPU()+1), "how many clients run at once")
	flags.StringVar(&o.root, "root", ".", "the repository")
	flags.StringVar(&o.wiemu, "wiemu", "", "the command under test (default bin/wiemu of the repository)")
	flags.StringVar(&o.clients, "clients", "", "the `directory` of the clients (default scenarios/conformance/clients of the repository)")
	flags.StringVar(&o.cache, "cache", "", "where clients are installed (default $WIEMU_CONFORMANCE_CACHE, else in the user's cache directory)")
	flags.BoolVar(&o.list, "list", false, "list the clients and run nothing")
	flags.BoolVar(&o.update, "update", false, "first pin each client to the newest version that runs here")
	flags.BoolVar(&o.updateTable, "update-table", false, "write the table into docs/conformance.md")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	o.modes = modes
	if *mode != "" {
		o.modes = []Mode{""}
		if err := o.modes[0].UnmarshalText([]byte(*mode)); err != nil {
			return o, fmt.Errorf("-mode: expected %w, found %q", err, *mode)
		}
	}
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("expected flags only, found %q; -run %s chooses clients", flags.Arg(0), flags.Arg(0))
	case o.output != "table" && o.output != "json":
		return o, fmt.Errorf("-o: expected table or json, found %q", o.output)
	case o.jobs < 1:
		return o, fmt.Errorf("-jobs: expected at least 1, found %d", o.jobs)
	case o.updateTable && (o.run != nil || *mode != ""):
		return o, errors.New("-update-table: the table has every client in every mode; leave out -run and -mode")
	}
	var err error
	if o.root, err = filepath.Abs(o.root); err != nil {
		return o, err
	}
	o.wiemu = cmp.Or(o.wiemu, filepath.Join(o.root, "bin", "wiemu"))
	o.clients = cmp.Or(o.clients, filepath.Join(o.root, "scenarios", "conformance", "clients"))
	if o.wiemu, err = filepath.Abs(o.wiemu); err != nil {
		return o, err
	}
	return o, nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	clients, err := readClients(o.clients)
	if err != nil {
		return err
	}
	if o.run != nil {
		if clients = chosen(clients, o.run); len(clients) == 0 {
			return fmt.Errorf("-run %s: no client matches; -list lists them", o.run)
		}
	}
	if o.list {
		for _, c := range clients {
			fmt.Fprintf(stdout, "%-14s %s\n", filepath.Base(c.Dir), c.Name)
		}
		return nil
	}
	d, err := newDriver(o, stderr)
	if err != nil {
		return err
	}
	if o.update {
		if err := d.update(ctx, clients); err != nil {
			return err
		}
	}
	results := d.all(ctx, clients)
	if err := ctx.Err(); err != nil {
		return err
	}
	var table bytes.Buffer
	if err := writeTable(&table, results); err != nil {
		return err
	}
	if o.output == "json" {
		err = writeJSON(stdout, results)
	} else {
		_, err = fmt.Fprintf(stdout, "\n%s", table.Bytes())
	}
	if err != nil {
		return err
	}
	return d.verdict(results, table.Bytes())
}

// verdict prints the counts, writes the table if asked to, and fails if a run did.
func (d *driver) verdict(results []Result, table []byte) error {
	of := count(results)
	fmt.Fprintf(d.progress, "\n%d passed, %d failed, %d skipped\n", of[Passed], of[Failed], of[LeftOut])
	for _, r := range results {
		for _, m := range modes {
			if result := r.Modes[m]; result.Outcome == LeftOut {
				fmt.Fprintf(d.progress, "left out: %s, %s: %s\n", r.Client, m, result.Why)
			}
		}
	}
	switch {
	case of[Failed] > 0:
		return fmt.Errorf("%d of %d runs failed", of[Failed], of[Failed]+of[Passed])
	case of[LeftOut] > 0 && d.require:
		return fmt.Errorf("%d runs were left out, which WIEMU_REQUIRE does not allow", of[LeftOut])
	case !slices.ContainsFunc(results, func(r Result) bool {
		return slices.ContainsFunc(modes, func(m Mode) bool { return r.Modes[m].Outcome == Passed })
	}):
		return errors.New("nothing was run")
	case d.updateTable:
		return updateTable(filepath.Join(d.root, "docs", "conformance.md"), table)
	}
	return nil
}
