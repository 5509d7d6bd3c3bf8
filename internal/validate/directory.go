package validate

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/internal/tenants"
	"github.com/wiemu/wiemu/internal/yamlfile"
)

// Directory holds the identities and what they trust, as far as files show.
type Directory struct {
	Holders []*Holder

	// Lab says that the directory comes from a wiemu.yaml; Issuers are those that it hosts.
	Lab     bool
	Issuers []string

	// Domains are the tenants' ids by their domains, as far as known.
	Domains map[string]string

	// Trusts are what a plan would make or delete: see Apply.
	Trusts []Trust

	config  config.Config // completed
	plan    *Plan         // nil if none was applied
	deleted []*Holder     // by the plan
}

// Holder is an application or managed identity with its federated credentials.
type Holder struct {
	ClientID   string // in lower case
	Name       string
	Tenant     string // id, "" if unknown
	ResourceID string // of a managed identity
	Disabled   bool

	ObjectIDs []string // of the app registration and the service principal, in lower case

	Known       bool // whether the files show its federated credentials
	Credentials []directory.FederatedCredential
	Expressions []Expression

	Place  string            // in the plan that makes it; "" if it exists
	Places map[string]string // in the plan, of federated credentials by name in lower case

	kind      string               // such as managed identity, where no resource id tells
	unsettled []*plannedCredential // of which something is known only when it is made
}

// Expression is a flexible federated credential.
type Expression struct{ Name, Issuer, Value string }

// Find returns the holder of a client id, in the tenant if several tenants have one.
func (d *Directory) Find(clientID, tenant string) *Holder {
	var found *Holder
	for _, h := range d.Holders {
		if strings.EqualFold(h.ClientID, clientID) && (found == nil || h.Tenant == d.tenant(tenant)) {
			found = h
		}
	}
	return found
}

// tenant returns the id of a tenant by its domain, or an unknown domain as it is.
func (d *Directory) tenant(name string) string {
	name = strings.ToLower(name)
	if id := d.Domains[name]; id != "" {
		return id
	}
	return name
}

// ReadDirectory reads a wiemu.yaml, or the JSON that az printed about a real
// directory: any number of files, and folders with *.json files. A file that is
// called CLIENT_ID.json holds the federated credentials of that client id.
func ReadDirectory(names []string) (*Directory, error) { return ReadExports(names, nil) }

// ReadExports reads the JSON that az printed about a real tenant, as [ReadDirectory] does, and rows
// of Resource Graph. see is called with each object first, with its file and its place there; an object
// that it takes, such as a role assignment, is not read further.
func ReadExports(names []string, see func(file, field string, object json.RawMessage) (taken bool, err error)) (*Directory, error) {
	files, err := exportedFiles(names)
	if err != nil {
		return nil, err
	}
	e := export{see: see}
	for _, file := range files {
		data, err := readFile(file)
		if err != nil {
			return nil, fmt.Errorf("read the directory: %w", err)
		}
		if see == nil && isConfiguration(file, data) {
			if len(files) > 1 {
				return nil, fmt.Errorf("read the directory: %s is a wiemu configuration: expected no other file with it, found %d", file, len(files)-1)
			}
			return fromConfiguration(file, data)
		}
		if err := e.read(file, data); err != nil {
			return nil, err
		}
	}
	return e.directory()
}

// exportedFiles are the files, and the *.json files of the folders, that are named.
func exportedFiles(names []string) (files []string, err error) {
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil {
			return nil, fmt.Errorf("read the directory: %w", err)
		}
		if !info.IsDir() {
			files = append(files, name)
			continue
		}
		inside, err := filepath.Glob(filepath.Join(name, "*.json"))
		if err != nil || len(inside) == 0 {
			return nil, fmt.Errorf("read the directory: %s: expected *.json files that az printed, found none", name)
		}
		slices.Sort(inside)
		files = append(files, inside...)
	}
	return files, nil
}

// maxFile is the largest file that is read: a tenant of a hundred thousand applications fits.
const maxFile = 256 << 20

func readFile(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFile {
		return nil, yamlfile.Problem{File: name, Expected: "at most 256 MiB", Found: fmt.Sprintf("%d bytes", info.Size())}
	}
	return os.ReadFile(name)
}

// isConfiguration tells a wiemu.yaml from what az prints.
func isConfiguration(file string, data []byte) bool {
	if strings.EqualFold(filepath.Ext(file), ".json") {
		top, err := yamlfile.Parse(file, data)
		if err != nil {
			return false
		}
		kind := yamlfile.Get(top, "kind")
		return kind != nil && kind.Value == config.Kind
	}
	text := strings.TrimSpace(string(data[:min(len(data), 4096)]))
	return !strings.HasPrefix(text, "[") && !strings.HasPrefix(text, "{")
}

// fromConfiguration returns the directory of a lab with this wiemu.yaml. For an identity that
// lists no federated credentials the lab creates what its workloads need, so they are not
// known.
func fromConfiguration(file string, data []byte) (*Directory, error) {
	c, err := config.Parse(file, data)
	if err != nil {
		return nil, err
	}
	listed := map[string]bool{}
	for _, p := range principals(c) {
		listed[strings.ToLower(p.ClientID)] = p.FederatedCredentials != nil
	}
	if c, err = c.Complete(file); err != nil {
		return nil, err
	}
	configured, err := c.Directory(filepath.Dir(file))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	entra, err := tenants.New(configured...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	d := &Directory{Lab: true, Domains: map[string]string{}, config: c}
	for _, i := range c.Issuers {
		if !i.External {
			d.Issuers = append(d.Issuers, i.URL)
		}
	}
	for _, t := range entra.Snapshot() {
		for _, domain := range t.Domains {
			d.Domains[domain] = t.ID
		}
		for i := range t.Principals {
			p := &t.Principals[i]
			d.Holders = append(d.Holders, &Holder{
				ClientID: p.ClientID, Name: p.DisplayName, Tenant: t.ID, ResourceID: p.ResourceID, Disabled: p.Disabled,
				ObjectIDs: []string{p.ObjectID, p.ApplicationObjectID}, Known: listed[p.ClientID], Credentials: p.FederatedCredentials,
			})
		}
	}
	return d, nil
}

func principals(c config.Config) []config.Principal {
	var all []config.Principal
	for _, a := range c.Applications {
		all = append(all, a.Principal)
	}
	for _, i := range c.Identities {
		all = append(all, i.Principal)
	}
	return all
}
