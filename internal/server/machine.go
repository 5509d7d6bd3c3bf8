package server

import (
	"crypto/tls"
	"fmt"
	"net/http"

	"github.com/wiemu/wiemu/internal/ca"
	"github.com/wiemu/wiemu/internal/identitybinding"
	"github.com/wiemu/wiemu/internal/lab"
	"github.com/wiemu/wiemu/internal/managedidentity"
)

// MachineAddress is where a machine answers.
type MachineAddress struct {
	Address string // host:port of plain HTTP on loopback: what 169.254.169.254:80 is there
	Header  string // App Service: the value of IDENTITY_HEADER
}

// AddMachine makes a machine, with the identities that wiemu.yaml assigns to
// every machine, and listens for what runs on it.
func (s *Server) AddMachine(m lab.Machine) (MachineAddress, error) {
	if s.inMemory {
		return MachineAddress{}, fmt.Errorf("make a machine for %s: %w", m.Name, errInMemory)
	}
	answers, header, err := s.NewMachine(m)
	if err != nil {
		return MachineAddress{}, err
	}
	s.later.Lock()
	defer s.later.Unlock()
	own, err := s.listenForPrograms("machine", s.wrap(MachineEndpoint+m.Name, answers), nil)
	if err != nil {
		return MachineAddress{}, err
	}
	s.later.open = append(s.later.open, own)
	if s.later.imds == nil && m.Kind != managedidentity.AppService {
		if s.later.imds, err = s.listenForPrograms("metadata", s.wrap(MachineEndpoint, s.Metadata()), nil); err != nil {
			return MachineAddress{}, err
		}
		s.later.open = append(s.later.open, s.later.imds)
	}
	return MachineAddress{Address: own.address(), Header: header}, nil
}

// IMDSAddress is the host:port of a plain HTTP listener on loopback that answers
// what 169.254.169.254:80 answers, for all machines together; "" while there is
// no machine that has one (App Service has none).
func (s *Server) IMDSAddress() string {
	s.later.Lock()
	defer s.later.Unlock()
	if s.later.imds == nil {
		return ""
	}
	return s.later.imds.address()
}

// metadata is what answers 169.254.169.254 in the proxy; nil while there is no
// machine.
func (s *Server) metadata() http.Handler {
	if s.IMDSAddress() == "" {
		return nil
	}
	return s.answers.get(MachineEndpoint)
}

// TokenProxy is what a workload is told of its cluster's identity-binding proxy.
type TokenProxy struct {
	URL     string // AZURE_KUBERNETES_TOKEN_PROXY
	SNIName string // AZURE_KUBERNETES_SNI_NAME
	CA      []byte // PEM, what AZURE_KUBERNETES_CA_FILE and _DATA hold: the cluster's own CA
}

// TokenProxy returns where the identity-binding proxy of an issuer's cluster is;
// "" is the first issuer's. Its listener is opened when it is asked for first.
func (s *Server) TokenProxy(issuerName string) (TokenProxy, error) {
	if s.inMemory {
		return TokenProxy{}, fmt.Errorf("open the identity-binding proxy: %w", errInMemory)
	}
	from, err := s.Issuer(issuerName)
	if err != nil {
		return TokenProxy{}, err
	}
	s.later.Lock()
	defer s.later.Unlock()
	if s.later.tokenProxy == nil {
		ca, err := ca.Open(s.stored("cluster-ca"), s.Clock(), ca.Options{Names: []string{identitybinding.SNIDomain()}})
		if err != nil {
			return TokenProxy{}, fmt.Errorf("make the CA of the identity-binding proxy: %w", err)
		}
		tlsConfig := &tls.Config{GetCertificate: ca.GetCertificate, MinVersion: tls.VersionTLS12}
		d, err := s.listenForPrograms("identity-binding proxy", s.wrap(BindingsEndpoint, s.Bindings()), tlsConfig)
		if err != nil {
			return TokenProxy{}, err
		}
		s.later.open = append(s.later.open, d)
		s.later.tokenProxy, s.later.clusterCA = d, ca
	}
	return TokenProxy{
		URL: "https://" + s.later.tokenProxy.address(), SNIName: identitybinding.SNIName(from.URL()), CA: s.later.clusterCA.RootPEM(),
	}, nil
}
