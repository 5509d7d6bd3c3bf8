package ca

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"
)

// A leaf is valid from before the earlier of the two clocks to after the later,
// and is made again when a clock comes nearer to an edge than its margin.
const (
	leafBefore       = 24 * time.Hour
	leafAfter        = 7 * 24 * time.Hour
	leafMarginBefore = 12 * time.Hour
	leafMarginAfter  = 24 * time.Hour
)

// maxLeaves bounds what strangers can make a server remember by asking for
// ever new names below a suffix.
const maxLeaves = 1024

// GetCertificate is for tls.Config. It returns the certificate of the name that
// the client asks for, made on first use, with the intermediate. A client that
// asks for no name, or for one that the CA does not certify, gets the
// certificate of localhost and the loopback and configured addresses; it then
// says itself which name it missed.
func (a *Authority) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	name := strings.ToLower(hello.ServerName)
	if !a.names.certifies(name) {
		name = localhost
	}
	earlier, later := a.clocks()
	a.mu.RLock()
	leaf := a.leaves[name]
	a.mu.RUnlock()
	if leaf != nil && covers(leaf.Leaf, earlier, later) {
		return leaf, nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if leaf := a.leaves[name]; leaf != nil && covers(leaf.Leaf, earlier, later) {
		return leaf, nil
	}
	leaf, err := a.makeLeaf(name, earlier, later)
	if err != nil {
		return nil, err
	}
	if len(a.leaves) >= maxLeaves {
		clear(a.leaves)
	}
	a.leaves[name] = leaf
	return leaf, nil
}

// covers reports whether a leaf is valid on both clocks for a while to come. An
// edge that is the CA's own cannot be moved.
func covers(leaf *x509.Certificate, earlier, later time.Time) bool {
	begins, ends := leaf.NotBefore, leaf.NotAfter
	if begins.After(caNotBefore) {
		begins = begins.Add(leafMarginBefore)
	}
	if ends.Before(caNotAfter) {
		ends = ends.Add(-leafMarginAfter)
	}
	return !earlier.Before(begins) && !later.After(ends)
}

func (a *Authority) makeLeaf(name string, earlier, later time.Time) (*tls.Certificate, error) {
	if earlier.Before(caNotBefore) || later.After(caNotAfter) {
		return nil, fmt.Errorf("make a certificate for %s: the clocks show %s and %s; a lab's CA is valid from %s to %s", name,
			earlier.Format(time.DateOnly), later.Format(time.DateOnly), caNotBefore.Format(time.DateOnly), caNotAfter.Format(time.DateOnly))
	}
	template := &x509.Certificate{
		Subject:     pkix.Name{Organization: []string{organization}},
		NotBefore:   slices.MaxFunc([]time.Time{earlier.Add(-leafBefore), caNotBefore}, time.Time.Compare),
		NotAfter:    slices.MinFunc([]time.Time{later.Add(leafAfter), caNotAfter}, time.Time.Compare),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    []string{name},

		BasicConstraintsValid: true,
	}
	if len(name) <= 64 { // RFC 5280 appendix A: ub-common-name
		template.Subject.CommonName = name
	}
	if name == localhost {
		for _, ip := range a.names.addresses() {
			template.IPAddresses = append(template.IPAddresses, net.IP(ip.AsSlice()))
		}
	}
	leaf, err := certify(template, a.ca.intermediate, a.key.Public(), a.ca.key)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{leaf.Raw, a.ca.intermediate.Raw}, PrivateKey: a.key, Leaf: leaf}, nil
}
