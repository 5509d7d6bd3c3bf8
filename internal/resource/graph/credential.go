package graph

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/internal/resource"
)

// passwordLifetime is that of a password for which no end is asked for.
// Source: microsoft-graph-docs-contrib, api-reference/v1.0/api/application-addpassword.md.
const passwordLifetime = 2 // years

// wantedPassword is a password of a body.
type wantedPassword struct {
	DisplayName *string `json:"displayName"`
	Start       when    `json:"startDateTime"`
	End         when    `json:"endDateTime"`
	Text        *string `json:"secretText"`
}

// password makes a client secret. Clients do not choose its text: see writePasswordCredentials.
func (c *call) password(wanted wantedPassword) (directory.Secret, *resource.Failure) {
	if wanted.Text != nil {
		return directory.Secret{}, ownPassword()
	}
	made := directory.Secret{Value: newPassword(), Start: wanted.Start.Time, End: wanted.End.Time}
	if wanted.DisplayName != nil {
		made.DisplayName = *wanted.DisplayName
	}
	if made.Start.IsZero() {
		made.Start = c.kit.Clock.Now().UTC().Truncate(time.Second)
	}
	if made.End.IsZero() {
		made.End = made.Start.AddDate(passwordLifetime, 0, 0)
	}
	if !writable(made.End) {
		return directory.Secret{}, badRequest("Invalid value specified for property 'startDateTime' of resource 'PasswordCredential'.", "The password would end after the year 9999.", "Give it an endDateTime.") // text inferred
	}
	if !made.End.After(made.Start) {
		return directory.Secret{}, badRequest("Credential end date must be after its start date.", "A password ends after it begins.", "") // text inferred
	}
	return made, nil
}

// addPassword makes a client secret, which is shown this once.
func (c *call) addPassword() (resource.Answer, *resource.Failure) {
	var wanted wantedPassword
	p, failed := c.asked("passwordCredential", &wanted)
	if failed != nil {
		return resource.Answer{}, failed
	}
	made, failed := c.password(wanted)
	if failed != nil {
		return resource.Answer{}, failed
	}
	made.OfServicePrincipal = !c.ofApplication()
	changed, failed := c.update(p, func(p *directory.Principal) *resource.Failure {
		if p.Kind == directory.ManagedIdentity {
			return unsupported(p)
		}
		made.ID = next(p, "password")
		p.Secrets = append(p.Secrets, made)
		return nil
	})
	if failed != nil {
		return resource.Answer{}, failed
	}
	c.record(changed, "has a new password, %s, until %s", made.ID, made.End.Format(time.RFC3339))
	return c.plain("microsoft.graph.passwordCredential", passwordCredential(made, made.Value)), nil
}

// unsupported refuses credentials of a managed identity. The text is inferred.
func unsupported(p *directory.Principal) *resource.Failure {
	return badRequest("Credentials cannot be added to the service principal of a managed identity.", p.DisplayName+" is a managed identity: Azure keeps its credentials.", "Give it a federated credential in Azure Resource Manager.")
}

// plain answers an action with what it made.
func (c *call) plain(kind string, e entity) resource.Answer {
	return resource.Answer{Body: append(entity{c.context(kind, query{}, "")}, e...)}
}

const passwordAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-~"

// newPassword is as those of Entra ID: forty characters, of which the fourth to sixth say that.
func newPassword() string {
	random := make([]byte, 40)
	_, _ = rand.Read(random) // it never fails
	for i, b := range random {
		random[i] = passwordAlphabet[int(b)%len(passwordAlphabet)]
	}
	for i := range 3 { // the hint, which begins with a letter or digit
		random[i] = passwordAlphabet[int(random[i])%62]
	}
	copy(random[3:], "8Q~")
	return string(random)
}

func (c *call) removePassword() (resource.Answer, *resource.Failure) {
	var id guid
	p, failed := c.asked("keyId", &id)
	if failed != nil {
		return resource.Answer{}, failed
	}
	return c.changed(p, func(p *directory.Principal) *resource.Failure {
		before := len(p.Secrets)
		p.Secrets = slices.DeleteFunc(p.Secrets, func(s directory.Secret) bool {
			return s.ID == string(id) && s.OfServicePrincipal != c.ofApplication()
		})
		if len(p.Secrets) == before { // seen in hashicorp/vault-plugin-secrets-azure and others
			return badRequest(fmt.Sprintf("No password credential found with keyId %s.", id), "There is no such password.", "Look for its keyId in passwordCredentials.")
		}
		return nil
	}, "has password %s removed", id)
}

