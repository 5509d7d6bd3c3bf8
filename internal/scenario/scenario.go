package scenario

import (
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/internal/backend"
	"github.com/wiemu/wiemu/internal/scenario/condition"
	"github.com/wiemu/wiemu/internal/scenario/report"
	"github.com/wiemu/wiemu/internal/yamlfile"
)

// The header of a scenario file.
const (
	APIVersion = report.APIVersion
	Kind       = "Scenario"
)

// defaultStart is the lab time of the first step, fixed so that runs are the same.
var defaultStart = time.Date(2026, time.January, 5, 8, 0, 0, 0, time.UTC)

// Scenario is one file: who takes part, what happens, and what is expected. Make
// one with [Load], [LoadFS] or [Parse], which also check it.
type Scenario struct {
	// APIVersion is wiemu.dev/v1.
	APIVersion string `yaml:"apiVersion" json:"apiVersion" jsonschema:"enum=wiemu.dev/v1"`
	// Kind is Scenario.
	Kind string `yaml:"kind" json:"kind" jsonschema:"enum=Scenario"`
	// Metadata names the scenario.
	Metadata Metadata `yaml:"metadata" json:"metadata"`
	// Description says what one sees when this happens.
	Description string `yaml:"description,omitempty" json:"description,omitempty"`
	// Cause says why it happens, and what helps.
	Cause string `yaml:"cause,omitempty" json:"cause,omitempty"`
	// Links lead to documentation and to reports of people it happened to.
	Links []string `yaml:"links,omitempty" json:"links,omitempty" jsonschema:"format=uri"`
	// NotOn says on which backends the scenario makes no sense, each with the reason. By default it makes sense wherever its steps can be done.
	NotOn NotOn `yaml:"notOn,omitempty" json:"notOn,omitzero"`
	// Clock is the lab's clock. By default it starts on Monday 2026-01-05 at 08:00 UTC.
	Clock Clock `yaml:"clock,omitempty" json:"clock,omitzero"`
	// Isolate runs the programs in namespaces of their own, where every host name resolves to the lab and no connection can leave (Linux). Defaults to false: they reach the lab through its proxy.
	Isolate bool `yaml:"isolate,omitempty" json:"isolate,omitempty"`
	// Network is how programs reach the lab, unless they are isolated: transparent, their connections are led there whether or not they heed a proxy (Linux); proxy; or auto, transparent where that is permitted, and else the proxy. Defaults to what wiemu scenario run --network says, and else to auto.
	Network backend.Network `yaml:"network,omitempty" json:"network,omitempty" jsonschema:"enum=auto,enum=transparent,enum=proxy"`
	// AllowEscapes says that a program may try to reach hosts that are not emulated. By default that fails the scenario.
	AllowEscapes bool `yaml:"allowEscapes,omitempty" json:"allowEscapes,omitempty"`
	// Config is a wiemu.yaml: tenants, issuers, identities, vaults; or the path of one, from the scenario's file. Defaults to what wiemu does without a file.
	Config config.Config `yaml:"config,omitempty" json:"config,omitzero"`
	// RadixConfig is a radixconfig.yaml, or the path of one, from the scenario's file. Its components and jobs with an identity are workloads called COMPONENT-ENVIRONMENT.
	RadixConfig *yaml.Node `yaml:"radixconfig,omitempty" json:"-"`
	// Workloads are service accounts, each with the client id that it uses.
	Workloads []config.Workload `yaml:"workloads,omitempty" json:"workloads,omitempty"`
	// Faults are what goes wrong on purpose from the start; wiemu fault list shows what there is.
	Faults []fault.Fault `yaml:"faults,omitempty" json:"faults,omitempty"`
	// Chaos is the seed of many faults at a low rate, which a correct client survives. If 0, there is no chaos.
	Chaos uint64 `yaml:"chaos,omitempty" json:"chaos,omitempty"`
	// Steps are what happens, in order.
	Steps []Step `yaml:"steps" json:"steps" jsonschema:"minItems=1"`

	file       string // where it was read from
	configFile string // where Config was read from: file, or the path that it gives
	run        int    // which one of several runs, from 1; 0: the only one
	warnings   []yamlfile.Problem
	lab        config.Config // Config with all workloads, completed
	specs      []namedSpec   // the workloads, in the order of the file
}

