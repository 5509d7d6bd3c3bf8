// Package overlay makes compose files work with workload identity without editing
// them: it reads a project and generates one more file, which gives services their
// identity, the emulator and the way to it. It starts nothing; see stack, or use
// the file with docker compose -f THEIRS -f OVERLAY up.
package overlay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v3"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/harness"
	"github.com/wiemu/wiemu/harness/compose/layout"
)

// The labels of services that say what they want.
const (
	IdentityLabel = "dev.wiemu.identity" // an identity, in one of the forms that Options.Identities takes, or none
	ClockLabel    = "dev.wiemu.clock"    // lockstep: the service runs on the lab clock
)

const (
	noIdentity = "none"
	lockstep   = "lockstep"
	real       = "real"
)

// Image is what is known of a service's image: of its configuration, what lockstep
// and Java need.
type Image struct {
	Entrypoint, Command []string
	User                string
	Env                 []string
}

// ErrNoImage says that an image is not there.
var ErrNoImage = errors.New("the image is not there")

// Options say what the overlay is to contain.
type Options struct {
	Files harness.Files // wiemu.yaml and radixconfig.yaml

	// Identities are by service, and come before its label: the name of a workload
	// of Files (NAME, or NAME@ENVIRONMENT), NAMESPACE/SERVICEACCOUNT with the client id that
	// the files or the service's AZURE_CLIENT_ID have, NAMESPACE/SERVICEACCOUNT/CLIENTID,
	// CLIENTID, or none.
	Identities map[string]string

	// Image is the emulator's; Service is what its service is called, wiemu if that
	// is left out.
	Image, Service string

	// ControlPort is that of the control door on this machine's loopback; 0: a free one.
	ControlPort uint16

	// Inspect tells of an image of a service, or fails with ErrNoImage. nil: nothing is known of any.
	Inspect func(ctx context.Context, image string) (Image, error)
}

// Overlay is what was generated.
type Overlay struct {
	YAML     []byte
	Services []Service // that have an identity, by name
	Remarks  []string  // what somebody should know who uses it
}

// Service is a service that has an identity.
type Service struct {
	Name     string           `json:"name"`
	Workload harness.Declared `json:"workload"`
	Lockstep bool             `json:"lockstep,omitempty"`
}

// Generate makes the overlay of a project.
func Generate(ctx context.Context, project *types.Project, opts Options) (Overlay, error) {
	g := &generator{project: project, opts: opts, wiemu: opts.Service, volumes: map[string]volume{}}
	if g.wiemu == "" {
		g.wiemu = "wiemu"
	}
	for _, step := range []func(context.Context) error{g.checkNames, g.identify, g.settle, g.services, g.server} {
		if err := step(ctx); err != nil {
			return Overlay{}, err
		}
	}
	data, err := g.marshal()
	if err != nil {
		return Overlay{}, err
	}
	slices.Sort(g.remarks)
	return Overlay{YAML: data, Services: g.found, Remarks: slices.Compact(g.remarks)}, nil
}

type generator struct {
	project *types.Project
	opts    Options
	wiemu   string // the emulator's service

	all     map[string]types.ServiceConfig // also those of profiles that are not active
	found   []Service
	lab     layout.Lab
	remarks []string

	file    file
	volumes map[string]volume
	tokens  map[string]string // volume by TokenPath
}

func (g *generator) remark(format string, args ...any) {
	g.remarks = append(g.remarks, fmt.Sprintf(format, args...))
}

// checkNames refuses what the overlay would change without anybody noticing.
func (g *generator) checkNames(context.Context) error {
	g.all = map[string]types.ServiceConfig{}
	maps.Copy(g.all, g.project.Services)
	maps.Copy(g.all, g.project.DisabledServices)
	if _, taken := g.all[g.wiemu]; taken {
		return fmt.Errorf("services.%s: the emulator's service would have the same name; give it another with --service NAME", g.wiemu)
	}
	for name := range g.project.Volumes {
		if strings.HasPrefix(name, g.wiemu+"-") {
			return fmt.Errorf("volumes.%s: the overlay's volumes begin with %s-; give its service another name with --service NAME", name, g.wiemu)
		}
	}
	for name := range g.opts.Identities {
		if _, there := g.all[name]; !there {
			return fmt.Errorf("--identity %s=%s: the compose file has no service %s; expected one of %s", name, g.opts.Identities[name], name, strings.Join(slices.Sorted(maps.Keys(g.all)), ", "))
		}
	}
	return nil
}

// settle decides what the emulator is told.
func (g *generator) settle(context.Context) (err error) {
	c := g.opts.Files.Configuration()
	declared := g.opts.Files.Workloads()
	var used []harness.Declared
	for _, d := range declared { // the others exist, too: their trust does
		if d.Workload.ClientID != "" && !config.OfApplication(d.Identity.Credential) && d.Identity.ManagedIdentity == "" && d.Identity.IdentityBinding == "" {
			used = append(used, d)
		}
	}
	for _, s := range g.found {
		if !slices.ContainsFunc(used, func(d harness.Declared) bool { return same(d, s.Workload) }) {
			used = append(used, s.Workload)
		}
		if tenant := s.Workload.Identity.Tenant; len(g.opts.Files.Config.Tenants) == 0 && tenant != "" &&
			!slices.ContainsFunc(c.Tenants, func(t config.Tenant) bool { return t.ID == tenant }) {
			c.Tenants = append(c.Tenants, config.Tenant{ID: tenant})
		}
	}
	c.Workloads = nil
	for _, d := range used {
		c.Workloads = append(c.Workloads, layout.InFile(d))
	}
	if g.lab, err = layout.NewLab(c, g.opts.Files.ConfigFile); err != nil {
		return err
	}
	for _, s := range g.found {
		if err := g.knownTenant(s); err != nil {
			return err
		}
	}
	return nil
}

// marshal writes the file. What it says is literal: dollars are doubled, or they
// would be variables.
func (g *generator) marshal() ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("# Generated by wiemu compose. Use it behind the files that it was made for:\n")
	fmt.Fprintf(&b, "#   docker compose %s -f THIS up\n", filesOf(g.project))
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	if err := encoder.Encode(g.file); err != nil {
		return nil, fmt.Errorf("write the overlay: %w", err)
	}
	return b.Bytes(), nil
}

func filesOf(p *types.Project) string {
	names := make([]string, len(p.ComposeFiles))
	for i, f := range p.ComposeFiles {
		names[i] = "-f " + f
	}
	return strings.Join(names, " ")
}

func literal(s string) string { return strings.ReplaceAll(s, "$", "$$") }

func literals(all []string) []string {
	out := make([]string, len(all))
	for i, s := range all {
		out[i] = literal(s)
	}
	return out
}
