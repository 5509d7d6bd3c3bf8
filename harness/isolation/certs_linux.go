package isolation

import (
	"crypto/sha1" //nolint:gosec // OpenSSL names the files of its directory by SHA-1
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// writeCertDirectory makes a directory of trusted roots as OpenSSL and GnuTLS
// read it: one file each, named by the hash of its subject, and all of them in
// one (openssl-rehash(1)).
func writeCertDirectory(dir, rootsFile string) (string, error) {
	roots, err := os.ReadFile(rootsFile)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(dir, "ca-certificates.crt"), roots, 0o644); err != nil {
		return "", err
	}
	taken := map[uint32]int{}
	for rest := roots; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return dir, nil
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			continue // other programs pass over it as well
		}
		hash, err := subjectHash(cert.RawSubject)
		if err != nil {
			return "", fmt.Errorf("%s: %w", rootsFile, err)
		}
		name := fmt.Sprintf("%08x.%d", hash, taken[hash])
		taken[hash]++
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o644); err != nil {
			return "", err
		}
	}
}

// subjectHash is OpenSSL's X509_NAME_hash: of the name in canonical form, which
// is UTF-8 in lower case, without needless white space and without the outermost
// SEQUENCE (crypto/x509/x_name.c, x509_name_canon).
func subjectHash(subject []byte) (uint32, error) {
	var sets []asn1.RawValue
	if _, err := asn1.Unmarshal(subject, &sets); err != nil {
		return 0, fmt.Errorf("the subject of a root: %w", err)
	}
	var canonical []byte
	for _, set := range sets {
		encoded, err := canonicalSet(set)
		if err != nil {
			return 0, fmt.Errorf("the subject of a root: %w", err)
		}
		canonical = append(canonical, encoded...)
	}
	sum := sha1.Sum(canonical) //nolint:gosec // see above
	return binary.LittleEndian.Uint32(sum[:]), nil
}

// canonicalSet is one part of a name, such as CN=…, in canonical form.
func canonicalSet(set asn1.RawValue) ([]byte, error) {
	var members []byte
	for rest := set.Bytes; len(rest) > 0; {
		var attribute struct {
			Type  asn1.ObjectIdentifier
			Value asn1.RawValue
		}
		var err error
		if rest, err = asn1.Unmarshal(rest, &attribute); err != nil {
			return nil, err
		}
		switch attribute.Value.Tag {
		case asn1.TagUTF8String, asn1.TagPrintableString, asn1.TagIA5String, asn1.TagT61String:
			text := strings.Join(strings.Fields(asciiLower(string(attribute.Value.Bytes))), " ")
			attribute.Value = asn1.RawValue{Tag: asn1.TagUTF8String, Bytes: []byte(text)}
		}
		member, err := asn1.Marshal(attribute)
		if err != nil {
			return nil, err
		}
		members = append(members, member...)
	}
	return asn1.Marshal(asn1.RawValue{Tag: asn1.TagSet, IsCompound: true, Bytes: members})
}

// asciiLower changes the letters A to Z alone, as OpenSSL does.
func asciiLower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
