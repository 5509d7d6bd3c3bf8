package overlay

// What of a compose file the overlay writes.
type file struct {
	Services map[string]service `yaml:"services"`
	Volumes  map[string]volume  `yaml:"volumes,omitempty"`
	Configs  map[string]content `yaml:"configs,omitempty"`
}

type service struct {
	Image       string                `yaml:"image,omitempty"`
	PullPolicy  string                `yaml:"pull_policy,omitempty"`
	Entrypoint  []string              `yaml:"entrypoint,omitempty"`
	Command     []string              `yaml:"command,omitempty"`
	Labels      map[string]string     `yaml:"labels,omitempty"`
	Environment map[string]string     `yaml:"environment,omitempty"`
	DependsOn   map[string]condition  `yaml:"depends_on,omitempty"`
	Networks    map[string]attachment `yaml:"networks,omitempty"`
	Ports       []port                `yaml:"ports,omitempty"`
	Sysctls     map[string]int        `yaml:"sysctls,omitempty"`
	CapAdd      []string              `yaml:"cap_add,omitempty"`
	CapDrop     []string              `yaml:"cap_drop,omitempty"`
	SecurityOpt []string              `yaml:"security_opt,omitempty"`
	Healthcheck *healthcheck          `yaml:"healthcheck,omitempty"`
	Volumes     []mount               `yaml:"volumes,omitempty"`
	Configs     []reference           `yaml:"configs,omitempty"`
}

type condition struct {
	Condition string `yaml:"condition"`
}

type attachment struct {
	Aliases []string `yaml:"aliases,omitempty"`
}

type port struct {
	Target    uint16 `yaml:"target"`
	Published string `yaml:"published,omitempty"`
	HostIP    string `yaml:"host_ip"`
}

type healthcheck struct {
	Test     []string `yaml:"test,flow"`
	Interval string   `yaml:"interval"`
	Timeout  string   `yaml:"timeout"`
	Retries  int      `yaml:"retries"`
}

type mount struct {
	Type     string       `yaml:"type"`
	Source   string       `yaml:"source"`
	Target   string       `yaml:"target"`
	ReadOnly bool         `yaml:"read_only,omitempty"`
	Volume   *mountVolume `yaml:"volume,omitempty"`
}

type mountVolume struct {
	NoCopy bool `yaml:"nocopy"`
}

type reference struct {
	Source string `yaml:"source"`
	Target string `yaml:"target"`
}

type volume struct {
	Driver     string            `yaml:"driver,omitempty"`
	DriverOpts map[string]string `yaml:"driver_opts,omitempty"`
}

type content struct {
	Content string `yaml:"content"`
}
