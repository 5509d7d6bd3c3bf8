package validate

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/internal/manifest"
	"github.com/wiemu/wiemu/internal/workload"
	"github.com/wiemu/wiemu/internal/yamlfile"
)

// Demand holds the workloads that files describe.
type Demand struct {
	Workloads []Workload
	Warnings  []yamlfile.Problem // about what was ignored

	radix []*workload.RadixConfig
}

// CheckWorkloads refuses a demand without workloads, or without any in the environment if one
// is named: nothing would be wrong with it. The files are those that it was read from.
func (d Demand) CheckWorkloads(files []string, environment string) error {
	if len(d.Workloads) == 0 {
		var lacking []error
		for _, r := range d.radix {
			lacking = append(lacking, r.LacksIdentity())
		}
		if err := errors.Join(lacking...); err != nil {
			return err
		}
		return fmt.Errorf("%s: expected workloads that use workload identity, found none", strings.Join(files, ", "))
	}
	var environments []string
	for _, w := range d.Workloads {
		if !slices.Contains(environments, w.Environment) {
			environments = append(environments, w.Environment)
		}
	}
	if environment != "" && !slices.Contains(environments, environment) {
		return fmt.Errorf("--env %s: expected an environment in which a component has an identity (%s)", environment, strings.Join(environments, ", "))
	}
	return nil
}

// DemandOptions configure ReadDemand.
type DemandOptions struct {
	Namespace string    // of manifests that name none. Defaults to default
	Stdin     io.Reader // of the name -. If nil, - is refused
}

// ReadDemand reads files, folders (all *.yaml, *.yml and *.json below them) and -,
// standard input. A file is a radixconfig.yaml, a wiemu.yaml, or Kubernetes
// manifests, told apart by the field kind.
func ReadDemand(names []string, o DemandOptions) (Demand, error) {
	files, err := manifestFiles(names)
	if err != nil {
		return Demand{}, err
	}
	var d Demand
	objects := manifest.New(o.Namespace)
	for _, file := range files {
		data, err := yamlfile.ReadOrStdin(file, o.Stdin)
		if err != nil {
			return Demand{}, fmt.Errorf("read the workloads: %w", err)
		}
		if err := d.add(objects, file, data); err != nil {
			return Demand{Warnings: d.Warnings}, err
		}
	}
	if err := objects.Check(); err != nil {
		return Demand{Warnings: d.Warnings}, err
	}
	d.Workloads = append(d.Workloads, workloads(objects)...)
	return d, nil
}

func manifestFiles(names []string) ([]string, error) {
	var files []string
	for _, name := range names {
		if info, err := os.Stat(name); err != nil || !info.IsDir() {
			files = append(files, name) // reading it says what is wrong
			continue
		}
		before := len(files)
		if err := filepath.WalkDir(name, func(path string, entry fs.DirEntry, err error) error {
			hidden := strings.HasPrefix(entry.Name(), ".") && path != name
			switch {
			case err != nil:
				return err
			case entry.IsDir() && hidden:
				return filepath.SkipDir
			case !entry.IsDir() && !hidden && slices.Contains([]string{".yaml", ".yml", ".json"}, strings.ToLower(filepath.Ext(path))):
				files = append(files, path)
			}
			return nil
		}); err != nil {
			return nil, fmt.Errorf("read the workloads: %w", err)
		}
		if len(files) == before {
			return nil, fmt.Errorf("read the workloads: %s: expected *.yaml, *.yml or *.json below it, found none", name)
		}
	}
	return files, nil
}

func (d *Demand) add(objects *manifest.Objects, file string, data []byte) error {
	if workload.IsRadixConfig(data) {
		return d.addRadix(file, data)
	}
	documents, err := yamlfile.ParseAll(file, data)
	if err != nil {
		return err
	}
	if len(documents) == 1 {
		switch yamlfile.Text(documents[0], "kind") {
		case config.Kind:
			return d.addConfiguration(file, data)
		case "":
			if yamlfile.Text(documents[0], "apiVersion") == "" {
				return d.addConfiguration(file, data) // its header may be left out
			}
		}
	}
	return objects.AddDocuments(file, documents)
}

func (d *Demand) addRadix(file string, data []byte) error {
	radix, warnings, err := workload.ParseRadixConfig(file, data)
	d.Warnings = append(d.Warnings, warnings...)
	if err != nil {
		return err
	}
	d.radix = append(d.radix, radix)
	for _, w := range append(radix.Workloads(), radix.Triggers()...) {
		d.Workloads = append(d.Workloads, Workload{Spec: workload.Spec{Workload: w}, Place: file})
	}
	return nil
}

// addConfiguration takes the workloads that present a service-account token of
// their own to Entra ID.
func (d *Demand) addConfiguration(file string, data []byte) error {
	c, err := config.Parse(file, data)
	if err != nil {
		return err
	}
	if c, err = c.Complete(file); err != nil {
		return err
	}
	for _, w := range c.Workloads {
		if config.OfApplication(w.Credential) || w.IdentityBinding != "" || w.ManagedIdentity != "" && w.ManagedIdentity != "sidecar" {
			continue
		}
		one := Workload{Spec: workload.DeclaredIn(c, w), Place: file}
		for _, i := range c.Issuers {
			if i.Name == w.Issuer {
				one.Issuers = []string{i.URL}
			}
		}
		d.Workloads = append(d.Workloads, one)
	}
	return nil
}
