package session

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
	"go.yaml.in/yaml/v3"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/internal/azwi"
	"github.com/wiemu/wiemu/internal/cloud"
	"github.com/wiemu/wiemu/internal/managedidentity"
	"github.com/wiemu/wiemu/internal/manifest"
	"github.com/wiemu/wiemu/internal/workload"
	"github.com/wiemu/wiemu/internal/yamlfile"
)

// WorkloadsAlone returns the files that describe workloads and nothing else.
func (f Files) WorkloadsAlone() Files {
	return Files{Radix: f.Radix, Manifests: f.Manifests, pods: f.pods}
}

func (f *Files) addManifests(name string, documents []*yaml.Node) error {
	if f.Manifests == nil {
		f.Manifests = manifest.New("")
	}
	return f.Manifests.AddDocuments(name, documents)
}

// declareManifests reads the workloads from the manifests. It needs all files: a service
// account may be in another file than its pods.
func (f *Files) declareManifests() error {
	if f.Manifests == nil {
		return nil
	}
	if err := f.Manifests.Check(); err != nil {
		return err
	}
	for _, p := range f.Manifests.Pods() {
		if !f.Manifests.UsesIdentity(p) {
			continue
		}
		started, err := f.Manifests.Start(p, "")
		if err != nil {
			f.warn(p, cmp.Or(errors.Unwrap(err), err).Error(), "") // without the pods' name, which is the field
			continue
		}
		for _, id := range f.Manifests.ClientIDs(p) {
			started.ClientID = id.Value
			d, err := declaredPods(p, started)
			switch {
			case id.Unknown:
				f.warn(p, id.From+", is in none of the files, so nobody trusts it", "add the manifest of where it comes from")
			case err != nil:
				f.warn(p, id.From+": "+err.Error(), "")
			case id.Value != "":
				f.pods = append(f.pods, d)
			}
		}
	}
	return nil
}

func (f *Files) warn(p *manifest.Pods, found, fix string) {
	f.Warnings = append(f.Warnings, yamlfile.Problem{File: p.Place, Field: p.Kind + " " + p.Namespace + "/" + p.Name, Found: found, Fix: fix, Warning: true})
}

func declaredPods(p *manifest.Pods, s manifest.Started) (workload.Spec, error) {
	d := workload.Spec{
		Workload:     workload.Workload{Component: p.Name, Namespace: p.Namespace, ServiceAccount: p.Template.Spec.ServiceAccountName},
		TokenOptions: workload.TokenOptions{Tenant: s.Tenant, TokenLifetime: s.Lifetime},
		Own:          &workload.Own{NoToken: s.NoToken != ""},
	}
	if s.Audience != cloud.Public().TokenExchange && !s.HasBinding {
		d.Audience = s.Audience
	}
	if s.HasSidecar {
		d.ManagedIdentity = string(managedidentity.Sidecar)
	}
	if s.HasBinding {
		d.IdentityBinding = config.CAFile
	}
	for _, v := range s.Environ.Variables {
		if !v.Unknown {
			d.Own.Variables = append(d.Own.Variables, v.Name+"="+v.Value)
		}
	}
	if s.ClientID == "" {
		return d, nil
	}
	id, err := workload.ParseClientID(s.ClientID)
	d.ClientID = id
	return d, err
}

// Pod returns the workload of a container of the manifests' pods, with remarks for the user;
// see [manifest.Objects.Find] and [manifest.Objects.Start] for the names. known reports
// whether programs have a variable anyway.
func (f Files) Pod(name, container string, known func(variable string) bool) (workload.Spec, []string, error) {
	if f.Manifests == nil {
		return workload.Spec{}, nil, fmt.Errorf("workload %q: no file has Kubernetes manifests; name one with -f", name)
	}
	p, err := f.Manifests.Find(name)
	if err != nil {
		return workload.Spec{}, nil, err
	}
	return f.start(p, container, known)
}

