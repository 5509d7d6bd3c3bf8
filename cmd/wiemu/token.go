package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/internal/unverified"
	"github.com/wiemu/wiemu/internal/workload"
)

func newToken(stateDir *string) *cobra.Command {
	var s selection
	var decode bool
	cmd := &cobra.Command{
		Use:   "token [COMPONENT]",
		Short: "Print a service-account token, as kubectl create token does",
		Long: `Print a new service-account token of a workload. The running server issues it; if none
is running, a temporary lab does, whose first keys every later run has as well.`,
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
				if err := x.own.Declare([]workload.Spec{d}); err != nil {
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
	cmd.Flags().BoolVar(&decode, "decode", false, "print the token's header and claims as JSON")
	return cmd
}

func mint(ctx context.Context, client *control.Client, d workload.Spec) (control.Minted, error) {
	audience := d.Audience
	if audience == "" {
		status, err := client.Status(ctx)
		if err != nil {
			return control.Minted{}, err
		}
		audience = status.Audience
	}
	return client.Mint(ctx, control.MintRequest{
		Issuer: d.Issuer, Namespace: d.Namespace, ServiceAccount: d.ServiceAccount,
		Audiences: []string{audience}, ExpirationSeconds: int64(d.TokenLifetime / time.Second),
	})
}

// printDecoded prints header and claims in the order in which the token has them.
func printDecoded(w io.Writer, raw string) error {
	token, err := unverified.Parse(strings.TrimSpace(raw))
	if err != nil {
		return err
	}
	header, err := token.Header.JSON()
	if err != nil {
		return fmt.Errorf("header of the token: %w", err)
	}
	claims, err := token.Claims.JSON()
	if err != nil {
		return fmt.Errorf("claims of the token: %w", err)
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, fmt.Appendf(nil, `{"header":%s,"claims":%s}`, header, claims), "", "  "); err != nil {
		return fmt.Errorf("decode the token: %w", err)
	}
	_, err = fmt.Fprintln(w, pretty.String())
	return err
}
