// Package ca is the certificate authority of a lab: it gives each emulated
// host a certificate, and clients a bundle by which they trust it. It is never
// installed in a system's store, and it can do no harm if it is: X.509 name
// constraints hold it to the lab's own names.
package ca

import (
	"crypto/ecdsa"
	"crypto/tls"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/internal/statedir"
)

// Options say what the CA may certify.
type Options struct {
	// Names are host names such as "login.microsoftonline.com"; one that starts
	// with a dot stands for every host below it (".vault.azure.net"). A name that
	// is an IP address counts as one of IPs.
	Names []string
	// IPs are further addresses under which the lab is reached by number.
	// Loopback and the name localhost are always there.
	IPs []netip.Addr
}

// Authority is a CA with its root's key destroyed: what is left is one
// intermediate, and that signs certificates for the configured names only.
type Authority struct {
	clock   clock.Clock
	names   names
	ca      *ca
	renewed string

	key *ecdsa.PrivateKey // of every leaf, as long as the process lives

	mu     sync.RWMutex
	leaves map[string]*tls.Certificate
}

// Open loads the CA stored in dir, or makes one. A stored CA is used as long as it
// permits exactly what opts names; otherwise a new one replaces it, and Renewed
// says why. Package statedir checks the directory's owner and mode. Several processes
// may open the same directory at the same time. If dir is empty, the CA is in memory.
func Open(dir string, clk clock.Clock, opts Options) (*Authority, error) {
	wanted, err := parseNames(opts)
	if err != nil {
		return nil, err
	}
	a := &Authority{clock: clk, names: wanted, leaves: map[string]*tls.Certificate{}}
	if a.ca, a.renewed, err = obtain(dir, wanted); err != nil {
		return nil, err
	}
	if a.key, err = newKey(); err != nil {
		return nil, err
	}
	return a, nil
}

// obtain loads the CA or makes it, and says why one that was there is not used.
func obtain(dir string, wanted names) (_ *ca, renewed string, err error) {
	if dir == "" {
		made, err := makeCA(wanted)
		return made, "", err
	}
	files, err := statedir.Open(dir)
	if err != nil {
		return nil, "", fmt.Errorf("the CA's directory: %w", err)
	}
	defer files.Close()
	stored, _, err := load(files, wanted)
	if err != nil || stored != nil {
		return stored, "", err
	}
	held, err := files.WaitForLock(".lock")
	if err != nil {
		return nil, "", fmt.Errorf("make a CA in %s: wait for other processes: %w", dir, err)
	}
	defer func() { _ = held.Release() }()      // the process's end releases it, too
	stored, renewed, err = load(files, wanted) // another process may have made it meanwhile
	if err != nil || stored != nil {
		return stored, "", err
	}
	made, err := makeCA(wanted)
	if err != nil {
		return nil, "", err
	}
	if err := store(files, made); err != nil {
		return nil, "", err
	}
	overwriteFreed() // the CA will be trusted for longer than this process lives
	return made, renewed, nil
}

// Renewed says why a CA that was stored in the directory was replaced by a new
// one; "" when it is still in use, or when there was none. Programs that were
// given the old CA's bundle do not trust the new one.
func (a *Authority) Renewed() string { return a.renewed }

// Permits reports whether the authority certifies the host name or IP address.
func (a *Authority) Permits(host string) bool {
	return a.names.serves(host)
}

// RootPEM is the root certificate, for clients to trust.
func (a *Authority) RootPEM() []byte { return encodePEM(a.ca.root) }

// clocks are lab time and wall time in order: certificates are checked by
// programs on either.
func (a *Authority) clocks() (earlier, later time.Time) {
	lab, wall := a.clock.Now(), time.Now().UTC() // wall time: what a program outside the lab's clock checks by
	if lab.After(wall) {
		return wall, lab
	}
	return lab, wall
}
