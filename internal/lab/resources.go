package lab

import (
	"cmp"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/internal/cloud"
	"github.com/wiemu/wiemu/internal/file"
	"github.com/wiemu/wiemu/internal/hostmux"
	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/resource/arm"
	"github.com/wiemu/wiemu/internal/resource/keyvault"
	"github.com/wiemu/wiemu/internal/resource/table"
	"github.com/wiemu/wiemu/internal/roles"
)

func (l *Lab) openResources(k resource.Kit) error {
	l.resources = map[string]resource.Service{}
	k.Service = func(name string) resource.Service { return l.resources[name] }
	for _, d := range table.Resources() {
		k.Options = l.config.Resources[d.Options.Name]
		configured := settings(l.config, d)
		if vaults, ok := configured.(keyvault.Vaults); ok {
			if err := readVaultFiles(l.config, l.configDir, vaults); err != nil {
				return err
			}
		}
		made, err := d.Open(k, configured)
		if err != nil {
			return err
		}
		l.resources[d.Name] = made
		if c, ok := made.(io.Closer); ok {
			l.onClose(c.Close)
		}
	}
	return nil
}

// newRoles makes the set of roles that resources ask. Those of tenants with subscriptions
// are in the first of them.
func (l *Lab) newRoles(clk clock.Clock) (*roles.Set, error) {
	subscriptions := map[string]string{}
	for _, s := range slices.Backward(l.config.Subscriptions) {
		subscriptions[s.Tenant] = s.ID
	}
	made := roles.New(roles.Config{Clock: clk, Journal: l.journal, Faults: l.faults, Directory: l.directory, Delay: l.config.Roles.Delay, Subscriptions: subscriptions})
	for n, d := range l.config.Roles.Definitions {
		if err := made.Define(roles.Custom(d).Definition()); err != nil {
			return nil, fmt.Errorf("roles.definitions[%d]: %w", n, err)
		}
	}
	for n, a := range l.config.Roles.Assignments {
		for _, role := range a.Roles {
			_, err := made.Assign(roles.Assignment{Tenant: a.Tenant, ClientID: a.Identity, Role: role, Scope: a.Scope, Source: fmt.Sprintf("roles.assignments[%d]", n)})
			if err != nil && !errors.Is(err, roles.ErrExists) {
				return nil, fmt.Errorf("roles.assignments[%d]: %w", n, err)
			}
		}
	}
	return made, nil
}

// settings are what a completed configuration says of a resource. The sections that Go
// programs write have types of package config; the others are the resource's own.
func settings(c config.Config, d resource.Description) any {
	switch d.Name {
	case keyvault.Name:
		vaults := make(keyvault.Vaults, len(c.Vaults))
		for n, v := range c.Vaults {
			vaults[n] = keyvault.Vault{Name: v.Name, Tenant: v.Tenant, Secrets: v.Secrets}
			vaults[n].Keys, vaults[n].Certificates = map[string]keyvault.Key{}, map[string]keyvault.Certificate{}
			for name, k := range v.Keys {
				vaults[n].Keys[name] = keyvault.Key{Type: k.Type, Size: k.Size, Curve: k.Curve, Operations: k.Operations}
			}
			for name, c := range v.Certificates {
				vaults[n].Certificates[name] = keyvault.Certificate{
					Subject: cmp.Or(c.Subject, "CN="+name), DNSNames: c.DNSNames, Months: c.ValidityMonths, ContentType: c.ContentType, Password: c.Password,
				}
			}
			for k, a := range v.Access {
				vaults[n].Access = append(vaults[n].Access, keyvault.Access{ClientID: a.Identity, Roles: a.Roles, Permissions: a.Permissions, Source: fmt.Sprintf("vaults[%d].access[%d]", n, k)})
			}
			for _, a := range v.AccessPolicies {
				if slices.Contains(a.Secrets, "*") { // which as a permission is more than all on secrets
					a.Secrets = keyvault.Permissions()
				}
				vaults[n].Access = append(vaults[n].Access, keyvault.Access{ClientID: a.Identity, Permissions: a.Secrets, Keys: a.Keys, Certificates: a.Certificates})
			}
		}
		return vaults
	case arm.Name:
		all := make([]arm.Subscription, len(c.Subscriptions))
		for i, s := range c.Subscriptions {
			all[i] = arm.Subscription{ID: s.ID, Name: s.Name, Tenant: s.Tenant}
		}
		return all
	}
	return c.Resources[d.Section.Name]
}

