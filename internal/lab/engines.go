package lab

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/resource/table"
	"github.com/wiemu/wiemu/internal/yamlfile"
)

// Engines returns what the resources of a completed configuration have behind them, with the
// fields of wiemu.yaml that say so.
func Engines(c config.Config) []resource.Engine {
	var all []resource.Engine
	for _, d := range table.Resources() {
		for _, s := range []resource.Section{d.Section, d.Options} {
			if settings, ok := c.Resources[s.Name].(resource.Engines); ok {
				for _, e := range settings.Engines() {
					e.Field = s.Name + e.Field
					all = append(all, e)
				}
			}
		}
	}
	return all
}

// Elsewhere is where an emulator is to run, for [Elsewhere.Check]: not as a process of this machine.
type Elsewhere struct {
	Place string // such as: the emulator's container
	// Reached is an address that leads from there to a server, such as: the name of a service of
	// the compose file.
	Reached string
	// Programs says that there may be programs to start, as in an image of the user's.
	Programs bool
}

// Check refuses a completed configuration, read from file, whose resources need what is not
// there: a program of this machine, or a server on its loopback or behind its sockets.
func (w Elsewhere) Check(c config.Config, file string) error {
	var all yamlfile.Problems
	for _, e := range Engines(c) {
		p := yamlfile.Problem{File: file, Field: e.Field}
		switch {
		case e.URL == "" && w.Programs:
			continue
		case e.URL == "" && strings.HasSuffix(e.Field, ".url"):
			p.Expected, p.Found = fmt.Sprintf("the address of a %s that runs, as %s has none to start", e.Program, w.Place), "nothing"
			p.Fix = fmt.Sprintf("run one, such as a container of its own, and write %s; or run your program with wiemu run, which starts one of this machine", w.Reached)
		case e.URL == "":
			p.Expected, p.Found = "what needs no program of this machine", fmt.Sprintf("%s, which %s does not have to start", e.Program, w.Place)
			p.Fix = "leave it out, or run your program with wiemu run"
		case isLoopback(e.Host):
			p.Expected, p.Found = "an address that "+w.Place+" reaches", fmt.Sprintf("%s, which is %s itself", e.URL, w.Place)
			if strings.HasPrefix(e.Host, "/") {
				p.Found = e.URL + ", a socket of this machine"
			}
			p.Fix = "write " + w.Reached
		default:
			continue
		}
		all = append(all, p)
	}
	return all.Err()
}

// MoveFiles returns a configuration, read from file, in which move has named again each file that it
// names, given where that is on this machine.
func MoveFiles(c config.Config, file string, move func(at string) string) config.Config {
	name := func(name *string) {
		if *name == "" {
			return
		}
		if !filepath.IsAbs(*name) {
			*name = filepath.Join(filepath.Dir(file), *name)
		}
		*name = move(*name)
	}
	c.Issuers = slices.Clone(c.Issuers)
	for i := range c.Issuers {
		name(&c.Issuers[i].CA)
		name(&c.Issuers[i].BearerTokenFile)
	}
	c.Applications = slices.Clone(c.Applications)
	for i, a := range c.Applications {
		c.Applications[i].Certificates = slices.Clone(a.Certificates)
		for j := range a.Certificates {
			name(&c.Applications[i].Certificates[j].File)
		}
	}
	return c
}

// isLoopback reports whether a host is this machine alone: localhost, an address of loopback,
// or the directory of a socket.
func isLoopback(host string) bool {
	if strings.HasPrefix(host, "/") || strings.EqualFold(host, "localhost") {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && (address.IsLoopback() || address.IsUnspecified())
}
