package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/internal/cli"
	"github.com/wiemu/wiemu/internal/process"
	"github.com/wiemu/wiemu/internal/session"
	"github.com/wiemu/wiemu/internal/workload"
)

// selection is which workload a command is about.
type selection struct {
	files                                            []string
	environment, namespace, serviceAccount, clientID string
	workload, container                              string // of manifests
	identity                                         workload.TokenOptions
	hasOwn                                           bool // the command has --own
}

func (s *selection) addFileFlag(cmd *cobra.Command) {
	cli.AddFileFlag(cmd, &s.files)
}

func (s *selection) addFlags(cmd *cobra.Command) {
	s.addFileFlag(cmd)
	cmd.Flags().StringVar(&s.environment, "env", "", "Radix environment of the component")
	cmd.Flags().StringVar(&s.workload, "workload", "", "workload in the manifests: [KIND/]NAMESPACE/NAME, or NAME")
	cmd.Flags().StringVar(&s.container, "container", "", "container of the pods of manifests (default: the one that their annotation kubectl.kubernetes.io/default-container names, else the first)")
	cmd.Flags().StringVar(&s.namespace, "namespace", "", "Kubernetes namespace, instead of a component of a file")
	cmd.Flags().StringVar(&s.serviceAccount, "service-account", "", "Kubernetes service account, with --namespace")
	cmd.Flags().StringVar(&s.clientID, "client-id", "", "client id of the identity (default: the component's)")
	cmd.Flags().StringVar(&s.identity.Tenant, "tenant", "", "tenant id or domain (default: the first)")
	cmd.Flags().StringVar(&s.identity.Issuer, "issuer", "", "name of the issuer that signs the token (default: the first)")
	cmd.Flags().StringVar(&s.identity.Audience, "audience", "", "audience of the service-account token (default api://AzureADTokenExchange)")
	cmd.Flags().DurationVar(&s.identity.TokenLifetime, "token-lifetime", 0, "lifetime of the service-account token, at least 10m (default 1h)")
}

// addAccessFlags adds those that say how a workload comes to its tokens.
func (s *selection) addAccessFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.identity.Credential, "credential", "", "how the application authenticates: federated (with its token file, the default), or with the secret, certificate (PEM) or certificate-pfx of an app registration, which the lab creates if it has none")
	cmd.Flags().StringVar(&s.identity.ManagedIdentity, "managed-identity", "", "use a managed identity: of a virtual machine (imds) or of app-service instead of a pod, or in a pod with azure-workload-identity's proxy (sidecar)")
	cmd.Flags().StringVar(&s.identity.IdentityBinding, "identity-binding", "", "use AKS's identity-binding proxy; its CA is in a file, or with =ca-data in a variable")
	cmd.Flags().Lookup("identity-binding").NoOptDefVal = config.CAFile
}

// read returns the files and every workload they describe.
func (s *selection) read(cmd *cobra.Command) (session.Files, error) {
	files, err := cli.ReadFiles(cmd, s.files)
	warnings := files.Warnings
	if s.workload != "" && err == nil {
		warnings = files.WarningsBesides(s.workload, s.container)
	}
	cli.TellWarnings(cmd, warnings)
	return files, err
}

// pick returns the workload that the flags or the component name.
func (s *selection) pick(files session.Files, declared []workload.Spec, component string) (workload.Spec, error) {
	var d workload.Spec
	var notes []string
	var isPod bool
	var err error
	switch {
	case s.workload != "" && (s.namespace != "" || s.serviceAccount != "" || component != ""):
		return d, cli.Usagef("--workload: expected one of --workload, a component, and --namespace with --service-account")
	case s.workload != "":
		isPod = true
		if d, notes, err = files.Pod(s.workload, s.container, inherited); err != nil {
			return d, cli.Usage(err)
		}
	case s.namespace != "" || s.serviceAccount != "":
		if s.namespace == "" || s.serviceAccount == "" {
			return d, cli.Usagef("--namespace and --service-account go together: expected both, found one")
		}
		if component != "" {
			return d, cli.Usagef("component %q and --namespace: expected one of the two", component)
		}
		d.Workload = workload.Workload{Namespace: s.namespace, ServiceAccount: s.serviceAccount}
	default:
		if d, err = session.Find(declared, component, s.environment); err != nil {
			return d, cli.Usage(files.WhyNot(declared, component, s.environment, err))
		}
		if d, notes, isPod, err = files.PodOf(d, s.container, inherited); err != nil {
			return d, cli.Usage(err)
		}
	}
	if s.container != "" && !isPod {
		return d, cli.Usagef("--container: it needs a workload of Kubernetes manifests (-f app.yaml --workload NAMESPACE/NAME)")
	}
	for _, note := range notes {
		fmt.Fprintln(os.Stderr, "wiemu:", note)
	}
	if s.clientID != "" {
		id, err := workload.ParseClientID(s.clientID)
		if err != nil {
			return d, cli.Usagef("--client-id: %w", err)
		}
		d.ClientID = id
		d.Own = d.Own.Without("AZURE_CLIENT_ID")
	}
	if s.identity.Tenant != "" {
		d.Own = d.Own.Without("AZURE_TENANT_ID")
	}
	if s.identity.TokenLifetime != 0 && s.identity.TokenLifetime < 10*time.Minute {
		return d, cli.Usagef("--token-lifetime: expected at least 10m, as in Kubernetes, found %v", s.identity.TokenLifetime)
	}
	d.TokenOptions = d.With(s.identity)
	return d, nil
}

// inherited reports whether an application has a variable from the caller of wiemu.
func inherited(variable string) bool {
	return slices.ContainsFunc(process.CleanEnviron(os.Environ()), func(v string) bool { return strings.HasPrefix(v, variable+"=") })
}