// Warnings are what was passed over in the scenario's file, or in one that it names.
func (s Scenario) Warnings() []yamlfile.Problem { return s.warnings }

// Metadata names a scenario.
type Metadata struct {
	// Name is how reports call the scenario: lower-case letters, digits and hyphens.
	Name string `yaml:"name" json:"name" jsonschema:"pattern=^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"`
}

// Clock says when a scenario happens.
type Clock struct {
	// Start is the lab time at the first step.
	Start time.Time `yaml:"start,omitempty" json:"start,omitzero"`
	// Mode is server-only: the emulator lives on the lab clock, programs on the machine's clock. Or lockstep (Linux): programs live on the lab clock, too, and time goes by when they wait for it. Defaults to server-only.
	Mode string `yaml:"mode,omitempty" json:"mode,omitempty" jsonschema:"enum=server-only,enum=lockstep"`
}

// Step is one thing that happens. It has exactly one of the fields other than its name.
type Step struct {
	// Name is how expectations call the step's result: letters, digits and underscores.
	Name string `yaml:"name,omitempty" json:"name,omitempty" jsonschema:"pattern=^[A-Za-z_][A-Za-z0-9_]*$"`

	// Run starts a program in a workload and waits for its end.
	Run *RunStep `yaml:"run,omitempty" json:"run,omitempty"`
	// Start starts a program in a workload that goes on while later steps happen. Its result is what it has written so far.
	Start *ProgramStep `yaml:"start,omitempty" json:"start,omitempty"`
	// Stop asks a program to end (SIGTERM) that a start step began, unless it has ended, and waits for its end.
	Stop *StopStep `yaml:"stop,omitempty" json:"stop,omitempty"`
	// Advance moves the lab clock forward. What is due on the way happens at its time.
	Advance *time.Duration `yaml:"advance,omitempty" json:"advance,omitempty" jsonschema:"type=string,example=55m"`
	// SetClock moves the lab clock forward to a moment, as advance does.
	SetClock *time.Time `yaml:"setClock,omitempty" json:"setClock,omitempty"`
	// Speed lets the lab clock run during the steps that follow, so many times as fast as the machine's clock; freeze stops it again.
	Speed *float64 `yaml:"speed,omitempty" json:"speed,omitempty" jsonschema:"exclusiveMinimum=0,maximum=100000,example=600"`
	// Freeze lets the lab clock stand still, as it does from the start unless a speed step lets it run.
	Freeze bool `yaml:"freeze,omitempty" json:"freeze,omitempty" jsonschema:"enum=true"`
	// Skew lets the clock of one part of the lab go wrong, or right again.
	Skew *SkewStep `yaml:"skew,omitempty" json:"skew,omitempty"`
	// Rotate lets the next key of an issuer sign: the oldest that is published and does not sign yet, else a new one.
	Rotate *KeyStep `yaml:"rotate,omitempty" json:"rotate,omitempty"`
	// Publish puts a new key of an issuer into its JWKS that does not sign yet.
	Publish *KeyStep `yaml:"publish,omitempty" json:"publish,omitempty"`
	// RemoveKey takes a key of an issuer out of its JWKS.
	RemoveKey *RemoveKeyStep `yaml:"removeKey,omitempty" json:"removeKey,omitempty"`
	// Set changes the directory.
	Set *SetStep `yaml:"set,omitempty" json:"set,omitempty"`
	// Revoke revokes the access tokens that were given out to an identity until now.
	Revoke *RevokeStep `yaml:"revoke,omitempty" json:"revoke,omitempty"`
	// AssignRole gives an identity an Azure role.
	AssignRole *RoleStep `yaml:"assignRole,omitempty" json:"assignRole,omitempty"`
	// RemoveRole takes an Azure role away from an identity.
	RemoveRole *RoleStep `yaml:"removeRole,omitempty" json:"removeRole,omitempty"`
	// CopyToken keeps a copy of a workload's token as it is now, as a program does that reads the file once.
	CopyToken *CopyTokenStep `yaml:"copyToken,omitempty" json:"copyToken,omitempty"`
	// MoveWorkload lets another issuer mint a workload's tokens, as when it moves to another cluster.
	MoveWorkload *MoveWorkloadStep `yaml:"moveWorkload,omitempty" json:"moveWorkload,omitempty"`
	// Blob puts a blob into a storage account, or reads one, as the account's owner does, who needs no token.
	Blob *BlobStep `yaml:"blob,omitempty" json:"blob,omitempty"`
	// Fault lets something go wrong on purpose from now on; wiemu fault list shows what there is.
	Fault *fault.Fault `yaml:"fault,omitempty" json:"fault,omitempty"`
	// ClearFault ends what a fault step before this one began, by its name; or all faults of a kind; or all of them: all.
	ClearFault string `yaml:"clearFault,omitempty" json:"clearFault,omitempty"`
	// Expect are conditions in CEL, all of which must be true.
	Expect []Expression `yaml:"expect,omitempty" json:"expect,omitempty"`

	line int // in the file
}

