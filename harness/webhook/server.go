package webhook

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/mux"

	"github.com/wiemu/wiemu/emulator"
	"github.com/wiemu/wiemu/emulator/trust"
	"github.com/wiemu/wiemu/harness/cluster"
)

// Config says whose pods are changed, and where the API server asks. All but
// StateDir and Log is required.
type Config struct {
	Emulator *emulator.Emulator
	Cluster  *cluster.Client
	Bundle   trust.Bundle // by which programs trust the emulator; what its files hold is copied to where pods are

	// Admit makes the trust in a service account, if that is to be made, and
	// reports whether it did. See harness.Lab.Admit.
	Admit func(ctx context.Context, w emulator.Workload) (made bool, err error)

	// Listen is the host:port of the webhook's door. An API server on another
	// machine cannot reach loopback.
	Listen string
	// Advertise is where pods find the gateway on port 443: an IP address, or
	// NAMESPACE/NAME of a Service, which also leads the API server to the webhook,
	// on the port of Listen.
	Advertise string

	StateDir string       // keeps the webhook's CA. "": in memory
	Log      *slog.Logger // for operators. nil: none

	poll time.Duration // between two looks at the cluster. 0: pollEvery
}

// Server is a mutating webhook that keeps itself registered in its cluster. Close
// it.
type Server struct {
	config    Config
	authority *trust.Authority
	service   *service // nil: the gateway has an address of its own
	log       *slog.Logger

	server   *http.Server
	listener net.Listener
	stop     context.CancelFunc
	running  sync.WaitGroup

	address atomic.Pointer[netip.Addr] // of the gateway; nil: not known yet
	minor   atomic.Int64               // Kubernetes 1.minor; 0: not known yet
	aside   atomic.Bool                // azure-workload-identity's own webhook is there
	renewed atomic.Bool                // bundles of before have been looked at
	told    atomic.Pointer[string]     // the trouble that the log knows
}

// service is a Service by namespace and name.
type service struct{ namespace, name string }

// The limits of the door, on wall time. An API server's requests are at most
// 3 MiB, and the review around an object doubles what is quoted in it.
const (
	maxReview     = 8 << 20
	headerTimeout = 10 * time.Second
	ioTimeout     = 30 * time.Second
	idleTimeout   = 2 * time.Minute
)

// Start opens the webhook's door and registers it in its cluster as soon as the
// API server answers, and again whenever it has to be.
func Start(ctx context.Context, c Config) (*Server, error) {
	s := &Server{config: c, log: c.Log}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if err := s.place(); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return nil, fmt.Errorf("open the webhook's door: %w; choose another address, or stop what uses it", err)
	}
	router := mux.NewRouter()
	router.HandleFunc(path, s.serve).Methods(http.MethodPost)
	router.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }) // who does not read the answer is gone
	s.listener = l
	s.server = &http.Server{
		Handler: router, ReadHeaderTimeout: headerTimeout, ReadTimeout: ioTimeout, WriteTimeout: ioTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: 64 << 10,
		TLSConfig: &tls.Config{GetCertificate: s.authority.GetCertificate, MinVersion: tls.VersionTLS12}, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx)) // ends with Close
	s.running.Go(func() {
		if err := s.server.ServeTLS(l, "", ""); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("the webhook's door", "error", err)
		}
	})
	s.running.Go(func() { s.stayRegistered(ctx) })
	return s, nil
}

// path is where API servers ask.
const path = "/mutate"

// place finds out under which names the webhook and the gateway are reached.
func (s *Server) place() error {
	var names trust.Options
	if namespace, name, is := strings.Cut(s.config.Advertise, "/"); is && namespace != "" && name != "" {
		s.service = &service{namespace, name}
		names.Names = []string{name + "." + namespace + ".svc"}
	} else {
		address, err := netip.ParseAddr(s.config.Advertise)
		if err != nil {
			return fmt.Errorf("where pods find the gateway: expected an IP address, or NAMESPACE/NAME of a Service, found %q", s.config.Advertise)
		}
		s.address.Store(&address)
		names.IPs = []netip.Addr{address}
	}
	host, _, err := net.SplitHostPort(s.config.Listen)
	if err != nil {
		return fmt.Errorf("the webhook's address: expected HOST:PORT, found %q", s.config.Listen)
	}
	if ip, err := netip.ParseAddr(host); err == nil && !ip.IsUnspecified() {
		names.IPs = append(names.IPs, ip)
	}
	dir := s.config.StateDir
	if dir != "" {
		dir = filepath.Join(dir, "webhook-ca")
	}
	if s.authority, err = trust.Open(dir, s.config.Emulator.Clock(), names); err != nil {
		return fmt.Errorf("make the webhook's CA: %w", err)
	}
	return nil
}

// Address is the host:port of the door.
func (s *Server) Address() string { return s.listener.Addr().String() }

// CA is what API servers check the door's certificate by, in PEM.
func (s *Server) CA() []byte { return s.authority.RootPEM() }

// Close shuts the door, waiting for answers under way until ctx ends. The webhook
// stays registered: pods with the label cannot be made until it is back, as with
// the real one.
func (s *Server) Close(ctx context.Context) error {
	s.stop()
	err := s.server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, s.server.Close())
	}
	s.running.Wait()
	s.config.Cluster.Close()
	return err
}

// serve answers an API server.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxReview))
	if tooLong := (*http.MaxBytesError)(nil); errors.As(err, &tooLong) {
		http.Error(w, fmt.Sprintf("read the AdmissionReview: it is longer than %d bytes", maxReview), http.StatusRequestEntityTooLarge)
		return
	}
	if err != nil {
		http.Error(w, "read the AdmissionReview: "+err.Error(), http.StatusBadRequest)
		return
	}
	asked, err := parseReview(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	answer, err := s.answer(r.Context(), asked)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	data, err := encode(review{APIVersion: reviewVersion, Kind: reviewKind, Response: answer})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(data) // who does not read the answer is gone
}
