package keyvault

import (
	"crypto/sha1" //nolint:gosec // what x5t is made with
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/wiemu/wiemu/internal/resource"
)

// certVersion is one version of a certificate. Its key is a version of the vault's key of
// the same name and id, and its secret is the certificate with the private key.
type certVersion struct {
	properties
	of       *certificate
	key      *keyVersion
	material func() material // made when it is needed, as keys are
	secret   func() string   // the same at each call, though a PKCS#12 file is encrypted with a random salt
	pem      bool            // the secret's format; else PKCS#12
	exported bool            // the secret has the private key
}

// certificate is what all versions share; v.mu guards it.
type certificate struct {
	policy  policy
	pending *pending // nil if there is none
}

// material is a certificate with its chain, all in DER.
type material struct {
	der, csr []byte
	chain    [][]byte
}

// pending is the operation that made the latest version.
type pending struct {
	id, csr string
}

// certificates is what is done alike for all kinds.
func certificates() kind[*certVersion] {
	return kind[*certVersion]{
		noun: "Certificate",
		of:   func(v *vault) collection[*certVersion] { return v.certificates },
		describe: func(c *call, o *object[*certVersion], n *certVersion, as form) any {
			if as == whole {
				return c.certificate(o, n)
			}
			id := c.base() + "/certificates/" + o.name
			if as == asVersion {
				id += "/" + n.id
			}
			return certItem{o.binned(c, "certificates"), id, n.thumbprint(), n.attributes(), n.tags, n.of.policy.X509.Subject}
		},
		// A certificate takes its key and secret with it.
		together: func(v *vault, name string, do move, now time.Time) {
			switch do {
			case toBin:
				v.keys.bin(name, now)
				v.secrets.bin(name, now)
			case back:
				v.keys.empty(name)
				v.secrets.empty(name)
				o, _, _ := v.certificates.find(name, "")
				for _, n := range o.versions {
					v.addParts(o.name, n)
				}
			case forGood:
				v.keys.empty(name)
				v.secrets.empty(name)
			}
		},
		recoverable: func(c *call, name string) *resource.Failure {
			if o, ok := c.vault.keys.binned(name, c.now); ok && !o.latest().managed {
				return inBin("Key", o.name)
			}
			if o, ok := c.vault.secrets.binned(name, c.now); ok && o.latest().certificate == nil {
				return inBin("Secret", o.name)
			}
			return c.vault.free(name)
		},
	}
}

// certBundle is a certificate as it is sent, in the order of Key Vault's answers. Seen:
// azure-sdk-for-js recordings, 2022.
type certBundle struct {
	binned
	ID          string            `json:"id"`
	KeyID       string            `json:"kid"`
	SecretID    string            `json:"sid"`
	Thumbprint  string            `json:"x5t"`
	Certificate string            `json:"cer"`
	Attributes  bundleAttributes  `json:"attributes"`
	Tags        map[string]string `json:"tags,omitempty"`
	Policy      policyOut         `json:"policy"`
	Pending     *reference        `json:"pending,omitempty"`
}

type reference struct {
	ID string `json:"id"`
}

// certItem is a certificate in a list.
type certItem struct {
	binned
	ID         string            `json:"id"`
	Thumbprint string            `json:"x5t"`
	Attributes bundleAttributes  `json:"attributes"`
	Tags       map[string]string `json:"tags,omitempty"`
	Subject    string            `json:"subject,omitempty"`
}

