package controlapi

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/entra"
	"github.com/wiemu/wiemu/internal/keyring"
	"github.com/wiemu/wiemu/internal/unverified"
)

// InspectRequest asks what a token says and whom it would meet.
type InspectRequest struct {
	Token    string `json:"token"`              // a JWT; it is neither stored nor journaled
	Tenant   string `json:"tenant,omitempty"`   // of the identity; "": any
	Identity string `json:"identity,omitempty"` // whose trust it would meet: client id or name; "": the one that comes nearest
}

// Inspected is what a token says.
type Inspected struct {
	Header    json.RawMessage `json:"header"`
	Claims    json.RawMessage `json:"claims"` // in the order of the token
	Now       time.Time       `json:"now"`    // lab time
	Signature journal.Check   `json:"signature"`

	Identity string         `json:"identity,omitempty"` // whose trust Trust is about
	ClientID string         `json:"clientId,omitempty"`
	Trust    *journal.Event `json:"trust,omitempty"` // what Entra ID would say to it as an assertion; nil for a token of Entra ID's own
}

func (s *Server) inspect(r *http.Request, req InspectRequest) (any, error) {
	raw := strings.TrimSpace(req.Token)
	token, err := unverified.Parse(raw)
	if err != nil {
		return nil, refuseToken(err)
	}
	header, err := token.Header.JSON()
	if err != nil {
		return nil, refuseToken(fmt.Errorf("header: %w", err))
	}
	claims, err := token.Claims.JSON()
	if err != nil {
		return nil, refuseToken(fmt.Errorf("claims: %w", err))
	}
	var named struct {
		Issuer   string `json:"iss"`
		Subject  string `json:"sub"`
		Audience any    `json:"aud"`
	}
	if err := token.Claims.Decode(&named); err != nil {
		return nil, refuseToken(fmt.Errorf("claims: %w", err))
	}
	seen := Inspected{Header: header, Claims: claims, Now: s.lab.Clock().Now(), Signature: s.signature(raw, token)}
	if strings.HasPrefix(named.Issuer, "https://"+s.lab.Cloud().STS+"/") || strings.HasPrefix(named.Issuer, s.lab.Cloud().Authority()) {
		return seen, nil
	}
	tenant, who, err := s.meets(req, named.Issuer, named.Subject, audience(named.Audience))
	if err != nil || who == nil {
		return seen, err
	}
	e := s.lab.Examine(r.Context(), tenant, who.ClientID, raw)
	seen.Identity, seen.ClientID, seen.Trust = cmp.Or(who.DisplayName, who.ClientID), who.ClientID, &e
	return seen, nil
}

func refuseToken(err error) error {
	return &control.StatusError{Status: http.StatusBadRequest, Field: "token", Err: fmt.Errorf("token: %w", err)}
}

// audience is an aud claim with one value, a string or a list (RFC 7519 §4.1.3).
func audience(claim any) string {
	if all, ok := claim.([]any); ok && len(all) == 1 {
		claim = all[0]
	}
	text, _ := claim.(string)
	return text
}

// meets returns the identity that a request names, or else the one whose federated credentials
// come nearest to a token; nil if there is none with federated credentials.
func (s *Server) meets(req InspectRequest, issuer, subject, audience string) (tenant string, who *directory.Principal, err error) {
	if req.Identity != "" {
		who, tenant, err = s.identity(req.Tenant, req.Identity)
		return tenant, who, err
	}
	fewest := 0
	for _, t := range s.lab.Directory().Tenants() {
		for _, p := range s.lab.Directory().Principals(t.ID) {
			n := entra.Nearest(p.FederatedCredentials, issuer, subject, audience)
			if n == nil || who != nil && len(n.Differences) >= fewest {
				continue
			}
			tenant, who, fewest = t.ID, p, len(n.Differences)
		}
	}
	return tenant, who, nil
}

// signature verifies a token with the key that it names, of those that the lab's issuers and
// Entra ID publish now.
func (s *Server) signature(raw string, token unverified.Token) journal.Check {
	check := journal.Check{Name: "signature", Expected: "a signature by a published key of this lab", Outcome: journal.Failed}
	var header struct {
		Algorithm string `json:"alg"`
		Kid       string `json:"kid"`
	}
	if err := token.Header.Decode(&header); err != nil {
		check.Note = err.Error()
		return check
	}
	check.Presented = "kid " + header.Kid + ", " + header.Algorithm
	for name, ring := range s.lab.KeyRings() {
		for _, key := range ring.Keys() {
			if key.ID != header.Kid || key.Private == nil {
				continue
			}
			signed, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{jose.RS256, jose.ES256})
			if err == nil {
				_, err = signed.Verify(key.Private.Public())
			}
			switch {
			case err != nil:
				check.Note = fmt.Sprintf("the key of %s with this id did not make it: %v", name, err)
			case !slices.ContainsFunc(ring.Published(), func(k keyring.Key) bool { return k.ID == key.ID }):
				check.Note = fmt.Sprintf("a key of %s made it that is not published", name)
			default:
				check.Outcome, check.Note = journal.Passed, fmt.Sprintf("by a key of %s, which is %s", name, key.Stage)
			}
			return check
		}
	}
	check.Outcome, check.Note = journal.Skipped, "no issuer of this lab has, or has had, a key with this id; that of an external issuer is looked up when Entra ID is asked, see the checks below"
	return check
}
