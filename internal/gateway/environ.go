package gateway

import (
	"net/url"
	"strings"

	"github.com/wiemu/wiemu/internal/lazyregexp"
)

// noProxy are the hosts that a client reaches without a proxy: its own machine.
const noProxy = "localhost,127.0.0.1,::1"

// Environ returns the variables by which programs find the proxy; those for the CA
// are [ca.Bundle]'s. Most programs read either case of a name (curl only the lower
// one of http_proxy), so both are set. Java reads none of them: see JavaOptions.
func Environ(proxyURL string) []string {
	return []string{
		"HTTPS_PROXY=" + proxyURL, "https_proxy=" + proxyURL,
		"HTTP_PROXY=" + proxyURL, "http_proxy=" + proxyURL,
		"ALL_PROXY=" + proxyURL, "all_proxy=" + proxyURL,
		"NO_PROXY=" + noProxy, "no_proxy=" + noProxy,
		// Node.js 22.21 and 24: cli.md, fetch and http.request then heed the others.
		"NODE_USE_ENV_PROXY=1",
	}
}

// WithoutJavaProxy returns a command line of Java's without the options of JavaOptions.
func WithoutJavaProxy(line string) string {
	return strings.TrimSpace(javaProxy().ReplaceAllString(line, "$1"))
}

var javaProxy = lazyregexp.New(`(^|\s)("-Dhttps?\.(?:proxyHost|proxyPort|nonProxyHosts)=[^"]*"|-Dhttps?\.(?:proxyHost|proxyPort|nonProxyHosts)=\S*)`)

// JavaOptions are the system properties by which Java finds the proxy ("Java
// Networking and Proxies"), to be added to JAVA_TOOL_OPTIONS.
func JavaOptions(proxyURL string) []string {
	u, err := url.Parse(proxyURL)
	if err != nil || u.Hostname() == "" {
		return nil
	}
	return []string{
		"-Dhttps.proxyHost=" + u.Hostname(), "-Dhttps.proxyPort=" + u.Port(),
		"-Dhttp.proxyHost=" + u.Hostname(), "-Dhttp.proxyPort=" + u.Port(),
		"-Dhttp.nonProxyHosts=localhost|127.*|[::1]", // of https, too
	}
}
