package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"k8s.io/externaljwt/apis/v1"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/internal/controlapi"
	"github.com/wiemu/wiemu/internal/nodeservice"
)

// asServer makes the test program the server.
const asServer = "WIEMU_TEST_AS_SERVER"

func TestMain(m *testing.M) {
	if os.Getenv(asServer) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// service is a wiemu-server that systemd has started.
type service struct {
	program string // defaults to this test's, which is the server when it is told so
	dir     string
	socket  string
	command *exec.Cmd
	systemd *net.UnixConn
	control *control.Client
	said    []string // lines, until it was ready
}

// start starts the server with a state directory, and waits until it says that it
// is ready.
func (s *service) start(t *testing.T, args ...string) {
	t.Helper()
	notify := filepath.Join(s.dir, "notify")
	_ = os.Remove(notify) // of the start before
	systemd, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: notify, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = systemd.Close() })
	program := s.program
	if program == "" {
		if program, err = os.Executable(); err != nil {
			t.Fatal(err)
		}
	}
	s.systemd = systemd
	s.command = exec.Command(program, slices.Concat([]string{"-f", s.path("wiemu.yaml"), "-state", s.path("state"), "-lab", s.path("lab")}, args)...)
	s.command.Env = append(os.Environ(), asServer+"=1", "NOTIFY_SOCKET="+notify)
	var stderr strings.Builder
	s.command.Stderr = &stderr
	out, err := s.command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.command.Process.Kill(); _ = s.command.Wait() })
	lines := bufio.NewScanner(out)
	s.said = nil
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "ready:") {
		s.said = append(s.said, lines.Text())
	}
	s.hears(t, nodeservice.Ready)
	token, err := os.ReadFile(s.path("state/control-token"))
	if err != nil {
		t.Fatalf("%v; %s", err, stderr.String())
	}
	s.control = &control.Client{URL: "http://" + s.address(t), Token: strings.TrimSpace(string(token))}
}

func (s *service) path(name string) string { return filepath.Join(s.dir, filepath.FromSlash(name)) }

// hears waits for what the server tells systemd.
func (s *service) hears(t *testing.T, want string) {
	t.Helper()
	heard := make([]byte, 64)
	if err := s.systemd.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil { // wall time: a process starts
		t.Fatal(err)
	}
	n, _, err := s.systemd.ReadFrom(heard)
	if err != nil || string(heard[:n]) != want {
		t.Fatalf("systemd hears %q %v, want %s", heard[:n], err, want)
	}
}

// address is the one of the control endpoint, which wiemu.yaml says.
func (s *service) address(t *testing.T) string {
	t.Helper()
	c, err := config.Parse("wiemu.yaml", read(t, s.path("wiemu.yaml")))
	if err != nil {
		t.Fatal(err)
	}
	return c.Listen.Control
}

