package radix

import (
	"cmp"
	"encoding/json"
	"maps"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/wiemu/wiemu/internal/yamlfile"
)

// What a radixconfig.yaml says about how components run. What it says about
// identities, and which fields there are at all, is internal/workload's.

type applicationFile struct {
	Spec struct {
		Components []partFile `yaml:"components"`
		Jobs       []partFile `yaml:"jobs"`
	} `yaml:"spec"`
}

type partFile struct {
	Name              string     `yaml:"name"`
	Ports             []portFile `yaml:"ports"`
	Secrets           []string   `yaml:"secrets"`
	settings          `yaml:",inline"`
	EnvironmentConfig []environmentFile `yaml:"environmentConfig"`
}

type portFile struct {
	Name string `yaml:"name"`
	Port int32  `yaml:"port"`
}

type environmentFile struct {
	Environment string `yaml:"environment"`
	settings    `yaml:",inline"`
}

// settings may be given for a component or job and again per environment.
type settings struct {
	Src                string            `yaml:"src"`
	DockerfileName     string            `yaml:"dockerfileName"`
	Image              string            `yaml:"image"`
	ImageTagName       string            `yaml:"imageTagName"`
	Command            []string          `yaml:"command"`
	Args               []string          `yaml:"args"`
	Variables          map[string]string `yaml:"variables"`
	Replicas           *int32            `yaml:"replicas"`
	HorizontalScaling  *scalingFile      `yaml:"horizontalScaling"`
	Resources          resourcesFile     `yaml:"resources"`
	RunAsUser          *int64            `yaml:"runAsUser"`
	ReadOnlyFileSystem *bool             `yaml:"readOnlyFileSystem"`
	HealthChecks       *healthFile       `yaml:"healthChecks"`
	VolumeMounts       []mountFile       `yaml:"volumeMounts"`
	SecretRefs         struct {
		AzureKeyVaults []struct {
			Name string `yaml:"name"`
		} `yaml:"azureKeyVaults"`
	} `yaml:"secretRefs"`
	BackoffLimit     *int32 `yaml:"backoffLimit"`
	TimeLimitSeconds *int64 `yaml:"timeLimitSeconds"`
}

type scalingFile struct {
	MinReplicas *int32 `yaml:"minReplicas"`
	MaxReplicas int32  `yaml:"maxReplicas"`
}

type resourcesFile struct {
	Limits   map[string]quantityFile `yaml:"limits"`
	Requests map[string]quantityFile `yaml:"requests"`
}

type quantityFile struct{ resource.Quantity }

// UnmarshalYAMLFile reads text such as 128Mi or 200m.
func (q *quantityFile) UnmarshalYAMLFile(v yamlfile.Value) {
	var text string
	if !v.Decode(&text) || text == "" {
		return
	}
	parsed, err := resource.ParseQuantity(text)
	if err != nil {
		v.Refuse("an amount such as 128Mi or 200m", "", "")
		return
	}
	q.Quantity = parsed
}

type healthFile struct {
	StartupProbe   *probeFile `yaml:"startupProbe"`
	LivenessProbe  *probeFile `yaml:"livenessProbe"`
	ReadinessProbe *probeFile `yaml:"readinessProbe"`
}

// probeFile has the fields of Kubernetes' probes, some of them. Source: radix-operator, RadixProbe.
type probeFile struct{ corev1.Probe }

// UnmarshalYAMLFile reads a probe by the names that it has in JSON.
func (p *probeFile) UnmarshalYAMLFile(v yamlfile.Value) {
	var content map[string]any
	if !v.Decode(&content) {
		return
	}
	data, err := json.Marshal(content)
	if err == nil {
		err = json.Unmarshal(data, &p.Probe)
	}
	if err != nil {
		v.Refuse("a probe: httpGet, tcpSocket, exec or grpc, with times in seconds", "what is none: "+err.Error(), "")
	}
}

type mountFile struct {
	Name     string        `yaml:"name"`
	Path     string        `yaml:"path"`
	EmptyDir *emptyDirFile `yaml:"emptyDir"`
}

type emptyDirFile struct {
	SizeLimit quantityFile `yaml:"sizeLimit"`
}

// parseFile reads how components run, and ignores all other fields of the file.
func parseFile(name string, data []byte) (*applicationFile, []yamlfile.Problem, error) {
	top, _, err := yamlfile.ParseLoose(name, data)
	if err != nil {
		return nil, nil, err
	}
	var file applicationFile
	problems := yamlfile.DecodeLoose(name, top, &file, func(yamlfile.Unknown) {})
	return &file, problems.Warnings(), problems.Err()
}