// ProgramStep says which program is started.
type ProgramStep struct {
	// Workload is the name of the workload that the program belongs to.
	Workload string `yaml:"workload" json:"workload"`
	// Command is the program and its arguments. wiemu-workload is found beside wiemu.
	Command []string `yaml:"command,omitempty" json:"command,omitempty"`
	// Shell is what sh -c runs, instead of a command.
	Shell string `yaml:"shell,omitempty" json:"shell,omitempty"`
	// Token is whose token file the program reads: another workload's, or a copy from a copyToken step. Defaults to its own.
	Token string `yaml:"token,omitempty" json:"token,omitempty"`
	// Env adds to the environment of the program, and replaces what is there.
	Env map[string]string `yaml:"env,omitempty" json:"env,omitempty"`
}

// RunStep starts a program and waits for its end.
type RunStep struct {
	ProgramStep `yaml:",inline"`
	// Timeout is how long the program may take on the machine's clock. Defaults to 30s, and to 2m in containers.
	Timeout time.Duration `yaml:"timeout,omitempty" json:"timeout,omitempty" jsonschema:"type=string,example=10s"`
}

// program is what the step starts, nil if it starts none.
func (s Step) program() *ProgramStep {
	if s.Run != nil {
		return &s.Run.ProgramStep
	}
	return s.Start
}

// StopStep names the program to end.
type StopStep struct {
	// Program is the name of the start step that began it.
	Program string `yaml:"program" json:"program"`
}

// SkewStep says whose clock is wrong, and by how much.
type SkewStep struct {
	// Part is entra (the token service), resources (what access tokens open), workloads (programs on the lab clock) or the name of an issuer.
	Part string `yaml:"part" json:"part"`
	// By is how far that clock is ahead of the lab's; behind it, if it is negative. 0s puts it right.
	By time.Duration `yaml:"by" json:"by" jsonschema:"type=string,example=-5m"`
}

// KeyStep names whose keys change.
type KeyStep struct {
	// Issuer is the name of an issuer, or entra for the token service. Defaults to the first issuer.
	Issuer string `yaml:"issuer,omitempty" json:"issuer,omitempty"`
}

// RemoveKeyStep names a key to take away.
type RemoveKeyStep struct {
	KeyStep `yaml:",inline"`
	// Key is retired, published or signing: the oldest key of that stage; or a key id. Defaults to retired.
	Key string `yaml:"key,omitempty" json:"key,omitempty"`
}

// CopyTokenStep names the token to copy.
type CopyTokenStep struct {
	// Workload is the name of the workload.
	Workload string `yaml:"workload" json:"workload"`
}

// MoveWorkloadStep names a workload and where it goes. No federated credential is
// made: that is a set step.
type MoveWorkloadStep struct {
	// Workload is the name of the workload.
	Workload string `yaml:"workload" json:"workload"`
	// Issuer is the name of the issuer that mints its tokens from now on.
	Issuer string `yaml:"issuer" json:"issuer"`
	// AtNextRefresh says that the token in its file stays until the next one is due. By default a new token is there at once.
	AtNextRefresh bool `yaml:"atNextRefresh,omitempty" json:"atNextRefresh,omitempty"`
}