// WarningsBesides returns the warnings without those about pods that cannot start, for which
// [Files.Pod] returns an error that says the same.
func (f Files) WarningsBesides(name, container string) []yamlfile.Problem {
	_, _, err := f.Pod(name, container, func(string) bool { return true })
	if err == nil || f.Manifests == nil {
		return f.Warnings
	}
	p, err := f.Manifests.Find(name)
	if err != nil {
		return f.Warnings
	}
	return slices.DeleteFunc(slices.Clone(f.Warnings), func(w yamlfile.Problem) bool { return w.File == p.Place && w.Field == p.String() })
}

// PodOf returns what Pod does for a workload that [Files.Workloads] has read from a manifest;
// ok is false for others.
func (f Files) PodOf(d workload.Spec, container string, known func(variable string) bool) (_ workload.Spec, notes []string, ok bool, err error) {
	if d.Own == nil || f.Manifests == nil {
		return d, nil, false, nil
	}
	for _, p := range f.Manifests.Pods() {
		if p.Name == d.Component && p.Namespace == d.Namespace && p.Template.Spec.ServiceAccountName == d.ServiceAccount {
			d, notes, err = f.start(p, container, known)
			return d, notes, true, err
		}
	}
	return d, nil, false, nil
}

func (f Files) start(p *manifest.Pods, container string, known func(string) bool) (workload.Spec, []string, error) {
	if p.Kind == "ServiceAccount" {
		a, _ := f.Manifests.Account(p)
		d, err := declaredPods(p, manifest.Started{ClientID: a.ClientID(), Tenant: a.Tenant()})
		d.Own = nil
		return d, nil, err
	}
	s, err := f.Manifests.Start(p, container)
	if err != nil {
		return workload.Spec{}, nil, err
	}
	d, err := declaredPods(p, s)
	if err != nil {
		return workload.Spec{}, nil, fmt.Errorf("%s (%s): AZURE_CLIENT_ID of container %s: %w", p, p.Place, s.Container, err)
	}
	return d, notes(p, s, container, known), nil
}

// notes returns remarks for the user who runs a container of pods as a process.
func notes(p *manifest.Pods, s manifest.Started, asked string, known func(string) bool) []string {
	var all []string
	tell := func(format string, args ...any) {
		all = append(all, fmt.Sprintf("%s (%s): ", p, p.Place)+fmt.Sprintf(format, args...))
	}
	if asked == "" && len(s.Choices) > 1 {
		tell("container %s of %s; choose another with --container", s.Container, manifest.Some(s.Choices))
	}
	if s.NoToken != "" {
		tell("warning: %s: the webhook leaves it alone, so the application has neither its variables nor a token file", s.NoToken)
	}
	for _, note := range s.Notes {
		tell("warning: %s", note)
	}
	for _, missing := range s.Environ.Missing {
		tell("warning: container %s would not start: %s", s.Container, missing)
	}
	for _, v := range s.Environ.Variables {
		switch {
		case !v.Unknown || known(v.Name):
		case v.InFiles():
			tell("warning: %s comes from %s, which is in none of the files: it is not set; set it before wiemu, or add the file with -f", v.Name, v.From)
		default:
			tell("warning: %s comes from %s, which is known in a cluster alone: it is not set; set it before wiemu", v.Name, v.From)
		}
	}
	for _, other := range s.Environ.Others() {
		tell("warning: variables come from %s, which is in none of the files: they are not set; set them before wiemu, or add the file with -f", other)
	}
	if s.TokenFile != "" && !strings.HasPrefix(s.TokenFile, azwi.MountPath+"/") {
		tell("warning: AZURE_FEDERATED_TOKEN_FILE is %s in the pod, and a file of the run's own here", s.TokenFile)
	}
	return all
}

// namedTenants returns the tenants that the manifests name by id, each once.
func (f Files) namedTenants() []config.Tenant {
	var all []config.Tenant
	for _, d := range f.pods {
		id, err := uuid.Parse(d.Tenant)
		if err == nil && !slices.ContainsFunc(all, func(t config.Tenant) bool { return t.ID == id.String() }) {
			all = append(all, config.Tenant{ID: id.String()})
		}
	}
	return all
}