// key is a key credential of a body.
type key struct {
	ID          guid    `json:"keyId"`
	DisplayName *string `json:"displayName"`
	Type        string  `json:"type"`
	Usage       string  `json:"usage"`
	Key         *string `json:"key"` // base64, also of PEM
	Start       when    `json:"startDateTime"`
	End         when    `json:"endDateTime"`
	Thumbprint  *string `json:"customKeyIdentifier"`
}

// certificate reads the public half of a key.
func (k key) certificate(ofServicePrincipal bool) (directory.Certificate, *resource.Failure) {
	made := directory.Certificate{ID: string(k.ID), Start: k.Start.Time, End: k.End.Time, OfServicePrincipal: ofServicePrincipal}
	if k.DisplayName != nil {
		made.DisplayName = *k.DisplayName
	}
	if k.Type != "AsymmetricX509Cert" || k.Usage != "Verify" {
		return made, notEmulatedKey(k)
	}
	if k.Key != nil {
		made.DER = decodedKey(*k.Key)
	}
	parsed, err := x509.ParseCertificate(made.DER)
	if err != nil { // seen in many logs
		return made, badRequest("Key credential is invalid.", "The key is no X.509 certificate in base64.", "")
	}
	made.DisplayName = cmp.Or(made.DisplayName, parsed.Subject.String())
	if made.Start.IsZero() {
		made.Start = parsed.NotBefore
	}
	if made.End.IsZero() {
		made.End = parsed.NotAfter
	}
	if made.Start.Before(parsed.NotBefore) {
		return made, badRequest("Key credential start date is invalid.", "The key credential begins before its certificate.", "") // seen in hashicorp/terraform-provider-azuread
	}
	if made.End.After(parsed.NotAfter) {
		return made, badRequest("Key credential end date is invalid.", "The key credential ends after its certificate.", "")
	}
	if !made.End.After(made.Start) {
		return made, badRequest("Key credential end date is invalid.", "The key credential ends before it begins.", "")
	}
	return made, nil
}

// keyAt is where the certificate with an id is; -1 if there is none.
func keyAt(all []directory.Certificate, id string, ofServicePrincipal bool) int {
	return slices.IndexFunc(all, func(c directory.Certificate) bool {
		return c.ID == id && c.OfServicePrincipal == ofServicePrincipal
	})
}

// existingKey refuses a key with the id of another one.
// Source: Azure/active-directory-dotnet-graphapi-b2bportal-web#8, of Graph's predecessor.
func existingKey(id string) *resource.Failure {
	return badRequest(fmt.Sprintf("Update to existing credential with KeyId '%s' is not allowed.", id), "A key credential is not changed, and no other has its keyId.", "Add another one, with another keyId or none, and remove this one.")
}

func notEmulatedKey(k key) *resource.Failure {
	return notEmulated(fmt.Sprintf("key credentials of type %q and usage %q, only AsymmetricX509Cert and Verify", k.Type, k.Usage))
}

// decodedKey reads a certificate in base64, which clients wrap around DER or PEM.
func decodedKey(text string) []byte {
	text = string(bytes.Join(bytes.Fields([]byte(text)), nil))
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil
	}
	if block, _ := pem.Decode(data); block != nil {
		return block.Bytes
	}
	return data
}

func encodedKey(der []byte) string { return base64.StdEncoding.EncodeToString(der) }

// writeKeyCredentials replaces the certificates: those that come without a key and have the id
// of one that is there stay.
// Source: microsoft-graph-docs-contrib, api-reference/v1.0/api/application-update.md.
func (c *call) writeKeyCredentials(body object, p *directory.Principal, ofServicePrincipal bool) *resource.Failure {
	var keys []key
	given, failed := body.take("keyCredentials", &keys)
	if failed != nil || !given {
		return failed
	}
	if p.Kind == directory.ManagedIdentity {
		return unsupported(p)
	}
	var wanted []directory.Certificate
	for _, k := range keys {
		i := keyAt(p.Certificates, string(k.ID), ofServicePrincipal)
		same := i >= 0 && (k.Key == nil || bytes.Equal(decodedKey(*k.Key), p.Certificates[i].DER))
		switch {
		case k.ID != "" && keyAt(wanted, string(k.ID), ofServicePrincipal) >= 0, i >= 0 && !same:
			return existingKey(string(k.ID))
		case same:
			wanted = append(wanted, p.Certificates[i])
			continue
		}
		made, failed := k.certificate(ofServicePrincipal)
		if failed != nil {
			return failed
		}
		if made.ID == "" {
			made.ID = next(p, "key")
		}
		wanted = append(wanted, made)
	}
	p.Certificates = slices.DeleteFunc(p.Certificates, func(c directory.Certificate) bool { return c.OfServicePrincipal == ofServicePrincipal })
	p.Certificates = append(p.Certificates, wanted...)
	return nil
}

