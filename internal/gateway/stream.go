package gateway

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/wiemu/wiemu/internal/ca"
	"github.com/wiemu/wiemu/internal/hostmux"
	"github.com/wiemu/wiemu/internal/hostname"
)

func checkStreams(streams []hostmux.Stream, authority *ca.Authority) error {
	for _, s := range streams {
		for _, host := range s.Hosts {
			sample := host
			if strings.HasPrefix(host, ".") {
				sample = "x" + host
			}
			switch {
			case !hostname.Is(sample):
				return fmt.Errorf("stream: expected a host name without a port, such as .postgres.database.azure.com, found %q", host)
			case len(s.Ports) == 0 || s.Serve == nil || slices.ContainsFunc(s.Ports, func(port uint16) bool { return port == 0 || port == tlsPort || port == plainPort }):
				return fmt.Errorf("stream: %s needs a handler, and ports that are neither 80 nor 443, found %v", host, s.Ports)
			case !authority.Permits(sample):
				return fmt.Errorf("stream: the CA does not certify %s; open it with this name", host)
			}
		}
	}
	return nil
}

// stream is the one of a target; nil if there is none.
func (p *proxy) stream(t target) *hostmux.Stream {
	for i, s := range p.streams {
		if slices.Contains(s.Ports, t.port) && slices.ContainsFunc(s.Hosts, t.isAt) {
			return &p.streams[i]
		}
	}
	return nil
}

// isAt reports whether a target is a host, or one of those that end with it if it begins with a dot.
func (t target) isAt(host string) bool {
	return t.host == host || strings.HasPrefix(host, ".") && strings.HasSuffix(t.host, host)
}

// streamPorts are the ports of the streams at a host, for texts; "" if there are none.
func (p *proxy) streamPorts(t target) string {
	var ports []string
	for _, s := range p.streams {
		if slices.ContainsFunc(s.Hosts, t.isAt) {
			for _, port := range s.Ports {
				ports = append(ports, strconv.Itoa(int(port)))
			}
		}
	}
	return strings.Join(ports, " and ")
}

// serveStream has a stream serve a connection, which it closes. host is empty if the client
// named none.
func (p *proxy) serveStream(s *hostmux.Stream, conn net.Conn, host string, port uint16) {
	defer p.tunnels.discard(conn)
	p.streamed.Add(1)
	p.hosts.ServeStream(withProgram(p.life, conn), s, &hostmux.Connection{Conn: conn, Host: host, Port: port, Only: s.Only(), Certificate: p.certificate, Begin: p.begin})
}

// listenStreams opens the ports of all streams on the gateway's address for them: where names
// lead to that address, as in the network of containers. There a stream is known by its port
// alone.
func (g *Gateway) listenStreams() (opened map[uint16]net.Listener, err error) {
	opened = map[uint16]net.Listener{}
	if g.streamListen == "" {
		return opened, nil
	}
	for i := range g.proxy.streams {
		for _, port := range g.proxy.streams[i].Ports {
			if opened[port] != nil {
				continue
			}
			listener, err := g.arrivals.listen("port of "+g.proxy.streams[i].Hosts[0], net.JoinHostPort(g.streamListen, strconv.Itoa(int(port))))
			if err != nil {
				return opened, err
			}
			opened[port] = listener
		}
	}
	return opened, nil
}

// Variables returns variables, NAME=VALUE, that lead clients that heed no proxy to streams which
// have something behind them now; none before Start. It opens a port of loopback for each: at an
// address that nothing else uses, so that the port is the stream's own, or where that cannot be had,
// on a free port.
func (g *Gateway) Variables() (variables []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.listener == nil || g.closed {
		return nil
	}
	for i := range g.proxy.streams {
		s := &g.proxy.streams[i]
		if s.Variables == nil || !s.Used() {
			continue
		}
		at, err := g.direct(s)
		if err != nil {
			g.log.Error("clients that heed no proxy do not reach a host", "host", s.Hosts[0], "error", err)
			continue
		}
		variables = append(variables, s.Variables(at)...)
	}
	return variables
}

// direct returns the address at which the first port of a stream is open, and opens it when it is
// asked for the first time; g.mu is held.
func (g *Gateway) direct(s *hostmux.Stream) (netip.AddrPort, error) {
	listener := g.directs[s]
	if listener == nil {
		var err error
		if listener, err = g.arrivals.listenFirst("port of "+s.Hosts[0], directAddresses(s.Ports[0])); err != nil {
			return netip.AddrPort{}, err
		}
		g.directs[s] = listener
		g.serve(fmt.Sprintf("port %d", s.Ports[0]), func() error { return g.acceptStreams(listener, s.Ports[0]) })
	}
	return netip.ParseAddrPort(listener.Addr().String())
}

// directAddresses are those at which a port is looked for. On Linux and Windows all of 127.0.0.0/8
// is this machine; led programs have 127.77.0.0/16 and 127.78.0.0/16.
func directAddresses(port uint16) (all []string) {
	for n := range 32 {
		all = append(all, fmt.Sprintf("127.79.0.%d:%d", n+1, port))
	}
	return append(all, "127.0.0.1:0")
}

func (a *arrivals) listenFirst(name string, addresses []string) (l net.Listener, err error) {
	for _, address := range addresses {
		if l, err = a.listen(name, address); err == nil {
			return l, nil
		}
	}
	return nil, err
}

// acceptStreams serves the connections to a port of streams.
func (g *Gateway) acceptStreams(l net.Listener, port uint16) error {
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return http.ErrServerClosed
		}
		if err != nil {
			return err
		}
		s := g.proxy.streamAt(port)
		if !g.proxy.tunnels.enter() {
			_ = conn.Close() // its client learns it from its next read
			continue
		}
		g.proxy.tunnels.keep(conn)
		go func() {
			defer g.proxy.tunnels.leave()
			g.proxy.serveStream(s, conn, "", port)
		}()
	}
}

// streamAt is the stream of connections to a port that name no host: of several, the one that
// has something behind it.
func (p *proxy) streamAt(port uint16) (found *hostmux.Stream) {
	for i, s := range p.streams {
		if slices.Contains(s.Ports, port) && (found == nil || !found.Used()) {
			found = &p.streams[i]
		}
	}
	return found
}
