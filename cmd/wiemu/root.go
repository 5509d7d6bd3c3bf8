package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/emulator"
	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/emulator/keyring"
	"github.com/wiemu/wiemu/emulator/trust"
	"github.com/wiemu/wiemu/emulator/yamlfile"
	"github.com/wiemu/wiemu/harness"
	"github.com/wiemu/wiemu/harness/process"
	"github.com/wiemu/wiemu/harness/recording"
	"github.com/wiemu/wiemu/harness/state"
	"github.com/wiemu/wiemu/harness/workload"
)

// newRoot is the command line.
func newRoot() *cobra.Command {
	var stateDir string
	root := &cobra.Command{
		Use:   "wiemu",
		Short: "Azure workload identity on one machine, offline, for unmodified applications",
		Long: `wiemu runs the whole flow of Azure workload identity on one machine: a cluster's
token issuer, token files that rotate as a kubelet rotates them, an Entra ID that
checks federated credentials and answers as the real one does, and the resources
behind it. Applications run unmodified and see https://login.microsoftonline.com/.`,
		Example: `  wiemu run -f radixconfig.yaml --env dev web -- ./my-app
  wiemu explain --last
  wiemu scenario run`,
		SilenceUsage: true, SilenceErrors: true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.PersistentFlags().StringVar(&stateDir, "state-dir", "", "where the CA and the journals of past runs are kept (default $WIEMU_STATE_DIR, else ~/.local/state/wiemu)")
	root.AddCommand(
		newRun(&stateDir), newServe(&stateDir), newEnv(&stateDir), newToken(&stateDir), newTrust(), newValidate(),
		newExplain(&stateDir), newReport(&stateDir), newRecord(&stateDir), newReplay(&stateDir), newErrors(), newKubeconfig(&stateDir), newStatus(&stateDir), newClock(&stateDir), newKeys(&stateDir), newFault(&stateDir), newMove(&stateDir), newScenario(&stateDir), newKind(&stateDir), newCluster(), newWebhook(&stateDir), newCompose(), newTimeshift(&stateDir), newVersion(),
	)
	for _, cmd := range append(root.Commands(), root) {
		if cmd.HasSubCommands() && !cmd.Runnable() { // to mistype one of them is no question for help
			cmd.Args, cmd.RunE = cobra.NoArgs, func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
			cmd.Annotations = map[string]string{helpOnly: "true"}
		}
	}
	helpOf(root)
	sayOurWay(root)
	return root
}

// helpOnly marks a command that does nothing without one of those below it.
const helpOnly = "help-only"

// selection is which workload a command is about.
type selection struct {
	files                                            []string
	environment, namespace, serviceAccount, clientID string
	workload, container                              string // of manifests
	identity                                         harness.Identity
	hasOwn                                           bool // the command has --own
}

func (s *selection) addFileFlag(cmd *cobra.Command) {
	cmd.Flags().StringArrayVarP(&s.files, "file", "f", nil, "radixconfig.yaml, wiemu.yaml or Kubernetes manifests; repeatable (default: those two of this directory, where they exist)")
}

func (s *selection) addFlags(cmd *cobra.Command) {
	s.addFileFlag(cmd)
	cmd.Flags().StringVar(&s.environment, "env", "", "Radix environment of the component")
	cmd.Flags().StringVar(&s.workload, "workload", "", "what makes pods in manifests: [KIND/]NAMESPACE/NAME, or NAME")
	cmd.Flags().StringVar(&s.container, "container", "", "container of the pods of manifests (default: the one that their annotation kubectl.kubernetes.io/default-container names, else the first)")
	cmd.Flags().StringVar(&s.namespace, "namespace", "", "Kubernetes namespace, instead of a component of a file")
	cmd.Flags().StringVar(&s.serviceAccount, "service-account", "", "Kubernetes service account, with --namespace")
	cmd.Flags().StringVar(&s.clientID, "client-id", "", "client id of the identity (default: the component's)")
	cmd.Flags().StringVar(&s.identity.Tenant, "tenant", "", "tenant id or domain (default: the first)")
	cmd.Flags().StringVar(&s.identity.Issuer, "issuer", "", "name of the issuer that signs (default: the first)")
	cmd.Flags().StringVar(&s.identity.Audience, "audience", "", "what the service-account token is for (default api://AzureADTokenExchange)")
	cmd.Flags().DurationVar(&s.identity.TokenLifetime, "token-lifetime", 0, "lifetime of the service-account token, at least 10m (default 1h)")
}

// addAccessFlags adds those that say how a workload comes to its tokens.
func (s *selection) addAccessFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.identity.Credential, "credential", "", "what the application proves who it is with: federated (its token file, the default), or of an app registration its secret, certificate (PEM) or certificate-pfx, which the lab makes if it has none")
	cmd.Flags().StringVar(&s.identity.ManagedIdentity, "managed-identity", "", "run on a machine with the managed identity instead of in a pod: imds (virtual machine), app-service; or in a pod with azure-workload-identity's proxy: sidecar")
	cmd.Flags().StringVar(&s.identity.IdentityBinding, "identity-binding", "", "use AKS's identity-binding proxy; its CA comes in a file, or with =ca-data in a variable")
	cmd.Flags().Lookup("identity-binding").NoOptDefVal = config.CAFile
}

