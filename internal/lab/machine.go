package lab

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"

	"github.com/wiemu/wiemu/internal/managedidentity"
	"github.com/wiemu/wiemu/internal/tenants"
)

// Machine is the Azure resource that a workload runs on when it uses a managed
// identity instead of a token file.
type Machine struct {
	Kind      managedidentity.Kind
	Name      string // of the workload: NAMESPACE/SERVICE ACCOUNT
	Tenant    string // id or domain; "": the first
	ClientID  string // of the workload's own managed identity; "": none
	TokenFile string // of the workload, for a sidecar
}

// NewMachine makes a machine, with the identities that wiemu.yaml assigns to every
// machine. It returns what answers there as 169.254.169.254:80 does, and for App Service
// the value of IDENTITY_HEADER.
func (l *Lab) NewMachine(m Machine) (answers http.Handler, header string, err error) {
	tenant, err := l.Tenant(m.Tenant)
	if err != nil {
		return nil, "", err
	}
	secret := make([]byte, 24)
	_, _ = rand.Read(secret) // it never fails
	made := managedidentity.Machine{
		Kind: m.Kind, Name: m.Name, Tenant: tenant, Subscription: tenants.StableID("subscription", tenant),
		Header: hex.EncodeToString(secret), ClientID: m.ClientID, TokenFile: m.TokenFile,
	}
	if m.Kind != managedidentity.Sidecar { // which exchanges the pod's token as any client id
		if m.ClientID != "" {
			made.Identities = append(made.Identities, m.ClientID)
		}
		made.Identities = append(made.Identities, l.config.ManagedIdentity.Assigned...)
	}
	l.journal.Secrets().Add("identity header of "+m.Name, made.Header)
	answers, err = l.machines.Add(made)
	return answers, made.Header, err
}

// Metadata answers as 169.254.169.254:80 does, for all machines together.
func (l *Lab) Metadata() http.Handler { return l.machines.Shared() }
