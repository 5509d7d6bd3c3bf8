package harness

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/resource/keyvault"
	"github.com/wiemu/wiemu/emulator/yamlfile"
	"github.com/wiemu/wiemu/harness/manifest"
	"github.com/wiemu/wiemu/harness/workload"
)

// Files is what a lab was told by files: at most one wiemu.yaml, and any number
// of radixconfig.yaml and of Kubernetes manifests.
type Files struct {
	Config     config.Config // as it was written
	ConfigFile string        // "": none
	Radix      []*workload.RadixConfig
	Manifests  *manifest.Objects  // Kubernetes objects; nil: none
	Warnings   []yamlfile.Problem // what was passed over

	workloads []config.Workload // of Config, with their defaults filled in
	pods      []Declared        // of Manifests
	digests   map[string]string // of Config as its file says it, whatever is added to it later
}

// defaultFiles are read, where they exist, when nobody names a file.
var defaultFiles = []string{"wiemu.yaml", "radixconfig.yaml"}

// ReadFiles reads configurations, telling their kinds apart by the field kind.
// With no names it takes wiemu.yaml and radixconfig.yaml of the directory dir,
// where they exist, belong to the caller ([yamlfile.CheckFound]), and send away no
// file from outside the directory. With an error come the warnings that there are beside it.
func ReadFiles(dir string, names []string) (Files, error) {
	read := yamlfile.Read
	found := len(names) == 0
	if found {
		read = yamlfile.ReadFound
		for _, name := range defaultFiles {
			if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
				names = append(names, filepath.Join(dir, name))
			}
		}
	}
	var files Files
	for _, name := range names {
		data, err := read(name)
		if err != nil {
			return Files{}, fmt.Errorf("read the configuration: %w", err)
		}
		if err := files.add(name, data); err != nil {
			return Files{Warnings: files.Warnings}, err
		}
	}
	if found {
		if err := files.checkTokens(); err != nil {
			return Files{}, err
		}
	}
	if err := files.declareManifests(); err != nil {
		return Files{Warnings: files.Warnings}, err
	}
	completed, err := files.Config.Complete(files.ConfigFile)
	if err != nil {
		return Files{}, err
	}
	files.digests, err = completed.Digests()
	return files, err
}

// Digests tell, for each section, what the wiemu.yaml says, or that there is none;
// see [config.Config.Digests].
func (f Files) Digests() map[string]string { return f.digests }

func (f *Files) add(name string, data []byte) error {
	if workload.IsRadixConfig(data) {
		radix, warnings, err := workload.ParseRadixConfig(name, data)
		f.Warnings = append(f.Warnings, warnings...)
		if err != nil {
			return err
		}
		f.Radix = append(f.Radix, radix)
		return nil
	}
	if documents, err := yamlfile.ParseAll(name, data); err == nil && manifest.Are(documents) {
		return f.addManifests(name, documents)
	}
	root, err := yamlfile.Parse(name, data)
	if err != nil {
		return err
	}
	var kind string
	if node := yamlfile.Get(root, "kind"); node != nil {
		kind = node.Value
	}
	switch kind {
	case config.Kind, "":
		if f.ConfigFile != "" {
			return fmt.Errorf("%s and %s: expected one wiemu configuration, found two; merge them", f.ConfigFile, name)
		}
		f.ConfigFile = name
		if f.Config, err = config.Parse(name, data); err != nil {
			return err
		}
		completed, err := f.Config.Complete(name)
		f.workloads = completed.Workloads
		return err
	default:
		return yamlfile.Problems{yamlfile.Problem{File: name, Field: "kind", Expected: config.Kind + ", " + workload.RadixKind + " or a Kubernetes object", Found: kind}.At(root)}
	}
}

// checkTokens refuses a wiemu.yaml that nobody named if it sends to an issuer's server
// what is in a file outside of its own folder: a repository that was cloned could
// have any file of its reader's sent to any server. No other field of a wiemu.yaml
// names a file whose content leaves the machine: ca and certificates[].file hold
// certificates, and nothing else of them is used.
func (f Files) checkTokens() error {
	var problems yamlfile.Problems
	folder := filepath.Dir(f.ConfigFile)
	for n, i := range f.Config.Issuers {
		if i.BearerTokenFile == "" || within(folder, i.BearerTokenFile) {
			continue
		}
		problems = append(problems, yamlfile.Problem{
			File: f.ConfigFile, Field: fmt.Sprintf("issuers[%d].bearerTokenFile", n),
			Expected: "a file in the folder of this one, which was found here and not named", Found: i.BearerTokenFile,
			Fix: fmt.Sprintf("its content is sent to %s; if that is meant, name this file: -f %s", cmp.Or(i.Server, i.URL), f.ConfigFile),
		})
	}
	return problems.Err()
}

