package managedidentity

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/httpjson"
)

// imdsAddress is where Azure's hosts have the service.
const imdsAddress = "169.254.169.254"

// notFromBrowsers refuses requests that a web page has made in a browser on this
// machine: any page can reach a listener on loopback under a name of its own that
// resolves to loopback (DNS rebinding), and then send whatever headers it likes. A
// program asks by address, or localhost, and sends no Origin. Requests without a
// listener, as in a replay, come from this process.
func (s *Service) notFromBrowsers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		problem := ""
		listener, networked := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		switch {
		case networked && !isOwnHost(r.Host, listener):
			problem = "the Host is none of this service"
		case r.Header.Values("Origin") != nil:
			problem = "a web page in a browser (it sends an Origin)"
		default:
			next.ServeHTTP(w, r)
			return
		}
		s.config.Journal.Record(journal.Event{
			Kind: journal.Access, Outcome: journal.Denied, Status: http.StatusForbidden, Component: "IMDS",
			Host: clipped(r.Host), Method: clipped(r.Method), Path: clipped(r.URL.Path),
			Summary: "IMDS: a request refused: " + problem,
			Meaning: "A web page must not get the tokens of this machine's workloads, under whatever name it reaches loopback.",
			Remedy:  "Ask for http://" + imdsAddress + "/ through the proxy, or for the address that the workload's environment names.",
			Checks: []journal.Check{{
				Name: "asked by a program", Expected: imdsAddress + ", localhost or the listener's address as Host, and no Origin",
				Presented: clipped(strings.TrimSpace(r.Host + " " + r.Header.Get("Origin"))), Outcome: journal.Failed,
			}},
		})
		httpjson.Write(w, http.StatusForbidden, imdsError{"forbidden", "The Host or Origin of the request is not permitted."})
	})
}

// isOwnHost reports whether the host of a request is an address of the service or
// localhost, neither of which DNS can redirect.
func isOwnHost(host string, listener net.Addr) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.Trim(host, "[]")
	if strings.EqualFold(host, "localhost") || host == imdsAddress {
		return true
	}
	address, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	if address.Unmap().IsLoopback() {
		return true
	}
	listening, err := netip.ParseAddrPort(listener.String())
	return err == nil && listening.Addr().Unmap() == address.Unmap()
}
