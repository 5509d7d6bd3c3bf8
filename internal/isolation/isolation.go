// Package isolation runs a program with a pod's view of the world, without root and without
// containers: in user, mount and network namespaces of its own, where every host name resolves to
// the lab, the token file is where a pod has it, and the system's trust store holds the lab's CA.
// It answers nothing itself: what the program sends is forwarded to the lab's proxy, which knows
// what is emulated, allowed, or an escape.
//
// A program that isolates others is executed again inside the namespaces: its main
// begins with [IsHelperProcess] and [RunHelper].
package isolation

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path"
	"strconv"
	"strings"

	"github.com/wiemu/wiemu/internal/azwi"
)

// TokenDir is where a pod has its token volume (azure-workload-identity: pkg/webhook/consts.go).
const TokenDir = azwi.TokenDir

// Options configure what the program finds inside.
type Options struct {
	Dir       string // required: an empty directory of the run, for mounts that only the program sees
	Tokens    string // required: the directory of the token volume, bound at TokenDir
	TokenFile string // required: the name of the token file in it

	// Volumes are directories of this machine by the absolute path at which the program sees
	// them, below a directory that there is.
	Volumes map[string]string
	Roots   string // required: PEM file that becomes the system's trusted roots
	Proxy   string // required: host:port of the lab's proxy for isolated programs, to which all connections are forwarded

	// Forwards maps addresses inside (IP:port) to addresses outside, such as
	// 169.254.169.254:80 to where the lab's metadata service listens.
	Forwards map[string]string
	// Ports are the ports, besides 443, on which hosts outside the lab may be reached
	// if the proxy allows them. The program cannot listen on them itself.
	Ports []uint16
	// LabClock says that the program lives on a clock that may run fast.
	LabClock bool
	// Publish are the program's ports that can be reached from outside.
	Publish []Publication
}

// TokenPath returns the path of the token file inside.
func (o Options) TokenPath() string { return path.Join(TokenDir, o.TokenFile) }

// Publication makes a port of the program reachable from outside.
type Publication struct {
	Listen string // host:port outside
	Port   uint16 // inside, on loopback
}

// ParsePublication parses PORT, OUTSIDE:PORT or ADDRESS:OUTSIDE:PORT, as docker run
// --publish does. The address defaults to loopback.
func ParsePublication(s string) (Publication, error) {
	bad := func() (Publication, error) {
		return Publication{}, fmt.Errorf("publish %q: expected a port (8080), two (8080:80: outside, inside) or an address and two ports (127.0.0.1:8080:80)", s)
	}
	outer, inner := s, s
	if i := strings.LastIndexByte(s, ':'); i >= 0 {
		outer, inner = s[:i], s[i+1:]
	}
	port, err := strconv.ParseUint(inner, 10, 16)
	if err != nil || port == 0 {
		return bad()
	}
	if !strings.Contains(outer, ":") {
		outer = "127.0.0.1:" + outer
	}
	address, err := netip.ParseAddrPort(outer)
	if err != nil {
		return bad()
	}
	return Publication{Listen: address.String(), Port: uint16(port)}, nil
}

// Error says at which step the namespaces could not be made, and what to do.
type Error struct {
	Step   string // what was being done, such as "mount a new /run"
	Err    error
	Remedy string
}

// Error returns step, cause and remedy on one line.
func (e *Error) Error() string {
	return fmt.Sprintf("isolate the program: %s: %v. %s wiemu doctor shows what this machine permits.", e.Step, e.Err, e.Remedy)
}

// Unwrap returns the system's error.
func (e *Error) Unwrap() error { return e.Err }

func (o Options) check() error {
	for _, required := range []struct{ name, value string }{
		{"Dir", o.Dir}, {"Tokens", o.Tokens}, {"TokenFile", o.TokenFile}, {"Roots", o.Roots}, {"Proxy", o.Proxy},
	} {
		if required.value == "" {
			return errors.New("isolate the program: " + required.name + " is required")
		}
	}
	return nil
}

func closeAll[C interface{ Close() error }](all []C) error {
	var errs []error
	for _, c := range all {
		if err := c.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
