package emulator

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/http"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/managedidentity"
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

// MachineDoor is where a machine answers.
type MachineDoor struct {
	Address string // host:port of plain HTTP on loopback: what 169.254.169.254:80 is there
	Header  string // App Service: the value of IDENTITY_HEADER
}

// AddMachine makes a machine, with the identities that wiemu.yaml assigns to
// every machine, and opens its door.
func (e *Emulator) AddMachine(m Machine) (MachineDoor, error) {
	if e.inMemory {
		return MachineDoor{}, fmt.Errorf("make a machine for %s: %w", m.Name, errInMemory)
	}
	tenant, err := e.Tenant(m.Tenant)
	if err != nil {
		return MachineDoor{}, err
	}
	secret := make([]byte, 24)
	if _, err := rand.Read(secret); err != nil {
		return MachineDoor{}, err
	}
	made := managedidentity.Machine{
		Kind: m.Kind, Name: m.Name, Tenant: tenant, Subscription: config.StableID("subscription", tenant),
		Header: hex.EncodeToString(secret), ClientID: m.ClientID, TokenFile: m.TokenFile,
	}
	if m.Kind != managedidentity.Sidecar { // which exchanges the pod's token as any client id
		if m.ClientID != "" {
			made.Identities = append(made.Identities, m.ClientID)
		}
		made.Identities = append(made.Identities, e.config.ManagedIdentity.Assigned...)
	}
	e.journal.Secrets().Add("identity header of "+m.Name, made.Header)
	answers, err := e.machines.Add(made)
	if err != nil {
		return MachineDoor{}, err
	}
	e.extraDoors.Lock()
	defer e.extraDoors.Unlock()
	own, err := e.openDoor("machine", "", e.behind(MachineDoors+m.Name, answers), nil)
	if err != nil {
		return MachineDoor{}, err
	}
	e.extraDoors.open = append(e.extraDoors.open, own)
	if e.extraDoors.imds == nil && m.Kind != managedidentity.AppService {
		if e.extraDoors.imds, err = e.openDoor("metadata", "", e.behind(MachineDoors, e.machines.Shared()), nil); err != nil {
			return MachineDoor{}, err
		}
		e.extraDoors.open = append(e.extraDoors.open, e.extraDoors.imds)
	}
	return MachineDoor{Address: own.address(), Header: made.Header}, nil
}

// IMDSAddress is the host:port of a plain HTTP door on loopback that answers
// what 169.254.169.254:80 answers, for all machines together; "" while there is
// no machine that has one (App Service has none).
func (e *Emulator) IMDSAddress() string {
	e.extraDoors.Lock()
	defer e.extraDoors.Unlock()
	if e.extraDoors.imds == nil {
		return ""
	}
	return e.extraDoors.imds.address()
}

// metadata is what answers 169.254.169.254 in the proxy; nil while there is no
// machine.
func (e *Emulator) metadata() http.Handler {
	if e.IMDSAddress() == "" {
		return nil
	}
	return e.answers.get(MachineDoors)
}
