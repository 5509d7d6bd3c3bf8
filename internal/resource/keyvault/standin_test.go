package keyvault_test

import (
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/internal/resource/keyvault"
)

func TestStandInsHaveTheSameNamesAndOtherKeys(t *testing.T) {
	l := newLab(t, everything())
	l.must(t, "POST /certificates/web/create"+v76, `{"policy":{"key_props":{"kty":"EC"},"secret_props":{"contentType":"application/x-pem-file"},"x509_props":{"subject":"CN=web","sans":{"dns_names":["web.example"]}},"issuer":{"name":"Self"}}}`, 202)
	own := l.must(t, "GET /secrets/web"+v76, "", 200).Value
	var s keyvault.StandIns
	for _, inPEM := range []bool{true, false} {
		value := own
		if !inPEM {
			l.must(t, "POST /certificates/pfx/create"+v76, `{"policy":{"key_props":{"kty":"EC"},"x509_props":{"subject":"CN=web","sans":{"dns_names":["web.example"]}},"issuer":{"name":"Self"}}}`, 202)
			value = l.must(t, "GET /secrets/pfx"+v76, "", 200).Value
		}
		other, err := s.Certificate(value, "", inPEM)
		if err != nil {
			t.Fatal(err)
		}
		if !inPEM {
			continue
		}
		var certs []*x509.Certificate
		for _, text := range []string{own, other} {
			block, rest := pem.Decode([]byte(text))
			if block.Type != "PRIVATE KEY" {
				t.Fatal(block.Type)
			}
			block, _ = pem.Decode(rest)
			cert, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				t.Fatal(err)
			}
			certs = append(certs, cert)
		}
		if certs[0].Subject.String() != certs[1].Subject.String() || !certs[0].NotAfter.Equal(certs[1].NotAfter) || certs[1].DNSNames[0] != "web.example" || strings.Contains(other, strings.Split(own, "\n")[1]) {
			t.Errorf("%+v", certs[1].Subject)
		}
	}
}
