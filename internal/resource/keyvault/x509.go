package keyvault

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/wiemu/wiemu/internal/resource"
)

func keyUses() map[string]x509.KeyUsage {
	return map[string]x509.KeyUsage{
		"digitalSignature": x509.KeyUsageDigitalSignature, "nonRepudiation": x509.KeyUsageContentCommitment, "keyEncipherment": x509.KeyUsageKeyEncipherment,
		"dataEncipherment": x509.KeyUsageDataEncipherment, "keyAgreement": x509.KeyUsageKeyAgreement, "keyCertSign": x509.KeyUsageCertSign,
		"cRLSign": x509.KeyUsageCRLSign, "encipherOnly": x509.KeyUsageEncipherOnly, "decipherOnly": x509.KeyUsageDecipherOnly,
	}
}

// template is the certificate that a policy describes, without dates and number.
func (p policy) template() (*x509.Certificate, *resource.Failure) {
	subject, ok := parseSubject(p.X509.Subject)
	if !ok {
		return nil, badParameter("The 'subject' is '%s'; expected an X.500 name, such as CN=web.example.com.", p.X509.Subject)
	}
	t := &x509.Certificate{
		Subject: subject, DNSNames: p.X509.Names.DNS, EmailAddresses: p.X509.Names.Emails,
		BasicConstraintsValid: true, IsCA: p.X509.Basic.CA,
	}
	for _, text := range p.X509.Names.Addresses {
		address := net.ParseIP(text)
		if address == nil {
			return nil, badParameter("'sans' has the address '%s'; expected one such as 10.0.0.1.", text)
		}
		t.IPAddresses = append(t.IPAddresses, address)
	}
	for _, text := range p.X509.Names.URIs {
		uri, err := url.Parse(text)
		if err != nil {
			return nil, badParameter("'sans' has the URI '%s': %v", text, err)
		}
		t.URIs = append(t.URIs, uri)
	}
	for _, name := range p.X509.Use {
		t.KeyUsage |= keyUses()[name]
	}
	for _, text := range p.X509.ExtendedUse {
		id, ok := objectIdentifier(text)
		if !ok {
			return nil, badParameter("'ekus' has '%s'; expected an object identifier, such as 1.3.6.1.5.5.7.3.1.", text)
		}
		t.UnknownExtKeyUsage = append(t.UnknownExtKeyUsage, id)
	}
	if _, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: t.Subject, DNSNames: t.DNSNames, EmailAddresses: t.EmailAddresses, URIs: t.URIs}, anyKey()); err != nil {
		return nil, badParameter("The names of the certificate are not valid: %v", err)
	}
	return t, nil
}

// anyKey lets names be tried out.
var anyKey = sync.OnceValue(func() crypto.Signer {
	key, _ := newKeyKind("EC", 0, "P-256", 0)
	return (&Service{}).generate(key)()
})

func objectIdentifier(text string) (asn1.ObjectIdentifier, bool) {
	var id asn1.ObjectIdentifier
	for part := range strings.SplitSeq(text, ".") {
		n, err := strconv.Atoi(part)
		if err != nil || n < 0 {
			return nil, false
		}
		id = append(id, n)
	}
	_, err := asn1.Marshal(id)
	return id, err == nil && len(id) > 1
}

// attributeTypes are those of names. Source: RFC 4514 §3, and what .NET's
// X500DistinguishedName takes besides.
func attributeTypes() map[string]asn1.ObjectIdentifier {
	return map[string]asn1.ObjectIdentifier{
		"CN": {2, 5, 4, 3}, "SN": {2, 5, 4, 4}, "SERIALNUMBER": {2, 5, 4, 5}, "C": {2, 5, 4, 6}, "L": {2, 5, 4, 7}, "ST": {2, 5, 4, 8}, "S": {2, 5, 4, 8},
		"STREET": {2, 5, 4, 9}, "O": {2, 5, 4, 10}, "OU": {2, 5, 4, 11}, "T": {2, 5, 4, 12}, "GN": {2, 5, 4, 42},
		"DC": {0, 9, 2342, 19200300, 100, 1, 25}, "UID": {0, 9, 2342, 19200300, 100, 1, 1}, "E": {1, 2, 840, 113549, 1, 9, 1}, "EMAIL": {1, 2, 840, 113549, 1, 9, 1},
	}
}