func newService(t *testing.T) *service {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("nodes do not run Windows")
	}
	s := &service{dir: t.TempDir()}
	s.socket = s.path("signer.sock")
	text := "listen: {control: \"" + fixedAddress(t) + "\"}\napplications: [{name: app, clientId: 11111111-1111-4111-8111-111111111111}]\n"
	if err := os.WriteFile(s.path("wiemu.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

// fixedAddress is one of loopback that a server keeps over its restarts: its port is below those
// that systems hand out by themselves, so that no connection of another test takes it meanwhile.
func fixedAddress(t *testing.T) string {
	t.Helper()
	for range 100 {
		free, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(20_000+mathrand.IntN(12_000)))
		if err == nil {
			defer free.Close()
			return free.Addr().String()
		}
	}
	t.Fatal("no port from 20,000 to 31,999 is free")
	return ""
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// token is one that the cluster's API server lets the service sign.
func (s *service) token(t *testing.T, client v1.ExternalJWTSignerClient) (kid string) {
	t.Helper()
	completed, err := config.Config{}.Complete("")
	if err != nil {
		t.Fatal(err)
	}
	claims, err := json.Marshal(map[string]any{"iss": completed.Issuers[0].URL, "sub": "system:serviceaccount:a:b"})
	if err != nil {
		t.Fatal(err)
	}
	signed, err := client.Sign(t.Context(), &v1.SignJWTRequest{Claims: base64.RawURLEncoding.EncodeToString(claims)})
	if err != nil {
		t.Fatal(err)
	}
	header, err := base64.RawURLEncoding.DecodeString(signed.Header)
	if err != nil {
		t.Fatal(err)
	}
	var h struct{ Kid string }
	if err := json.Unmarshal(header, &h); err != nil {
		t.Fatal(err)
	}
	return h.Kid
}

// apiServer is the connection of an API server, which stays over restarts.
func (s *service) apiServer(t *testing.T) v1.ExternalJWTSignerClient {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+s.socket, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority("localhost"),
		grpc.WithDefaultCallOptions(grpc.WaitForReady(true)), grpc.WithContextDialer(func(ctx context.Context, path string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return v1.NewExternalJWTSignerClient(conn)
}

func TestAKilledServiceIsTheSameAgain(t *testing.T) {
	s := newService(t)
	s.start(t, "-signer", s.socket)
	client := s.apiServer(t)
	first := s.token(t, client)
	rotated, err := s.control.Rotate(t.Context(), "local")
	if err != nil {
		t.Fatal(err)
	}
	if second := s.token(t, client); second != rotated.ID || second == first {
		t.Errorf("after the rotation %s signs, want %s", second, rotated.ID)
	}
	yes := true
	if _, err := s.control.ChangeDirectory(t.Context(), control.DirectoryChange{Identity: "app", Disabled: &yes}); err != nil {
		t.Fatal(err)
	}
	before := keptFiles(t, s)

	s.kill(t)
	s.start(t, "-signer", s.socket)
	if !s.disabled(t, "app") {
		t.Error("an application that was disabled before it was killed may sign in")
	}
	if again := s.token(t, client); again != rotated.ID {
		t.Errorf("after it was killed %s signs, want %s", again, rotated.ID)
	}
	for file, want := range before {
		if now := read(t, s.path(file)); string(now) != want {
			t.Errorf("%s has changed: %s", file, now)
		}
	}
	keys, err := s.control.Status(t.Context()) // by the token of before
	if err != nil || len(keys.Keys) != 3 {
		t.Errorf("%d keys, want Entra ID's and two of the issuer: %v", len(keys.Keys), err)
	}
	if _, err := s.control.Advance(t.Context(), "1h"); err == nil || !strings.Contains(err.Error(), "time here is real") {
		t.Errorf("time in a cluster: %v", err)
	}

	if err := s.command.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	s.hears(t, nodeservice.Stopping)
	if err := s.command.Wait(); err != nil {
		t.Errorf("it ends with %v", err)
	}
	if _, err := os.Lstat(s.socket); !os.IsNotExist(err) {
		t.Errorf("the socket is left behind: %v", err)
	}
}

// TestChangesAreForgottenAlone: a session in a cluster removes them, also those in the log of
// a service that was killed, and the keys stay.
func TestChangesAreForgottenAlone(t *testing.T) {
	s := newService(t)
	s.start(t)
	rotated, err := s.control.Rotate(t.Context(), "local")
	if err != nil {
		t.Fatal(err)
	}
	yes := true
	if _, err := s.control.ChangeDirectory(t.Context(), control.DirectoryChange{Identity: "app", Disabled: &yes}); err != nil {
		t.Fatal(err)
	}
	s.kill(t)
	for _, pattern := range nodeservice.Changes {
		files, err := filepath.Glob(s.path("state/" + pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.start(t)
	if s.disabled(t, "app") {
		t.Error("the application is disabled still")
	}
	now, err := s.control.Status(t.Context()) // by the token of before
	if err != nil || !slices.ContainsFunc(now.Keys, func(k control.KeyStatus) bool { return k.ID == rotated.ID }) {
		t.Errorf("the keys are %+v, %v, want %s among them", now.Keys, err, rotated.ID)
	}
}

// kill ends the service as kill -9 does.
func (s *service) kill(t *testing.T) {
	t.Helper()
	if err := s.command.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = s.command.Wait() // it was killed
}

// disabled reports whether the directory says that an application may not sign in.
func (s *service) disabled(t *testing.T, name string) bool {
	t.Helper()
	var tenants []controlapi.Tenant
	if err := s.control.Do(t.Context(), http.MethodGet, "/v1/directory", nil, &tenants); err != nil {
		t.Fatal(err)
	}
	for _, tenant := range tenants {
		for _, identity := range tenant.Identities {
			if identity.Name == name {
				return identity.Disabled
			}
		}
	}
	t.Fatalf("there is no %s in %+v", name, tenants)
	return false
}

// keptFiles are those that must be the same after a restart.
func keptFiles(t *testing.T, s *service) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, file := range []string{"state/control-token", "state/directory.log", "state/rings/local.json", "state/rings/entra.json", "state/ca/authority.pem", "lab/trust/ca.pem"} {
		files[file] = string(read(t, s.path(file)))
	}
	return files
}

func TestASharedKeyIsTheClustersAndStays(t *testing.T) {
	s := newService(t)
	private, _, err := nodeservice.NewKeyPair()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.path("sa.key"), private, 0o600); err != nil {
		t.Fatal(err)
	}
	s.start(t, "-shared-key", s.path("sa.key"))
	if _, err := s.control.Rotate(t.Context(), "local"); err == nil || !strings.Contains(err.Error(), "its key is also the API server's") {
		t.Errorf("a rotation: %v", err)
	}
	if _, err := s.control.Rotate(t.Context(), "entra"); err != nil {
		t.Errorf("Entra ID's keys are its own: %v", err)
	}
	if _, err := os.Stat(s.path("state/rings/local.json")); !os.IsNotExist(err) {
		t.Errorf("the cluster's key is kept a second time: %v", err)
	}
}

func TestReadKey(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		block *pem.Block
		want  string // in the error; "": it is read
	}{
		"as kubeadm writes it": {&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}, ""},
		"PKCS #8":              {&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}, ""},
		"a public key":         {&pem.Block{Type: "PUBLIC KEY", Bytes: []byte("x")}, "expected a PEM block RSA PRIVATE KEY or PRIVATE KEY, found PUBLIC KEY"},
		"nonsense":             {&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")}, "asn1"},
		"nothing":              {nil, "expected a PEM block with a private key, found none"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "sa.key")
			var data []byte
			if row.block != nil {
				data = pem.EncodeToMemory(row.block)
			}
			if err := os.WriteFile(file, data, 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := readKey(file)
			if row.want != "" {
				if err == nil || !strings.Contains(err.Error(), row.want) || !strings.Contains(err.Error(), file) {
					t.Errorf("%v, want the file and %q", err, row.want)
				}
				return
			}
			if err != nil || !key.Equal(got) {
				t.Errorf("another key, or %v", err)
			}
		})
	}
}

func TestFlagsThatContradict(t *testing.T) {
	if err := serve([]string{"-signer", "s", "-shared-key", "k"}); err == nil || !strings.Contains(err.Error(), "expected one of them, found both") {
		t.Errorf("a signer and a shared key: %v", err)
	}
}

// TestWorkloadsInLockstepGetTheClockAlone: what they read follows the clock, and mints
// no token.
func TestWorkloadsInLockstepGetTheClockAlone(t *testing.T) {
	s := newService(t)
	dir := t.TempDir()
	s.start(t, "-lockstep", dir)
	var theirs control.Client
	if err := json.Unmarshal(read(t, filepath.Join(dir, lockstepControl)), &theirs); err != nil {
		t.Fatal(err)
	}
	var minted control.Minted
	mint := control.MintRequest{Namespace: "somebody", ServiceAccount: "else", Audiences: []string{"api://AzureADTokenExchange"}}
	if err := theirs.Do(t.Context(), http.MethodPost, "/v1/tokens", mint, &minted); err == nil || !strings.Contains(err.Error(), "opens the stream of the lab's clock, and nothing else") {
		t.Errorf("a workload mints %+v, %v", minted, err)
	}
	if _, err := theirs.Status(t.Context()); err == nil {
		t.Error("a workload reads the lab's status")
	}
	if _, err := s.control.Status(t.Context()); err != nil {
		t.Errorf("the control token: %v", err)
	}
	stream, err := theirs.FollowClock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Close(); err != nil {
		t.Error(err)
	}
}
