package preflight

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/yamlfile"
	"github.com/wiemu/wiemu/harness/manifest"
	"github.com/wiemu/wiemu/harness/workload"
)

// Demand is what files say of workloads.
type Demand struct {
	Workloads []Workload
	Warnings  []yamlfile.Problem // what was passed over

	radix []*workload.RadixConfig
}

// NoWorkloads says why files describe no workloads: what a radixconfig.yaml lacks; nil
// where there is none.
func (d Demand) NoWorkloads() error {
	var all []error
	for _, r := range d.radix {
		all = append(all, r.LacksIdentity())
	}
	return errors.Join(all...)
}

// DemandOptions are for reading files. The zero value works.
type DemandOptions struct {
	Namespace string    // of manifests that name none; "": default
	Stdin     io.Reader // what the name - reads; nil: nothing
}

// ReadDemand reads files, folders (all *.yaml, *.yml and *.json below them) and -,
// standard input. A file is a radixconfig.yaml, a wiemu.yaml, or Kubernetes
// manifests, which its kind tells.
func ReadDemand(names []string, o DemandOptions) (Demand, error) {
	files, err := manifestFiles(names)
	if err != nil {
		return Demand{}, err
	}
	var d Demand
	objects := manifest.New(o.Namespace)
	for _, file := range files {
		data, err := readDemandFile(file, o.Stdin)
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

func readDemandFile(name string, stdin io.Reader) ([]byte, error) {
	if name != "-" {
		return yamlfile.Read(name)
	}
	if stdin == nil {
		return nil, errors.New("-: there is no standard input")
	}
	return io.ReadAll(io.LimitReader(stdin, yamlfile.MaxBytes+1)) // Parse refuses what is longer
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

// add takes what a file says.
func (d *Demand) add(objects *manifest.Objects, file string, data []byte) error {
	if workload.IsRadixConfig(data) {
		return d.addRadix(file, data)
	}
	documents, err := yamlfile.ParseAll(file, data)
	if err != nil {
		return err
	}
	if len(documents) == 1 {
		switch text(documents[0], "kind") {
		case config.Kind:
			return d.addConfiguration(file, data)
		case "":
			if text(documents[0], "apiVersion") == "" {
				return d.addConfiguration(file, data) // its header may be left out
			}
		}
	}
	var problems yamlfile.Problems
	for _, document := range documents {
		problems = append(problems, objects.AddDocument(file, document)...)
	}
	problems.Sort()
	return problems.Err()
}

func text(node *yaml.Node, key string) string {
	if value := yamlfile.Get(node, key); value != nil {
		return value.Value
	}
	return ""
}

func (d *Demand) addRadix(file string, data []byte) error {
	radix, warnings, err := workload.ParseRadixConfig(file, data)
	d.Warnings = append(d.Warnings, warnings...)
	if err != nil {
		return err
	}
	d.radix = append(d.radix, radix)
	for _, w := range append(radix.Workloads(), radix.Triggers()...) {
		d.Workloads = append(d.Workloads, Workload{Workload: w, Place: file})
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
		one := Workload{
			Workload: workload.Workload{Component: w.Name, Namespace: w.Namespace, ServiceAccount: w.ServiceAccount, ClientID: w.ClientID},
			Tenant:   w.Tenant, Audience: w.Audience, Place: file,
		}
		for _, i := range c.Issuers {
			if i.Name == w.Issuer {
				one.Issuers = []string{i.URL}
			}
		}
		d.Workloads = append(d.Workloads, one)
	}
	return nil
}
