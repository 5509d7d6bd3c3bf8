package overlay

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v3"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/internal/kubename"
	"github.com/wiemu/wiemu/internal/lazyregexp"
	"github.com/wiemu/wiemu/internal/session"
	"github.com/wiemu/wiemu/internal/workload"
	"github.com/wiemu/wiemu/internal/yamlfile"
)

func (g *generator) identify(context.Context) error {
	declared := g.opts.Files.Workloads()
	var empty []string
	for _, name := range slices.Sorted(maps.Keys(g.all)) {
		s := g.all[name]
		at, text := identityOf(s, g.opts.Identities)
		clock := s.Labels[ClockLabel]
		if why := g.emptyClientID(s, at, text); why != "" {
			empty = append(empty, why)
		}
		if network, ok := s.Labels[networkLabel]; ok {
			return fmt.Errorf("services.%s.labels.%s: %s: expected no such label: the emulated names are aliases here, which lead every program to the lab, and no connection has to be led; remove it", name, networkLabel, network)
		}
		switch {
		case text == noIdentity || text == "" && clock == "":
			continue
		case text == "":
			return fmt.Errorf("services.%s.labels.%s: %s: the service has no identity; add the label %s or --identity %s=NAMESPACE/SERVICEACCOUNT/CLIENTID", name, ClockLabel, clock, IdentityLabel, name)
		case clock != "" && clock != Lockstep && clock != real:
			return fmt.Errorf("services.%s.labels.%s: expected %s or %s, found %q", name, ClockLabel, Lockstep, real, clock)
		}
		d, err := g.parse(s, text, declared)
		if err != nil {
			return fmt.Errorf("%s: %w", at, err)
		}
		if id := d.TokenOptions; config.OfApplication(id.Credential) {
			return fmt.Errorf("%s: workload %s proves who it is with a secret or certificate, which compose does not hand out; set AZURE_CLIENT_SECRET of the service to that of applications in wiemu.yaml, or use wiemu run", at, text)
		} else if d.OwnIssuer() != "" {
			return fmt.Errorf("%s: workload %s is a job of a pipeline, which is no service; use wiemu run", at, text)
		} else if id.ManagedIdentity != "" || id.IdentityBinding != "" {
			return fmt.Errorf("%s: workload %s uses a managed identity of its machine or an identity binding, which containers do not have here; use wiemu run", at, text)
		}
		if tenant := value(s, "AZURE_TENANT_ID"); tenant != "" && d.Tenant == "" {
			d.Tenant = strings.ToLower(tenant)
		}
		g.found = append(g.found, Service{Name: name, Workload: d, Lockstep: clock == Lockstep})
	}
	if len(g.found) == 0 && len(empty) > 0 {
		return fmt.Errorf("no service has an identity: %s", strings.Join(empty, "; "))
	}
	g.remarks = append(g.remarks, empty...)
	if len(g.found) == 0 {
		return fmt.Errorf("no service has an identity: expected a label %s, an AZURE_CLIENT_ID in its environment, or for example --identity %s=shop/%[2]s-sa/b96d264b-7053-4465-a4a7-32be5b0fec49", IdentityLabel, append(slices.Sorted(maps.Keys(g.all)), "web")[0])
	}
	return nil
}

func identityOf(s types.ServiceConfig, given map[string]string) (at, text string) {
	if text, ok := given[s.Name]; ok {
		return "--identity " + s.Name + "=" + text, text
	}
	if text, ok := s.Labels[IdentityLabel]; ok {
		return "services." + s.Name + ".labels." + IdentityLabel, strings.TrimSpace(text)
	}
	return "services." + s.Name + ".environment.AZURE_CLIENT_ID", value(s, "AZURE_CLIENT_ID")
}

func value(s types.ServiceConfig, name string) string {
	if v := s.Environment[name]; v != nil {
		return *v
	}
	return ""
}

// emptyClientID returns why AZURE_CLIENT_ID is set but empty, "" if it is not or does not matter.
func (g *generator) emptyClientID(s types.ServiceConfig, at, text string) string {
	_, there := s.Environment["AZURE_CLIENT_ID"]
	if !there || text != "" || !strings.HasSuffix(at, ".environment.AZURE_CLIENT_ID") {
		return ""
	}
	fix := fmt.Sprintf("add the label %s or --identity %s=NAMESPACE/SERVICEACCOUNT/CLIENTID", IdentityLabel, s.Name)
	written, variables := asWritten(g.project.ComposeFiles, s.Name, "AZURE_CLIENT_ID")
	if len(variables) == 0 {
		return fmt.Sprintf("%s: it is there, and empty; write the client id, or %s", at, fix)
	}
	names := strings.Join(variables, ", ")
	return fmt.Sprintf("%s: it is there, and empty, because it is %s and %s is not set or empty; set %[3]s, such as in .env, or %[4]s", at, written, names, fix)
}

var interpolated = lazyregexp.New(`\$\{?([A-Za-z_][A-Za-z0-9_]*)`)

