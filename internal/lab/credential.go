package lab

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
	"github.com/wiemu/wiemu/internal/issuer"
	"github.com/wiemu/wiemu/internal/kubename"
	"github.com/wiemu/wiemu/internal/tenants"
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
func (l *Lab) MadeCredentials() []MadeCredential {
	l.own.mu.Lock()
	defer l.own.mu.Unlock()
	return slices.Clone(l.own.made)
}

// Register makes the service account of a workload that proves who it is with a
// secret or a certificate: nothing trusts its token. A client id that no tenant
// knows becomes an app registration, and so does the managed identity that was
// made of one by itself.
func (l *Lab) Register(a Account) error {
	from, tenant, err := l.cluster(a)
	if err != nil {
		return err
	}
	from.PutServiceAccount(a.Namespace, a.ServiceAccount, nil)
	p, exists := l.directory.Principal(tenant, a.ClientID)
	switch {
	case a.ClientID == "":
		return fmt.Errorf("credential of %s/%s: expected a client id, of the application that the secret or certificate belongs to", a.Namespace, a.ServiceAccount)
	case l.directory.Removed(tenant, a.ClientID):
		return nil
	case !exists:
		name := cmp.Or(a.Identity, a.ServiceAccount)
		return l.directory.Put(tenant, directory.Principal{
			Kind: directory.Application, ClientID: a.ClientID, ObjectID: tenants.StableID("service principal", a.ClientID),
			ApplicationObjectID: tenants.StableID("application", a.ClientID), DisplayName: name,
		})
	case p.Kind == directory.Application:
		return nil
	case slices.ContainsFunc(l.config.Identities, func(i config.Identity) bool { return i.ClientID == p.ClientID && i.Tenant == tenant }):
		return fmt.Errorf("credential of %s/%s: %s (%s) is a managed identity, which has neither secrets nor certificates; if it is an app registration, list it under applications in wiemu.yaml", a.Namespace, a.ServiceAccount, p.DisplayName, p.ClientID)
	}
	return l.directory.Update(tenant, a.ClientID, func(p *directory.Principal) error {
		p.Kind, p.ResourceID, p.ApplicationObjectID = directory.Application, "", tenants.StableID("application", p.ClientID)
		return nil
	})
}

// cluster returns the issuer of an account's cluster and its tenant, if its names are valid.
func (l *Lab) cluster(a Account) (*issuer.Issuer, string, error) {
	if err := kubename.CheckAccount(a.Namespace, a.ServiceAccount); err != nil {
		return nil, "", err
	}
	from, err := l.Issuer(a.Issuer)
	if err != nil {
		return nil, "", err
	}
	tenant, err := l.Tenant(a.Tenant)
	return from, tenant, err
}

func (l *Lab) application(tenant, clientID string) (*directory.Principal, error) {
	p, ok := l.directory.Principal(tenant, clientID)
	if !ok || p.Kind != directory.Application {
		return nil, fmt.Errorf("credential of %s: expected an application of tenant %s with this client id, found none", clientID, tenant)
	}
	return p, nil
}

