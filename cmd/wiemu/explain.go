package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/cli"
	"github.com/wiemu/wiemu/internal/explain"
	"github.com/wiemu/wiemu/internal/file"
	"github.com/wiemu/wiemu/internal/unverified"
	"github.com/wiemu/wiemu/internal/userstate"
	"github.com/wiemu/wiemu/internal/workload"
)

func newExplain(stateDir *string) *cobra.Command {
	var s selection
	var last, whole bool
	var tokenFile, format string
	cmd := &cobra.Command{
		Use:   "explain [ID | --last | --token FILE]",
		Short: "Explain why a token was granted or refused, check by check, and what to change",
		Long: `Explain why a token request was granted or refused: first, in one sentence, what is
wrong; then the failed checks with what was expected and presented, the nearest
federated credential, what differs, and what to change. Checks that passed are
summarised and repeated refusals are counted; --all shows everything. The journals of
past runs are read, so this also works after the run has ended.

ID is an event number, or a trace id, correlation id, jti or uti. --last (the default)
selects the last refusal of the newest run, or its last exchange or access if nothing
was refused; if it made no request, explain says so.

A journal contains no tokens and none of the lab's secrets, wherever a client put
them: [redacted: token RS256 sha256:0f3e9a7c] stands for the token whose sha256sum
begins with 0f3e9a7c, and [redacted: client secret of my-app] says what was there.

--token runs Entra ID's checks on a service-account token in a file (- for standard
input): on the running server, or if none is running, with the trust that the files
describe. The exit code is then 1 if the token would be refused.`,
		Example: `  wiemu explain --last
  wiemu explain --last --all
  wiemu explain 0bcd5b76-1e33-47da-951b-c4cfcb641500
  wiemu explain --token "$AZURE_FEDERATED_TOKEN_FILE" -f radixconfig.yaml
  wiemu explain --last -o json
  wiemu explain --last --kind wiemu
  wiemu explain --last --compose shop-wiemu`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			chosen := len(args)
			for _, c := range []bool{last, tokenFile != ""} {
				if c {
					chosen++
				}
			}
			if chosen > 1 {
				return cli.Usagef("expected one of ID, --last and --token, found several")
			}
			if tokenFile == "" && (s.clientID != "" || s.identity.Tenant != "") {
				return cli.Usagef("--client-id and --tenant go with --token")
			}
			if tokenFile != "" {
				return s.explainToken(cmd, *stateDir, tokenFile, format, whole)
			}
			event, all, err := findEvent(cmd, *stateDir, strings.Join(args, ""))
			if err != nil {
				return err
			}
			return printEvent(cmd.OutOrStdout(), format, whole, event, all)
		},
	}
	s.addFileFlag(cmd)
	cmd.Flags().BoolVar(&last, "last", false, "explain the last refusal, or the last exchange or access (default)")
	cmd.Flags().StringVar(&tokenFile, "token", "", "explain whether Entra ID would accept the service-account token in this file")
	cmd.Flags().StringVar(&s.clientID, "client-id", "", "with --token: the client id in the request (default: that of the workload whose token it is)")
	cmd.Flags().StringVar(&s.identity.Tenant, "tenant", "", "with --token: the tenant in the request (default: the first)")
	cmd.Flags().BoolVar(&whole, "all", false, "show every check and every event, including those that passed")
	addElsewhere(cmd)
	cli.AddOutput(cmd, &format, "text", "json")
	return cmd
}

// findEvent looks in the journals of runs, or in that of an emulator elsewhere.
func findEvent(cmd *cobra.Command, stateDir, id string) (journal.Event, []journal.Event, error) {
	at, all, err := eventsElsewhere(cmd, stateDir)
	if err != nil {
		return journal.Event{}, nil, err
	}
	if at.name == "" {
		dir, err := userstate.Open(stateDir)
		if err != nil {
			return journal.Event{}, nil, err
		}
		return dir.Find(id)
	}
	event, found := explain.Find(all, id)
	switch {
	case found:
		return event, all, nil
	case id == "":
		return event, nil, fmt.Errorf("in %s no token was requested yet", at)
	default:
		return event, nil, cli.Usagef("no event with id %q among the %d that the emulator in %s keeps; give an event number, a trace id, a correlation id, a jti or a uti", id, len(all), at)
	}
}

func printEvent(w io.Writer, format string, whole bool, e journal.Event, all []journal.Event) error {
	switch {
	case format == "json":
		return cli.PrintJSON(w, e)
	case whole:
		return explain.WriteAll(w, e, all)
	}
	return explain.Write(w, e, all)
}

func (s *selection) explainToken(cmd *cobra.Command, stateDir, tokenFile, format string, whole bool) error {
	token, err := file.ReadContext(cmd.Context(), func() (string, error) { return readToken(cmd.InOrStdin(), tokenFile) })
	if err != nil {
		return err
	}
	x, err := s.open(cmd, stateDir)
	if err != nil {
		return err
	}
	defer x.close(cmd.Context())
	req := control.ExamineRequest{Tenant: s.identity.Tenant, ClientID: s.clientID, Assertion: token}
	if req.ClientID == "" {
		if req.ClientID, err = clientOf(token, x.declared); err != nil {
			return err
		}
	}
	if req.Tenant == "" {
		status, err := x.client.Status(cmd.Context())
		if err != nil {
			return err
		}
		req.Tenant = status.Tenant
	}
	event, err := x.client.Examine(cmd.Context(), req)
	if err != nil {
		return err
	}
	if err := printEvent(cmd.OutOrStdout(), format, whole, event, nil); err != nil || event.Outcome == journal.Granted {
		return err
	}
	return cli.ExitCode(1)
}

func readToken(stdin io.Reader, name string) (string, error) {
	in := stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return "", cli.Usagef("--token: %w", err)
		}
		defer f.Close()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, 1<<20))
	if err != nil {
		return "", cli.Usagef("--token: %w", err)
	}
	if token := strings.TrimSpace(string(data)); token != "" {
		return token, nil
	}
	return "", cli.Usagef("--token %s: expected a token, found an empty file", name)
}

// clientOf finds the client id of the workload whose subject the token has.
func clientOf(token string, declared []workload.Spec) (string, error) {
	var claims struct {
		Subject string `json:"sub"`
	}
	parts, err := unverified.Parse(token)
	if err != nil {
		return "", fmt.Errorf("%w; name the client id of the request with --client-id", err)
	}
	if parts.Claims.Decode(&claims) != nil {
		return "", errors.New("expected a JWT whose claims are JSON; name the client id of the request with --client-id")
	}
	for _, d := range declared {
		if claims.Subject == d.Subject() && d.ClientID != "" {
			return d.ClientID, nil
		}
	}
	return "", fmt.Errorf("no known workload has the token's subject %q; name the client id of the request with --client-id", claims.Subject)
}