func (f *applicationFile) parts() []partFile {
	return append(append([]partFile(nil), f.Spec.Components...), f.Spec.Jobs...)
}

func (f *applicationFile) part(name string) (partFile, bool) {
	for _, p := range f.parts() {
		if p.Name == name {
			return p, true
		}
	}
	return partFile{}, false
}

// in returns a part's settings in an environment; those of the environment override the
// others, each by its own rule.
// Source: radix-operator, pkg/apis/deployment/radixcomponent.go,
// radixjobcomponent.go and radixcommoncomponent.go.
func (p partFile) in(environment string) settings {
	s, over := p.settings, settings{}
	for _, e := range p.EnvironmentConfig {
		if e.Environment == environment {
			over = e.settings
			break
		}
	}
	switch { // radixapptypes.go, getImageForEnvironment
	case over.Image != "":
		s.Image = over.Image
	case over.Src != "" || over.DockerfileName != "":
		s.Image = ""
	}
	set(&s.ImageTagName, over.ImageTagName)
	if over.Command != nil {
		s.Command = over.Command
	}
	if over.Args != nil {
		s.Args = over.Args
	}
	variables := map[string]string{}
	maps.Copy(variables, s.Variables)
	maps.Copy(variables, over.Variables)
	s.Variables = variables
	set(&s.Replicas, over.Replicas)
	s.HorizontalScaling = merged(s.HorizontalScaling, over.HorizontalScaling, func(m *scalingFile) {
		set(&m.MinReplicas, over.HorizontalScaling.MinReplicas)
		set(&m.MaxReplicas, over.HorizontalScaling.MaxReplicas)
	})
	if len(over.Resources.Limits)+len(over.Resources.Requests) > 0 {
		s.Resources = over.Resources
	}
	set(&s.RunAsUser, over.RunAsUser)
	set(&s.ReadOnlyFileSystem, over.ReadOnlyFileSystem)
	set(&s.BackoffLimit, over.BackoffLimit)
	set(&s.TimeLimitSeconds, over.TimeLimitSeconds)
	s.HealthChecks = merged(s.HealthChecks, over.HealthChecks, func(m *healthFile) {
		set(&m.StartupProbe, over.HealthChecks.StartupProbe)
		set(&m.LivenessProbe, over.HealthChecks.LivenessProbe)
		set(&m.ReadinessProbe, over.HealthChecks.ReadinessProbe)
	})
	s.VolumeMounts = mergeMounts(s.VolumeMounts, over.VolumeMounts)
	s.SecretRefs.AzureKeyVaults = append(s.SecretRefs.AzureKeyVaults[:len(s.SecretRefs.AzureKeyVaults):len(s.SecretRefs.AzureKeyVaults)], over.SecretRefs.AzureKeyVaults...)
	return s
}

func set[T comparable](into *T, over T) {
	var none T
	if over != none {
		*into = over
	}
}

// merged returns what is given for an environment over what is given for all, where both are.
func merged[T any](base, over *T, set func(*T)) *T {
	if base == nil || over == nil {
		return cmp.Or(over, base)
	}
	m := *base
	set(&m)
	return &m
}

func mergeMounts(base, over []mountFile) []mountFile {
	var all []mountFile
	taken := map[string]bool{}
	for _, m := range base {
		for _, o := range over {
			if o.Name == m.Name {
				taken[o.Name] = true
				set(&m.Path, o.Path)
				set(&m.EmptyDir, o.EmptyDir)
			}
		}
		all = append(all, m)
	}
	for _, o := range over {
		if !taken[o.Name] {
			all = append(all, o)
		}
	}
	return all
}

// image returns the image that the file names, or "" if Radix builds one.
func (s settings) image() (image string, tagMissing bool) {
	const tag = "{imageTagName}" // radixapptypes.go, DynamicTagNameInEnvironmentConfig
	if !strings.HasSuffix(s.Image, tag) {
		return s.Image, false
	}
	return strings.ReplaceAll(s.Image, tag, s.ImageTagName), s.ImageTagName == ""
}

// replicas returns the number of pods of a component. Source: radix-operator,
// kubedeployment.go, getDeployComponentReplicas.
func (s settings) replicas() int32 {
	n := int32(1)
	if s.Replicas != nil {
		n = *s.Replicas
	}
	if h := s.HorizontalScaling; h != nil {
		if h.MinReplicas != nil && *h.MinReplicas > n {
			return *h.MinReplicas
		}
		if h.MaxReplicas > 0 && h.MaxReplicas < n {
			return h.MaxReplicas
		}
	}
	return n
}
