package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/harness"
	"github.com/wiemu/wiemu/harness/state"
)

func newExplain(stateDir *string) *cobra.Command {
	var s selection
	var last, whole bool
	var tokenFile, format string
	cmd := &cobra.Command{
		Use:   "explain [ID | --last | --token FILE]",
		Short: "Say why a token was granted or refused, check by check, and what to change",
		Long: `Say why a token request was granted or refused: first, in a sentence, what is wrong;
then the checks that failed with what was expected and presented, the nearest
federated credential, what differs, and what to change. What went well is summed up,
and a refusal that came again and again is counted; --all shows everything. It reads the journals of past runs, so it also works when the run has ended.

ID is an event number, or a trace id, correlation id, jti or uti. --last (the
default) is the last refusal of the newest run, or if there was none its last
exchange or access; if it made no request, explain says so.

A journal holds no token and no secret that the lab knows, wherever a client put it:
[redacted: token RS256 sha256:0f3e9a7c] is the token whose sha256sum begins so, and
[redacted: client secret of my-app] says what was there.

--token makes Entra ID's checks of a service-account token in a
file (- for standard input) now: on the running server, or without one as the files
at hand describe the trust. The exit code is 1 then if the token would be refused.`,
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
				return usagef("expected one of ID, --last and --token, found several")
			}
			if tokenFile == "" && (s.clientID != "" || s.identity.Tenant != "") {
				return usagef("--client-id and --tenant go with --token")
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
	cmd.Flags().StringVar(&tokenFile, "token", "", "explain what Entra ID would say to the service-account token in this file")
	cmd.Flags().StringVar(&s.clientID, "client-id", "", "with --token: the client id it is sent for (default: that of the workload whose token it is)")
	cmd.Flags().StringVar(&s.identity.Tenant, "tenant", "", "with --token: the tenant it is sent to (default: the first)")
	cmd.Flags().BoolVar(&whole, "all", false, "show every check and every event, those too that went well")
	addElsewhere(cmd)
	addOutput(cmd, &format, "text", "json")
	return cmd
}

// findEvent looks in the journals of runs, or in that of an emulator elsewhere.
func findEvent(cmd *cobra.Command, stateDir, id string) (journal.Event, []journal.Event, error) {
	at, all, err := eventsElsewhere(cmd, stateDir)
	if err != nil {
		return journal.Event{}, nil, err
	}
	if at.name == "" {
		dir, err := state.Open(stateDir)
		if err != nil {
			return journal.Event{}, nil, err
		}
		return dir.Find(id)
	}
	event, found := journal.Find(all, id)
	switch {
	case found:
		return event, all, nil
	case id == "":
		return event, nil, fmt.Errorf("in %s nobody has exchanged a token or been refused", at)
	default:
		return event, nil, usagef("no event with id %q among the %d that the emulator in %s keeps; give an event number, a trace id, a correlation id, a jti or a uti", id, len(all), at)
	}
}

func printEvent(w io.Writer, format string, whole bool, e journal.Event, all []journal.Event) error {
	switch {
	case format == "json":
		return printJSON(w, e)
	case whole:
		return journal.ExplainAll(w, e, all)
	}
	return journal.Explain(w, e, all)
}

func (s *selection) explainToken(cmd *cobra.Command, stateDir, file, format string, whole bool) error {
	token, err := readToken(cmd.InOrStdin(), file)
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
	return exitCode(1)
}

func readToken(stdin io.Reader, file string) (string, error) {
	in := stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return "", usagef("--token: %w", err)
		}
		defer f.Close()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, 1<<20))
	if err != nil {
		return "", usagef("--token: %w", err)
	}
	if token := strings.TrimSpace(string(data)); token != "" {
		return token, nil
	}
	return "", usagef("--token %s: expected a token, found an empty file", file)
}

// clientOf finds the client id of the workload whose subject the token has.
func clientOf(token string, declared []harness.Declared) (string, error) {
	var claims struct {
		Subject string `json:"sub"`
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "", fmt.Errorf("expected a JWT of three parts, found %d; say with --client-id for whom it is sent all the same", len(parts))
	}
	if data, err := decodePart(parts[1]); err != nil || json.Unmarshal(data, &claims) != nil {
		return "", errors.New("expected a JWT whose claims are JSON; say with --client-id for whom it is sent all the same")
	}
	for _, d := range declared {
		if claims.Subject == "system:serviceaccount:"+d.Workload.Namespace+":"+d.Workload.ServiceAccount && d.Workload.ClientID != "" {
			return d.Workload.ClientID, nil
		}
	}
	return "", fmt.Errorf("the token's subject %q is no known workload's; say with --client-id for whom it is sent", claims.Subject)
}
