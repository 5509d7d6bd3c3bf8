package entra

import (
	"context"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/tenants"
)

// Connection is a service connection of Azure DevOps, for which Entra ID makes a token that
// Azure DevOps hands to a task.
type Connection struct {
	Tenant   string // id, of the identity that trusts the connection
	Workload string // as the journal names it
	Subject  string
}

// connectionSubjects is how subjects begin that Entra ID makes for services of Azure, of which
// Azure DevOps is the only one here.
const connectionSubjects = "/eid1/c/pub/t/"

// azureDevOpsID is the application of Azure DevOps, which asks for the tokens. Source: azp in the
// token of [Service.SignConnection].
const azureDevOpsID = "499b84ac-1321-427f-aa17-267ca6975798"

// SignConnection makes a token for the token exchange, and journals it as package issuer does those
// of clusters. It is good for a day.
// Source of the claims and of the lifetime: a token of an Azure Resource Manager connection that is
// printed in Teleport's RFD 211 (2025-04); learn.microsoft.com, azure/devops/release-notes/2025/sprint-253-update.
func (s *Service) SignConnection(ctx context.Context, of Connection) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	now, trace := s.config.Clock.Now(), s.newTraceID()
	issued, expires := now.Add(-tenants.BackDated).Truncate(time.Second), now.Add(24*time.Hour).Truncate(time.Second)
	c := connectionClaims{
		Audience: tokenExchangeID, Issuer: s.config.Cloud.IssuerV2(of.Tenant), IssuedAt: issued.Unix(), NotBefore: issued.Unix(), ExpiresAt: expires.Unix(),
		AIO: s.opaque(), AZP: azureDevOpsID, AZPACR: "2", IDType: "app", ObjectID: tenants.StableID("service principal", of.Tenant, azureDevOpsID),
		ResourceHint: resourceHint(of.Tenant, tokenExchangeID), Subject: of.Subject, TenantID: of.Tenant, UTI: base64.RawURLEncoding.EncodeToString(littleEndian(trace)),
		Version: "2.0", FICInfo: "CAAQARgAIAA", Related: "7 30",
	}
	raw, key, err := s.config.Keys.Sign(headerV2, encoded(c))
	if err != nil {
		return "", fmt.Errorf("token of %s: %w", of.Workload, err)
	}
	s.config.Journal.Record(journal.Event{
		Kind: journal.Mint, Outcome: journal.OK, Component: "Entra ID", Workload: of.Workload, Tenant: of.Tenant,
		Summary: fmt.Sprintf("token of service connection %s for the token exchange, good for a day", of.Workload),
		Issuer:  c.Issuer, Subject: of.Subject, Audience: []string{tokenExchangeID}, Kid: key.ID, UTI: c.UTI, IssuedAt: &issued, ExpiresAt: &expires,
	})
	return raw, nil
}

// connectionClaims are the payload of such a token, in the order of the real one.
type connectionClaims struct {
	Audience     string `json:"aud"`
	Issuer       string `json:"iss"`
	IssuedAt     int64  `json:"iat"`
	NotBefore    int64  `json:"nbf"`
	ExpiresAt    int64  `json:"exp"`
	AIO          string `json:"aio"`
	AZP          string `json:"azp"`
	AZPACR       string `json:"azpacr"`
	IDType       string `json:"idtyp"`
	ObjectID     string `json:"oid"`
	ResourceHint string `json:"rh"`
	Subject      string `json:"sub"`
	TenantID     string `json:"tid"`
	UTI          string `json:"uti"`
	Version      string `json:"ver"`
	FICInfo      string `json:"xms_ficinfo"`
	Related      string `json:"xms_idrel"`
}
