package keyvault_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	oldpkcs12 "golang.org/x/crypto/pkcs12"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/wiemu/wiemu/internal/resource/internal/tokentest"
	"github.com/wiemu/wiemu/internal/resource/keyvault"
)

const v76 = "?api-version=7.6"

// certificate is what a client reads of one.
type certificate struct {
	ID         string `json:"id"`
	KeyID      string `json:"kid"`
	SecretID   string `json:"sid"`
	Thumbprint string `json:"x5t"`
	DER        []byte `json:"cer"`
	Attributes struct {
		Enabled         bool
		NotBefore       int64 `json:"nbf"`
		Expires         int64 `json:"exp"`
		Created         int64
		RecoverableDays int
	} `json:"attributes"`
	Value       string `json:"value"`
	ContentType string `json:"contentType"`
	Managed     bool   `json:"managed"`
	Key         struct {
		N, X, Y string
		Type    string   `json:"kty"`
		Ops     []string `json:"key_ops"`
	} `json:"key"`
	Status, Target, CSR string
	RequestID           string `json:"request_id"`
}

// must asks for what has to succeed.
func (l *lab) must(t testing.TB, request, body string, status int) certificate {
	t.Helper()
	answer := l.ask(t, l.token(t), request, body)
	said := text(t, answer)
	var c certificate
	if answer.StatusCode != status {
		t.Fatalf("%s: %d %s", request, answer.StatusCode, said)
	}
	if said != "" {
		if err := json.Unmarshal([]byte(said), &c); err != nil {
			t.Fatalf("%s: %v in %s", request, err, said)
		}
	}
	return c
}

