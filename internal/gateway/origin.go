package gateway

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"syscall"
)

// origin is where a request to the proxy comes from, which decides what it may
// reach besides the emulated hosts.
type origin int

const (
	// local is a program on this machine. It may reach allowed hosts and loopback,
	// which it could reach without the proxy as well.
	local origin = iota
	// remote is a program on another machine, or in a container. It may reach
	// allowed hosts, and loopback of this machine only if that is allowed literally,
	// such as --allow-host 127.0.0.1:5432.
	remote
	// isolated is a program in namespaces of its own (package isolation), whose
	// connections arrive at a listener of their own. It may reach allowed hosts, and
	// loopback never: its own is inside.
	isolated
)

// isolatedKey marks the contexts of requests from isolated programs.
type isolatedKey struct{}

// markIsolated is the http.Server.BaseContext of the listener for isolated programs.
func markIsolated(ctx context.Context) context.Context {
	return context.WithValue(ctx, isolatedKey{}, true)
}

func originOf(r *http.Request) origin {
	if r.Context().Value(isolatedKey{}) != nil {
		return isolated
	}
	address, err := netip.ParseAddrPort(r.RemoteAddr)
	if err == nil && address.Addr().Unmap().IsLoopback() {
		return local
	}
	return remote
}

// passes reports whether a client may go to a target that is not emulated.
func (p *proxy) passes(t target, from origin) bool {
	if t.isLoopback() {
		return from == local || from == remote && p.allowed.permits(t)
	}
	return p.allowed.permits(t)
}

// guards reports whether the address that a permitted target resolves to has to be
// checked: an allowed name must not give programs that are not on this machine access
// to its loopback.
func guards(t target, from origin) bool {
	return from == isolated || from == remote && !t.isLoopback()
}

// guardKey marks contexts in which a dialler must not connect to this machine.
type guardKey struct{}

func guard(ctx context.Context, on bool) context.Context {
	if !on {
		return ctx
	}
	return context.WithValue(ctx, guardKey{}, true)
}

func isGuarded(ctx context.Context) bool { return ctx.Value(guardKey{}) != nil }

// newDialer returns what reaches hosts outside the lab. In a guarded context it
// refuses, before it connects and for each address that a name has, those of the
// machine itself.
func newDialer() *net.Dialer {
	return &net.Dialer{ControlContext: func(ctx context.Context, _, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil || !isGuarded(ctx) {
			return err
		}
		if ip := to.Addr().Unmap(); ip.IsLoopback() || ip.IsUnspecified() || ip.IsLinkLocalUnicast() {
			return &withinError{ip}
		}
		return nil
	}}
}

// withinError says that a host has an address of the machine that wiemu runs on,
// or of a service that only this machine reaches, such as its metadata service.
type withinError struct{ address netip.Addr }

func (e *withinError) Error() string {
	return fmt.Sprintf("%s is an address within the machine that wiemu runs on", e.address)
}
