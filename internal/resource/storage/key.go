package storage

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/google/uuid"
)

// keyInfo asks for a user delegation key.
type keyInfo struct {
	XMLName xml.Name `xml:"KeyInfo"`
	Start   string   `xml:"Start"`
	Expiry  string   `xml:"Expiry"`
	Tenant  string   `xml:"DelegatedUserTid"`
}

// delegationKey is a user delegation key.
// Source: REST reference, Get User Delegation Key.
type delegationKey struct {
	XMLName         xml.Name `xml:"UserDelegationKey"`
	ObjectID        string   `xml:"SignedOid"`
	Tenant          string   `xml:"SignedTid"`
	Start           string   `xml:"SignedStart"`
	Expiry          string   `xml:"SignedExpiry"`
	Service         string   `xml:"SignedService"`
	Version         string   `xml:"SignedVersion"`
	DelegatedTenant string   `xml:"SignedDelegatedUserTid,omitempty"`
	Value           string   `xml:"Value"`
}

// maxKeyLife is how far in the future a key may end.
const maxKeyLife = 7 * 24 * time.Hour

// maxXML is the most bytes of XML that the package reads itself.
const maxXML = 64 << 10

// delegate makes a user delegation key for the caller.
func (c *call) delegate() (delegationKey, *refusal) {
	asked, r := readKeyInfo(c.Request.Body)
	if r != nil {
		return delegationKey{}, r
	}
	start, end := parseTime(asked.Start), parseTime(asked.Expiry)
	if asked.Start == "" {
		start = c.now
	}
	switch {
	case start.IsZero():
		return delegationKey{}, badNode("Start", asked.Start, "The start of the key is no time.")
	case end.IsZero():
		return delegationKey{}, badNode("Expiry", asked.Expiry, "The expiry of the key is no time.")
	case !end.After(start) || !end.After(c.now):
		return delegationKey{}, badNode("Expiry", asked.Expiry, fmt.Sprintf("The key would have ended before it begins, or before now, which is %s on the lab clock.", c.now.UTC().Format(time.RFC3339)))
	case end.After(c.now.Add(maxKeyLife)) || start.After(c.now.Add(maxKeyLife)):
		return delegationKey{}, badNode("Expiry", asked.Expiry, fmt.Sprintf("A key may live up to 7 days from now, which is %s on the lab clock.", c.now.UTC().Format(time.RFC3339)))
	case asked.Tenant != "" && uuid.Validate(asked.Tenant) != nil:
		return delegationKey{}, badNode("DelegatedUserTid", asked.Tenant, "The tenant of the user is no GUID.")
	}
	k := delegationKey{
		ObjectID: c.Caller.ObjectID, Tenant: c.Caller.Tenant, Start: start.Format(time.RFC3339), Expiry: end.Format(time.RFC3339),
		Service: string(c.target.Service[:1]), Version: c.version(), DelegatedTenant: asked.Tenant,
	}
	k.Value = base64.StdEncoding.EncodeToString(k.value(c.name))
	c.accounts.kit.Journal.Secrets().Add("user delegation key of "+who(c.Caller), k.Value)
	return k, nil
}

// readKeyInfo reads the body of Get User Delegation Key.
func readKeyInfo(body io.Reader) (keyInfo, *refusal) {
	text, err := io.ReadAll(io.LimitReader(body, maxXML+1))
	switch {
	case err != nil:
		return keyInfo{}, cutShort()
	case len(text) > maxXML:
		return keyInfo{}, tooLarge(maxXML)
	}
	var asked keyInfo
	d := xml.NewDecoder(strings.NewReader(strings.TrimPrefix(string(text), "\ufeff")))
	if err := d.Decode(&asked); err != nil {
		return keyInfo{}, badXML("The body is no KeyInfo document: " + err.Error() + ".")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		if err == nil {
			err = errors.New("there is more than one document")
		}
		return keyInfo{}, badXML("The body is no KeyInfo document: " + err.Error() + ".")
	}
	return asked, nil
}

// cutShort is for a body that ends before its declared length. Usually nobody is there any
// more to read it.
func cutShort() *refusal {
	return badRequest("IncompleteBody", "The request body is shorter than its Content-Length.", "The client's connection ended in the middle of the body, or Content-Length is larger than the body.")
}

// value is the key itself: an HMAC of the account and all fields, so that nothing has to be
// stored and a SAS is verified by its own parameters. It is the same in each lab, so that a
// recorded session can be replayed; it opens nothing but an emulated account.
func (k delegationKey) value(account string) []byte {
	mac := hmac.New(sha256.New, []byte("user delegation keys of wiemu"))
	_, _ = io.WriteString(mac, strings.Join([]string{account, strings.ToLower(k.ObjectID), strings.ToLower(k.Tenant), k.Start, k.Expiry, k.Service, k.Version, k.DelegatedTenant}, "\n"))
	return mac.Sum(nil)
}
