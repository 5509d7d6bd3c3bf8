// Command wiemu-workload is the application under test: a small program on the
// Azure SDK for Go that reads a secret, shows an access token or calls Microsoft
// Graph with its workload identity. Scenarios start it, and so may anybody who
// wants to know whether an identity works.
//
// It sets no option of the SDK, unless --credential asks for one. What it is told, it is told as any application
// in a pod is: by AZURE_CLIENT_ID, AZURE_TENANT_ID, AZURE_FEDERATED_TOKEN_FILE
// and AZURE_AUTHORITY_HOST, and outside of a pod by HTTPS_PROXY and
// SSL_CERT_FILE.
//
//	wiemu-workload secret get mykeyvault mysecret
//	wiemu-workload token --scope https://graph.microsoft.com/.default
//	wiemu-workload graph GET /v1.0/organization
//
// It prints one JSON object, see [Answer], and exits with 0 when that says ok, 1
// when it does not, 2 when it did not understand its arguments.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

const usage = `Use a workload identity the way an application does, and print what came of it as JSON.

  wiemu-workload secret get VAULT NAME   read a secret of https://VAULT.vault.azure.net
  wiemu-workload token --scope SCOPE     get an access token and show its claims
  wiemu-workload graph GET PATH          ask Microsoft Graph, such as /v1.0/organization

Options, between the command and its arguments:
  --credential NAME   workload (WorkloadIdentityCredential, the default),
                      default (DefaultAzureCredential),
                      managed (ManagedIdentityCredential with AZURE_CLIENT_ID), or
                      binding (WorkloadIdentityCredential with EnableAzureProxy)
  --print-token       token: print the access token itself too
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
	answer := command.answer(ctx)
	if err := json.NewEncoder(stdout).Encode(answer); err != nil {
		fmt.Fprintf(stderr, "wiemu-workload: print the answer: %v\n", err)
		return 1
	}
	if !answer.OK {
		return 1
	}
	return 0
}

// A command is one thing to do with a credential.
type command struct {
	credential func() (azcore.TokenCredential, error)
	do         func(context.Context, azcore.TokenCredential) (Answer, error)
}

func (c command) answer(ctx context.Context) Answer {
	credential, err := c.credential()
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

// parse reads the command line. Options may stand before and between the
// arguments of a command.
func parse(args []string) (command, error) {
	if len(args) == 0 {
		return command{}, errors.New("expected a command: secret, token or graph")
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	credential := flags.String("credential", "workload", "")
	scope := flags.String("scope", "", "")
	printToken := flags.Bool("print-token", false, "")
	var rest []string
	for left := args[1:]; len(left) > 0; {
		if err := flags.Parse(left); err != nil {
			return command{}, err
		}
		if left = flags.Args(); len(left) > 0 {
			rest, left = append(rest, left[0]), left[1:]
		}
	}
	c := command{}
	switch *credential {
	case "workload":
		c.credential = workloadCredential
	case "default":
		c.credential = defaultCredential
	case "managed":
		c.credential = managedCredential
	case "binding":
		c.credential = bindingCredential
	default:
		return command{}, fmt.Errorf("--credential: expected workload, default, managed or binding, found %q", *credential)
	}
	switch name := args[0]; {
	case name == "-h" || name == "--help" || name == "help":
		return command{}, flag.ErrHelp
	case name == "secret" && len(rest) == 3 && rest[0] == "get":
		c.do = secret(rest[1], rest[2])
	case name == "secret":
		return command{}, errors.New("secret: expected get VAULT NAME")
	case name == "token" && len(rest) == 0 && *scope != "":
		c.do = token(*scope, *printToken)
	case name == "token":
		return command{}, errors.New("token: expected --scope SCOPE, such as https://vault.azure.net/.default")
	case name == "graph" && len(rest) == 2 && rest[0] == "GET":
		c.do = graph(rest[1])
	case name == "graph":
		return command{}, errors.New("graph: expected GET PATH")
	default:
		return command{}, fmt.Errorf("expected secret, token or graph, found %q", name)
	}
	return c, nil
}

// workloadCredential reads everything from the environment, as an application in a pod does.
func workloadCredential() (azcore.TokenCredential, error) {
	return azidentity.NewWorkloadIdentityCredential(nil)
}

// defaultCredential tries every credential the SDK knows, in its order.
func defaultCredential() (azcore.TokenCredential, error) {
	return azidentity.NewDefaultAzureCredential(nil)
}

// managedCredential asks the machine for the user-assigned identity that the
// environment names, or for whichever it has.
func managedCredential() (azcore.TokenCredential, error) {
	var options azidentity.ManagedIdentityCredentialOptions
	if id := os.Getenv("AZURE_CLIENT_ID"); id != "" {
		options.ID = azidentity.ClientID(id)
	}
	return azidentity.NewManagedIdentityCredential(&options)
}

// bindingCredential opts in to AKS's identity bindings.
func bindingCredential() (azcore.TokenCredential, error) {
	return azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{EnableAzureProxy: true})
}