// writePasswordCredentials takes passwords away; new ones are made by addPassword alone.
// Source of the text: microsoftgraph/microsoft-graph-docs-contrib#6386 (2019-11).
func writePasswordCredentials(body object, p *directory.Principal, ofServicePrincipal bool) *resource.Failure {
	var all []struct {
		ID guid `json:"keyId"`
	}
	given, failed := body.take("passwordCredentials", &all)
	if failed != nil || !given {
		return failed
	}
	keep := map[string]bool{}
	for _, one := range all {
		if !slices.ContainsFunc(p.Secrets, func(s directory.Secret) bool {
			return s.ID == string(one.ID) && s.OfServicePrincipal == ofServicePrincipal
		}) {
			return ownPassword()
		}
		keep[string(one.ID)] = true
	}
	p.Secrets = slices.DeleteFunc(p.Secrets, func(s directory.Secret) bool { return s.OfServicePrincipal == ofServicePrincipal && !keep[s.ID] })
	return nil
}

func ownPassword() *resource.Failure {
	return badRequest("New password credentials must be generated with service actions.", "Passwords are not chosen by clients.", "Use addPassword.")
}

// addKey adds a certificate for whoever proves to have the key of one that is there.
func (c *call) addKey() (resource.Answer, *resource.Failure) {
	var wanted key
	var proof string
	p, failed := c.asked("keyCredential", &wanted, "proof", &proof)
	if failed == nil {
		failed = c.proven(p, proof)
	}
	if failed != nil {
		return resource.Answer{}, failed
	}
	made, failed := wanted.certificate(!c.ofApplication())
	if failed != nil {
		return resource.Answer{}, failed
	}
	changed, failed := c.update(p, func(p *directory.Principal) *resource.Failure {
		if made.ID != "" && keyAt(p.Certificates, made.ID, made.OfServicePrincipal) >= 0 {
			return existingKey(made.ID)
		}
		made.ID = cmp.Or(made.ID, next(p, "key"))
		p.Certificates = append(p.Certificates, made)
		return nil
	})
	if failed != nil {
		return resource.Answer{}, failed
	}
	c.record(changed, "has a new certificate, %s, until %s", made.ID, made.End.Format(time.RFC3339))
	return c.plain("microsoft.graph.keyCredential", keyCredential(made, false)), nil
}

func (c *call) removeKey() (resource.Answer, *resource.Failure) {
	var id guid
	var proof string
	p, failed := c.asked("keyId", &id, "proof", &proof)
	if failed == nil {
		failed = c.proven(p, proof)
	}
	if failed != nil {
		return resource.Answer{}, failed
	}
	return c.changed(p, func(p *directory.Principal) *resource.Failure {
		before := len(p.Certificates)
		p.Certificates = slices.DeleteFunc(p.Certificates, func(one directory.Certificate) bool {
			return one.ID == string(id) && one.OfServicePrincipal != c.ofApplication()
		})
		if len(p.Certificates) == before { // text inferred from that of removePassword
			return badRequest(fmt.Sprintf("No credentials found to be removed with keyId %s.", id), "There is no such key.", "")
		}
		return nil
	}, "has certificate %s removed", id)
}

// unproven refuses a proof. Whatever is wrong with it, the answer is the same.
// Source: microsoftgraph/microsoft-graph-docs#10686 (2020-11), #14626 (2021-10), #22076 (2023-07).
func unproven(why string) *resource.Failure {
	return resource.Fail(http.StatusUnauthorized, "Authentication_MissingOrMalformed", "Access Token missing or malformed.", "The proof is not good: "+why+".",
		"Sign a JWT with the key of a certificate that the application has: aud 00000002-0000-0000-c000-000000000000, iss the object id of the application or service principal, nbf now, exp ten minutes later at most.")
}
