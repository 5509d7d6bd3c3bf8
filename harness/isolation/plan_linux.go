package isolation

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// plan is what the namespaces are told to lay out.
type plan struct {
	Command string            `json:"command"` // path of the program
	Run     string            `json:"run"`     // directory where the new /run is made
	Tokens  string            `json:"tokens"`  // directory that becomes TokenDir
	Files   []bound           `json:"files"`   // what else looks different inside
	Ports   []uint16          `json:"ports"`   // that are answered on any address
	Leads   map[string]string `json:"leads,omitempty"`
	Proxy   string            `json:"proxy"`
	Publish bool              `json:"publish,omitempty"`
}

// bound is a file or directory that is seen in another's place, if that exists.
type bound struct {
	From string `json:"from"`
	At   string `json:"at"`
}

// newPlan writes what the program is to see into the run's directory.
func newPlan(o Options) (plan, error) {
	name, err := os.Hostname()
	if err != nil {
		return plan{}, fmt.Errorf("isolate the program: %w", err)
	}
	in := func(name string) string { return filepath.Join(o.Dir, name) }
	certs, err := writeCertDirectory(in("certs"), o.Roots)
	err = errors.Join(err,
		os.WriteFile(in("hosts"), []byte("127.0.0.1\tlocalhost "+name+"\n::1\tlocalhost ip6-localhost ip6-loopback\n"), 0o644),
		os.WriteFile(in("resolv.conf"), []byte("nameserver "+resolver.String()+"\noptions attempts:1 timeout:2\n"), 0o644),
		os.MkdirAll(in("run"), 0o755))
	if err != nil {
		return plan{}, fmt.Errorf("isolate the program: %w", err)
	}
	p := plan{
		Run: in("run"), Tokens: o.Tokens, Ports: append([]uint16{tlsPort}, o.Ports...),
		Leads: o.Leads, Proxy: o.Proxy, Publish: len(o.Publish) > 0,
		Files: []bound{{in("hosts"), "/etc/hosts"}, {in("resolv.conf"), "/etc/resolv.conf"}, {certs, "/etc/ssl/certs"}},
	}
	for _, file := range rootFiles() {
		p.Files = append(p.Files, bound{o.Roots, file})
	}
	return p, nil
}

// rootFiles are where systems keep their trusted roots as one file: Fedora and
// RHEL, openSUSE, Alpine (Go: crypto/x509/root_linux.go). Debian's is in
// /etc/ssl/certs.
func rootFiles() []string {
	return []string{
		"/etc/pki/tls/certs/ca-bundle.crt",
		"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
		"/var/lib/ca-certificates/ca-bundle.pem",
		"/etc/ssl/ca-bundle.pem",
		"/etc/ssl/cert.pem",
	}
}
