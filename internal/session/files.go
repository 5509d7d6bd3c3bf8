package session

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/internal/manifest"
	"github.com/wiemu/wiemu/internal/resource/keyvault"
	"github.com/wiemu/wiemu/internal/workload"
	"github.com/wiemu/wiemu/internal/yamlfile"
)

// Files holds what files say of a lab: at most one wiemu.yaml, and any number of
// radixconfig.yaml files and Kubernetes manifests.
type Files struct {
	Config     config.Config // as it was written
	ConfigFile string        // "" if there is none
	Radix      []*workload.RadixConfig
	Manifests  *manifest.Objects  // Kubernetes objects; nil if there are none
	Warnings   []yamlfile.Problem // about what was ignored
	Unread     string             // the wiemu.yaml of the directory, if other files alone were named

	declared config.Config     // Config, with its defaults filled in
	pods     []workload.Spec   // of Manifests
	digests  map[string]string // of Config as the file has it
}

// defaultFiles are the files to read, if they exist, when none is named.
var defaultFiles = []string{"wiemu.yaml", "radixconfig.yaml"}

// ReadFiles reads configurations, whose field kind says what they are. Without names it reads
// wiemu.yaml and radixconfig.yaml of the directory dir, if they exist, belong to the caller
// ([yamlfile.CheckFound]), and do not send a file from outside the directory anywhere. An
// error comes with the warnings so far.
func ReadFiles(dir string, names []string) (Files, error) {
	read := yamlfile.ReadUpTo
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
		data, err := read(yamlfile.MaxConfiguration, name)
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
	} else if own := filepath.Join(dir, defaultFiles[0]); files.ConfigFile == "" {
		if _, err := os.Stat(own); err == nil {
			files.Unread = own
		}
	}
	if err := files.declareManifests(); err != nil {
		return Files{Warnings: files.Warnings}, err
	}
	completed, err := files.Config.Complete(files.ConfigFile)
	if err != nil {
		return Files{}, err
	}
	files.digests, err = digests(completed)
	return files, err
}

// Digests returns a digest of each section of the wiemu.yaml; see [config.Config.Digests].
func (f Files) Digests() map[string]string { return f.digests }

func (f *Files) add(name string, data []byte) error {
	if added, err := f.addWorkloads(name, data); added || err != nil {
		return err
	}
	if err := checkConfigKind(name, data); err != nil {
		if len(data) > yamlfile.MaxBytes {
			return fmt.Errorf("%w (of what has more than 1 MiB, only a wiemu.yaml is read: split others)", err)
		}
		return err
	}
	if f.ConfigFile != "" {
		return yamlfile.Problem{File: name, Expected: "one wiemu configuration", Found: "this one beside " + f.ConfigFile, Fix: "merge them"}
	}
	f.ConfigFile = name
	var err error
	if f.Config, err = config.Parse(name, data); err != nil {
		return err
	}
	f.declared, err = f.Config.Complete(name)
	return err
}

// addWorkloads adds a radixconfig.yaml or Kubernetes manifests. It reports false, and adds nothing,
// if the file is neither.
func (f *Files) addWorkloads(name string, data []byte) (added bool, err error) {
	if workload.IsRadixConfig(data) {
		radix, warnings, err := workload.ParseRadixConfig(name, data)
		f.Warnings = append(f.Warnings, warnings...)
		if err != nil {
			return false, err
		}
		f.Radix = append(f.Radix, radix)
		return true, nil
	}
	if documents, err := yamlfile.ParseAll(name, data); err == nil && manifest.Are(documents) {
		return true, f.addManifests(name, documents)
	}
	return false, nil
}

// checkConfigKind refuses a file whose kind is not that of a wiemu configuration.
func checkConfigKind(name string, data []byte) error {
	root, err := yamlfile.ParseUpTo(yamlfile.MaxConfiguration, name, data)
	if err != nil {
		return err
	}
	var kind string
	if node := yamlfile.Get(root, "kind"); node != nil {
		kind = node.Value
	}
	if kind != config.Kind && kind != "" {
		if _, err := yamlfile.Parse(name, data); err != nil { // too large for anything else
			return err
		}
		return yamlfile.Problems{yamlfile.Problem{File: name, Field: "kind", Expected: config.Kind + ", " + workload.RadixKind + " or a Kubernetes object", Found: kind}.At(root)}
	}
	return nil
}

// checkTokens refuses a wiemu.yaml that was found and not named if it sends the content of a
// file outside its own folder to an issuer's server: a cloned repository could otherwise send
// any file of the user to any server. No other field of a wiemu.yaml names a file that leaves
// the machine: of ca and certificates[].file only the certificates are used.
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
			real[n] = absolute // missing: reading it reports that
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

