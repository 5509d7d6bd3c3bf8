// Package overlay makes compose files work with workload identity without editing
// them: it reads a project and generates one more file, which gives services their
// identity, the emulator and the way to it. It starts nothing; see stack, or use
// the file with docker compose -f THEIRS -f OVERLAY up.
package overlay

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v3"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/internal/containers"
	"github.com/wiemu/wiemu/internal/docker"
	"github.com/wiemu/wiemu/internal/session"
	"github.com/wiemu/wiemu/internal/workload"
)

// The labels of services.
const (
	IdentityLabel = "dev.wiemu.identity" // an identity, in one of the forms that Options.Identities takes, or none
	ClockLabel    = "dev.wiemu.clock"    // lockstep: the service runs on the lab clock
)

// Lockstep is the value of ClockLabel for a service that runs on the lab clock.
const Lockstep = "lockstep"

const (
	noIdentity = "none"
	real       = "real"

	networkLabel = "dev.wiemu.network" // there is none; see identify
)

// Options say what the overlay contains.
type Options struct {
	Files session.Files // wiemu.yaml and radixconfig.yaml

	// Identities are the identities by service, and override its label: the name of a workload of
	// Files (NAME, or NAME@ENVIRONMENT), NAMESPACE/SERVICEACCOUNT with the client id that the files
	// or the service's AZURE_CLIENT_ID have, NAMESPACE/SERVICEACCOUNT/CLIENTID, CLIENTID, or none.
	Identities map[string]string

	// Image is the emulator's image; Service is the name of its service, which defaults to wiemu.
	Image, Service string

	// Programs says that Image is the user's own, and may have programs to start, such as PostgreSQL.
	Programs bool

	// ControlPort is the port of the control endpoint on this machine's loopback. If 0, a free one.
	ControlPort uint16

	// Inspect returns an image of a service, or fails with [docker.ErrNoImage]. If nil, no image is known.
	Inspect func(ctx context.Context, image string) (docker.Image, error)
}

// Overlay is what was generated.
type Overlay struct {
	YAML     []byte
	Services []Service // that have an identity, by name
	Remarks  []string  // for the user of the overlay
}

// Service is a service that has an identity.
type Service struct {
	Name     string        `json:"name"`
	Workload workload.Spec `json:"workload"`
	Lockstep bool          `json:"lockstep,omitempty"`
}

// Generate returns the overlay of a project.
func Generate(ctx context.Context, project *types.Project, opts Options) (Overlay, error) {
	g := &generator{project: project, opts: opts, wiemu: opts.Service, volumes: map[string]volume{}}
	g.wiemu = cmp.Or(g.wiemu, "wiemu")
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
	used    []workload.Spec // the workloads that the emulator knows
	lab     containers.Configuration
	remarks []string

	file    file
	volumes map[string]volume
	tokens  map[string]string // volume by its path in the emulator's container, of tokens and key vaults
	program bool              // services need wiemu-server
}

func (g *generator) remark(format string, args ...any) {
	g.remarks = append(g.remarks, fmt.Sprintf(format, args...))
}

// checkNames refuses names that the overlay would silently override.
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

func (g *generator) settle(context.Context) (err error) {
	c := g.opts.Files.Configuration()
	declared := g.opts.Files.Workloads()
	for _, d := range declared { // those without a service are trusted, too
		if d.PresentsToken() {
			g.used = append(g.used, d)
		}
	}
	for _, s := range g.found {
		if !slices.ContainsFunc(g.used, s.Workload.SamePod) {
			g.used = append(g.used, s.Workload)
		}
		if tenant := s.Workload.Tenant; len(g.opts.Files.Config.Tenants) == 0 && tenant != "" &&
			!slices.ContainsFunc(c.Tenants, func(t config.Tenant) bool { return t.ID == tenant }) {
			c.Tenants = append(c.Tenants, config.Tenant{ID: tenant})
		}
	}
	c.Workloads = nil
	for _, d := range g.used {
		c.Workloads = append(c.Workloads, d.Entry())
	}
	if g.lab, err = containers.NewConfiguration(c, g.opts.Files.ConfigFile, g.opts.Programs); err != nil {
		return err
	}
	mounting := make([][]workload.KeyVault, len(g.used)) // for services alone: what nobody reads fails nothing
	for _, s := range g.found {
		mounting[slices.IndexFunc(g.used, s.Workload.SamePod)] = s.Workload.KeyVaults
	}
	if g.lab, err = g.lab.Mounting(mounting); err != nil {
		return err
	}
	for _, s := range g.found {
		if err := g.knownTenant(s); err != nil {
			return err
		}
	}
	return nil
}

// marshal writes the file. Dollars are doubled, or compose would expand variables.
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