// asWritten returns a variable of a service as the compose files write it, and the caller's
// variables that it refers to. The last file wins.
func asWritten(files []string, service, variable string) (text string, variables []string) {
	for _, file := range files {
		data, err := yamlfile.Read(file)
		if err != nil {
			continue // the loader has read it
		}
		var project struct {
			Services map[string]struct {
				Environment yaml.Node `yaml:"environment"`
			} `yaml:"services"`
		}
		if err := yaml.Unmarshal(data, &project); err != nil {
			continue
		}
		environment := project.Services[service].Environment
		if value := yamlfile.Get(&environment, variable); value != nil {
			text = value.Value
		}
		for _, element := range environment.Content {
			name, value, given := strings.Cut(element.Value, "=")
			switch {
			case environment.Kind != yaml.SequenceNode || name != variable:
			case given:
				text = value
			default: // the caller's of that name
				text = "${" + variable + "}"
			}
		}
	}
	for _, match := range interpolated().FindAllStringSubmatch(text, -1) {
		if !slices.Contains(variables, match[1]) {
			variables = append(variables, match[1])
		}
	}
	return text, variables
}

const forms = "the name of a workload of wiemu.yaml or radixconfig.yaml (NAME or NAME@ENVIRONMENT), NAMESPACE/SERVICEACCOUNT, NAMESPACE/SERVICEACCOUNT/CLIENTID, a client id, or none"

func (g *generator) parse(s types.ServiceConfig, text string, declared []workload.Spec) (workload.Spec, error) {
	parts := strings.Split(text, "/")
	if id, err := workload.ParseClientID(text); err == nil {
		return g.byClientID(s, id, declared)
	}
	switch len(parts) {
	case 1:
		name, environment, _ := strings.Cut(text, "@")
		if len(declared) == 0 {
			return workload.Spec{}, fmt.Errorf("expected %s; found %q, and no file describes workloads: name one with --config wiemu.yaml", forms, text)
		}
		d, err := session.Find(declared, name, environment)
		if err != nil {
			return d, notOne(text, declared)
		}
		if err == nil && d.ClientID == "" {
			err = fmt.Errorf("workload %s has no client id in the file that describes it", text)
		}
		return d, err
	case 2, 3:
		namespace, account := parts[0], parts[1]
		if err := kubename.CheckAccount(namespace, account); err != nil {
			return workload.Spec{}, err
		}
		d := workload.Spec{Workload: workload.Workload{Namespace: namespace, ServiceAccount: account}}
		if i := slices.IndexFunc(declared, func(o workload.Spec) bool {
			return o.Namespace == namespace && o.ServiceAccount == account && o.ClientID != ""
		}); i >= 0 {
			d = declared[i]
		}
		id := value(s, "AZURE_CLIENT_ID")
		if len(parts) == 3 {
			id = parts[2]
		}
		if id == "" && d.ClientID == "" {
			return d, fmt.Errorf("%s: whose client id? write %[1]s/CLIENTID, give the service an AZURE_CLIENT_ID, or describe the workload in wiemu.yaml", text)
		}
		if id != "" {
			parsed, err := workload.ParseClientID(id)
			if err != nil {
				return d, err
			}
			d.ClientID = parsed
		}
		return d, nil
	}
	return workload.Spec{}, fmt.Errorf("expected %s; found %q", forms, text)
}

// notOne returns the error for a name that no workload, or more than one, has.
func notOne(text string, declared []workload.Spec) error {
	var known, environments []string
	for _, d := range declared {
		name := d.Component
		if d.Environment != "" {
			name += "@" + d.Environment
		}
		if slices.Contains(known, name) {
			continue
		}
		if known = append(known, name); d.Component == text {
			environments = append(environments, name)
		}
	}
	if len(environments) > 1 {
		return fmt.Errorf("workload %q is in several environments; write which: %s", text, strings.Join(environments, ", "))
	}
	return fmt.Errorf("workload %q%s: expected one of: %s", text, yamlfile.DidYouMeanAside(text, known), strings.Join(known, ", "))
}

// byClientID returns the workload with a client id, or a new one for the service.
func (g *generator) byClientID(s types.ServiceConfig, id string, declared []workload.Spec) (workload.Spec, error) {
	var found []workload.Spec
	var names []string
	for _, d := range declared {
		if d.ClientID == id && !slices.ContainsFunc(found, d.SamePod) {
			found = append(found, d)
			names = append(names, d.Namespace+"/"+d.ServiceAccount)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return workload.Spec{}, fmt.Errorf("client id %s is that of several workloads; say which with the label %s or --identity %s=…: %s", id, IdentityLabel, s.Name, strings.Join(names, ", "))
	}
	return workload.Spec{Workload: workload.Workload{
		Namespace: dnsName(g.project.Name, "compose"), ServiceAccount: dnsName(s.Name, "service") + "-sa", ClientID: id,
	}}, nil
}

var noDNS = lazyregexp.New(`[^a-z0-9]+`)

// dnsName turns a name into one that Kubernetes allows.
func dnsName(name, otherwise string) string {
	name = strings.Trim(noDNS().ReplaceAllString(strings.ToLower(name), "-"), "-")
	return cmp.Or(strings.Trim(name[:min(len(name), 50)], "-"), otherwise)
}

// knownTenant refuses a service with a tenant that the lab does not have.
func (g *generator) knownTenant(s Service) error {
	tenant := value(g.all[s.Name], "AZURE_TENANT_ID")
	env := g.lab.Environment(s.Workload)
	if tenant == "" || strings.EqualFold(tenant, env.TenantID) {
		return nil
	}
	return fmt.Errorf("services.%s.environment.AZURE_TENANT_ID: %s is none of the tenants of %s; add it under tenants there", s.Name, tenant, cmp.Or(g.opts.Files.ConfigFile, "the configuration"))
}
