package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/harness"
)

func newToken(stateDir *string) *cobra.Command {
	var s selection
	var decode bool
	cmd := &cobra.Command{
		Use:   "token [COMPONENT]",
		Short: "Print a service-account token, as kubectl create token gives it",
		Long: `Print a new service-account token of a workload. It comes from the running server;
without one, from a lab of the files at hand whose first keys every later run has, too.`,
		Example: `  wiemu token web --env dev
  wiemu token web --env dev --decode
  wiemu token --namespace my-radix-app-dev --service-account web-sa --audience api://AzureADTokenExchange`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			x, err := s.open(cmd, *stateDir)
			if err != nil {
				return err
			}
			defer x.close(cmd.Context())
			d, err := s.pick(x.files, x.declared, strings.Join(args, " "))
			if err != nil {
				return err
			}
			if x.own != nil { // a server's clusters know whom they know
				if err := x.own.Declare([]harness.Declared{d}); err != nil {
					return err
				}
			}
			minted, err := mint(cmd.Context(), x.client, d)
			if err != nil {
				return err
			}
			if decode {
				return printDecoded(cmd.OutOrStdout(), minted.Token)
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), minted.Token)
			return err
		},
	}
	addElsewhere(cmd)
	s.addFlags(cmd)
	cmd.Flags().BoolVar(&decode, "decode", false, "print the token's header and claims as JSON instead")
	return cmd
}

func mint(ctx context.Context, client *control.Client, d harness.Declared) (control.Minted, error) {
	audience := d.Identity.Audience
	if audience == "" {
		status, err := client.Status(ctx)
		if err != nil {
			return control.Minted{}, err
		}
		audience = status.Audience
	}
	return client.Mint(ctx, control.MintRequest{
		Issuer: d.Identity.Issuer, Namespace: d.Workload.Namespace, ServiceAccount: d.Workload.ServiceAccount,
		Audiences: []string{audience}, ExpirationSeconds: int64(d.Identity.TokenLifetime / time.Second),
	})
}

// printDecoded prints header and claims in the order in which the token has them.
func printDecoded(w io.Writer, token string) error {
	parts := strings.Split(strings.TrimSpace(token), ".")
	if len(parts) != 3 {
		return fmt.Errorf("expected a token of three parts, found %d", len(parts))
	}
	var out bytes.Buffer
	for i, name := range []string{"header", "claims"} {
		part, err := decodePart(parts[i])
		if err != nil {
			return fmt.Errorf("%s of the token: %w", name, err)
		}
		fmt.Fprintf(&out, `%s"%s":%s`, []string{"{", ","}[i], name, part)
	}
	out.WriteString("}")
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, out.Bytes(), "", "  "); err != nil {
		return fmt.Errorf("decode the token: %w", err)
	}
	_, err := fmt.Fprintln(w, pretty.String())
	return err
}

func decodePart(part string) ([]byte, error) { return base64.RawURLEncoding.DecodeString(part) }
