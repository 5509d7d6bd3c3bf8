package doctor

import (
	"cmp"
	"context"
	"strings"

	"github.com/wiemu/wiemu/internal/lazyregexp"
	"github.com/wiemu/wiemu/internal/process"
)

// A knownRuntime is what programs run on, or a program that fetches something itself.
type knownRuntime struct {
	name     string
	programs []string // under one of these names it is in PATH
	version  []string // the arguments with which it prints its version
	trust    []string // the variables by which it trusts the lab; see package ca for their sources
}

// versionPattern is the version in what programs print of it, such as "go version go1.26.8".
var versionPattern = lazyregexp.New(`\d+(\.\d+)+`)

// javaOptions is the variable that is added to, instead of being replaced.
const javaOptions = "JAVA_TOOL_OPTIONS"

func runtimes() []knownRuntime {
	return []knownRuntime{
		{"go", []string{"go"}, []string{"version"}, []string{"SSL_CERT_FILE", "SSL_CERT_DIR"}},
		{"node", []string{"node"}, []string{"--version"}, []string{"NODE_EXTRA_CA_CERTS"}},
		{"python", []string{"python3", "python"}, []string{"--version"}, []string{"SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"}},
		{"java", []string{"java"}, []string{"-version"}, []string{javaOptions}},
		{"dotnet", []string{"dotnet"}, []string{"--version"}, []string{"SSL_CERT_FILE", "SSL_CERT_DIR"}},
		{"deno", []string{"deno"}, []string{"--version"}, []string{"DENO_CERT"}},
		{"curl", []string{"curl"}, []string{"--version"}, []string{"CURL_CA_BUNDLE"}},
		{"psql", []string{"psql"}, []string{"--version"}, []string{"PGSSLROOTCERT"}},
		{"git", []string{"git"}, []string{"--version"}, []string{"GIT_SSL_CAINFO"}},
	}
}

// find says where the runtime is and how its programs trust the lab; nothing if it is not there.
func (r knownRuntime) find(ctx context.Context, m Machine, f *Finding) {
	path := ""
	for _, name := range r.programs {
		if found, err := m.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		return
	}
	found := &Runtime{Name: r.name, Path: path, Version: versionPattern().FindString(m.Version(ctx, path, r.version...))}
	var set, added []string
	for _, name := range r.trust {
		v := Variable{Name: name, Set: process.Variable(m.Environ, name) != "", Added: name == javaOptions}
		found.Trust = append(found.Trust, v)
		switch {
		case v.Set && v.Added:
			added = append(added, name)
		case v.Set:
			set = append(set, name)
		}
	}
	f.Runtime = found
	f.Found = cmp.Or(found.Version, path) + " trusts the lab by " + strings.Join(r.trust, ", ")
	if len(set) > 0 {
		f.Found += "; wiemu run replaces your " + strings.Join(set, ", ")
	}
	if len(added) > 0 {
		f.Found += "; wiemu run adds to your " + strings.Join(added, ", ")
	}
}
