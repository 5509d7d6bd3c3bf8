package keyvault

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"maps"
	"time"

	"github.com/go-jose/go-jose/v4"
	"software.sslmate.com/src/go-pkcs12"
)

// StandIns makes keys and certificates that take the place of others where these are not to
// be kept, such as in recordings. The zero value is ready. It is not safe for concurrent use.
type StandIns struct {
	keys map[keyKind]crypto.Signer
}

// key returns one key for each type, size and curve.
func (s *StandIns) key(kind keyKind) crypto.Signer {
	if s.keys == nil {
		s.keys = map[keyKind]crypto.Signer{}
	}
	if s.keys[kind] == nil {
		s.keys[kind] = exportable(kind)()
	}
	return s.keys[kind]
}

// JWK returns a private key of the same type and size in the place of one that a client
// imports, with the other members as they are. It fails on what no vault would import.
func (s *StandIns) JWK(data []byte) ([]byte, error) {
	var key jsonWebKey
	if err := key.UnmarshalJSON(data); err != nil {
		return nil, err
	}
	private, _, failed := key.private()
	if failed != nil {
		return nil, errorOf(failed)
	}
	other, err := jose.JSONWebKey{Key: s.key(kindOf(private))}.MarshalJSON()
	if err != nil {
		return nil, err
	}
	var all, numbers map[string]any
	if err := errors.Join(json.Unmarshal(data, &all), json.Unmarshal(other, &numbers)); err != nil {
		return nil, err
	}
	delete(numbers, "kty") // which may end in -HSM
	maps.Copy(all, numbers)
	return json.Marshal(all)
}

// Certificate returns a certificate with the same names and dates and another key, signed by
// itself, in the place of one that a client imports, in the same format and without a
// password. It fails on what no vault would import.
func (s *StandIns) Certificate(value, password string, inPEM bool) (string, error) {
	found, failed := readCertificate(value, password, inPEM)
	if failed != nil {
		return "", errorOf(failed)
	}
	key := s.key(kindOf(found.private))
	template := *found.cert
	template.PublicKey, template.SignatureAlgorithm, template.AuthorityKeyId, template.SubjectKeyId = key.Public(), 0, nil, nil
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		return "", err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return "", err
	}
	if !inPEM {
		sealed, err := pkcs12.LegacyDES.Encode(key, cert, nil, "")
		return base64.StdEncoding.EncodeToString(sealed), err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", err
	}
	var text bytes.Buffer
	for _, block := range []pem.Block{{Type: "PRIVATE KEY", Bytes: private}, {Type: "CERTIFICATE", Bytes: der}} {
		_ = pem.Encode(&text, &block) // a buffer takes it
	}
	return text.String(), nil
}

// File returns a certificate in PEM in the place of a file that is configured; see
// Certificate.
func (s *StandIns) File(data []byte, password string) ([]byte, error) {
	data, err := AsPEM(data, password)
	if err != nil {
		return nil, err
	}
	text, err := s.Certificate(string(data), "", true)
	return []byte(text), err
}

// AsPEM returns a PEM file, or what is in a PKCS#12 file as one.
func AsPEM(data []byte, password string) ([]byte, error) {
	c := Certificate{File: data, Password: password}
	found, failed := c.read()
	if failed != nil {
		return nil, errorOf(failed)
	}
	n := newImported(found, true, nil, time.Time{})
	return []byte(n.secret()), nil
}

// ContentTypeOf returns the format of the secret of a certificate's file.
func ContentTypeOf(data []byte) string {
	if (Certificate{File: data}).inPEM() {
		return contentPEM
	}
	return contentPFX
}

// KindOf returns what a key is that takes the place of one in a file.
func KindOf(data []byte, kty string) (kind string, size int, curve string, err error) {
	private, err := ReadKey(data)
	if err != nil {
		return "", 0, "", err
	}
	of := kindOf(private)
	if of.curve != nil {
		return cmp.Or(kty, "EC"), 0, of.curve.Params().Name, nil
	}
	return cmp.Or(kty, "RSA"), of.bits, "", nil
}
