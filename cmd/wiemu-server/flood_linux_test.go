package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// Whoever reaches the gateway cannot have the server killed for its memory (the
// manifests allow it 256 MiB), nor keep others out: not by many long bodies on a few
// connections of HTTP/2, and not by many connections whose bodies never end.
func TestFlood(t *testing.T) {
	const most = 128 << 20
	s := newService(t)
	s.program = s.path("wiemu-server") // as it is deployed: the race detector needs several times the memory
	if out, err := exec.Command("go", "build", "-ldflags=-s -w", "-o", s.program, ".").CombinedOutput(); err != nil {
		t.Fatalf("build wiemu-server: %v\n%s", err, out)
	}
	text := string(read(t, s.path("wiemu.yaml"))) + "workloads: [{namespace: ns, serviceAccount: sa, clientId: b96d264b-7053-4465-a4a7-32be5b0fec49}]\n"
	if err := os.WriteFile(s.path("wiemu.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s.start(t)
	status, err := s.control.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(status.CA))
	f := &flood{t: t, address: status.Gateway, roots: roots, path: "/" + status.Tenant + "/oauth2/v2.0/token", token: s.path("lab/tokens/ns_sa/azure-identity-token")}
	f.exchange("before")
	const mebibyte = 1 << 20
	for _, attack := range []struct {
		name string
		host string
		send func(ctx context.Context, host string, placed *sync.WaitGroup)
	}{
		{"250 streams of 1 MiB on one connection", "login.microsoftonline.com", f.streams(1, 250, mebibyte, -1)},
		{"on 8 connections", "login.microsoftonline.com", f.streams(8, 250, mebibyte, -1)},
		{"on 8 connections, to a host that is not there", "example.com", f.streams(8, 250, mebibyte, -1)},
		{"on 8 connections, as long as a token request may be", "login.microsoftonline.com", f.streams(8, 250, 128<<10, 128<<10)},
		{"on 8 connections, to a vault", "mykeyvault.vault.azure.net", f.streams(8, 250, mebibyte, -1)},
		{"1,000 bodies of 1 MiB that stall", "login.microsoftonline.com", f.stalled(1000, mebibyte, mebibyte)},
		{"1,000 bodies as long as a token request may be that stall", "login.microsoftonline.com", f.stalled(1000, 128<<10, 128<<10)},
		{"600 bodies in chunks that stall", "login.microsoftonline.com", f.stalled(600, 128<<10, -1)},
	} {
		ctx, stop := context.WithCancel(t.Context())
		var placed sync.WaitGroup
		attack.send(ctx, attack.host, &placed)
		placed.Wait()
		f.exchange(attack.name)
		stop()
		f.attackers.Wait()
		if peak := peakOf(t, s.command.Process.Pid); peak > most {
			t.Fatalf("%s: the server took %d MiB, more than %d", attack.name, peak>>20, most>>20)
		} else {
			t.Logf("%s: %d MiB at most up to now", attack.name, peak>>20)
		}
	}
}

// peakOf is the most memory that a process has had, in bytes. Source: proc(5), VmHWM.
func peakOf(t *testing.T, pid int) int {
	t.Helper()
	for line := range strings.Lines(string(read(t, filepath.Join("/proc", strconv.Itoa(pid), "status")))) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatal("the process has ended")
	return 0
}

// flood sends what an attacker would, and what an honest workload would meanwhile.
type flood struct {
	t             *testing.T
	address, path string
	roots         *x509.CertPool
	token         string // file
	attackers     sync.WaitGroup
}

// exchange is an honest one, on a connection of its own.
func (f *flood) exchange(when string) {
	f.t.Helper()
	assertion, err := os.ReadFile(f.token)
	if err != nil {
		f.t.Fatal(err)
	}
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: f.roots}, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, f.address)
	}}
	client := &http.Client{Transport: transport, Timeout: 2 * time.Minute} // wall time: for a machine under load
	began := time.Now()
	response, err := client.PostForm("https://login.microsoftonline.com"+f.path, url.Values{
		"client_id": {"b96d264b-7053-4465-a4a7-32be5b0fec49"}, "scope": {"https://vault.azure.net/.default"}, "grant_type": {"client_credentials"},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {string(assertion)},
	})
	if err != nil {
		f.t.Errorf("%s: an honest exchange: %v", when, err)
		return
	}
	defer response.Body.Close()
	if body, _ := io.ReadAll(response.Body); response.StatusCode != http.StatusOK {
		f.t.Errorf("%s: an honest exchange: %s %s", when, response.Status, body)
	}
	f.t.Logf("%s: an honest exchange took %v", when, time.Since(began).Round(time.Millisecond))
}

