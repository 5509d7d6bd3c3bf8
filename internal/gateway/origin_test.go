package gateway

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/wiemu/wiemu/emulator/journal"
)

// resolvesTo is a resolver to whom every name has one address.
func resolvesTo(address [4]byte) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go func() {
			defer ours.Close()
			var size uint16
			for binary.Read(ours, binary.BigEndian, &size) == nil {
				question := make([]byte, size)
				var m dnsmessage.Message
				if _, err := io.ReadFull(ours, question); err != nil || m.Unpack(question) != nil {
					return
				}
				m.Response, m.Additionals = true, nil
				if q := m.Questions[0]; q.Type == dnsmessage.TypeA {
					m.Answers = []dnsmessage.Resource{{
						Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 60}, Body: &dnsmessage.AResource{A: address},
					}}
				}
				answer, err := m.Pack()
				if err != nil {
					return
				}
				if _, err := ours.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)); err != nil {
					return
				}
			}
		}()
		return theirs, nil
	}}
}

// What may be reached depends on where a client is: loopback of this machine is
// for programs on it, whatever name leads there.
func TestReachByOrigin(t *testing.T) {
	echo := startEcho(t)
	_, port, err := net.SplitHostPort(echo)
	if err != nil {
		t.Fatal(err)
	}
	dialer := newDialer()
	dialer.Resolver = resolvesTo([4]byte{127, 0, 0, 1})
	g, _ := started(t, Config{Dial: dialer.DialContext, AllowHosts: []string{"inside.example", ".inside.example", "127.0.0.1:" + port, "0.0.0.0:" + port, "open.example:" + port}})
	type verdict struct {
		status int
		why    string // part of the refusal
	}
	for _, test := range []struct {
		name, host              string
		local, remote, isolated verdict
	}{
		{"an emulated host", "login.microsoftonline.com:443", verdict{status: 200}, verdict{status: 200}, verdict{status: 200}},
		{"a host outside", "example.com:" + port, verdict{403, "--allow-host"}, verdict{403, "--allow-host"}, verdict{403, "--allow-host"}},
		{"a name of this machine that is allowed", "inside.example:" + port, verdict{status: 200}, verdict{403, "has the address 127.0.0.1, within the machine that wiemu runs on, and the client is on another machine"}, verdict{403, "and the client is isolated"}},
		{"one below an allowed name", "x.inside.example:" + port, verdict{status: 200}, verdict{403, "127.0.0.1"}, verdict{403, "127.0.0.1"}},
		{"one that is allowed with the port", "open.example:" + port, verdict{status: 200}, verdict{403, "127.0.0.1"}, verdict{403, "127.0.0.1"}},
		{"loopback that is allowed literally", "127.0.0.1:" + port, verdict{status: 200}, verdict{status: 200}, verdict{403, "the client is isolated from it"}},
		{"loopback spelt in IPv6", "[::ffff:127.0.0.1]:" + port, verdict{status: 200}, verdict{status: 200}, verdict{403, "isolated"}},
		{"the unspecified address that is allowed literally", "0.0.0.0:" + port, verdict{status: 200}, verdict{403, "0.0.0.0"}, verdict{403, "0.0.0.0"}},
		{"other loopback", "127.2.3.4:" + port, verdict{502, "connection refused"}, verdict{403, "on another machine"}, verdict{403, "isolated"}},
		{"localhost", "localhost:" + port, verdict{status: 200}, verdict{403, "on another machine"}, verdict{403, "isolated"}},
	} {
		for _, from := range []struct {
			name, address string
			want          verdict
		}{
			{"local", strings.TrimPrefix(g.ProxyURL(), "http://"), test.local},
			{"remote", atAnotherMachine(t, g), test.remote},
			{"isolated", g.IsolatedAddress(), test.isolated},
		} {
			t.Run(test.name+"/"+from.name, func(t *testing.T) {
				escapes, events := g.Escapes(), len(g.journal.Events())
				status, text := connectAt(t, from.address, test.host)
				if status != from.want.status || !strings.Contains(text, from.want.why) {
					t.Errorf("%d %s, want %+v", status, text, from.want)
				}
				recorded := g.journal.Events()[events:]
				if escaped := from.want.status == 403; g.Escapes()-escapes != len(recorded) || (len(recorded) == 1) != escaped {
					t.Errorf("%d escapes, events %+v", g.Escapes()-escapes, recorded)
				}
			})
		}
	}

	// In clear text, too; and a connection that a local client has left open is not
	// lent to others.
	outside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "within") }))
	t.Cleanup(outside.Close)
	url := "http://inside.example:" + outside.URL[strings.LastIndexByte(outside.URL, ':')+1:] + "/"
	for _, test := range []struct{ from, want string }{{"127.0.0.1:1", "within"}, {"192.0.2.9:1", "has the address 127.0.0.1"}} {
		request := httptest.NewRequest("GET", url, nil)
		request.RemoteAddr = test.from
		recorder := httptest.NewRecorder()
		g.proxy.ServeHTTP(recorder, request)
		if !strings.Contains(recorder.Body.String(), test.want) {
			t.Errorf("from %s: %d %s", test.from, recorder.Code, recorder.Body)
		}
	}
}