// within reports whether a file is in a folder or below it, wherever symbolic links lead.
func within(folder, file string) bool {
	if !filepath.IsAbs(file) {
		file = filepath.Join(folder, file)
	}
	var real [2]string
	for n, path := range []string{folder, file} {
		absolute, err := filepath.Abs(path)
		if err != nil {
			return false
		}
		if real[n], err = filepath.EvalSymlinks(absolute); err != nil {
			real[n] = absolute // missing: whoever reads it says so
		}
	}
	path, err := filepath.Rel(real[0], real[1])
	return err == nil && filepath.IsLocal(path)
}

// Issuers returns the URLs of the issuers that the lab hosts.
func (f Files) Issuers() ([]string, error) {
	completed, err := f.Configuration().Complete(f.ConfigFile)
	if err != nil {
		return nil, err
	}
	var urls []string
	for _, i := range completed.Issuers {
		if !i.External {
			urls = append(urls, i.URL)
		}
	}
	return urls, nil
}

// Configuration is the wiemu.yaml with what the radixconfig.yaml files take for
// granted: the key vaults that they name, each with the secrets that a workload
// takes from it, whose values are placeholders, open to every identity of the
// tenant. A vault of the wiemu.yaml stays as it is there; a name that Key Vault
// would not take is left out, so that asking for it fails as it would in Azure.
// Where the wiemu.yaml has no tenants, those that manifests name are there.
func (f Files) Configuration() config.Config {
	c := f.Config
	if len(c.Tenants) == 0 {
		c.Tenants = f.namedTenants()
	}
	for _, d := range f.Workloads() {
		for _, named := range d.Workload.KeyVaults {
			if !keyvault.ValidVaultName(named.Name) || indexVault(f.Config.Vaults, named.Name) >= 0 {
				continue
			}
			if c.Vaults == nil {
				c.Vaults = config.DefaultVaults()
			}
			i := indexVault(c.Vaults, named.Name)
			if i < 0 {
				i, c.Vaults = len(c.Vaults), append(slices.Clone(c.Vaults), config.Vault{Name: named.Name, Secrets: map[string]string{}})
			}
			for _, item := range named.Items {
				addPlaceholder(c.Vaults[i].Secrets, item)
			}
		}
	}
	return c
}

// indexVault finds a vault; Key Vault ignores the case of names.
func indexVault(vaults []config.Vault, name string) int {
	return slices.IndexFunc(vaults, func(v config.Vault) bool { return strings.EqualFold(v.Name, name) })
}

// addPlaceholder gives a secret that is not there yet a value.
func addPlaceholder(secrets map[string]string, item workload.KeyVaultItem) {
	if item.Type != "secret" || !keyvault.ValidSecretName(item.Name) {
		return
	}
	for name := range secrets {
		if strings.EqualFold(name, item.Name) {
			return
		}
	}
	secrets[item.Name] = "the placeholder of wiemu for " + item.Name
}

// Workloads returns every workload that the files describe.
func (f Files) Workloads() []Declared {
	var all []Declared
	for _, r := range f.Radix {
		for _, w := range r.Workloads() {
			all = append(all, Declared{Workload: w})
		}
	}
	all = append(all, f.pods...)
	return append(all, declaredIn(f.workloads)...)
}

// declaredIn are the workloads of a wiemu.yaml.
func declaredIn(workloads []config.Workload) []Declared {
	all := make([]Declared, 0, len(workloads))
	for _, w := range workloads {
		all = append(all, Declared{
			Workload: workload.Workload{Component: w.Name, Namespace: w.Namespace, ServiceAccount: w.ServiceAccount, ClientID: w.ClientID},
			Identity: Identity{Tenant: w.Tenant, Issuer: w.Issuer, Audience: w.Audience, TokenLifetime: w.TokenLifetime,
				Credential: w.Credential, ManagedIdentity: w.ManagedIdentity, IdentityBinding: w.IdentityBinding},
		})
	}
	return all
}