// read returns the files and every workload they describe.
func (s *selection) read(cmd *cobra.Command) (harness.Files, error) {
	files, err := readFiles(cmd, s.files)
	warnings := files.Warnings
	if s.workload != "" && err == nil {
		warnings = files.WarningsBesides(s.workload, s.container)
	}
	tellWarnings(cmd, warnings)
	return files, err
}

// readFiles reads configurations until a signal comes.
func readFiles(cmd *cobra.Command, names []string) (harness.Files, error) {
	return reading(cmd.Context(), func() (harness.Files, error) { return harness.ReadFiles(".", names) })
}

// reading returns what a function reads, or that the context has ended: to open or read a
// pipe that nobody writes to may take for ever.
func reading[T any](ctx context.Context, read func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := read()
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// tellWarnings tells what was passed over in files; each says itself that it is a
// warning, behind the place.
func tellWarnings(cmd *cobra.Command, warnings []yamlfile.Problem) {
	for _, w := range warnings {
		fmt.Fprintln(cmd.ErrOrStderr(), "wiemu:", w.Error())
	}
}

// checkFound refuses a file that is read because it is in this folder, and not because
// somebody named it, if somebody else can have put it there. What is missing is for
// who reads it to tell.
func checkFound(name string) error {
	err := yamlfile.CheckFound(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// pick returns the workload that the flags or the component name.
func (s *selection) pick(files harness.Files, declared []harness.Declared, component string) (harness.Declared, error) {
	var d harness.Declared
	var notes []string
	var isPod bool
	var err error
	switch {
	case s.workload != "" && (s.namespace != "" || s.serviceAccount != "" || component != ""):
		return d, usagef("--workload: expected one of --workload, a component, and --namespace with --service-account")
	case s.workload != "":
		isPod = true
		if d, notes, err = files.Pod(s.workload, s.container, inherited); err != nil {
			return d, usage(err)
		}
	case s.namespace != "" || s.serviceAccount != "":
		if s.namespace == "" || s.serviceAccount == "" {
			return d, usagef("--namespace and --service-account go together: expected both, found one")
		}
		if component != "" {
			return d, usagef("component %q and --namespace: expected one of the two", component)
		}
		d.Workload = workload.Workload{Namespace: s.namespace, ServiceAccount: s.serviceAccount}
	default:
		if d, err = harness.Find(declared, component, s.environment); err != nil {
			return d, usage(files.WhyNot(declared, component, s.environment, err))
		}
		if d, notes, isPod, err = files.PodOf(d, s.container, inherited); err != nil {
			return d, usage(err)
		}
	}
	if s.container != "" && !isPod {
		return d, usagef("--container: it goes with a workload of Kubernetes manifests (-f app.yaml --workload NAMESPACE/NAME)")
	}
	for _, note := range notes {
		fmt.Fprintln(os.Stderr, "wiemu:", note)
	}
	if s.clientID != "" {
		id, err := workload.ParseClientID(s.clientID)
		if err != nil {
			return d, usagef("--client-id: %w", err)
		}
		d.Workload.ClientID = id
		d.Own = d.Own.Without("AZURE_CLIENT_ID")
	}
	if s.identity.Tenant != "" {
		d.Own = d.Own.Without("AZURE_TENANT_ID")
	}
	if s.identity.TokenLifetime != 0 && s.identity.TokenLifetime < 10*time.Minute {
		return d, usagef("--token-lifetime: expected at least 10m, as in Kubernetes, found %v", s.identity.TokenLifetime)
	}
	d.Identity = d.Identity.With(s.identity)
	return d, nil
}

// inherited reports whether an application has a variable from the caller of wiemu.
func inherited(variable string) bool {
	return slices.ContainsFunc(process.CleanEnviron(os.Environ()), func(v string) bool { return strings.HasPrefix(v, variable+"=") })
}

// server returns a client for the running server, or nil if there is none; with
// --kind, --compose or --cluster it is the emulator there.
func server(cmd *cobra.Command, stateDir string) (*control.Client, error) {
	dir, err := state.Open(stateDir)
	if err != nil {
		return nil, err
	}
	if at := steered(cmd); at.name != "" {
		return at.control(cmd.Context(), dir)
	}
	s, running, err := dir.Server()
	if err != nil || !running {
		return nil, err
	}
	return &control.Client{URL: s.URL, Token: s.Token}, nil
}

// needServer is server for commands that make no sense without one.
func needServer(cmd *cobra.Command, stateDir string) (*control.Client, error) {
	c, err := server(cmd, stateDir)
	if err == nil && c == nil {
		err = fmt.Errorf("no server is running; start one in another terminal with wiemu serve%s", orCluster(cmd, stateDir))
	}
	return c, err
}

// askServer returns the running server with what it says of itself.
func askServer(cmd *cobra.Command, stateDir string) (*control.Client, control.Status, error) {
	client, err := needServer(cmd, stateDir)
	if err != nil {
		return nil, control.Status{}, err
	}
	status, err := client.Status(cmd.Context())
	return client, status, err
}

// session is a lab to ask: the running server, or one of this process.
type session struct {
	client   *control.Client
	files    harness.Files
	declared []harness.Declared // workloads to choose from: of the files, and perhaps the server's
	own      *lab               // nil: the server
}

// open returns the running server, or where there is none a lab of the files at hand.
func (s *selection) open(cmd *cobra.Command, stateDir string) (*session, error) {
	files, err := s.read(cmd)
	if err != nil {
		return nil, err
	}
	client, err := server(cmd, stateDir)
	if err != nil {
		return nil, err
	}
	if client != nil {
		return s.attach(cmd.Context(), client, files)
	}
	l, err := openLab(cmd.Context(), stateDir, files, nil, nil)
	if err != nil {
		return nil, err
	}
	own := &control.Client{URL: l.Emulator().ControlURL(), Token: l.Emulator().Token()}
	return &session{client: own, files: files, declared: files.Workloads(), own: l}, nil
}

func (x *session) close(ctx context.Context) {
	if x.own != nil {
		x.own.close(ctx)
	}
}

// lab is a lab of this process with the place of its run.
type lab struct {
	*harness.Lab
	run      *state.Run
	keys     *keyring.Pool
	recorder *recording.Recorder // nil: the session is not recorded
	isRun    bool                // its journal stays, also when nothing was asked
}

// openLab starts a lab with everything that the files describe. Where record is
// given, the session is recorded; where fixed is, its files and addresses are those
// of the last time.
func openLab(ctx context.Context, stateDir string, files harness.Files, record *recording.Options, fixed *serveDir) (_ *lab, err error) {
	dir, err := state.Open(stateDir)
	if err != nil {
		return nil, err
	}
	l := &lab{}
	defer func() {
		if err != nil {
			l.close(ctx)
		}
	}()
	if l.keys, err = keyring.OpenPool(dir.KeyDir(), keyring.PoolOptions{}); err != nil {
		return nil, err
	}
	if l.run, err = dir.NewRun(); err != nil {
		return nil, err
	}
	opts := harness.Options{
		Emulator: emulator.Options{
			Config: files.Configuration(), ConfigFile: files.ConfigFile, Digests: files.Digests(), StateDir: dir.Path(), Keys: l.keys, JournalFile: l.run.Journal,
			Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
		},
		Dir: l.run.Dir,
		// With hosts outside, those that the caller trusts are trusted, too.
		Bundle:  trust.BundleOptions{SystemRoots: len(files.Config.AllowHosts) > 0, RootsFile: callersRoots()},
		OnError: func(err error) { fmt.Fprintln(os.Stderr, "wiemu:", err) },
	}
	fixed.apply(&opts)
	if record != nil {
		l.Lab, l.recorder, err = recording.Start(ctx, opts, files.Workloads(), *record)
	} else if l.Lab, err = harness.Start(ctx, opts); err == nil {
		err = l.Declare(files.Workloads())
	}
	if err != nil {
		return nil, err
	}
	if why := l.Emulator().Authority().Renewed(); why != "" {
		fmt.Fprintln(os.Stderr, "wiemu: a new CA:", why)
	}
	return l, nil
}

// callersRoots is the file with the roots that the caller trusts, if there is one.
func callersRoots() string {
	file := os.Getenv("SSL_CERT_FILE")
	if _, err := os.Stat(file); err != nil {
		return ""
	}
	return file
}

// close ends the lab; what it could not clean up is told on standard error.
func (l *lab) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownPatience)
	defer cancel()
	tell := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, "wiemu: while cleaning up:", err)
		}
	}
	worthExplaining := false // a lab that did not open has nothing to explain
	if l.Lab != nil {
		_, worthExplaining = journal.Find(l.Journal().Events(), "")
		worthExplaining = worthExplaining || l.isRun
		tell(l.Close(ctx))
	}
	if l.run != nil {
		tell(l.run.Close(worthExplaining))
	}
	if l.keys != nil {
		tell(l.keys.Close())
	}
}

// printJSON writes a value for programs.
func printJSON(w io.Writer, value any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(value)
}

// addOutput adds the flag -o; the first format is the default.
func addOutput(cmd *cobra.Command, into *string, formats ...string) {
	cmd.Flags().StringVarP(into, "output", "o", formats[0], "format: "+strings.Join(formats, ", "))
	check := cmd.PreRunE
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
		for _, f := range formats {
			if *into == f {
				if check != nil {
					return check(cmd, args)
				}
				return nil
			}
		}
		return usagef("--output: expected one of %s, found %q", strings.Join(formats, ", "), *into)
	}
}