// readVaultFiles reads the private keys and certificates that a completed configuration
// names, relative to dir.
func readVaultFiles(c config.Config, dir string, vaults keyvault.Vaults) error {
	for n, v := range c.Vaults {
		for _, name := range slices.Sorted(maps.Keys(v.Keys)) {
			k, at := v.Keys[name], fmt.Sprintf("vaults[%d].keys.%s.file", n, name)
			if k.File == "" {
				continue
			}
			data, err := os.ReadFile(file.In(dir, k.File))
			if err != nil {
				return fmt.Errorf("%s: %w", at, err)
			}
			configured := vaults[n].Keys[name]
			if configured.Private, err = keyvault.ReadKey(data); err != nil {
				return fmt.Errorf("%s: %s: %w", at, k.File, err)
			}
			kty := "RSA"
			if _, ok := configured.Private.(*ecdsa.PrivateKey); ok {
				kty = "EC"
			}
			if configured.Type = cmp.Or(k.Type, kty); strings.TrimSuffix(configured.Type, "-HSM") != kty {
				return fmt.Errorf("vaults[%d].keys.%s.type: expected %s or %s-HSM, as %s has, found %s", n, name, kty, kty, k.File, k.Type)
			}
			vaults[n].Keys[name] = configured
		}
		for _, name := range slices.Sorted(maps.Keys(v.Certificates)) {
			cert, at := v.Certificates[name], fmt.Sprintf("vaults[%d].certificates.%s.file", n, name)
			if cert.File == "" {
				continue
			}
			data, err := os.ReadFile(file.In(dir, cert.File))
			if err != nil {
				return fmt.Errorf("%s: %w", at, err)
			}
			configured := vaults[n].Certificates[name]
			configured.File = data
			if err := keyvault.CheckCertificate(configured); err != nil {
				return fmt.Errorf("%s: %s: %w", at, cert.File, err)
			}
			vaults[n].Certificates[name] = configured
		}
	}
	return nil
}

func (l *Lab) resourceRoutes() []hostmux.Route {
	var routes []hostmux.Route
	for _, d := range table.Resources() {
		made, ok := l.resources[d.Name].(resource.HTTPService)
		if !ok {
			continue
		}
		at := l.clock.Part(clock.Resources)
		route := hostmux.Route{Hosts: d.Hosts(l.cloud), Verbatim: d.Verbatim, Handler: withDate(at, l.faults.Answers(d.Name, onFirstRequest(made.Handler)))}
		if bodies, ok := made.(resource.BodyService); ok {
			route.MaxBody, route.Unreadable = bodies.MaxBody, withDate(at, bodies.Unreadable())
		}
		routes = append(routes, route)
	}
	return routes
}

// onFirstRequest makes a handler when it is asked for the first time: compiling the
// routes of the resources is most of what a lab costs, and few tests ask all of them.
func onFirstRequest(handler func() http.Handler) http.Handler {
	made := sync.OnceValue(handler)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { made().ServeHTTP(w, r) })
}

// Streams lead connections to the resources that have a protocol of their own.
func (l *Lab) Streams() []hostmux.Stream {
	var streams []hostmux.Stream
	for _, d := range table.Resources() {
		made, ok := l.resources[d.Name].(resource.StreamService)
		if !ok {
			continue
		}
		for _, host := range d.Hosts(l.cloud) {
			streams = append(streams, hostmux.Stream{
				Hosts: []string{host}, Ports: d.Ports(host), Variables: d.Variables, Serve: made.ServeStream,
				There: func() []string { return d.At(host, instances(made)) },
			})
		}
	}
	return streams
}

// instances are the names of the instances, such as vaults, of a resource or its
// settings.
func instances(of any) []string {
	if made, ok := of.(resource.Instances); ok {
		return made.Names()
	}
	return nil
}

// Hosts are the emulated hosts by name, sorted: what maps names to the gateway one by
// one has to map, such as network aliases or a pod's hostAliases. Vaults and their like
// are those that there are now. Regional login hosts are not among them; nobody could
// list those.
func (l *Lab) Hosts() []string {
	return hosts(l.config, func(d resource.Description) []string { return instances(l.resources[d.Name]) })
}

// Hosts are the Hosts of a server that is started with a completed configuration.
func Hosts(c config.Config) []string {
	return hosts(c, func(d resource.Description) []string { return instances(settings(c, d)) })
}

func hosts(c config.Config, instances func(resource.Description) []string) []string {
	all := slices.DeleteFunc(cloud.LoginHosts(), func(host string) bool { return strings.HasPrefix(host, ".") })
	in, _ := cloud.Named(c.Cloud) // Complete refuses one that there is not
	all = slices.Concat(all, table.InstanceHosts(in, instances), []string{bindingHost}, issuerHosts(c))
	slices.Sort(all)
	return slices.Compact(all)
}

// Zones are the emulated hosts of a completed configuration, each with all names below
// it: what a DNS server has to answer for.
func Zones(c config.Config) []string {
	in, _ := cloud.Named(c.Cloud) // Complete refuses one that there is not
	all := slices.Concat(cloud.LoginHosts(), table.Hosts(in), []string{config.IssuerDomain}, issuerHosts(c))
	for n := range all {
		all[n] = strings.TrimPrefix(all[n], ".")
	}
	slices.Sort(all)
	all = slices.Compact(all)
	return slices.DeleteFunc(all, func(name string) bool {
		return slices.ContainsFunc(all, func(zone string) bool { return strings.HasSuffix(name, "."+zone) })
	})
}

func issuerHosts(c config.Config) (all []string) {
	for _, i := range c.Issuers {
		if at, err := url.Parse(i.URL); err == nil && !i.External {
			all = append(all, strings.ToLower(at.Hostname()))
		}
	}
	return all
}

// Resources yields the resources of the lab with their instances, such as vaults, by name in
// lower case; none for a resource that has no instances.
func (l *Lab) Resources(yield func(resource.Description, []string) bool) {
	for _, d := range table.Resources() {
		if !yield(d, instances(l.resources[d.Name])) {
			return
		}
	}
}
