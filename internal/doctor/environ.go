package doctor

import (
	"context"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/internal/process"
)

func identityVariables(_ context.Context, m Machine, f *Finding) {
	f.Found = "none is set"
	if set := notInherited(m.Environ).identities; len(set) > 0 {
		f.Found = strings.Join(set, ", ") + ": not passed on to programs, which are the workload alone"
	}
}

func proxyVariables(_ context.Context, m Machine, f *Finding) {
	f.Found = "none is set"
	if set := notInherited(m.Environ).proxies; len(set) > 0 {
		f.limit(strings.Join(set, ", ")+": not passed on to programs",
			"Nothing, unless a host of --allow-host can be reached through that proxy only: wiemu connects to allowed hosts directly.")
	}
}

// certificateVariables is about those that make a difference: SSL_CERT_FILE is heeded (with
// --allow-host package run adds what it holds to the lab's root).
func certificateVariables(_ context.Context, m Machine, f *Finding) {
	const file, dir = "SSL_CERT_FILE", "SSL_CERT_DIR"
	roots := process.Variable(m.Environ, file)
	set := slices.DeleteFunc(notInherited(m.Environ).certificates, func(name string) bool {
		value := process.Variable(m.Environ, name)
		return value == "" || value == roots || name == dir && roots != ""
	})
	f.Found = "none is set that programs would miss"
	if len(set) > 0 {
		f.limit(strings.Join(set, ", ")+": not passed on to programs",
			"Nothing, unless programs need those certificates for hosts of --allow-host: list them in the file that SSL_CERT_FILE names, which they then trust besides the lab's root (without it, this machine's roots).")
	}
}

// variables are names, sorted.
type variables struct{ identities, proxies, certificates []string }

// notInherited returns the names of the caller's variables that programs do not inherit.
func notInherited(environ []string) (all variables) {
	for _, entry := range environ {
		if len(process.CleanEnviron([]string{entry})) > 0 {
			continue
		}
		name, _, _ := strings.Cut(entry, "=")
		switch upper := strings.ToUpper(name); {
		case strings.Contains(upper, "PROXY"):
			all.proxies = append(all.proxies, name)
		case certificates(upper):
			all.certificates = append(all.certificates, name)
		default:
			all.identities = append(all.identities, name)
		}
	}
	slices.Sort(all.identities)
	slices.Sort(all.proxies)
	slices.Sort(all.certificates)
	return all
}

// certificates reports whether a variable that programs do not inherit is about certificates;
// TestVariablesAreSorted has all of them.
func certificates(name string) bool {
	if strings.HasPrefix(name, "AZURE_") || strings.HasPrefix(name, "ARM_") { // AZURE_CLIENT_CERTIFICATE_PATH
		return false
	}
	return slices.ContainsFunc([]string{"SSL", "TLS", "CERT", "_CA", "HTTPSVERIFY"}, func(part string) bool { return strings.Contains(name, part) })
}