func TestLifeOfASelfSignedCertificate(t *testing.T) {
	for _, contentType := range []string{"application/x-pkcs12", "application/x-pem-file"} {
		t.Run(contentType, func(t *testing.T) {
			l := newLab(t, everything())
			begun := l.must(t, "POST /certificates/Web/create"+v76, `{"policy":{"key_props":{"kty":"EC","crv":"P-256"},"secret_props":{"contentType":"`+contentType+`"},"x509_props":{"subject":"CN=web, O=\"Contoso, Ltd\"","sans":{"dns_names":["web.example.com"]}},"issuer":{"name":"Self"}},"tags":{"a":"b"}}`, 202)
			csr, err := base64.StdEncoding.DecodeString(begun.CSR)
			if err != nil || begun.Status != "inProgress" || begun.Target != "" {
				t.Errorf("%+v, %v", begun, err)
			}
			if request, err := x509.ParseCertificateRequest(csr); err != nil || request.CheckSignature() != nil || request.DNSNames[0] != "web.example.com" {
				t.Errorf("%v, %v", request, err)
			}
			if done := l.must(t, "GET /certificates/web/pending"+v76, "", 200); done.Status != "completed" || done.Target != "https://mykeyvault.vault.azure.net/certificates/Web" || done.RequestID != begun.RequestID {
				t.Errorf("%+v", done)
			}
			got := l.must(t, "GET /certificates/web/"+v76, "", 200)
			cert, err := x509.ParseCertificate(got.DER)
			if err != nil {
				t.Fatal(err)
			}
			now := tokentest.Start()
			if cert.Subject.String() != `O=Contoso\, Ltd,CN=web` && cert.Subject.CommonName != "web" || !slices.Equal(cert.DNSNames, []string{"web.example.com"}) || !cert.NotAfter.Equal(now.AddDate(1, 0, 0)) || cert.NotAfter.Unix() != got.Attributes.Expires ||
				cert.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature) != nil || cert.KeyUsage != x509.KeyUsageDigitalSignature|x509.KeyUsageKeyEncipherment || len(cert.ExtKeyUsage) != 2 {
				t.Errorf("%+v", cert)
			}
			version := got.ID[strings.LastIndex(got.ID, "/")+1:]
			if !strings.HasSuffix(got.KeyID, "/keys/Web/"+version) || !strings.HasSuffix(got.SecretID, "/secrets/Web/"+version) {
				t.Errorf("%+v", got)
			}
			secret := l.must(t, "GET /secrets/web"+v76, "", 200)
			if !secret.Managed || secret.ContentType != contentType || secret.KeyID != got.KeyID {
				t.Errorf("%+v", secret)
			}
			if again := l.must(t, "GET /secrets/web"+v76, "", 200); again.Value != secret.Value {
				t.Error("the same version in other bytes")
			}
			pair := keyPair(t, secret)
			if !bytes.Equal(pair.Certificate[0], got.DER) {
				t.Error("the secret has another certificate")
			}
			// The key signs as the certificate says.
			key := l.must(t, "GET /keys/web"+v76, "", 200)
			if !key.Managed || key.Key.Type != "EC" || key.Key.X == "" {
				t.Errorf("%+v", key)
			}
			digest := sha256.Sum256([]byte("x"))
			signed := l.must(t, "POST /keys/web/sign"+v76, `{"alg":"ES256","value":"`+base64.RawURLEncoding.EncodeToString(digest[:])+`"}`, 200)
			signature, err := base64.RawURLEncoding.DecodeString(signed.Value)
			if err != nil || !ecdsa.Verify(cert.PublicKey.(*ecdsa.PublicKey), digest[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])) {
				t.Errorf("the key is not the certificate's: %v", err)
			}
			// What belongs to it changes with it alone.
			l.must(t, "DELETE /keys/web"+v76, "", 403)
			l.must(t, "DELETE /secrets/web"+v76, "", 403)
			l.must(t, "PUT /secrets/web"+v76, `{"value":"x"}`, 403)
			l.must(t, "POST /keys/web/rotate"+v76, "", 403)
			if off := l.must(t, "PATCH /certificates/web"+v76, `{"attributes":{"enabled":false}}`, 200); off.Attributes.Enabled {
				t.Errorf("%+v", off)
			}
			l.must(t, "GET /secrets/web"+v76, "", 403)
			l.must(t, "PATCH /certificates/web/"+version+v76, `{"attributes":{"enabled":true}}`, 200)
			gone := l.must(t, "DELETE /certificates/web"+v76, "", 200)
			if gone.Attributes.RecoverableDays != 90 {
				t.Errorf("%+v", gone)
			}
			for _, request := range []string{"GET /certificates/web", "GET /keys/web", "GET /secrets/web"} {
				l.must(t, request+v76, "", 404)
			}
			l.must(t, "POST /certificates/web/create"+v76, `{"policy":{"x509_props":{"subject":"CN=web"},"issuer":{"name":"Self"}}}`, 409)
			l.must(t, "POST /deletedkeys/web/recover"+v76, "", 403)
			l.must(t, "POST /deletedcertificates/web/recover"+v76, "", 200)
			if again := l.must(t, "GET /secrets/web"+v76, "", 200); again.Value != secret.Value {
				t.Error("recovered as another one, or in other bytes")
			}
			l.must(t, "DELETE /certificates/web"+v76, "", 200)
			l.must(t, "DELETE /deletedcertificates/web"+v76, "", 204)
			l.must(t, "POST /keys/web/create"+v76, `{"kty":"EC"}`, 200)
			l.must(t, "POST /certificates/web/create"+v76, `{"policy":{"x509_props":{"subject":"CN=web"},"issuer":{"name":"Self"}}}`, 409)
		})
	}
}