// Declared is a workload of a file with the identity it asks for.
type Declared struct {
	Workload workload.Workload `json:"workload"`
	Identity Identity          `json:"identity"`

	Own *Own `json:"-"` // of a workload that a manifest describes; nil: nothing
}

// DescribeWorkloads reports whether the files are of a kind that describes workloads,
// also where nothing in them has an identity.
func (f Files) DescribeWorkloads() bool {
	return len(f.Radix) > 0 || f.Manifests != nil || len(f.workloads) > 0
}

// HaveComponent reports whether a radixconfig.yaml has a component or job of a name,
// with or without an identity.
func (f Files) HaveComponent(name string) bool {
	return slices.ContainsFunc(f.Radix, func(r *workload.RadixConfig) bool { return r.Has(name) })
}

// WhyNot says why a component is not among the declared workloads of an environment;
// where the files cannot tell, it returns err.
func (f Files) WhyNot(declared []Declared, component, environment string, err error) error {
	for _, r := range f.Radix {
		alone := len(f.Radix) == 1 && len(f.workloads) == 0 && f.Manifests == nil
		if component != "" && (alone || r.Has(component)) && (environment != "" || len(r.Environments) == 1) {
			_, why := r.Find(component, environment)
			return cmp.Or(why, err)
		}
	}
	switch {
	case len(declared) > 0:
		return err
	case f.ConfigFile == "" && !f.DescribeWorkloads():
		return fmt.Errorf("%w, or describe the workload with --namespace, --service-account and --client-id", f.NoWorkloads())
	}
	return f.NoWorkloads()
}

// NoWorkloads says why files describe no workloads.
func (f Files) NoWorkloads() error {
	var all []error
	for _, r := range f.Radix {
		all = append(all, r.LacksIdentity())
	}
	if f.Manifests != nil {
		all = append(all, f.Manifests.LackIdentity())
	}
	switch {
	case len(all) > 0:
		return errors.Join(all...)
	case f.ConfigFile != "":
		return fmt.Errorf("%s: it describes no workloads; add them below workloads, or name a radixconfig.yaml with -f", f.ConfigFile)
	}
	return errors.New("no file describes workloads: neither wiemu.yaml nor radixconfig.yaml is in this folder; name one with -f radixconfig.yaml")
}

// Find returns the declared workload that a component (or a workload's name in
// wiemu.yaml) and a Radix environment name; either may be empty where that
// leaves no choice. The error lists what there is.
func Find(declared []Declared, component, environment string) (Declared, error) {
	var found []Declared
	var known []string
	for _, d := range declared {
		name := d.Workload.Component
		if d.Workload.Environment != "" {
			name += " --env " + d.Workload.Environment
		}
		if !slices.Contains(known, name) {
			known = append(known, name)
		}
		if (component == "" || d.Workload.Component == component) && (environment == "" || d.Workload.Environment == environment) {
			found = append(found, d)
		}
	}
	switch {
	case len(declared) == 0 && component == "":
		return Declared{}, errors.New("which workload? name a component of a radixconfig.yaml, or give --namespace, --service-account and --client-id")
	case component == "" && slices.ContainsFunc(found, func(d Declared) bool { return d.Workload.Component != found[0].Workload.Component }):
		return Declared{}, fmt.Errorf("which workload? expected one of: %s", strings.Join(known, ", "))
	case len(declared) == 0:
		return Declared{}, fmt.Errorf("workload %q: no file describes workloads; name one with -f radixconfig.yaml, or describe the workload with --namespace, --service-account and --client-id", component)
	case len(found) == 0:
		return Declared{}, fmt.Errorf("workload %q: expected one of: %s", strings.TrimSpace(component+" "+environment), strings.Join(known, ", "))
	case environment == "" && slices.ContainsFunc(found, func(d Declared) bool { return d.Workload.Environment != found[0].Workload.Environment }):
		return Declared{}, fmt.Errorf("workload %q is in several environments; say which with --env: %s", found[0].Workload.Component, strings.Join(known, ", "))
	default:
		return found[0], nil // a component comes before its OAuth proxy
	}
}