func (f *flood) dial(ctx context.Context, host, protocol string) (*tls.Conn, error) {
	d := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, ServerName: host, NextProtos: []string{protocol}}} //nolint:gosec // an attacker does not care
	conn, err := d.DialContext(ctx, "tcp", f.address)
	if err != nil {
		return nil, err
	}
	return conn.(*tls.Conn), nil
}

// unended is a body whose last byte does not come.
type unended struct {
	ctx  context.Context
	left int
	sent func() // when all but that was read
}

func (u *unended) Read(p []byte) (int, error) {
	if u.left <= 1 {
		u.sent()
		<-u.ctx.Done()
		return 0, u.ctx.Err()
	}
	n := min(len(p), u.left-1)
	for i := range p[:n] {
		p[i] = 'x'
	}
	u.left -= n
	return n, nil
}

// streams opens as many streams as the server takes, up to so many on each connection.
func (f *flood) streams(conns, each, size int, declared int64) func(context.Context, string, *sync.WaitGroup) {
	return func(ctx context.Context, host string, placed *sync.WaitGroup) {
		for range conns {
			conn, err := f.dial(ctx, host, "h2")
			if err != nil {
				f.t.Error(err)
				return
			}
			client, err := new(http2.Transport).NewClientConn(conn) //nolint:staticcheck // an attacker: exactly this connection, whatever a transport would do
			if err != nil {
				f.t.Error(err)
				return
			}
			context.AfterFunc(ctx, func() { _ = conn.Close() })
			for n := range each {
				f.attackers.Add(1)
				once := func() {}
				if n == 0 { // the others may wait until there is a place for them
					placed.Add(1)
					once = sync.OnceFunc(placed.Done)
				}
				go func() {
					defer f.attackers.Done()
					defer once()
					r, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+host+f.path, &unended{ctx, size, once})
					if err != nil {
						return
					}
					r.ContentLength = declared
					r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
					if response, err := client.RoundTrip(r); err == nil {
						_, _ = io.Copy(io.Discard, response.Body)
						_ = response.Body.Close()
					}
				}()
			}
		}
	}
}

// stalled opens connections of HTTP/1.1, each with a body that does not end.
func (f *flood) stalled(conns, size int, declared int64) func(context.Context, string, *sync.WaitGroup) {
	return func(ctx context.Context, host string, placed *sync.WaitGroup) {
		for range conns {
			f.attackers.Add(1)
			placed.Add(1)
			go func() {
				defer f.attackers.Done()
				once := sync.OnceFunc(placed.Done)
				defer once()
				conn, err := f.dial(ctx, host, "http/1.1")
				if err != nil {
					return
				}
				defer conn.Close()
				defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
				length := fmt.Sprintf("Content-Length: %d", declared)
				if declared < 0 {
					length = "Transfer-Encoding: chunked"
				}
				fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/x-www-form-urlencoded\r\n%s\r\n\r\n", f.path, host, length)
				if declared < 0 {
					fmt.Fprintf(conn, "%x\r\n", size)
				}
				if _, err := io.CopyN(conn, &unended{ctx, size, once}, int64(size-1)); err != nil {
					return
				}
				once()
				_, _ = bufio.NewReader(conn).ReadByte() // until the server or the test has enough
			}()
		}
	}
}
