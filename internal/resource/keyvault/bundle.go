package keyvault

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/google/uuid"

	"github.com/wiemu/wiemu/internal/resource"
)

// bundle is a secret as it is sent. The fields are in the order of Key Vault's
// answers; lists and updates have no value. Seen: azure-sdk-for-js recordings.
type bundle struct {
	binned
	Value       *string           `json:"value,omitempty"`
	ContentType string            `json:"contentType,omitempty"`
	ID          string            `json:"id"`
	Managed     bool              `json:"managed,omitempty"`
	Attributes  bundleAttributes  `json:"attributes"`
	Tags        map[string]string `json:"tags,omitempty"`
	KeyID       string            `json:"kid,omitempty"` // of the certificate's key
}

// binned is what is said of deleted objects only.
type binned struct {
	RecoveryID string `json:"recoveryId,omitempty"`
	Deleted    int64  `json:"deletedDate,omitempty"`
	Purge      int64  `json:"scheduledPurgeDate,omitempty"`
}

type bundleAttributes struct {
	Enabled         bool   `json:"enabled"`
	NotBefore       *int64 `json:"nbf,omitempty"`
	Expires         *int64 `json:"exp,omitempty"`
	Created         int64  `json:"created"`
	Updated         int64  `json:"updated"`
	RecoveryLevel   string `json:"recoveryLevel"`
	RecoverableDays int    `json:"recoverableDays"`
}

// binned is what is said of an object of a kind, such as keys, if it is in the bin.
func (o *object[V]) binned(c *call, kind string) binned {
	if o.deleted.IsZero() {
		return binned{}
	}
	return binned{RecoveryID: c.base() + "/deleted" + kind + "/" + o.name, Deleted: o.deleted.Unix(), Purge: o.purge().Unix()}
}

// describe has the secret's id without its version.
func (c *call) describe(o *object[*version], n *version) bundle {
	b := bundle{binned: o.binned(c, "secrets"), ContentType: n.contentType, ID: c.base() + "/secrets/" + o.name, Tags: n.tags, Attributes: n.attributes()}
	if n.certificate != nil {
		b.Managed, b.ContentType, b.KeyID = true, n.certificate.contentType(), c.base()+"/keys/"+o.name+"/"+n.id
	}
	return b
}

func (p *properties) attributes() bundleAttributes {
	return bundleAttributes{
		Enabled: p.enabled, NotBefore: p.notBefore, Expires: p.expires,
		Created: p.created.Unix(), Updated: p.updated.Unix(),
		RecoveryLevel: "Recoverable+Purgeable", RecoverableDays: retention,
	}
}

// base is the vault's address as the client wrote it: on another port than 443
// it goes into ids, so that a client can follow them.
func (c *call) base() string {
	return "https://" + strings.TrimSuffix(strings.ToLower(c.Request.Host), ":443")
}

// What every answer says about the service.
const (
	region         = "northeurope"
	serviceVersion = "1.9.2876.1"
)

// Write implements resource.Request: a body as JSON, or none for a nil one, with the
// headers that Key Vault sends. Seen: azure-sdk-for-js recordings.
func (c *call) Write(w http.ResponseWriter, answer resource.Answer, failed *resource.Failure) {
	body := answer.Body
	if failed != nil {
		body = errorBody(failed)
	}
	h := w.Header()
	h.Set("Cache-Control", "no-cache")
	h.Set("Pragma", "no-cache")
	h.Set("Expires", "-1")
	h.Set("Strict-Transport-Security", "max-age=31536000;includeSubDomains")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Ms-Keyvault-Region", region)
	h.Set("X-Ms-Keyvault-Service-Version", serviceVersion)
	h.Set("X-Ms-Keyvault-Network-Info", "conn_type=Ipv4;addr=127.0.0.1;act_addr_fam=InterNetwork;")
	h.Set("X-Ms-Request-Id", uuid.NewString())
	if id := c.Request.Header.Get("X-Ms-Client-Request-Id"); id != "" {
		h.Set("X-Ms-Client-Request-Id", id)
	}
	if c.location != "" && failed == nil {
		h.Set("Location", c.location)
		h.Set("Retry-After", "10")
	}
	if body == nil {
		w.WriteHeader(answer.Status)
		return
	}
	h.Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(answer.Status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(body) // the client has gone
}