// parseSubject reads a name such as CN=web, O="Contoso, Ltd". An empty one is a name, too.
func parseSubject(text string) (pkix.Name, bool) {
	var name pkix.Name
	for _, part := range splitName(text) {
		kind, value, ok := strings.Cut(part, "=")
		id, known := attributeTypes()[strings.ToUpper(strings.TrimSpace(kind))]
		value = strings.TrimSpace(value)
		if quoted, ok := strings.CutPrefix(value, `"`); ok {
			if value, ok = strings.CutSuffix(quoted, `"`); !ok {
				return name, false
			}
			value = strings.ReplaceAll(value, `""`, `"`)
		} else {
			value = strings.NewReplacer(`\\`, `\`, `\`, ``).Replace(value)
		}
		if !ok || !known || value == "" {
			return name, false
		}
		name.ExtraNames = append(name.ExtraNames, pkix.AttributeTypeAndValue{Type: id, Value: value})
	}
	return name, true
}

// splitName splits at commas and semicolons that are neither quoted nor escaped.
func splitName(text string) []string {
	var parts []string
	quoted, begin := false, 0
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case (c == ',' || c == ';') && !quoted:
			parts, begin = append(parts, text[begin:i]), i+1
		}
	}
	if strings.TrimSpace(text[min(begin, len(text)):]) != "" || len(parts) > 0 {
		parts = append(parts, text[min(begin, len(text)):])
	}
	return parts
}

// skew is how much before its creation a certificate begins. Seen: azure-sdk-for-js
// recordings.
const skew = 10 * time.Minute

// selfSigned returns a version that the policy describes and that begins now. key is that
// of the version before if it is used again, else nil. Certificate and key are made when
// they are needed.
func selfSigned(p policy, now time.Time, key *keyVersion) (*certVersion, *resource.Failure) {
	template, failed := p.template()
	if failed != nil {
		return nil, failed
	}
	kind, failed := newKeyKind(p.Key.Type, p.Key.Size, p.Key.Curve, 0)
	if failed != nil {
		return nil, failed
	}
	private := exportable(kind)
	if key != nil {
		private = key.private
	}
	from, until := now.Add(-skew).Truncate(time.Second), now.AddDate(0, p.X509.Months, 0).Truncate(time.Second)
	made := func() material {
		signer := private()
		t := *template
		t.NotBefore, t.NotAfter = from, until
		t.SerialNumber = new(big.Int).SetBytes(random(16))
		csr, _ := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
			Subject: t.Subject, DNSNames: t.DNSNames, EmailAddresses: t.EmailAddresses, IPAddresses: t.IPAddresses, URIs: t.URIs,
		}, signer) // it was tried with another key
		der, _ := x509.CreateCertificate(rand.Reader, &t, &t, signer.Public(), signer) // nor does this fail
		return material{der: der, csr: csr}
	}
	n := &certVersion{
		properties: properties{enabled: true, created: now, updated: now, notBefore: new(from.Unix()), expires: new(until.Unix())},
		of:         &certificate{policy: p}, key: &keyVersion{kty: p.Key.Type, kind: kind, private: private, operations: defaultOperations(p.Key.Type)},
		material: sync.OnceValue(made), pem: p.Secret.ContentType == contentPEM, exported: *p.Key.Exportable,
	}
	n.secret = sync.OnceValue(n.file)
	return n, nil
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // it never fails
	b[0] &= 0x7f        // of a number that is not negative
	return b
}

// exportable is generate for keys that programs get: those of the pool sign the tokens of
// other labs.
func exportable(kind keyKind) privateKey {
	return (&Service{}).generate(kind)
}

// read is a certificate that was imported, with its chain and key.
type read struct {
	cert    *x509.Certificate
	chain   [][]byte
	private crypto.Signer
}

// The refusals of what cannot be read. Seen: damienbod/AspNetCoreCertificates#38 (2021),
// Azure/azure-cli#19017 (2021).
func unreadablePFX(why string) *resource.Failure {
	return resource.Fail(400, "BadParameter", "The specified PKCS#12 X.509 certificate content can not be read. Please check if certificate is in valid PKCS#12 format.",
		"The value is no PKCS#12 file with one private key and its certificate, or the password is another one.",
		why+" Send the file's content in base64, and its password in pwd. PEM needs the policy's secret_props.contentType application/x-pem-file.")
}

func unreadablePEM(why string) *resource.Failure {
	return resource.Fail(400, "BadParameter", "The specified PEM X.509 certificate content is in an unexpected format. Please check if certificate is in valid PEM format.",
		"The value is no PEM file with one private key in PKCS#8 and its certificate.",
		why+" Send a private key in PKCS#8 (BEGIN PRIVATE KEY) and the certificate, both in PEM: openssl pkcs8 -topk8 -nocrypt converts other keys.")
}

// readCertificate reads what a client imports.
func readCertificate(value, password string, inPEM bool) (read, *resource.Failure) {
	if inPEM {
		return readPEM(value)
	}
	der, err := base64.StdEncoding.DecodeString(strings.TrimSpace(value))
	if err != nil {
		return read{}, unreadablePFX("The value is not base64.")
	}
	if rounds(der) > maxRounds {
		return read{}, unreadablePFX("Its keys are derived from the password in more than " + strconv.Itoa(maxRounds) + " rounds in all; wiemu takes no more. Write the file with fewer.")
	}
	err = lookIntoLayers(der, password)
	var private any
	var cert *x509.Certificate
	var chain []*x509.Certificate
	if err == nil {
		private, cert, chain, err = pkcs12.DecodeChain(der, password)
	}
	if err != nil {
		return read{}, unreadablePFX("It is no PKCS#12 file with one private key and its certificate, or has another password: " + err.Error() + ".")
	}
	key, failed := checked(private)
	if failed != nil {
		return read{}, failed
	}
	found := read{cert: cert, private: key}
	for _, ca := range chain {
		found.chain = append(found.chain, ca.Raw)
	}
	return found, found.fits(unreadablePFX)
}

func readPEM(value string) (found read, failed *resource.Failure) {
	if decoded, err := base64.StdEncoding.DecodeString(strings.TrimSpace(value)); err == nil { // which is taken, too
		value = string(decoded)
	}
	for block, rest := pem.Decode([]byte(value)); block != nil; block, rest = pem.Decode(rest) {
		switch {
		case block.Type == "CERTIFICATE" && found.cert == nil:
			cert, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return read{}, unreadablePEM("The certificate cannot be read: " + err.Error() + ".")
			}
			found.cert = cert
		case block.Type == "CERTIFICATE":
			if _, err := x509.ParseCertificate(block.Bytes); err != nil {
				return read{}, unreadablePEM("A certificate of the chain cannot be read: " + err.Error() + ".")
			}
			found.chain = append(found.chain, block.Bytes)
		case block.Type == "PRIVATE KEY" && found.private == nil:
			private, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			if err != nil {
				return read{}, unreadablePEM("The private key cannot be read: " + err.Error() + ".")
			}
			if found.private, failed = checked(private); failed != nil {
				return read{}, failed
			}
		case strings.HasSuffix(block.Type, "PRIVATE KEY"):
			return read{}, unreadablePEM("It has a block " + block.Type + "; Key Vault takes one PRIVATE KEY.")
		}
	}
	switch {
	case found.private == nil:
		return read{}, unreadablePEM("It has no block PRIVATE KEY.")
	case found.cert == nil:
		return read{}, unreadablePEM("It has no block CERTIFICATE.")
	}
	return found, found.fits(unreadablePEM)
}

// fits refuses a certificate of another key.
func (r read) fits(refuse func(string) *resource.Failure) *resource.Failure {
	public, ok := r.private.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(r.cert.PublicKey) {
		return refuse("The private key is not that of the first certificate.")
	}
	return nil
}

// newImported returns the version of a certificate that was read. What a policy does not
// say is taken from the certificate.
func newImported(found read, inPEM bool, sent *policy, now time.Time) *certVersion {
	var p policy
	if sent != nil {
		p = *sent
	}
	kty, kind := "RSA", kindOf(found.private)
	p.Key.Type, p.Key.Size, p.Key.Curve = kty, kind.bits, ""
	if key, ok := found.private.(*ecdsa.PrivateKey); ok {
		kty = "EC"
		p.Key.Type, p.Key.Size, p.Key.Curve = kty, 0, key.Curve.Params().Name
	}
	p.Secret.ContentType = map[bool]string{true: contentPEM, false: contentPFX}[inPEM]
	p.Issuer.Name = cmp.Or(p.Issuer.Name, "Unknown")
	cert := found.cert
	p.X509.Subject = cert.Subject.String()
	p.X509.Names = policyNames{DNS: cert.DNSNames, Emails: cert.EmailAddresses}
	for _, address := range cert.IPAddresses {
		p.X509.Names.Addresses = append(p.X509.Names.Addresses, address.String())
	}
	p.X509.Months = max(1, int(cert.NotAfter.Sub(cert.NotBefore).Hours()/24/30))
	p.X509.Basic = &policyConstraints{cert.IsCA}
	if done, failed := p.completed(now); failed == nil {
		p = done
	} else { // a certificate can say what a policy cannot
		p.Key.Exportable, p.Key.Reuse, p.Attributes.created, p.Attributes.updated = new(true), new(false), now, now
	}
	n := &certVersion{
		properties: properties{enabled: true, created: now, updated: now, notBefore: new(cert.NotBefore.Unix()), expires: new(cert.NotAfter.Unix())},
		of:         &certificate{policy: p}, key: &keyVersion{kty: kty, kind: kind, private: ready(found.private), operations: defaultOperations(kty)},
		material: func() material { return material{der: cert.Raw, chain: found.chain} }, pem: inPEM, exported: *p.Key.Exportable,
	}
	n.secret = sync.OnceValue(n.file)
	return n
}

// file is the certificate as programs get it: with its private key and chain, in PEM or
// as PKCS#12 in base64 without a password.
func (n *certVersion) file() string {
	made := n.material()
	if n.pem {
		var text bytes.Buffer
		if n.exported {
			der, _ := x509.MarshalPKCS8PrivateKey(n.key.private()) // RSA and EC keys always
			_ = pem.Encode(&text, &pem.Block{Type: "PRIVATE KEY", Bytes: der})
		}
		for _, der := range append([][]byte{made.der}, made.chain...) {
			_ = pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: der})
		}
		return text.String()
	}
	cert, _ := x509.ParseCertificate(made.der) // which was made or read
	var chain []*x509.Certificate
	for _, der := range made.chain {
		if ca, err := x509.ParseCertificate(der); err == nil {
			chain = append(chain, ca)
		}
	}
	// Encrypted as all programs can read it: golang.org/x/crypto/pkcs12, with which the
	// Secrets Store provider reads it, knows nothing newer.
	var sealed []byte
	if n.exported {
		sealed, _ = pkcs12.LegacyDES.Encode(n.key.private(), cert, chain, "")
	} else {
		sealed, _ = pkcs12.LegacyDES.EncodeTrustStore(append([]*x509.Certificate{cert}, chain...), "")
	}
	return base64.StdEncoding.EncodeToString(sealed)
}

func (n *certVersion) contentType() string {
	return map[bool]string{true: contentPEM, false: contentPFX}[n.pem]
}