// keyPair reads the secret of a certificate as programs do.
func keyPair(t *testing.T, secret certificate) tls.Certificate {
	t.Helper()
	text := secret.Value
	if secret.ContentType == "application/x-pkcs12" {
		pfx, err := base64.StdEncoding.DecodeString(secret.Value)
		if err != nil {
			t.Fatal(err)
		}
		blocks, err := oldpkcs12.ToPEM(pfx, "") // by which the Secrets Store provider reads it
		if err != nil {
			t.Fatal(err)
		}
		text = ""
		for _, block := range blocks {
			block.Headers = nil
			text += string(pem.EncodeToMemory(block))
		}
	}
	pair, err := tls.X509KeyPair([]byte(text), []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// issued is a certificate with its key and the CA that signed it.
func issued(t testing.TB) (cert, ca *x509.Certificate, key *ecdsa.PrivateKey) {
	t.Helper()
	sign := func(name string, public, signer *ecdsa.PrivateKey, parent *x509.Certificate) *x509.Certificate {
		template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotBefore: tokentest.Start(), NotAfter: tokentest.Start().AddDate(0, 3, 0), IsCA: parent == nil, BasicConstraintsValid: true}
		if parent == nil {
			parent = template
		}
		der, err := x509.CreateCertificate(rand.Reader, template, parent, public.Public(), signer)
		if err != nil {
			t.Fatal(err)
		}
		made, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	root, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	ca = sign("ca.example", root, root, nil)
	return sign("web.example", key, root, ca), ca, key
}

func TestImportedCertificates(t *testing.T) {
	cert, ca, key := issued(t)
	pfx, err := pkcs12.Modern2023.Encode(key, cert, []*x509.Certificate{ca}, "s3cret")
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	whole := block("PRIVATE KEY", der) + block("CERTIFICATE", cert.Raw) + block("CERTIFICATE", ca.Raw)
	sec1, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	const inPEM = `"policy":{"secret_props":{"contentType":"application/x-pem-file"}}`
	const badPFX, badPEM = "The specified PKCS#12 X.509 certificate content can not be read.", "The specified PEM X.509 certificate content is in an unexpected format."
	for _, row := range []struct {
		name, value, rest string
		status            int
		message           string
	}{
		{"PKCS#12", base64.StdEncoding.EncodeToString(pfx), `"pwd":"s3cret"`, 200, `"issuer":{"name":"Unknown"}`},
		{"PKCS#12 with another password", base64.StdEncoding.EncodeToString(pfx), `"pwd":"other"`, 400, badPFX},
		{"PKCS#12 without its password", base64.StdEncoding.EncodeToString(pfx), `"tags":{}`, 400, badPFX},
		{"what is not base64", "%%%", `"tags":{}`, 400, badPFX},
		{"something else in base64", "AAAA", `"tags":{}`, 400, badPFX},
		{"PEM", whole, inPEM, 200, `"contentType":"application/x-pem-file"`},
		{"PEM that nothing announces", whole, `"tags":{}`, 200, `"contentType":"application/x-pem-file"`},
		{"PEM in base64", base64.StdEncoding.EncodeToString([]byte(whole)), inPEM, 200, ""},
		{"PEM without a key", block("CERTIFICATE", cert.Raw), inPEM, 400, badPEM},
		{"PEM without a certificate", block("PRIVATE KEY", der), inPEM, 400, badPEM},
		{"PEM with a key in SEC 1", block("EC PRIVATE KEY", sec1) + block("CERTIFICATE", cert.Raw), inPEM, 400, badPEM},
		{"PEM with another key's certificate", block("PRIVATE KEY", der) + block("CERTIFICATE", ca.Raw), inPEM, 400, badPEM},
		{"PEM that breaks off", whole[:len(whole)/3], inPEM, 400, badPEM},
		{"nothing", "", `"tags":{}`, 400, "'value' is required"},
	} {
		t.Run(row.name, func(t *testing.T) {
			l := newLab(t, everything())
			value, err := json.Marshal(row.value)
			if err != nil {
				t.Fatal(err)
			}
			answer := l.ask(t, l.token(t), "POST /certificates/web/import"+v76, `{"value":`+string(value)+`,`+row.rest+`}`)
			if said := text(t, answer); answer.StatusCode != row.status || !strings.Contains(said, row.message) {
				t.Fatalf("expected %d %q, found %d %s", row.status, row.message, answer.StatusCode, said)
			}
			if row.status != 200 {
				return
			}
			got := l.must(t, "GET /certificates/web"+v76, "", 200)
			pair := keyPair(t, l.must(t, "GET /secrets/web"+v76, "", 200))
			if !bytes.Equal(got.DER, cert.Raw) || len(pair.Certificate) != 2 || !slices.ContainsFunc(pair.Certificate, func(der []byte) bool { return bytes.Equal(der, ca.Raw) }) {
				t.Errorf("%d certificates", len(pair.Certificate))
			}
			l.must(t, "GET /certificates/web/pending"+v76, "", 404)
			events, err := json.Marshal(l.journal.Events())
			if err != nil || bytes.Contains(events, []byte("PRIVATE KEY")) || bytes.Contains(events, []byte(base64.StdEncoding.EncodeToString(pfx)[:40])) || bytes.Contains(events, []byte("s3cret")) {
				t.Error("the journal has private parts")
			}
		})
	}
}

// Neither a vault nor what records one hashes for hours because a file says so, wherever it
// says so: PKCS#12 without a MAC is read if its password is empty.
func TestFilesThatTakeHours(t *testing.T) {
	seq := func(tag asn1.RawValue, parts ...any) asn1.RawValue {
		tag.IsCompound = true
		for _, part := range parts {
			der, err := asn1.Marshal(part)
			if err != nil {
				t.Fatal(err)
			}
			tag.Bytes = append(tag.Bytes, der...)
		}
		return tag
	}
	sequence, content := asn1.RawValue{Tag: asn1.TagSequence}, asn1.RawValue{Class: asn1.ClassContextSpecific}
	data := func(parts ...any) asn1.RawValue { // ContentInfo
		der, err := asn1.Marshal(seq(sequence, parts...))
		if err != nil {
			t.Fatal(err)
		}
		return seq(sequence, asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}, seq(content, der))
	}
	pbmac, pbkdf := asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 14}, asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
	bag, tripleDES := asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 2}, asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 1, 3}
	sha1 := seq(sequence, seq(sequence, asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}), []byte("sum"))
	key := func(rounds int) asn1.RawValue {
		return seq(sequence, bag, seq(content, seq(sequence, seq(sequence, tripleDES, seq(sequence, []byte("salt"), rounds)), []byte("12345678"))))
	}
	for name, file := range map[string]asn1.RawValue{
		"in the MAC":             seq(sequence, 3, data(), seq(sequence, sha1, []byte("salt"), 1<<31-1)),
		"in PBKDF2 of the MAC":   seq(sequence, 3, data(), seq(sequence, seq(sequence, seq(sequence, pbmac, seq(sequence, seq(sequence, pbkdf, seq(sequence, []byte("salt"), 1<<31-1)))), []byte("sum")), []byte("salt"), 1)),
		"in a key without a MAC": seq(sequence, 3, data(data(key(1<<31-1)))),
		"in several keys":        seq(sequence, 3, data(data(key(6_000_000), key(6_000_000)))),
	} {
		der, err := asn1.Marshal(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := keyvault.CheckCertificate(keyvault.Certificate{File: der}); err == nil || !strings.Contains(err.Error(), "rounds in all") {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := new(keyvault.StandIns).Certificate(base64.StdEncoding.EncodeToString(der), "", false); err == nil || !strings.Contains(err.Error(), "rounds in all") {
			t.Errorf("%s, recorded: %v", name, err)
		}
	}
}

// A key that is hidden in the encrypted layer is refused before a key is derived for it: it
// would take for ever.
func TestKeysInsideOfWhatIsEncrypted(t *testing.T) {
	der := func(v any) []byte {
		out, err := asn1.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	type info struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue
	}
	content := func(inner []byte) asn1.RawValue {
		return asn1.RawValue{Class: asn1.ClassContextSpecific, IsCompound: true, Bytes: inner}
	}
	data := asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	pbes2, pbkdf, aes256 := asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}, asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}, asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}
	algorithm := func(oid asn1.ObjectIdentifier, parameters []byte) pkix.AlgorithmIdentifier {
		return pkix.AlgorithmIdentifier{Algorithm: oid, Parameters: asn1.RawValue{FullBytes: parameters}}
	}
	by := func(rounds int, iv []byte) pkix.AlgorithmIdentifier {
		return algorithm(pbes2, der([]pkix.AlgorithmIdentifier{algorithm(pbkdf, der(struct {
			Salt   []byte
			Rounds int
		}{[]byte("salt"), rounds})), algorithm(aes256, der(iv))}))
	}
	// A key bag, encrypted with so many rounds, in a layer that is encrypted with one.
	hidden := der([]info{{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 2}, content(der(struct {
		Algorithm pkix.AlgorithmIdentifier
		Data      []byte
	}{by(1<<40, make([]byte, 16)), make([]byte, 32)}))}})
	pad := 16 - len(hidden)%16
	hidden = append(hidden, bytes.Repeat([]byte{byte(pad)}, pad)...)
	key, err := pbkdf2.Key(sha1.New, "", []byte("salt"), 1, 32)
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	iv := make([]byte, 16)
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(hidden, hidden)
	type encrypted struct {
		Type      asn1.ObjectIdentifier
		Algorithm pkix.AlgorithmIdentifier
		Data      []byte `asn1:"tag:0"`
	}
	layer := der(struct {
		Version int
		Of      encrypted
	}{0, encrypted{data, by(1, iv), hidden}})
	file := der(struct {
		Version int
		Safe    info
	}{3, info{data, content(der(der([]info{{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 6}, content(layer)}})))}})
	if err := keyvault.CheckCertificate(keyvault.Certificate{File: file}); err == nil || !strings.Contains(err.Error(), "certificates alone: pkcs12: expected exactly one key bag") {
		t.Errorf("%v", err)
	}
}

