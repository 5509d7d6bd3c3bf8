package keyvault

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"

	"software.sslmate.com/src/go-pkcs12"
)

// maxRounds is how often a password is hashed for a client at most; files have 2,048 to a
// million rounds for each of their keys.
const maxRounds = 10_000_000

// rounds returns how many rounds a PKCS#12 file asks for in all, as far as can be read before
// anything is decrypted; 0 if it is none. What is hidden behind that is lookIntoLayers' to find. Each count follows its salt: in MacData (RFC 7292
// §4), in the parameters of PKCS#12's own encryption (RFC 7292 appendix C) and in those of
// PBKDF2 (RFC 8018 A.2), which has to do with the MAC, too (RFC 9579).
func rounds(der []byte) (all int) {
	salted := false
	for len(der) > 0 {
		var v asn1.RawValue
		rest, err := asn1.Unmarshal(der, &v)
		if err != nil {
			return all
		}
		octets := v.Class == asn1.ClassUniversal && v.Tag == asn1.TagOctetString
		var n int
		switch {
		case v.IsCompound || octets: // contents are in strings
			all += rounds(v.Bytes)
		case salted && v.Class == asn1.ClassUniversal && v.Tag == asn1.TagInteger:
			if _, err := asn1.Unmarshal(v.FullBytes, &n); err == nil {
				all += min(max(n, 0), maxRounds+1)
			}
		}
		der, salted = rest, octets
	}
	return all
}

// Types of RFC 7292 and 8018.
var (
	oidData          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidEncryptedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 6}
	oidKeyBag        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 1}
	oidPBMAC1        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 14}
	oidPBKDF2        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
	oidHMACWithSHA2  = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 9} // of 256 bits
)

// contentInfo is a layer of a PKCS#12 file (RFC 7292 §4.1), and has the form of a bag in one.
type contentInfo struct {
	Type    asn1.ObjectIdentifier
	Content asn1.RawValue `asn1:"tag:0,explicit,optional"`
}

// lookIntoLayers refuses a PKCS#12 file with a key inside of what is encrypted: how many rounds
// that key asks for is not known before it is too late. Files have their key beside the layer
// that is encrypted, which has the certificates.
func lookIntoLayers(der []byte, password string) error {
	var file struct {
		Version int
		Safe    contentInfo
		MAC     asn1.RawValue `asn1:"optional"`
	}
	var safe []byte
	var layers []contentInfo
	if _, err := asn1.Unmarshal(der, &file); err != nil {
		return err
	}
	if _, err := asn1.Unmarshal(file.Safe.Content.Bytes, &safe); err != nil {
		return err
	}
	if _, err := asn1.Unmarshal(safe, &layers); err != nil {
		return err
	}
	for _, layer := range layers {
		if !layer.Type.Equal(oidEncryptedData) {
			continue
		}
		// There may be one key: the decoder refuses another before it derives anything.
		if _, _, _, err := pkcs12.DecodeChain(withKeyBefore(layer, password), password); err != nil {
			return fmt.Errorf("the encrypted layer is not one of certificates alone: %w", err)
		}
	}
	return nil
}

// withKeyBefore returns a PKCS#12 file of an unencrypted key and a layer.
func withKeyBefore(layer contentInfo, password string) []byte {
	key, _ := x509.MarshalPKCS8PrivateKey(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))) // of no use but to be there
	content := func(der []byte) asn1.RawValue {
		return asn1.RawValue{Class: asn1.ClassContextSpecific, IsCompound: true, Bytes: der}
	}
	data := func(of []byte) contentInfo { return contentInfo{oidData, content(marshal(of))} }
	safe := marshal([]contentInfo{data(marshal([]contentInfo{{oidKeyBag, content(key)}})), layer})
	salt := make([]byte, 16)
	derived, _ := pbkdf2.Key(sha256.New, password, salt, 1, sha256.Size)
	mac := hmac.New(sha256.New, derived)
	mac.Write(safe)
	prf := pkix.AlgorithmIdentifier{Algorithm: oidHMACWithSHA2}
	by := func(oid asn1.ObjectIdentifier, parameters any) pkix.AlgorithmIdentifier {
		return pkix.AlgorithmIdentifier{Algorithm: oid, Parameters: asn1.RawValue{FullBytes: marshal(parameters)}}
	}
	type digest struct {
		Algorithm pkix.AlgorithmIdentifier
		Digest    []byte
	}
	type macData struct {
		MAC  digest
		Salt []byte
	}
	derivation := by(oidPBKDF2, struct {
		Salt           []byte
		Rounds, Length int
		PRF            pkix.AlgorithmIdentifier
	}{salt, 1, sha256.Size, prf})
	return marshal(struct {
		Version int
		Safe    contentInfo
		MAC     macData
	}{3, data(safe), macData{digest{by(oidPBMAC1, []pkix.AlgorithmIdentifier{derivation, prf}), mac.Sum(nil)}, salt}})
}

// marshal writes values of which all can be written.
func marshal(v any) []byte {
	der, _ := asn1.Marshal(v)
	return der
}
