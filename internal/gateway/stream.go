package gateway

import (
	"fmt"
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
			case s.Port == 0 || s.Port == tlsPort || s.Port == plainPort || s.Serve == nil:
				return fmt.Errorf("stream: %s needs a handler, and a port that is neither 80 nor 443, found %d", host, s.Port)
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
		for _, host := range s.Hosts {
			if t.port == s.Port && (t.host == host || strings.HasPrefix(host, ".") && strings.HasSuffix(t.host, host)) {
				return &p.streams[i]
			}
		}
	}
	return nil
}
