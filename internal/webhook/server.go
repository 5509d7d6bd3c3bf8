package webhook

import (
	"cmp"
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

	"github.com/wiemu/wiemu/internal/ca"
	"github.com/wiemu/wiemu/internal/cluster"
	"github.com/wiemu/wiemu/internal/server"
	"github.com/wiemu/wiemu/internal/workload"
)

// Config says which cluster's pods are changed, and how the API server reaches the webhook.
// All fields but StateDir and Log are required.
type Config struct {
	Emulator *server.Server
	Cluster  *cluster.Client
	Bundle   ca.Bundle // by which programs trust the emulator; what its files hold is copied to where pods are

	// Admit establishes the trust in a service account, if that is due, and reports whether
	// it did. See session.Session.TrustPod.
	Admit func(ctx context.Context, w workload.Spec) (made bool, err error)

	// Listen is the host:port of the webhook's listener. An API server on another machine
	// cannot reach loopback.
	Listen string
	// Advertise is where pods find the gateway on port 443: an IP address, or NAMESPACE/NAME of a
	// Service, which also leads the API server to the webhook, on the port of Listen.
	Advertise string

	StateDir string       // of the webhook's CA. If empty, it is in memory
	Log      *slog.Logger // for operators. If nil, nothing is logged

	poll time.Duration // between two checks of the cluster. Defaults to pollEvery
}

// Server is a mutating webhook that keeps itself registered in its cluster. Close it.
type Server struct {
	config    Config
	authority *ca.Authority
	service   *service // nil if the gateway has an address of its own
	log       *slog.Logger

	server   *http.Server
	listener net.Listener
	stop     context.CancelFunc
	running  sync.WaitGroup

	address atomic.Pointer[netip.Addr] // of the gateway; nil until it is known
	minor   atomic.Int64               // Kubernetes 1.minor; 0 until it is known
	aside   atomic.Bool                // azure-workload-identity's own webhook is there
	renewed atomic.Bool                // older bundles have been replaced
	told    atomic.Pointer[string]     // the error that was logged last
}

type service struct{ namespace, name string }

// The limits of the listener, on wall time. An API server's requests are at most
// 3 MiB, and the review around an object doubles what is quoted in it.
const (
	maxReview     = 8 << 20
	headerTimeout = 10 * time.Second
	ioTimeout     = 30 * time.Second
	idleTimeout   = 2 * time.Minute
)

// Start starts the webhook's listener and registers it in its cluster as soon as the API
// server answers, and again whenever the registration is missing or out of date.
func Start(ctx context.Context, c Config) (*Server, error) {
	s := &Server{config: c, log: c.Log}
	s.log = cmp.Or(s.log, slog.New(slog.DiscardHandler))
	if err := s.place(); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return nil, fmt.Errorf("open the webhook's listener: %w; choose another address, or stop what uses it", err)
	}
	router := mux.NewRouter()
	router.HandleFunc(path, s.serve).Methods(http.MethodPost)
	router.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }) // an error means that the client is gone
	s.listener = l
	s.server = &http.Server{
		Handler: router, ReadHeaderTimeout: headerTimeout, ReadTimeout: ioTimeout, WriteTimeout: ioTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: 64 << 10,
		TLSConfig: &tls.Config{GetCertificate: s.authority.GetCertificate, MinVersion: tls.VersionTLS12}, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx)) // ends with Close
	s.running.Go(func() {
		if err := s.server.ServeTLS(l, "", ""); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("the webhook's listener", "error", err)
		}
	})
	s.running.Go(func() { s.stayRegistered(ctx) })
	return s, nil
}

const path = "/mutate"

// place determines the names under which the webhook and the gateway are reached.
func (s *Server) place() error {
	var names ca.Options
	if namespace, name, ok := strings.Cut(s.config.Advertise, "/"); ok && namespace != "" && name != "" {
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
	if s.authority, err = ca.Open(dir, s.config.Emulator.Clock(), names); err != nil {
		return fmt.Errorf("make the webhook's CA: %w", err)
	}
	return nil
}

// Address returns the host:port of the listener.
func (s *Server) Address() string { return s.listener.Addr().String() }

// CA returns the CA of the listener's certificate for API servers, in PEM.
func (s *Server) CA() []byte { return s.authority.RootPEM() }

// Close closes the listener and waits for requests under way until ctx ends. The webhook stays
// registered: as with the real one, pods with the label cannot be created until it is back.
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
	data, err := Encode(review{APIVersion: reviewVersion, Kind: reviewKind, Response: answer})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(data) // an error means that the client is gone
}