// SetStep changes what the directory says about one identity. It has exactly one of
// the fields other than identity.
type SetStep struct {
	// Identity is the name of a workload, or the name or client id of an application or managed identity.
	Identity string `yaml:"identity" json:"identity"`
	// FederatedCredential changes a federated credential of the identity, field by field.
	FederatedCredential *CredentialChange `yaml:"federatedCredential,omitempty" json:"federatedCredential,omitempty"`
	// AddFederatedCredential adds a federated credential to the identity.
	AddFederatedCredential *config.FederatedCredential `yaml:"addFederatedCredential,omitempty" json:"addFederatedCredential,omitempty"`
	// RemoveFederatedCredential is the name of a federated credential to remove.
	RemoveFederatedCredential string `yaml:"removeFederatedCredential,omitempty" json:"removeFederatedCredential,omitempty"`
	// Disabled says whether the service principal may not sign in.
	Disabled *bool `yaml:"disabled,omitempty" json:"disabled,omitempty"`
	// Deleted removes the identity.
	Deleted bool `yaml:"deleted,omitempty" json:"deleted,omitempty" jsonschema:"enum=true"`
}

// BlobStep names a blob, and says what is done with it. Without put it is read.
type BlobStep struct {
	// Account is the name of the storage account.
	Account string `yaml:"account" json:"account"`
	// Container is the name of the container. With put it is created if it does not exist.
	Container string `yaml:"container" json:"container"`
	// Name is that of the blob.
	Name string `yaml:"name" json:"name"`
	// Put is the text that the blob has from now on.
	Put *string `yaml:"put,omitempty" json:"put,omitempty"`
	// Expect is the text that the blob must have.
	Expect *string `yaml:"expect,omitempty" json:"expect,omitempty"`
}

// RevokeStep says whose sessions are revoked.
type RevokeStep struct {
	// Identity is the name of a workload, or the name or client id of an application or managed identity.
	Identity string `yaml:"identity" json:"identity"`
	// Everywhere says that every resource refuses the tokens, not only Microsoft Graph, which evaluates the access of applications continuously.
	Everywhere bool `yaml:"everywhere,omitempty" json:"everywhere,omitempty"`
}

// RoleStep names a role assignment.
type RoleStep struct {
	// Identity is the name of a workload, or the name or client id of an application or managed identity; "*" stands for every identity of the tenant.
	Identity string `yaml:"identity" json:"identity"`
	// Role is the name or id of an Azure role, such as Key Vault Secrets User.
	Role string `yaml:"role" json:"role"`
	// Scope is a key vault or storage account by its name, a part of it such as orders/containers/inbox, or a resource id.
	Scope string `yaml:"scope" json:"scope"`
}

// CredentialChange is the change of a federated credential: fields that are not given stay as they are.
type CredentialChange struct {
	// Name says which one. Defaults to the only one.
	Name string `yaml:"name,omitempty" json:"name,omitempty"`
	// Issuer is the new issuer: the name of one, or a URL to the letter.
	Issuer string `yaml:"issuer,omitempty" json:"issuer,omitempty"`
	// Subject is the new subject.
	Subject string `yaml:"subject,omitempty" json:"subject,omitempty"`
	// Audience is the new audience.
	Audience string `yaml:"audience,omitempty" json:"audience,omitempty"`
}

// Expression is a condition in CEL over the variables results, journal, workloads and clock.
type Expression struct {
	// Source is the condition as it is written.
	Source string

	node    *yaml.Node
	line    int // in the file
	program *condition.Condition
}

// UnmarshalYAMLFile reads the text and keeps its place for later errors.
func (e *Expression) UnmarshalYAMLFile(v yamlfile.Value) {
	const expected = "a condition in CEL"
	switch tag := v.Node.ShortTag(); {
	case v.Node.Kind == yaml.MappingNode:
		v.Refuse(expected, "", "because of the colon in it, put it in quotes or below |-")
	case strings.HasPrefix(tag, "!") && !strings.HasPrefix(tag, "!!"):
		v.Refuse(expected, "the YAML tag "+tag, "because it begins with !, put it in quotes or below |-")
	case v.Decode(&e.Source):
		e.node, e.line = v.Node, v.Node.Line
	}
}

// MarshalText gives the condition as it is written.
func (e Expression) MarshalText() ([]byte, error) { return []byte(e.Source), nil }
