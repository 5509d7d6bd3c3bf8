// Package externaljwt lets an API server's service-account tokens be signed by an
// issuer of ours: it answers kube-apiserver's --service-account-signing-endpoint
// (KEP-740, k8s.io/externaljwt) on a Unix socket. The issuer's ring decides which
// key signs and which are published, so that a rotation takes effect with the next
// token; the API server decides what is in a token.
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
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/internal/issuer"
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
	server *http.Server
	socket string
	own    os.FileInfo // of the socket
	done   chan error  // closed when the server has stopped
}

// Start listens on a Unix socket, which only this user may connect to (API servers
// run as root), and answers for the issuer. A socket that a process left behind
// is replaced; one that is in use is an error.
func Start(socket string, i *issuer.Issuer, clk clock.Clock, opts Options) (*Signer, error) {
	l, own, err := listen(socket)
	if err != nil {
		return nil, fmt.Errorf("open the signer's socket %s: %w", socket, err)
	}
	svc := &service{issuer: i, clock: clk, opts: opts}
	server := &http.Server{Protocols: new(http.Protocols), ReadHeaderTimeout: time.Minute, Handler: procedures{
		"/v1.ExternalJWTSigner/Sign":      svc.sign,
		"/v1.ExternalJWTSigner/FetchKeys": svc.fetchKeys,
		"/v1.ExternalJWTSigner/Metadata":  svc.metadata,
	}}
	server.Protocols.SetUnencryptedHTTP2(true)
	s := &Signer{server: server, socket: socket, own: own, done: make(chan error, 1)}
	go func() { defer close(s.done); s.done <- s.server.Serve(l) }()
	return s, nil
}

// Close stops listening and lets answers under way be given until ctx ends. A
// second time does nothing.
func (s *Signer) Close(ctx context.Context) error {
	if s.server.Shutdown(ctx) != nil { // ctx has ended
		_ = s.server.Close()
	}
	err := <-s.done
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	if found, statErr := os.Lstat(s.socket); statErr == nil && os.SameFile(found, s.own) {
		err = errors.Join(err, os.Remove(s.socket))
	}
	return err
}

// listen opens the socket, and replaces one without a listener.
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

// service has the calls and the fields of messages that api.proto of k8s.io/externaljwt
// has; the tests call it with the client that is made of that file, as the API server does.
type service struct {
	issuer *issuer.Issuer
	clock  clock.Clock
	opts   Options
}

// sign answers SignJWTRequest{claims = 1} with SignJWTResponse{header = 1, signature = 2}.
func (s *service) sign(ctx context.Context, request []byte) ([]byte, error) {
	claims, err := stringField(request, 1)
	if err != nil {
		return nil, refuse(codeInvalidArgument, "a request to sign: %v", err)
	}
	payload, err := base64.RawURLEncoding.DecodeString(claims)
	if err != nil {
		return nil, refuse(codeInvalidArgument, "claims to sign: expected base64url without padding: %v", err)
	}
	token, err := s.issuer.SignClaims(ctx, payload)
	if err != nil {
		return nil, refuse(codeInvalidArgument, "%v", err)
	}
	parts := strings.Split(token.Raw, ".")
	return appendString(appendString(nil, 1, parts[0]), 2, parts[2]), nil
}

// fetchKeys answers with FetchKeysResponse{keys = 1, data_timestamp = 2,
// refresh_hint_seconds = 3}: the keys with which the cluster verifies tokens, which are
// those of the issuer's JWKS and one that signs without being there, which a cluster's API
// servers know before the rest of the world does, and those of old tokens.
func (s *service) fetchKeys(context.Context, []byte) ([]byte, error) {
	var keys []verifying
	for _, key := range s.issuer.Keys().Usable() {
		der, err := x509.MarshalPKIXPublicKey(key.Private.Public())
		if err != nil {
			return nil, fmt.Errorf("encode key %s: %w", key.ID, err)
		}
		keys = append(keys, verifying{id: key.ID, der: der})
	}
	legacy, err := s.legacyKeys()
	if err != nil {
		return nil, err
	}
	for _, key := range legacy {
		// One that signs, too, must not be left out of discovery.
		if !slices.ContainsFunc(keys, func(k verifying) bool { return k.id == key.id }) {
			keys = append(keys, key)
		}
	}
	var response []byte
	for _, key := range keys {
		response = protowire.AppendBytes(protowire.AppendTag(response, 1, protowire.BytesType), key.message())
	}
	now := s.clock.Now() // google.protobuf.Timestamp{seconds = 1, nanos = 2}
	stamp := appendInteger(appendInteger(nil, 1, now.Unix()), 2, int64(now.Nanosecond()))
	response = protowire.AppendBytes(protowire.AppendTag(response, 2, protowire.BytesType), stamp)
	return appendInteger(response, 3, int64(refreshHint/time.Second)), nil
}

// metadata answers with MetadataResponse{max_token_expiration_seconds = 1}.
func (s *service) metadata(context.Context, []byte) ([]byte, error) {
	return appendInteger(nil, 1, int64(s.issuer.MaxExpiration()/time.Second)), nil
}

// verifying is a key with which the cluster verifies tokens.
type verifying struct {
	id     string
	der    []byte // PKIX
	legacy bool   // it is in no discovery document
}

// message is Key{key_id = 1, key = 2, exclude_from_oidc_discovery = 3}.
func (k verifying) message() []byte {
	data := appendString(nil, 1, k.id)
	data = protowire.AppendBytes(protowire.AppendTag(data, 2, protowire.BytesType), k.der)
	if k.legacy {
		data = appendInteger(data, 3, 1)
	}
	return data
}

func appendString(data []byte, number protowire.Number, value string) []byte {
	return protowire.AppendString(protowire.AppendTag(data, number, protowire.BytesType), value)
}

func appendInteger(data []byte, number protowire.Number, value int64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(data, number, protowire.VarintType), uint64(value)) //nolint:gosec // two's complement, as int64 is encoded
}

// stringField returns a field of a message; empty if the message does not have it. Of one
// that stands there twice the last one counts, and fields that are not known are passed over.
func stringField(message []byte, wanted protowire.Number) (string, error) {
	value := ""
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return "", protowire.ParseError(n)
		}
		size := protowire.ConsumeFieldValue(number, kind, message[n:])
		if size < 0 {
			return "", protowire.ParseError(size)
		}
		if number == wanted && kind == protowire.BytesType {
			value, _ = protowire.ConsumeString(message[n:])
		}
		message = message[n+size:]
	}
	return value, nil
}

// legacyKeys reads the public keys of old tokens.
// Kubernetes: staging/src/k8s.io/client-go/util/keyutil/key.go ParsePublicKeysPEM
func (s *service) legacyKeys() ([]verifying, error) {
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
	var keys []verifying
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
func publicKey(block *pem.Block) (verifying, error) {
	if block.Type != "PUBLIC KEY" {
		return verifying{}, fmt.Errorf("expected PEM blocks PUBLIC KEY, found one %s", block.Type)
	}
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return verifying{}, err
	}
	id, err := issuer.PublicKeyID(public)
	return verifying{id: id, der: block.Bytes, legacy: true}, err
}
