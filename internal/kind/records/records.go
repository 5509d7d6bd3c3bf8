// Package records stores what wiemu knows of the kind clusters that it created, in the state
// directory: above all how to reach the control APIs of their emulators. It does not contact
// Docker or link kind's library, so that commands which only control an emulator start
// quickly; see package kind.
package records

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/internal/lazyregexp"
	"github.com/wiemu/wiemu/internal/statedir"
)

// Store is a directory with a subdirectory for each cluster.
type Store struct{ dir string }

// In returns the store in a directory, which need not exist yet.
func In(dir string) Store { return Store{dir} }

// Of returns the store in a state directory of wiemu.
func Of(stateDir string) Store { return In(filepath.Join(stateDir, "kind")) }

// Dir returns the directory.
func (s Store) Dir() string { return s.dir }

// Path returns the path of a file in a cluster's directory. Its subdirectory node is mounted
// into the node.
func (s Store) Path(name string, more ...string) string {
	return filepath.Join(append([]string{s.dir, name}, more...)...)
}

// names of clusters are those of kind; a node's host name, NAME-control-plane, has
// at most 63 characters.
var names = lazyregexp.New(`^[a-z0-9]([a-z0-9-]{0,47}[a-z0-9])?$`)

// CheckName returns an error if a cluster cannot have the name.
func CheckName(name string) error {
	if !names().MatchString(name) {
		return fmt.Errorf("the cluster's name: expected up to 49 lower-case letters, digits and hyphens, a letter or digit first and last, found %q", name)
	}
	return nil
}

// Record is what wiemu knows of a cluster that it created.
type Record struct {
	Ready      bool   `json:"ready"` // whether it has been ready once
	Image      string `json:"image"`
	Kubernetes string `json:"kubernetes"`           // version
	Kubeconfig string `json:"kubeconfig,omitempty"` // If empty, kubectl's default
	Issuer     string `json:"issuer"`               // URL
	ClusterDNS bool   `json:"clusterDNS,omitempty"` // every pod resolves the emulated hosts
	Shared     bool   `json:"shared,omitempty"`     // the cluster signs with a key pair that the emulator has, too
	Control    string `json:"control"`              // URL of the control endpoint
	Token      string `json:"token"`                // its bearer token
}

// File returns the path of the record of a cluster.
func (s Store) File(name string) string { return s.Path(name, "cluster.json") }

// Write writes the record of a cluster.
func (s Store) Write(name string, r Record) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := s.WriteFile(name, "cluster.json", text); err != nil { // it holds a token
		return fmt.Errorf("keep what the cluster is: %w", err)
	}
	return nil
}

// WriteFile writes a file of a cluster that only its owner can change.
func (s Store) WriteFile(name, file string, data []byte) error {
	files, err := statedir.Open(s.dir)
	if err != nil {
		return err
	}
	return errors.Join(files.WriteFile(name+"/"+file, data), files.Close())
}

// Read returns the record of a cluster, and whether there is one.
func (s Store) Read(name string) (r Record, there bool, err error) {
	if _, err := os.Lstat(s.File(name)); errors.Is(err, fs.ErrNotExist) {
		return Record{}, false, nil
	}
	files, err := statedir.Open(s.dir)
	if err != nil {
		return Record{}, false, fmt.Errorf("find cluster %s: %w", name, err)
	}
	defer files.Close()
	text, err := files.ReadFile(name + "/cluster.json")
	if err != nil {
		return Record{}, false, fmt.Errorf("find cluster %s: %w", name, err)
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return Record{}, false, fmt.Errorf("%s: expected what wiemu kind up wrote: %w; take the cluster away with: wiemu kind down --name %s", s.File(name), err, name)
	}
	return r, true, nil
}

// Known returns the names of the clusters that there are records of. It does not contact Docker.
func (s Store) Known() ([]string, error) {
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("find clusters: %w", err)
	}
	var known []string
	for _, e := range entries {
		if _, err := os.Stat(s.File(e.Name())); err == nil {
			known = append(known, e.Name())
		}
	}
	return known, nil
}

// Control returns a client of the emulator of a cluster. It neither contacts
// Docker nor checks whether the emulator answers.
func (s Store) Control(name string) (*control.Client, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	r, there, err := s.Read(name)
	if err != nil {
		return nil, err
	}
	if !there || r.Control == "" {
		known, err := s.Known()
		if err != nil {
			return nil, err
		}
		if known = slices.DeleteFunc(known, func(k string) bool { return k == name }); len(known) > 0 {
			return nil, fmt.Errorf("there is no cluster %s; expected one of: %s", name, strings.Join(known, ", "))
		}
		return nil, fmt.Errorf("there is no cluster %s; make one with: wiemu kind up --name %s; or, if it was made with another state directory, add --state-dir", name, name)
	}
	return &control.Client{URL: r.Control, Token: r.Token}, nil
}