// A certificate of issuer Self is renewed at 80 % of its life, by the lab clock.
func TestSelfSignedCertificatesAreRenewed(t *testing.T) {
	l := newLab(t, everything())
	l.must(t, "POST /certificates/web/create"+v76, `{"attributes":{"nbf":1,"exp":2},"policy":{"key_props":{"kty":"EC"},"x509_props":{"subject":"CN=web","validity_months":3},"issuer":{"name":"Self"}}}`, 202)
	first := l.must(t, "GET /certificates/web"+v76, "", 200)
	days := func(n int) {
		if err := l.clock.Advance(t.Context(), time.Duration(n)*24*time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	days(73) // of 92
	if same := l.must(t, "GET /certificates/web"+v76, "", 200); same.ID != first.ID {
		t.Error("renewed too early")
	}
	days(1)
	renewed := l.must(t, "GET /certificates/web"+v76, "", 200)
	lived := time.Duration(renewed.Attributes.Created-first.Attributes.NotBefore) * time.Second
	whole := time.Duration(first.Attributes.Expires-first.Attributes.NotBefore) * time.Second
	if renewed.ID == first.ID || lived != whole/100*80 || renewed.Thumbprint == first.Thumbprint {
		t.Errorf("renewed after %s of %s", lived, whole)
	}
	if secret := l.must(t, "GET /secrets/web"+v76, "", 200); secret.KeyID != renewed.KeyID {
		t.Errorf("the secret is that of %s", secret.KeyID)
	}
	l.must(t, "PATCH /certificates/web/policy"+v76, `{"lifetime_actions":[{"trigger":{"days_before_expiry":10},"action":{"action_type":"EmailContacts"}}]}`, 200)
	days(400)
	if last := l.must(t, "GET /certificates/web"+v76, "", 200); last.ID != renewed.ID {
		t.Error("renewed without AutoRenew")
	}
}

// What a certificate would take the place of is neither purged nor mixed up with it.
func TestACertificateBesideOthersOfItsName(t *testing.T) {
	const create = `{"policy":{"key_props":{"kty":"EC"},"x509_props":{"subject":"CN=web"},"issuer":{"name":"Self"}}}`
	l := newLab(t, everything())
	l.must(t, "PUT /secrets/one"+v76, `{"value":"x"}`, 200)
	l.must(t, "POST /keys/two/create"+v76, `{"kty":"EC"}`, 200)
	l.must(t, "DELETE /secrets/one"+v76, "", 200)
	l.must(t, "DELETE /keys/two"+v76, "", 200)
	for _, name := range []string{"one", "two"} {
		l.must(t, "POST /certificates/"+name+"/create"+v76, create, 409)
	}
	l.must(t, "POST /deletedsecrets/one/recover"+v76, "", 200)
	l.must(t, "POST /deletedkeys/two/recover"+v76, "", 200)

	// The vault's owner sets a secret while the certificate is in the bin.
	l.must(t, "POST /certificates/web/create"+v76, create, 202)
	l.must(t, "POST /certificates/web/create"+v76, create, 202)
	first := l.must(t, "GET /secrets/web"+v76, "", 200)
	l.must(t, "DELETE /certificates/web"+v76, "", 200)
	if err := l.service.Update("mykeyvault", func(v *keyvault.Vault) error { v.Secrets["web"] = "the owner's"; return nil }); err != nil {
		t.Fatal(err)
	}
	const back = "POST /deletedcertificates/web/recover" + v76
	l.must(t, back, "", 409)
	l.must(t, "GET /keys/web"+v76, "", 404)
	l.must(t, "DELETE /secrets/web"+v76, "", 200)
	l.must(t, back, "", 409)
	l.must(t, "DELETE /deletedsecrets/web"+v76, "", 204)
	l.must(t, back, "", 200)
	if again := l.must(t, "GET /secrets/web"+v76, "", 200); again.Value != first.Value || again.ID != first.ID {
		t.Errorf("%+v", again)
	}
	l.must(t, "GET /keys/web"+v76, "", 200)
}

func TestRequestsForCertificates(t *testing.T) {
	for _, row := range []struct {
		name, request, body string
		status              int
		code, message       string // parts of the body
	}{
		{"create as SDKs do", "POST /certificates/x/create" + v76, `{"policy":{"key_props":{"kty":"EC"},"secret_props":{},"x509_props":{"subject":"cn=MyCert","sans":{}},"issuer":{"name":"Self"},"attributes":{}},"attributes":{}}`, 202, "", `"cancellation_requested":false,"status":"inProgress","status_details":"Pending certificate created.`},
		{"create without a policy", "POST /certificates/x/create" + v76, `{}`, 400, "BadParameter", "'policy' is required"},
		{"create without an issuer", "POST /certificates/x/create" + v76, `{"policy":{"x509_props":{"subject":"CN=x"}}}`, 400, "BadParameter", "'issuer' is required"},
		{"create by another issuer", "POST /certificates/x/create" + v76, `{"policy":{"x509_props":{"subject":"CN=x"},"issuer":{"name":"DigiCert"}}}`, 501, "NotImplemented", "issuers"},
		{"create without a name", "POST /certificates/x/create" + v76, `{"policy":{"issuer":{"name":"Self"}}}`, 400, "BadParameter", "'subject'"},
		{"create with a subject that is none", "POST /certificates/x/create" + v76, `{"policy":{"x509_props":{"subject":"web"},"issuer":{"name":"Self"}}}`, 400, "BadParameter", "X.500"},
		{"create with an unknown use", "POST /certificates/x/create" + v76, `{"policy":{"x509_props":{"subject":"CN=x","key_usage":["dance"]},"issuer":{"name":"Self"}}}`, 400, "BadParameter", "'dance'"},
		{"create with a bad eku", "POST /certificates/x/create" + v76, `{"policy":{"x509_props":{"subject":"CN=x","ekus":["serverAuth"]},"issuer":{"name":"Self"}}}`, 400, "BadParameter", "'serverAuth'"},
		{"create for 2000 months", "POST /certificates/x/create" + v76, `{"policy":{"x509_props":{"subject":"CN=x","validity_months":2000},"issuer":{"name":"Self"}}}`, 400, "BadParameter", "2000"},
		{"create with an action twice the life", "POST /certificates/x/create" + v76, `{"policy":{"x509_props":{"subject":"CN=x"},"issuer":{"name":"Self"},"lifetime_actions":[{"trigger":{"days_before_expiry":400},"action":{"action_type":"AutoRenew"}}]}}`, 400, "BadParameter", "400"},
		{"create another version", "POST /certificates/web/create" + v76, `{}`, 202, "", `"csr":"`},
		{"policy", "GET /certificates/web/policy" + v76, "", 200, "", `"x509_props":{"subject":"CN=web","sans":{},"ekus":["1.3.6.1.5.5.7.3.1","1.3.6.1.5.5.7.3.2"],"key_usage":["digitalSignature","keyEncipherment"],"validity_months":12,"basic_constraints":{"ca":false}},"lifetime_actions":[{"trigger":{"lifetime_percentage":80},"action":{"action_type":"AutoRenew"}}],"issuer":{"name":"Self"},"attributes":{"enabled":true,`},
		{"list", "GET /certificates" + v76 + "&includePending=false", "", 200, "", `{"value":[{"id":"https://mykeyvault.vault.azure.net/certificates/web","x5t":"`},
		{"the certificate's key among the keys", "GET /keys" + v76, "", 200, "", `"managed":true`},
		{"the certificate's secret among the secrets", "GET /secrets" + v76, "", 200, "", `"managed":true`},
		{"versions", "GET /certificates/web/versions" + v76, "", 200, "", `"nextLink":null`},
		{"an unknown certificate", "GET /certificates/other" + v76, "", 404, "CertificateNotFound", "A certificate with (name/id) other was not found in this key vault."},
		{"an unknown deleted certificate", "GET /deletedcertificates/other" + v76, "", 404, "CertificateNotFound", "Deleted Certificate not found: other"},
		{"an unknown operation of a certificate", "GET /certificates/other/pending" + v76, "", 404, "PendingCertificateNotFound", "Pending certificate not found: other"},
		{"cancel", "PATCH /certificates/web/pending" + v76, `{"cancellation_requested":true}`, 200, "", `"status":"completed"`},
		{"delete the operation", "DELETE /certificates/web/pending" + v76, "", 200, "", `"request_id":"`},
		{"no contacts", "GET /certificates/contacts" + v76, "", 404, "ContactsNotFound", "Contacts not found"},
		{"contacts", "PUT /certificates/contacts" + v76, `{"contacts":[{"email":"a@a.com","name":"a","phone":"1"}]}`, 200, "", `{"id":"https://mykeyvault.vault.azure.net/certificates/contacts","contacts":[{"email":"a@a.com","name":"a","phone":"1"}]}`},
		{"a contact without an address", "PUT /certificates/contacts" + v76, `{"contacts":[{"name":"a"}]}`, 400, "BadParameter", "email"},
		{"issuers", "GET /certificates/issuers" + v76, "", 200, "", `{"value":[],"nextLink":null}`},
		{"an issuer", "PUT /certificates/issuers/digicert" + v76, `{"provider":"DigiCert"}`, 501, "NotImplemented", "issuers"},
		{"backup", "POST /certificates/web/backup" + v76, `{}`, 501, "NotImplemented", "backup"},
		{"merge", "POST /certificates/web/pending/merge" + v76, `{"x5c":[]}`, 501, "NotImplemented", "merges no certificates"},
	} {
		t.Run(row.name, func(t *testing.T) {
			l := newLab(t, everything())
			l.must(t, "POST /certificates/web/create"+v76, `{"policy":{"key_props":{"kty":"EC"},"x509_props":{"subject":"CN=web"},"issuer":{"name":"Self"}}}`, 202)
			answer := l.ask(t, l.token(t), row.request, row.body)
			body := text(t, answer)
			if answer.StatusCode != row.status || !strings.Contains(body, row.message) || row.code != "" && !strings.Contains(body, `"code":"`+row.code+`"`) {
				t.Errorf("expected %d %s %q, found %d %.500s", row.status, row.code, row.message, answer.StatusCode, body)
			}
			if e := l.last(); e.Status != row.status || row.status >= 400 && (e.Error == "" || e.Meaning == "") {
				t.Errorf("journal: %+v", e)
			}
		})
	}
}

// FuzzImport sends whatever as a certificate, in both formats, and as a policy.
func FuzzImport(f *testing.F) {
	cert, ca, key := issued(f)
	pfx, err := pkcs12.LegacyDES.Encode(key, cert, []*x509.Certificate{ca}, "")
	if err != nil {
		f.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(base64.StdEncoding.EncodeToString(pfx), "", "")
	f.Add(string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))+string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})), "", `{"secret_props":{"contentType":"application/x-pem-file"}}`)
	f.Add("", "x", `{"key_props":{"kty":"EC"},"x509_props":{"subject":"CN=a, O=\"b\"\"c\", OU=d\\,e","sans":{"dns_names":["a"],"ipAddresses":["::1"],"uris":["a:b"]}},"issuer":{"name":"Self"}}`)
	l := newLab(f, everything())
	token := l.token(f)
	f.Fuzz(func(t *testing.T, value, password, policy string) {
		if strings.Contains(policy, "RSA") || !strings.Contains(policy, "EC") && value == "" {
			return // making those costs too much
		}
		body, err := json.Marshal(map[string]any{"value": value, "pwd": password, "policy": json.RawMessage(policy)})
		if err != nil {
			body, _ = json.Marshal(map[string]any{"value": value, "pwd": password})
		}
		for _, operation := range []string{"import", "create"} {
			if operation == "create" && !strings.Contains(policy, "EC") {
				continue
			}
			answer := l.ask(t, token, "POST /certificates/x/"+operation+v76, string(body))
			if answer.StatusCode >= 500 && answer.StatusCode != 501 {
				t.Errorf("%d %s", answer.StatusCode, text(t, answer))
			}
			if answer.StatusCode < 300 {
				l.must(t, "GET /secrets/x"+v76, "", 200)
			}
		}
	})
}
