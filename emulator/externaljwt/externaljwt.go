// Package externaljwt lets an API server's service-account tokens be signed by an
// issuer of ours: it answers kube-apiserver's --service-account-signing-endpoint
// (KEP-740, k8s.io/externaljwt) on a Unix socket. Which key signs, and which are
// told, is decided by the issuer's ring, so that a rotation takes effect with the
// next token; what is in a token is decided by the API server.
package externaljwt

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
	"k8s.io/externaljwt/apis/v1"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/issuer"
)

// Options tunes a signer. The zero value serves the issuer's keys alone.
type Options struct {
	// LegacyKeys is a PEM file of public keys, such as kubeadm's sa.pub, that have
	// signed the tokens in Secrets of type kubernetes.io/service-account-token. It
	// may be written later. Its keys verify and are in no discovery document. "":
	// such tokens are refused.
	LegacyKeys string
}

// refreshHint is how often the API server asks for the keys: as often as it can.
// An unknown kid makes it ask at once.
const refreshHint = time.Second

// Signer answers an API server until it is closed.
type Signer struct {
	server *grpc.Server
	socket string
	own    os.FileInfo // of the socket
	done   chan error  // closed when nobody serves any more
}

// Start listens on a Unix socket, which only this user may connect to (API servers
// run as root), and answers for the issuer. A socket that a process left behind
// is replaced; one that is in use is an error.
func Start(socket string, i *issuer.Issuer, clk clock.Clock, opts Options) (*Signer, error) {
	l, own, err := listen(socket)
	if err != nil {
		return nil, fmt.Errorf("open the signer's socket %s: %w", socket, err)
	}
	s := &Signer{server: grpc.NewServer(), socket: socket, own: own, done: make(chan error, 1)}
	v1.RegisterExternalJWTSignerServer(s.server, &service{issuer: i, clock: clk, opts: opts})
	go func() { defer close(s.done); s.done <- s.server.Serve(l) }()
	return s, nil
}

// Close stops listening and lets answers under way be given until ctx ends. A
// second time does nothing.
func (s *Signer) Close(ctx context.Context) error {
	stopped := make(chan struct{})
	go func() { defer close(stopped); s.server.GracefulStop() }()
	select {
	case <-stopped:
	case <-ctx.Done():
		s.server.Stop()
		<-stopped
	}
	err := <-s.done
	if found, statErr := os.Lstat(s.socket); statErr == nil && os.SameFile(found, s.own) {
		err = errors.Join(err, os.Remove(s.socket))
	}
	return err
}

// listen opens the socket, in the place of one that nobody listens on any more.
func listen(socket string) (net.Listener, os.FileInfo, error) {
	switch info, err := os.Lstat(socket); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, nil, err
	case info.Mode()&fs.ModeSocket == 0:
		return nil, nil, errors.New("expected a socket, or nothing, found another file; remove it or choose another name")
	default:
		if conn, err := net.DialTimeout("unix", socket, time.Second); err == nil { // wall time: no answer is waited for
			return nil, nil, errors.Join(errors.New("another process listens on it; stop it or choose another name"), conn.Close())
		}
		if err := os.Remove(socket); err != nil {
			return nil, nil, fmt.Errorf("remove the one that a process left behind: %w", err)
		}
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		return nil, nil, err
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // it may be another's by then; see Close
	info, err := os.Lstat(socket)
	if err == nil {
		err = os.Chmod(socket, 0o600)
	}
	if err != nil {
		return nil, nil, errors.Join(err, l.Close())
	}
	return l, info, nil
}

// service is what the API server calls.
type service struct {
	v1.UnimplementedExternalJWTSignerServer
	issuer *issuer.Issuer
	clock  clock.Clock
	opts   Options
}

// Sign signs the claims of a token with the key that signs now.
func (s *service) Sign(ctx context.Context, r *v1.SignJWTRequest) (*v1.SignJWTResponse, error) {
	payload, err := base64.RawURLEncoding.DecodeString(r.GetClaims())
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "claims to sign: expected base64url without padding: %v", err)
	}
	token, err := s.issuer.SignClaims(ctx, payload)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	parts := strings.Split(token.Raw, ".")
	return &v1.SignJWTResponse{Header: parts[0], Signature: parts[2]}, nil
}

// FetchKeys tells the keys whose signatures the cluster accepts: those of the
// issuer's JWKS and one that signs without being there, which a cluster's API
// servers know before the rest of the world does, and those of old tokens.
func (s *service) FetchKeys(context.Context, *v1.FetchKeysRequest) (*v1.FetchKeysResponse, error) {
	response := &v1.FetchKeysResponse{DataTimestamp: timestamppb.New(s.clock.Now()), RefreshHintSeconds: int64(refreshHint / time.Second)}
	for _, key := range s.issuer.Keys().Usable() {
		der, err := x509.MarshalPKIXPublicKey(key.Private.Public())
		if err != nil {
			return nil, status.Errorf(codes.Internal, "encode key %s: %v", key.ID, err)
		}
		response.Keys = append(response.Keys, &v1.Key{KeyId: key.ID, Key: der})
	}
	legacy, err := s.legacyKeys()
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	for _, key := range legacy {
		// One that signs, too, must not be left out of discovery.
		if !slices.ContainsFunc(response.Keys, func(k *v1.Key) bool { return k.KeyId == key.KeyId }) {
			response.Keys = append(response.Keys, key)
		}
	}
	return response, nil
}

// legacyKeys reads the public keys of old tokens.
// Kubernetes: staging/src/k8s.io/client-go/util/keyutil/key.go ParsePublicKeysPEM
func (s *service) legacyKeys() ([]*v1.Key, error) {
	if s.opts.LegacyKeys == "" {
		return nil, nil
	}
	rest, err := os.ReadFile(s.opts.LegacyKeys)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // kubeadm makes it when the cluster is made
	}
	if err != nil {
		return nil, fmt.Errorf("keys of tokens in Secrets: %w", err)
	}
	var keys []*v1.Key
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		key, err := publicKey(block)
		if err != nil {
			return nil, fmt.Errorf("keys of tokens in Secrets: %s: %w", s.opts.LegacyKeys, err)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 || len(bytes.TrimSpace(rest)) > 0 {
		return nil, fmt.Errorf("keys of tokens in Secrets: %s: expected PEM blocks PUBLIC KEY, found something else", s.opts.LegacyKeys)
	}
	return keys, nil
}

// publicKey is a key that verifies and is not published. Its id is the one that
// kube-controller-manager writes into the tokens that it signs with the key.
func publicKey(block *pem.Block) (*v1.Key, error) {
	if block.Type != "PUBLIC KEY" {
		return nil, fmt.Errorf("expected PEM blocks PUBLIC KEY, found one %s", block.Type)
	}
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	id, err := issuer.PublicKeyID(public)
	return &v1.Key{KeyId: id, Key: block.Bytes, ExcludeFromOidcDiscovery: true}, err
}

// Metadata tells how long a token can live.
func (s *service) Metadata(context.Context, *v1.MetadataRequest) (*v1.MetadataResponse, error) {
	return &v1.MetadataResponse{MaxTokenExpirationSeconds: int64(s.issuer.MaxExpiration() / time.Second)}, nil
}
