package webhook

import (
	"slices"
	"strings"

	"github.com/wiemu/wiemu/internal/ca"
)

// The trust bundle in pods.
const (
	TrustConfigMap = "wiemu-trust"                  // holds it, in the pod's namespace
	TrustDir       = "/var/run/secrets/wiemu/trust" // where pods see it
	trustVolume    = "wiemu-trust"                  // in the pod
)

const javaOptions = "JAVA_TOOL_OPTIONS"

// routeHosts leads a pod to the emulated hosts: it adds their names to the hosts file, and to
// every container, even without an identity, the CA bundle and the variables that name it.
// Windows containers have neither.
func (m *mutation) routeHosts(w HostRouting) {
	if m.windows {
		m.warn("spec.os.name is windows: the emulated hosts are for Linux pods, and this one will meet the real ones")
		return
	}
	m.hasHostRouting = true
	m.aliases(w)
	all := slices.Concat(m.initContainers, m.containers)
	for _, c := range all {
		m.trust(c, w.Bundle)
	}
	if len(all) == 0 {
		return
	}
	m.volumes = set(m.volumes, object{"name": trustVolume, "configMap": map[string]any{
		"name": TrustConfigMap, "items": trustItems(w.Bundle),
	}})
	m.tell("trust in the lab's CA at %s in %s", TrustDir, names(all))
}

// trustItems maps the ConfigMap's keys to the names of the bundle's files.
func trustItems(b ca.Bundle) []any {
	var items []any
	for _, file := range bundleFiles(b) {
		items = append(items, map[string]any{"key": file, "path": file})
	}
	return items
}

// bundleFiles returns the names of a bundle's files, each once.
func bundleFiles(b ca.Bundle) []string {
	var files []string
	for _, path := range []string{b.Root, b.Roots, b.TrustStore} {
		if file := path[strings.LastIndexByte(path, '/')+1:]; !slices.Contains(files, file) {
			files = append(files, file)
		}
	}
	return files
}

// aliases adds the emulated names, except those that the pod maps itself.
func (m *mutation) aliases(w HostRouting) {
	address := w.Address.String()
	var own []string
	for _, alias := range m.hostAliases {
		own = append(own, hostnames(alias)...)
	}
	var missing []any
	for _, host := range w.Hosts {
		if !slices.ContainsFunc(own, func(name string) bool { return strings.EqualFold(name, host) }) {
			missing = append(missing, host)
		}
	}
	if len(missing) == 0 {
		return
	}
	m.tell("%d emulated hosts at %s", len(missing), address)
	for _, alias := range m.hostAliases {
		if alias["ip"] == address {
			alias["hostnames"] = append(slices.Clip(list(alias, "hostnames")), missing...)
			return
		}
	}
	for len(missing) > 0 {
		n := fitting(missing)
		m.hostAliases = append(m.hostAliases, object{"ip": address, "hostnames": missing[:n:n]})
		missing = missing[n:]
	}
}

// maxLine is the longest line of a hosts file: a kubelet writes one for each alias, and musl reads
// 1023 bytes of it (musl: src/network/lookup_name.c, name_from_hosts). Several aliases of an
// address are allowed; an API server warns of them.
const maxLine = 900

// fitting returns how many of the names, at least one, fit in a line.
func fitting(hosts []any) int {
	length := 0
	for n, host := range hosts {
		name, _ := host.(string)
		if length += len(name) + 1; length > maxLine && n > 0 {
			return n
		}
	}
	return len(hosts)
}

// trust adds the bundle to a container. Variables that it sets itself are not changed: they
// may name a CA that the lab does not know. Only JAVA_TOOL_OPTIONS are appended to, unless
// they name a trust store.
func (m *mutation) trust(c *container, b ca.Bundle) {
	c.mounts = set(c.mounts, object{"name": trustVolume, "mountPath": TrustDir, "readOnly": true})
	for _, v := range b.Environ(nil) {
		name, value, _ := strings.Cut(v, "=")
		own := find(c.env, name)
		switch {
		case own == nil:
			c.env = append(c.env, object{"name": name, "value": value})
		case own["value"] == value:
		case name == javaOptions && addsTo(own, value):
			text, _ := own["value"].(string)
			if !strings.Contains(text, value) {
				own["value"] = strings.TrimSpace(text + " " + value)
			}
		case !c.leads(own, b):
			m.warn("container %s sets %s itself, which stays: it has to trust %s as well", c.name, name, b.Root)
		}
	}
}

// addsTo reports whether a container's options are plain text that names no trust store.
func addsTo(own object, ours string) bool {
	text, written := own["value"].(string)
	if !written && own["valueFrom"] != nil {
		return false
	}
	return !strings.Contains(strings.ReplaceAll(text, ours, ""), "javax.net.ssl.trustStore")
}

// leads reports whether a container's own setting names a file of the bundle.
func (c *container) leads(own object, b ca.Bundle) bool {
	text, _ := own["value"].(string)
	return slices.Contains([]string{b.Root, b.Roots}, text)
}