func (n *certVersion) thumbprint() string {
	sum := sha1.Sum(n.material().der) //nolint:gosec // it identifies, and protects nothing
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func (c *call) certificate(o *object[*certVersion], n *certVersion) certBundle {
	of := func(kind string) string { return c.base() + "/" + kind + "/" + o.name }
	b := certBundle{
		binned: o.binned(c, "certificates"), ID: of("certificates") + "/" + n.id, KeyID: of("keys") + "/" + n.id, SecretID: of("secrets") + "/" + n.id,
		Thumbprint: n.thumbprint(), Certificate: base64.StdEncoding.EncodeToString(n.material().der),
		Attributes: n.attributes(), Tags: n.tags, Policy: n.of.policy.out(of("certificates") + "/policy"),
	}
	if n.of.pending != nil {
		b.Pending = &reference{of("certificates") + "/pending"}
	}
	return b
}

// certParameters are what clients send to create, import and update certificates.
type certParameters struct {
	described
	Policy   *policy `json:"policy"`
	Value    *string `json:"value"`
	Password string  `json:"pwd"`
	Ordered  bool    `json:"preserveCertOrder"`
}

// ofVersion are the attributes that a client can set: the dates are those of the certificate.
func (p certParameters) ofVersion() attributes { return attributes{Enabled: p.Attributes.Enabled} }

func (c *call) createCertificate(p certParameters) (int, any, *resource.Failure) {
	if p.Policy == nil { // another version as the last one
		c.vault.mu.RLock()
		o, _, ok := c.vault.certificates.find(c.name, "")
		if ok {
			policy := o.latest().of.policy
			p.Policy = &policy
		}
		c.vault.mu.RUnlock()
		if !ok {
			return 0, nil, badParameter("Property 'policy' is required.\r\n")
		}
	}
	wanted, failed := p.Policy.completed(c.now)
	if failed != nil {
		return 0, nil, failed
	}
	if wanted.Issuer.Name != "Self" {
		return 0, nil, notEmulated("issuers of certificates other than Self", "Use issuer Self, or import a certificate.")
	}
	made, failed := selfSigned(wanted, c.now, nil)
	if failed != nil {
		return 0, nil, failed
	}
	_ = made.material() // now, while no lock is held
	v := c.vault
	v.mu.Lock()
	defer v.mu.Unlock()
	made.change(p.ofVersion(), p.Tags, c.now)
	if failed := c.storeCertificate(made); failed != nil {
		return 0, nil, failed
	}
	o, _, _ := v.certificates.find(c.name, "")
	made.of.pending = &pending{id: v.mint(c.name), csr: base64.StdEncoding.EncodeToString(made.material().csr)}
	// The version is there at once; that it takes Key Vault ten seconds is not emulated.
	// Clients are told so when they ask again.
	answer := c.operation(o)
	answer.Status, answer.Target = "inProgress", ""
	answer.Details = "Pending certificate created. Certificate request is in progress. This may take some time based on the issuer provider. Please check again later."
	c.location = answer.ID + "?api-version=" + c.Request.URL.Query().Get("api-version") + "&request_id=" + answer.RequestID
	return http.StatusAccepted, answer, nil
}

func (c *call) importCertificate(p certParameters) (int, any, *resource.Failure) {
	if p.Value == nil || *p.Value == "" {
		return 0, nil, badParameter("Property 'value' is required.\r\n")
	}
	inPEM := strings.Contains(*p.Value, "-----BEGIN ")
	if p.Policy != nil && p.Policy.Secret.ContentType != "" {
		inPEM = p.Policy.Secret.ContentType == contentPEM
	}
	found, failed := readCertificate(*p.Value, p.Password, inPEM)
	if failed != nil {
		return 0, nil, failed
	}
	imported := newImported(found, inPEM, p.Policy, c.now)
	v := c.vault
	v.mu.Lock()
	defer v.mu.Unlock()
	imported.change(p.ofVersion(), p.Tags, c.now)
	if failed := c.storeCertificate(imported); failed != nil {
		return 0, nil, failed
	}
	o, n, _ := v.certificates.find(c.name, "")
	return http.StatusOK, c.certificate(o, n), nil
}

// storeCertificate makes n the latest version; the vault is locked.
func (c *call) storeCertificate(n *certVersion) *resource.Failure {
	v := c.vault
	if failed := c.room(2); failed != nil {
		return failed
	}
	if failed := certificates().vacate(c, c.name); failed != nil {
		return failed
	}
	if _, _, ok := v.certificates.find(c.name, ""); !ok {
		if failed := v.free(c.name); failed != nil {
			return failed
		}
		if failed := keys().vacate(c, c.name); failed != nil {
			return failed
		}
		if failed := secrets().vacate(c, c.name); failed != nil {
			return failed
		}
	}
	v.addCertificate(c.name, n)
	return nil
}

// free refuses a name whose key or secret there is; the vault is locked.
func (v *vault) free(name string) *resource.Failure {
	if _, _, ok := v.keys.find(name, ""); ok {
		return inTheWay("key", name)
	}
	if _, _, ok := v.secrets.find(name, ""); ok {
		return inTheWay("secret", name)
	}
	return nil
}

// inTheWay refuses a certificate whose key or secret would be another one's. The words
// are inferred.
func inTheWay(what, name string) *resource.Failure {
	return resource.Fail(http.StatusConflict, "Conflict", "A "+what+" with the name "+name+" already exists in this key vault.",
		"A certificate has a key and a secret of its own name, and there is a "+what+" of that name that is not its own.", "Use another name, or delete and purge the "+what+".")
}

// addCertificate makes n the latest version, with its key and secret; v.mu is held.
func (v *vault) addCertificate(name string, n *certVersion) {
	if o, before, ok := v.certificates.find(name, ""); ok {
		before.of.policy, before.of.pending = n.of.policy, nil
		n.of = before.of
		name = o.name
	}
	v.made += 2
	n.id = v.mint(name)
	v.certificates.add(name, n)
	v.keys.empty(name)
	v.secrets.empty(name)
	v.addParts(name, n)
}

// addParts makes a version's key and secret the latest ones of its name; v.mu is held.
func (v *vault) addParts(name string, n *certVersion) {
	n.key.properties, n.key.managed = n.properties, true
	v.keys.add(name, n.key)
	v.secrets.add(name, &version{properties: n.properties, certificate: n})
}

// sync gives a version's key and secret what was changed of it; v.mu is held.
func (v *vault) sync(name string, n *certVersion) {
	n.key.properties = n.properties
	if _, s, ok := v.secrets.find(name, n.id); ok {
		s.properties = n.properties
	}
}

func (c *call) updateCertificate(p certParameters) (int, any, *resource.Failure) {
	o, n, failed := certificates().find(c, c.name, c.id)
	if failed != nil {
		return 0, nil, failed
	}
	if p.Policy != nil {
		if failed := c.changePolicy(n.of, *p.Policy); failed != nil {
			return 0, nil, failed
		}
	}
	n.change(p.ofVersion(), p.Tags, c.now)
	c.vault.sync(c.name, n)
	return http.StatusOK, c.certificate(o, n), nil
}

func (c *call) policy(o *object[*certVersion], n *certVersion) any {
	return n.of.policy.out(c.base() + "/certificates/" + o.name + "/policy")
}

func (c *call) updatePolicy(p policy) (int, any, *resource.Failure) {
	o, n, failed := certificates().find(c, c.name, "")
	if failed != nil {
		return 0, nil, failed
	}
	if failed := c.changePolicy(n.of, p); failed != nil {
		return 0, nil, failed
	}
	return http.StatusOK, c.policy(o, n), nil
}

// changePolicy takes over what is sent; the vault is locked.
func (c *call) changePolicy(of *certificate, sent policy) *resource.Failure {
	merged, failed := of.policy.with(sent).completed(of.policy.Attributes.created)
	if failed != nil {
		return failed
	}
	merged.Attributes.updated = c.now
	of.policy = merged
	return nil
}

// operationBundle is a pending operation as it is sent.
type operationBundle struct {
	ID        string       `json:"id"`
	Issuer    policyIssuer `json:"issuer"`
	CSR       string       `json:"csr"`
	Cancelled bool         `json:"cancellation_requested"`
	Status    string       `json:"status"`
	Details   string       `json:"status_details,omitempty"`
	Target    string       `json:"target,omitempty"`
	RequestID string       `json:"request_id"`
}

// operation describes the operation that made the latest version; the vault is locked.
func (c *call) operation(o *object[*certVersion]) operationBundle {
	of, base := o.latest().of, c.base()+"/certificates/"+o.name
	return operationBundle{ID: base + "/pending", Issuer: of.policy.Issuer, CSR: of.pending.csr, Status: "completed", Target: base, RequestID: of.pending.id}
}

// findPending returns the certificate, which has an operation; the vault is locked.
// Seen: azure-sdk-for-js recordings, 2022.
func (c *call) findPending() (*object[*certVersion], *resource.Failure) {
	o, n, ok := c.vault.certificates.find(c.name, "")
	ok = ok && n.of.pending != nil
	c.Check("pending certificate", "a certificate with an operation", c.name, ok)
	if !ok {
		return nil, resource.Fail(http.StatusNotFound, "PendingCertificateNotFound", "Pending certificate not found: "+c.name,
			"The certificate was imported, its operation was deleted, or there is no such certificate.", "")
	}
	return o, nil
}

func (c *call) getPending() (int, any, *resource.Failure) {
	o, failed := c.findPending()
	if failed != nil {
		return 0, nil, failed
	}
	return http.StatusOK, c.operation(o), nil
}

func (c *call) deletePending() (int, any, *resource.Failure) {
	o, failed := c.findPending()
	if failed != nil {
		return 0, nil, failed
	}
	answer := c.operation(o)
	o.latest().of.pending = nil
	return http.StatusOK, answer, nil
}

// contacts are told of certificates that expire; nobody is here.
type contacts struct {
	ID       string    `json:"id"`
	Contacts []contact `json:"contacts"`
}

type contact struct {
	Email string `json:"email"`
	Name  string `json:"name,omitempty"`
	Phone string `json:"phone,omitempty"`
}

const maxContacts = 100

func (c *call) setContacts(p contacts) (int, any, *resource.Failure) {
	if len(p.Contacts) == 0 || len(p.Contacts) > maxContacts || slices.ContainsFunc(p.Contacts, func(one contact) bool { return one.Email == "" }) {
		return 0, nil, badParameter("'contacts' has 1 to %d contacts, each with an 'email'.", maxContacts)
	}
	c.vault.contacts = p.Contacts
	return http.StatusOK, contacts{c.base() + "/certificates/contacts", p.Contacts}, nil
}

// getContacts describes them. Seen: azure-sdk-for-js recordings, 2022.
func (c *call) getContacts() (int, any, *resource.Failure) {
	if len(c.vault.contacts) == 0 {
		return 0, nil, resource.Fail(http.StatusNotFound, "ContactsNotFound", "Contacts not found", "The vault has no contacts.", "")
	}
	return http.StatusOK, contacts{c.base() + "/certificates/contacts", c.vault.contacts}, nil
}

func (c *call) deleteContacts() (int, any, *resource.Failure) {
	status, answer, failed := c.getContacts()
	c.vault.contacts = nil
	return status, answer, failed
}

// listIssuers has none: only Self is emulated.
func (c *call) listIssuers() (int, any, *resource.Failure) { return c.page(nil, nil) }

func (c *call) otherIssuers() (int, any, *resource.Failure) {
	return 0, nil, notEmulated("issuers of certificates other than Self", "Use issuer Self, or import a certificate.")
}