// atAnotherMachine is a listener whose clients the proxy takes for remote ones.
func atAnotherMachine(t *testing.T, g *Gateway) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.RemoteAddr = "192.0.2.9:1234"
		g.proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// connectAt asks a proxy for a tunnel.
func connectAt(t *testing.T, proxy, target string) (status int, text string) {
	t.Helper()
	conn, err := net.Dial("tcp", proxy)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	deadline(t, conn)
	fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: x\r\n\r\n", target)
	reader := bufio.NewReader(conn)
	response, err := http.ReadResponse(reader, &http.Request{Method: http.MethodConnect})
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode == 200 {
		return 200, ""
	}
	body, err := io.ReadAll(reader) // to the end: the proxy closes
	if err != nil {
		t.Error(err)
	}
	return response.StatusCode, response.Status + "\n" + string(body)
}

// Attempts of isolated programs are written down, and nothing is dialled for them.
func TestAttempts(t *testing.T) {
	d := &outsideDial{to: startEcho(t)}
	g, _ := started(t, Config{Dial: d.dial, AllowHosts: []string{"allowed.example"}})
	for _, test := range []struct {
		request string
		status  int
		kind    journal.Kind // "": nothing is written down
		want    string       // in the summary or the remedy
	}{
		{"CONNECT-TCP http://example.com:8080/", 403, journal.Escape, "CONNECT to example.com:8080 refused: it is not emulated"},
		{"CONNECT-TCP http://127.0.0.1:8080/", 403, journal.Escape, "CONNECT to 127.0.0.1:8080 refused: it is loopback of the machine that wiemu runs on"},
		{"CONNECT-TCP http://[::1]:8080/", 403, journal.Escape, "start what it needs inside"},
		{"CONNECT-UDP http://example.com:443/", 403, journal.Escape, "CONNECT-UDP to example.com:443 refused"},
		{"CONNECT-TCP http://login.microsoftonline.com:80/", 403, journal.Escape, "on port 443 only"},
		{"CONNECT-UDP http://login.microsoftonline.com:443/", 403, journal.Access, "over TCP only"},
		{"CONNECT-TCP http://allowed.example:8080/", 403, journal.Access, "--allow-host allowed.example:8080"},
		{"CONNECT-TCP http://192.0.2.1:8443/", 403, journal.Escape, "--allow-host 192.0.2.1:8443."},
		{"CONNECT-TCP http://192.0.2.1:443/", 403, journal.Escape, "--allow-host 192.0.2.1."},
		{"CONNECT-UDP http://allowed.example:80/", 403, journal.Access, "over TCP only"},
		{"GET http://allowed.example/", 400, "", ""},
		{"GET http://169.254.169.254/metadata/instance", 400, "", ""},
		{"CONNECT-TCP http://a..b:80/", 400, "", ""},
		{"GET /", 400, "", ""},
	} {
		t.Run(test.request, func(t *testing.T) {
			events := len(g.journal.Events())
			conn, err := net.Dial("tcp", g.IsolatedAddress())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			deadline(t, conn)
			fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", test.request)
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
			recorded := g.journal.Events()[events:]
			if response.StatusCode != test.status || len(recorded) != map[bool]int{true: 1}[test.kind != ""] {
				t.Fatalf("status %d, events %+v", response.StatusCode, recorded)
			}
			if test.kind != "" && (recorded[0].Kind != test.kind || !strings.Contains(recorded[0].Summary+" "+recorded[0].Remedy, test.want)) {
				t.Errorf("event %+v, want %s %s", recorded[0], test.kind, test.want)
			}
			if len(d.asked) > 0 {
				t.Errorf("dialled %v", d.asked)
			}
		})
	}
}