// ClientSecret returns a client secret of an application: the first that may be
// used now, else the first. An application that has none gets one.
func (l *Lab) ClientSecret(tenant, clientID string) (string, error) {
	l.own.making.Lock()
	defer l.own.making.Unlock()
	p, err := l.application(tenant, clientID)
	if err != nil {
		return "", err
	}
	if len(p.Secrets) > 0 {
		now := l.clock.Part(entraRing).Now()
		return p.Secrets[max(0, slices.IndexFunc(p.Secrets, func(s directory.Secret) bool { return s.ValidAt(now) }))].Value, nil
	}
	value := newSecret()
	made := MadeCredential{ClientID: p.ClientID, Secret: value}
	secret := directory.Secret{DisplayName: "wiemu", Value: value}
	return value, l.give(made, "client secret", func(p *directory.Principal) { p.Secrets = append(p.Secrets, secret) })
}

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
func (l *Lab) ClientCertificate(ctx context.Context, tenant, clientID string) (tls.Certificate, error) {
	l.own.making.Lock()
	defer l.own.making.Unlock()
	p, err := l.application(tenant, clientID)
	if err != nil {
		return tls.Certificate{}, err
	}
	pairs, err := l.keyPairs(p.ClientID)
	if err != nil {
		return tls.Certificate{}, err
	}
	if len(pairs) > 0 {
		now := l.clock.Part(entraRing).Now()
		return pairs[max(0, slices.IndexFunc(pairs, func(c tls.Certificate) bool {
			return !now.Before(c.Leaf.NotBefore) && !now.After(c.Leaf.NotAfter)
		}))], nil
	}
	pair, err := l.newCertificate(ctx, p.ClientID)
	if err != nil {
		return tls.Certificate{}, err
	}
	thumbprint := sha1.Sum(pair.Leaf.Raw) // the portal shows this one
	what := "certificate with thumbprint " + strings.ToUpper(hex.EncodeToString(thumbprint[:]))
	made := MadeCredential{ClientID: p.ClientID, Certificate: &pair}
	certificate := directory.Certificate{DER: pair.Leaf.Raw}
	if err := l.give(made, what, func(p *directory.Principal) { p.Certificates = append(p.Certificates, certificate) }); err != nil {
		return tls.Certificate{}, err
	}
	l.own.pairs[p.ClientID] = append(l.own.pairs[p.ClientID], pair)
	return pair, nil
}

// keyPairs returns the certificates of an application whose private keys the lab
// has; l.own.making is held.
func (l *Lab) keyPairs(clientID string) ([]tls.Certificate, error) {
	if pairs, known := l.own.pairs[clientID]; known {
		return pairs, nil
	}
	if l.own.pairs == nil {
		l.own.pairs = map[string][]tls.Certificate{}
	}
	for _, a := range l.config.Applications {
		if a.ClientID == clientID {
			pairs, err := a.KeyPairs(l.configDir)
			if err != nil {
				return nil, err
			}
			l.own.pairs[clientID] = append(l.own.pairs[clientID], pairs...)
		}
	}
	return l.own.pairs[clientID], nil
}

// newCertificate makes a self-signed certificate that is valid for as long as the
// lab clock goes.
func (l *Lab) newCertificate(ctx context.Context, name string) (tls.Certificate, error) {
	key, err := l.pool.Take(ctx)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make a client certificate: %w", err)
	}
	serial := make([]byte, 16)
	_, _ = rand.Read(serial) // it never fails
	template := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(serial), Subject: pkix.Name{CommonName: name}, KeyUsage: x509.KeyUsageDigitalSignature,
		NotBefore: l.clock.Now().Add(-24 * time.Hour), NotAfter: time.Date(2099, 12, 31, 23, 59, 59, 0, time.UTC),
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
// principal in, and writes that down; l.own.making is held.
func (l *Lab) give(made MadeCredential, what string, change func(*directory.Principal)) error {
	l.own.mu.Lock()
	l.own.made = append(l.own.made, made)
	l.own.mu.Unlock()
	for _, t := range l.config.Tenants {
		p, ok := l.directory.Principal(t.ID, made.ClientID)
		if !ok {
			continue
		}
		if err := l.directory.Update(t.ID, made.ClientID, func(p *directory.Principal) error { change(p); return nil }); err != nil {
			return fmt.Errorf("give %s a %s: %w", p.DisplayName, what, err)
		}
		l.journal.Record(journal.Event{
			Kind: journal.Directory, Outcome: journal.OK, Tenant: t.ID, ClientID: p.ClientID, Identity: p.DisplayName,
			Summary: fmt.Sprintf("%s (%s) has a %s that the lab has made", p.DisplayName, p.ClientID, what),
		})
	}
	return nil
}
