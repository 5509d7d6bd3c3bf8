package emulator

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/emulator/journal"
)

// MadeCredential is a secret or certificate that the lab has made for an application.
type MadeCredential struct {
	ClientID    string
	Secret      string           // "": it is a certificate
	Certificate *tls.Certificate // nil: it is a secret
}

// ownCredentials are the secrets and certificates that the lab knows all of.
type ownCredentials struct {
	making sync.Mutex                   // held while one is looked for or made
	pairs  map[string][]tls.Certificate // by client id: those of wiemu.yaml and those that were made

	mu   sync.Mutex // guards made: whoever is told of one by the journal may ask
	made []MadeCredential
}

// MadeCredentials returns the secrets and certificates that the lab has made, in
// the order in which it did.
func (e *Emulator) MadeCredentials() []MadeCredential {
	e.own.mu.Lock()
	defer e.own.mu.Unlock()
	return slices.Clone(e.own.made)
}

// Register makes the service account of a workload that proves who it is with a
// secret or a certificate: nothing trusts its token. A client id that no tenant
// knows becomes an app registration, and so does the managed identity that was
// made of one by itself.
func (e *Emulator) Register(w Workload) error {
	if err := config.CheckNames(w.Namespace, w.ServiceAccount); err != nil {
		return err
	}
	from, err := e.Issuer(w.Issuer)
	if err != nil {
		return err
	}
	tenant, err := e.Tenant(w.Tenant)
	if err != nil {
		return err
	}
	from.PutServiceAccount(w.Namespace, w.ServiceAccount, nil)
	p, exists := e.directory.Principal(tenant, w.ClientID)
	switch {
	case w.ClientID == "":
		return fmt.Errorf("credential of %s/%s: expected a client id, of the application that the secret or certificate belongs to", w.Namespace, w.ServiceAccount)
	case e.directory.Removed(tenant, w.ClientID):
		return nil
	case !exists:
		name := cmp.Or(w.Identity, w.ServiceAccount)
		return e.directory.Put(tenant, directory.Principal{
			Kind: directory.Application, ClientID: w.ClientID, ObjectID: config.StableID("service principal", w.ClientID),
			ApplicationObjectID: config.StableID("application", w.ClientID), DisplayName: name,
		})
	case p.Kind == directory.Application:
		return nil
	case slices.ContainsFunc(e.config.Identities, func(i config.Identity) bool { return i.ClientID == p.ClientID && i.Tenant == tenant }):
		return fmt.Errorf("credential of %s/%s: %s (%s) is a managed identity, which has neither secrets nor certificates; if it is an app registration, list it under applications in wiemu.yaml", w.Namespace, w.ServiceAccount, p.DisplayName, p.ClientID)
	}
	return e.directory.Update(tenant, w.ClientID, func(p *directory.Principal) error {
		p.Kind, p.ResourceID, p.ApplicationObjectID = directory.Application, "", config.StableID("application", p.ClientID)
		return nil
	})
}

// application returns an application of a tenant.
func (e *Emulator) application(tenant, clientID string) (*directory.Principal, error) {
	p, ok := e.directory.Principal(tenant, clientID)
	if !ok || p.Kind != directory.Application {
		return nil, fmt.Errorf("credential of %s: expected an application of tenant %s with this client id, found none", clientID, tenant)
	}
	return p, nil
}

// ClientSecret returns a client secret of an application: the first that may be
// used now, else the first. An application that has none gets one.
func (e *Emulator) ClientSecret(tenant, clientID string) (string, error) {
	e.own.making.Lock()
	defer e.own.making.Unlock()
	p, err := e.application(tenant, clientID)
	if err != nil {
		return "", err
	}
	if len(p.Secrets) > 0 {
		now := e.clock.Part(entraRing).Now()
		return p.Secrets[max(0, slices.IndexFunc(p.Secrets, func(s directory.Secret) bool { return s.ValidAt(now) }))].Value, nil
	}
	value := newSecret()
	made := MadeCredential{ClientID: p.ClientID, Secret: value}
	secret := directory.Secret{DisplayName: "wiemu", Value: value}
	return value, e.give(made, "client secret", func(p *directory.Principal) { p.Secrets = append(p.Secrets, secret) })
}

// secretLetters are those of the secrets that Entra ID makes.
const secretLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~"

