package ca

import (
	"runtime"
	"slices"
	"strings"
)

// Environ returns base with the variables by which programs find whom to trust.
// They replace the caller's, but for JAVA_TOOL_OPTIONS, which is added to: of two
// settings of the same property Java takes the later.
func (b Bundle) Environ(base []string) []string {
	java := "JAVA_TOOL_OPTIONS"
	variables := append(b.variables(), [2]string{java, strings.TrimSpace(value(base, java) + " " + strings.Join(b.JavaOptions(), " "))})
	env := make([]string, 0, len(base)+len(variables))
	for _, v := range base {
		if name, _, _ := strings.Cut(v, "="); !slices.ContainsFunc(variables, func(v [2]string) bool { return sameName(v[0], name) }) {
			env = append(env, v)
		}
	}
	for _, v := range variables {
		env = append(env, v[0]+"="+v[1])
	}
	return env
}

// variables are the settings of all programs but Java. A program is here if an
// application that talks to Entra ID may be written with it.
func (b Bundle) variables() [][2]string {
	all := [][2]string{
		// OpenSSL: SSL_CTX_set_default_verify_paths(3); so Python's ssl, Ruby, PHP,
		// .NET on Linux and rustls-native-certs. Go: crypto/x509/root_unix.go, where
		// the directory has to be named too, or the system's is read as well.
		{"SSL_CERT_FILE", b.Roots},
		{"SSL_CERT_DIR", b.NoRoots},
		// curl(1), ENVIRONMENT; where curl was built with a directory of roots
		// (Debian) it reads that as well. Python's requests reads it after its own.
		{"CURL_CA_BUNDLE", b.Roots},
		// Python requests: Session.merge_environment_settings; so the Azure CLI and
		// azure-core of Python.
		{"REQUESTS_CA_BUNDLE", b.Roots},
		// Node.js: cli.md, NODE_EXTRA_CA_CERTS adds to the roots that Node carries.
		{"NODE_EXTRA_CA_CERTS", b.Root},
		// Deno: runtime/reference/env_variables, DENO_CERT adds to Deno's roots.
		{"DENO_CERT", b.Root},
		// libpq: PostgreSQL documentation, "Environment Variables"; it verifies by sslrootcert
		// alone, never by the system's roots, unless that is named system. So psql, psycopg
		// and what else links it; pgx reads it, too.
		{"PGSSLROOTCERT", b.Roots},
		// git-config(1), http.sslCAInfo: applications that deploy from Git, on hosts
		// that were allowed.
		{"GIT_SSL_CAINFO", b.Roots},
	}
	return slices.DeleteFunc(all, func(v [2]string) bool { return v[1] == "" })
}

// JavaOptions are the system properties that name the trust store (Java Secure
// Socket Extension reference guide, "Customizing the default keystores").
func (b Bundle) JavaOptions() []string {
	return []string{
		javaOption("javax.net.ssl.trustStore", b.TrustStore),
		javaOption("javax.net.ssl.trustStorePassword", TrustStorePassword),
		javaOption("javax.net.ssl.trustStoreType", "PKCS12"),
	}
}

// javaOption is -Dname=value, quoted as JAVA_TOOL_OPTIONS needs it for a value
// with white space (JVM Tool Interface, JAVA_TOOL_OPTIONS).
func javaOption(name, value string) string {
	option := "-D" + name + "=" + value
	if strings.ContainsAny(value, " \t") {
		return `"` + option + `"`
	}
	return option
}

// value is what env sets the variable to; the last setting counts.
func value(env []string, name string) (value string) {
	for _, v := range env {
		if n, set, _ := strings.Cut(v, "="); sameName(n, name) {
			value = set
		}
	}
	return value
}

// sameName compares names of variables: Windows ignores their case.
func sameName(a, b string) bool {
	return a == b || runtime.GOOS == "windows" && strings.EqualFold(a, b)
}