// Configuration returns the wiemu.yaml with what the other files need: the key vaults that
// radixconfig.yaml files name, each with placeholders for the secrets that a workload takes
// from it, and keys and certificates that the lab makes, open to every identity of the tenant. A vault of the wiemu.yaml is not changed; a
// name that Key Vault does not allow is not added, so that requests fail as in Azure. If the
// wiemu.yaml has no tenants, it gets those that manifests name.
func (f Files) Configuration() config.Config {
	c := f.Config
	if len(c.Tenants) == 0 {
		c.Tenants = f.namedTenants()
	}
	for _, d := range f.Workloads() {
		for _, named := range d.KeyVaults {
			if !keyvault.ValidVaultName(named.Name) || indexVault(f.Config.Vaults, named.Name) >= 0 {
				continue
			}
			if c.Vaults == nil {
				c.Vaults = config.DefaultVaults()
			}
			i := indexVault(c.Vaults, named.Name)
			if i < 0 {
				i, c.Vaults = len(c.Vaults), append(slices.Clone(c.Vaults), config.Vault{Name: named.Name, Secrets: map[string]string{}, Keys: map[string]config.VaultKey{}, Certificates: map[string]config.VaultCertificate{}})
			}
			for _, item := range named.Items {
				addPlaceholder(c.Vaults[i].Secrets, c.Vaults[i].Keys, c.Vaults[i].Certificates, named.Items, item)
			}
		}
	}
	return c
}

// indexVault returns the index of a vault, or -1; Key Vault ignores the case of names.
func indexVault(vaults []config.Vault, name string) int {
	return slices.IndexFunc(vaults, func(v config.Vault) bool { return strings.EqualFold(v.Name, name) })
}

// addPlaceholder adds what an item names, unless it exists: a secret with a placeholder as
// its value, a key or a certificate. A certificate brings a key and a secret of its name.
func addPlaceholder[K, C any](secrets map[string]string, keys map[string]K, certificates map[string]C, all []workload.KeyVaultItem, item workload.KeyVaultItem) {
	if !keyvault.ValidSecretName(item.Name) {
		return
	}
	same := func(name string) bool { return strings.EqualFold(name, item.Name) }
	for _, other := range all {
		if other.Type == "cert" && same(other.Name) {
			item.Type = "cert"
		}
	}
	there := func(names iter.Seq[string]) bool { return slices.ContainsFunc(slices.Collect(names), same) }
	switch {
	case item.Type == "secret" && !there(maps.Keys(secrets)):
		secrets[item.Name] = placeholder(item.Name)
	case item.Type == "key" && !there(maps.Keys(keys)):
		var made K
		keys[item.Name] = made
	case item.Type == "cert" && !there(maps.Keys(certificates)):
		var made C
		certificates[item.Name] = made
	}
}

// placeholder is the value of a secret that a workload names and no wiemu.yaml has.
func placeholder(name string) string { return "the placeholder of wiemu for " + name }

// Workloads returns every workload that the files describe.
func (f Files) Workloads() []workload.Spec {
	var all []workload.Spec
	for _, r := range f.Radix {
		for _, w := range r.Workloads() {
			all = append(all, workload.Spec{Workload: w})
		}
	}
	all = append(all, f.pods...)
	for _, w := range f.declared.Workloads {
		all = append(all, workload.DeclaredIn(f.declared, w))
	}
	return all
}

// DescribeWorkloads reports whether the files are of a kind that describes workloads, even
// if none of these has an identity.
func (f Files) DescribeWorkloads() bool {
	return len(f.Radix) > 0 || f.Manifests != nil || len(f.declared.Workloads) > 0
}

// HaveComponent reports whether a radixconfig.yaml has a component or job of a name,
// with or without an identity.
func (f Files) HaveComponent(name string) bool {
	return slices.ContainsFunc(f.Radix, func(r *workload.RadixConfig) bool { return r.Has(name) })
}

// WhyNot returns why a component is not among the declared workloads of an environment, or
// err if the files do not show it.
func (f Files) WhyNot(declared []workload.Spec, component, environment string, err error) error {
	for _, r := range f.Radix {
		alone := len(f.Radix) == 1 && len(f.declared.Workloads) == 0 && f.Manifests == nil
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

// NoWorkloads returns the error that says why files describe no workloads.
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
// wiemu.yaml) and a Radix environment name; either may be empty if only one workload is
// left then. The error lists the workloads.
func Find(declared []workload.Spec, component, environment string) (workload.Spec, error) {
	var found []workload.Spec
	var known []string
	for _, d := range declared {
		name := d.Component
		if d.Environment != "" {
			name += " --env " + d.Environment
		}
		if !slices.Contains(known, name) {
			known = append(known, name)
		}
		if (component == "" || d.Component == component) && (environment == "" || d.Environment == environment) {
			found = append(found, d)
		}
	}
	switch {
	case len(declared) == 0 && component == "":
		return workload.Spec{}, errors.New("which workload? name a component of a radixconfig.yaml, or give --namespace, --service-account and --client-id")
	case component == "" && slices.ContainsFunc(found, func(d workload.Spec) bool { return d.Component != found[0].Component }):
		return workload.Spec{}, fmt.Errorf("which workload? expected one of: %s", strings.Join(known, ", "))
	case len(declared) == 0:
		return workload.Spec{}, fmt.Errorf("workload %q: no file describes workloads; name one with -f radixconfig.yaml, or describe the workload with --namespace, --service-account and --client-id", component)
	case len(found) == 0:
		return workload.Spec{}, fmt.Errorf("workload %q: expected one of: %s", strings.TrimSpace(component+" "+environment), strings.Join(known, ", "))
	case environment == "" && slices.ContainsFunc(found, func(d workload.Spec) bool { return d.Environment != found[0].Environment }):
		return workload.Spec{}, fmt.Errorf("workload %q is in several environments; say which with --env: %s", found[0].Component, strings.Join(known, ", "))
	default:
		return found[0], nil // a component comes before its OAuth proxy
	}
}