// newSecret returns a client secret of 40 characters, as Entra ID makes them; but
// the first six tell whose it is, and it has not the form by which scanners of
// repositories know a real one.
func newSecret() string {
	text := make([]byte, 34)
	_, _ = rand.Read(text) // it never fails
	for i, b := range text {
		text[i] = secretLetters[int(b)%len(secretLetters)]
	}
	return "wiemu~" + string(text)
}

// ClientCertificate returns a client certificate of an application with its private
// key: the first of those in wiemu.yaml with a key that may be used now, else
// the first. An application that has none gets one.
func (e *Emulator) ClientCertificate(ctx context.Context, tenant, clientID string) (tls.Certificate, error) {
	e.own.making.Lock()
	defer e.own.making.Unlock()
	p, err := e.application(tenant, clientID)
	if err != nil {
		return tls.Certificate{}, err
	}
	pairs, err := e.keyPairs(p.ClientID)
	if err != nil {
		return tls.Certificate{}, err
	}
	if len(pairs) > 0 {
		now := e.clock.Part(entraRing).Now()
		return pairs[max(0, slices.IndexFunc(pairs, func(c tls.Certificate) bool {
			return !now.Before(c.Leaf.NotBefore) && !now.After(c.Leaf.NotAfter)
		}))], nil
	}
	pair, err := e.newCertificate(ctx, p.ClientID)
	if err != nil {
		return tls.Certificate{}, err
	}
	thumbprint := sha1.Sum(pair.Leaf.Raw) // the portal shows this one
	what := "certificate with thumbprint " + strings.ToUpper(hex.EncodeToString(thumbprint[:]))
	made := MadeCredential{ClientID: p.ClientID, Certificate: &pair}
	certificate := directory.Certificate{DER: pair.Leaf.Raw}
	if err := e.give(made, what, func(p *directory.Principal) { p.Certificates = append(p.Certificates, certificate) }); err != nil {
		return tls.Certificate{}, err
	}
	e.own.pairs[p.ClientID] = append(e.own.pairs[p.ClientID], pair)
	return pair, nil
}

// keyPairs returns the certificates of an application whose private keys the lab
// has; e.own.making is held.
func (e *Emulator) keyPairs(clientID string) ([]tls.Certificate, error) {
	if pairs, known := e.own.pairs[clientID]; known {
		return pairs, nil
	}
	if e.own.pairs == nil {
		e.own.pairs = map[string][]tls.Certificate{}
	}
	for _, a := range e.config.Applications {
		if a.ClientID == clientID {
			pairs, err := a.KeyPairs(e.configDir)
			if err != nil {
				return nil, err
			}
			e.own.pairs[clientID] = append(e.own.pairs[clientID], pairs...)
		}
	}
	return e.own.pairs[clientID], nil
}

// newCertificate makes a self-signed certificate that is valid for as long as the
// lab clock goes.
func (e *Emulator) newCertificate(ctx context.Context, name string) (tls.Certificate, error) {
	key, err := e.pool.Take(ctx)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make a client certificate: %w", err)
	}
	serial := make([]byte, 16)
	_, _ = rand.Read(serial) // it never fails
	template := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(serial), Subject: pkix.Name{CommonName: name}, KeyUsage: x509.KeyUsageDigitalSignature,
		NotBefore: e.clock.Now().Add(-24 * time.Hour), NotAfter: time.Date(2099, 12, 31, 23, 59, 59, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make a client certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make a client certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}

// give gives an application a credential, in each tenant that it has a service
// principal in, and writes that down; e.own.making is held.
func (e *Emulator) give(made MadeCredential, what string, change func(*directory.Principal)) error {
	e.own.mu.Lock()
	e.own.made = append(e.own.made, made)
	e.own.mu.Unlock()
	for _, t := range e.config.Tenants {
		p, ok := e.directory.Principal(t.ID, made.ClientID)
		if !ok {
			continue
		}
		if err := e.directory.Update(t.ID, made.ClientID, func(p *directory.Principal) error { change(p); return nil }); err != nil {
			return fmt.Errorf("give %s a %s: %w", p.DisplayName, what, err)
		}
		e.journal.Record(journal.Event{
			Kind: journal.Directory, Outcome: journal.OK, Tenant: t.ID, ClientID: p.ClientID, Identity: p.DisplayName,
			Summary: fmt.Sprintf("%s (%s) has a %s that the lab has made", p.DisplayName, p.ClientID, what),
		})
	}
	return nil
}
